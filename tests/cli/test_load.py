"""load, through the command: the real files, standard input, and files that are refused."""

from __future__ import annotations

import csv
import io
import subprocess
from pathlib import Path

HEADER = "timestamp,from_account,to_account,amount,reason\n"
GOOD = HEADER + "2024-01-01T00:00:00Z,system,alice,5,award\n2024-01-02T00:00:00Z,alice,bob,1,tip\n"


def test_the_real_ledger_loads_once(run, database_url: str, shared_data: Path) -> None:
    """The MakerDAO payroll lands whole with its supply; loaded again it adds nothing."""
    path = shared_data / "ledgers" / "makerdao_dai_payroll_2020-2022.csv"
    db = ("--db", database_url)
    run(*db, "init", "--symbol", "DAI", "--name", "Dai", "--decimals", "18")
    words = (*db, "load", path, "--create-accounts", "--json")
    first = run(*words).document
    assert (12428, 12428, 0, 0, None) == tuple(
        first[name] for name in ("rows", "posted", "repeated", "refused", "refused_path")
    )
    assert (0, 12428) == tuple(run(*words).document[name] for name in ("posted", "repeated"))
    assert "373908.08" == run(*db, "supply", "--json").document["amount"]


def test_a_refused_row_is_named_and_nothing_lands(book, tmp_path: Path) -> None:
    """An error names file, line, column, value and rule, and the ledger is as it was."""
    (tmp_path / "rows.csv").write_text(GOOD + "2024-01-03T00:00:00Z,alice,bob,1.005,tip\n")
    ended = book("load", "rows.csv", "--create-accounts", "--json")
    assert (2, "bad_amount") == (ended.status, ended.error["code"])
    for word in ("rows.csv", ":4", "amount", "1.005"):
        assert word in ended.error["message"]
    assert "100" == book("supply", "--json").document["amount"]


def test_a_rule_of_the_ledger_refuses_with_1(book, tmp_path: Path) -> None:
    """A row that overdraws makes load exit 1; an unknown account too."""
    (tmp_path / "rows.csv").write_text(HEADER + "2024-01-01T00:00:00Z,alice,bob,5000,x\n")
    assert "unknown_account" == book("load", "rows.csv", "--json").error["code"]
    ended = book("load", "rows.csv", "--create-accounts", "--json")
    assert (1, "insufficient_balance") == (ended.status, ended.error["code"])


def test_keep_going_lands_the_good_and_sets_the_refused_aside(book, tmp_path: Path) -> None:
    """With --keep-going good rows land, refused ones go to a file with reasons, and status is 1."""
    (tmp_path / "rows.csv").write_text(GOOD + "2024-01-03T00:00:00Z,alice,bob,0,tip\n")
    ended = book("load", "rows.csv", "--create-accounts", "--keep-going", "--json")
    assert (1, 3, 2, 1) == (
        ended.status,
        *(ended.document[name] for name in ("rows", "posted", "refused")),
    )
    refused = tmp_path / ended.document["refused_path"]
    rows = list(csv.DictReader(io.StringIO(refused.read_text())))
    assert ["0"] == [row["amount"] for row in rows]
    refused.write_text(refused.read_text().replace(",0,", ",0.5,"))
    mended = book("load", refused, "--json")
    assert (0, 1) == (mended.status, mended.document["posted"])


def test_standard_input_is_a_file_too(book, spawn) -> None:
    """`-` loads standard input."""
    process = spawn("load", "-", "--create-accounts", "--json", stdin=subprocess.PIPE)
    _, err = process.communicate(GOOD.encode(), timeout=60)
    assert (0, b"") == (process.returncode, err)
    assert "105" == book("supply", "--json").document["amount"]


def test_a_missing_file_is_2(book) -> None:
    """A file that is not there is no bug."""
    ended = book("load", "nowhere.csv", "--json")
    assert 2 == ended.status
    assert "nowhere.csv" in ended.error["message"]


def test_options_that_do_not_go_together(book, tmp_path: Path) -> None:
    """--refused without --keep-going is wrong usage; `-` with it needs --refused, and says so."""
    (tmp_path / "rows.csv").write_text(GOOD)
    ended = book("load", "rows.csv", "--refused", "x.csv", "--json")
    assert (2, "bad_usage") == (ended.status, ended.error["code"])
    assert "--keep-going" in ended.error["hint"]
    ended = book("load", "-", "--keep-going", "--json")
    assert (2, "bad_usage") == (ended.status, ended.error["code"])
    assert "--refused" in ended.error["hint"]


def test_an_empty_file_is_named(book, tmp_path: Path) -> None:
    """An empty file is said to be empty."""
    (tmp_path / "rows.csv").write_text("")
    assert "rows.csv: the file is empty" == book("load", "rows.csv", "--json").error["message"]
