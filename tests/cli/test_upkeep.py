"""`recalc`, `check` and `feed` by the command: what they print, and how they end."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Run

Spawn = Callable[..., subprocess.Popen[bytes]]


def damage(tmp_path: Path, statement: str) -> None:
    """Run a statement on the command's database behind its back."""
    connection = sqlite3.connect(tmp_path / "token_ledger.db")
    with connection:
        connection.execute(statement)
    connection.close()


def test_recalc_ends_with_0_1_and_2(book: Run, tmp_path: Path) -> None:
    """0 without drift, 1 with (dry or corrected), 2 where there is no ledger."""
    assert 0 == book("recalc").status
    damage(tmp_path, "UPDATE token_accounts SET balance = zeroblob(32)")
    for words, corrected in ((("--dry-run",), 0), ((), 1)):
        ended = book("recalc", *words, "--json")
        assert 1 == ended.status
        document = ended.document
        assert (1, corrected) == (document["drifted"], document["corrected"])
        (finding,) = document["findings"]
        assert ("balance", "0", "10000") == (
            finding["figure"],
            finding["stored"],
            finding["computed"],
        )
        assert "alice" not in ended.out
    assert 0 == book("recalc").status
    assert 2 == book("recalc", "--db", "sqlite:///none.db").status


def test_recalc_tells_people(book: Run, tmp_path: Path) -> None:
    """A person reads what was compared, what drifted, and the address; never the account's id."""
    damage(tmp_path, "UPDATE token_accounts SET balance = zeroblob(32)")
    out = book("recalc").out
    assert "corrected      1" in out
    assert "figure_drift: balance" in out
    assert "0x" in out
    assert "alice" not in out


def test_check_ends_with_0_1_and_2(book: Run, tmp_path: Path) -> None:
    """0 when every invariant holds, 1 with findings that name no account, 2 without a ledger."""
    assert 0 == book("seal", "--sign").status
    clean = book("check")
    assert (0, "CLEAN") == (clean.status, clean.out.splitlines()[-1])
    assert "entries     ok      1 entry" in clean.out
    assert {"ok"} == {level["status"] for level in book("check", "--json").document["checks"]}
    damage(tmp_path, "UPDATE token_accounts SET balance = zeroblob(32)")
    ended = book("check", "--json")
    assert 1 == ended.status
    assert {"figure_drift", "sum_not_zero"} == {f["kind"] for f in ended.document["findings"]}
    assert not ended.document["clean"]
    assert "alice" not in ended.out
    assert "2 FINDINGS" == book("check").out.splitlines()[-1]
    assert 2 == book("check", "--db", "sqlite:///none.db").status


def test_feed_prints_json_lines(book: Run) -> None:
    """Each line is an entry; the last one's number is where the next call goes on."""
    for n in range(3):
        assert 0 == book("mint", "alice", n + 1, "--reason", "x", "--memo", "=1+1").status
    lines = [json.loads(line) for line in book("feed").out.splitlines()]
    assert [1, 2, 3, 4] == [line["entry_no"] for line in lines]
    assert "=1+1" == lines[1]["memo"]
    assert [lines[3]] == [json.loads(x) for x in book("feed", "--after", 3).out.splitlines()]
    assert 2 == len(book("feed", "--limit", 2).out.splitlines())
    document = book("feed", "--after", 1, "--json").document
    assert (3, 4) == (len(document["entries"]), document["after"])
    assert 2 == book("feed", "--follow", "--json").status


def test_feed_follows(book: Run, spawn: Spawn) -> None:
    """With --follow it goes on with what is posted later, until it is interrupted."""
    process = spawn("feed", "--follow")
    assert process.stdout is not None
    assert 1 == json.loads(process.stdout.readline())["entry_no"]
    assert 0 == book("mint", "alice", 5, "--reason", "late").status
    assert "late" == json.loads(process.stdout.readline())["reason"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert 130 == process.returncode


def test_statement_as_csv(book: Run, spawn: Spawn) -> None:
    """`statement --csv` writes RFC 4180 text, all of it unless limited."""
    assert 0 == book("mint", "alice", "2.5", "--reason", "=1+1").status
    process = spawn("statement", "alice", "--csv")
    out, _ = process.communicate(timeout=60)
    lines = out.decode().split("\r\n")
    assert ("time", 4) == (lines[0].split(",")[0], len(lines))
    assert "2.5" in lines[1]
    assert "'=1+1" in lines[1]
    assert 2 == book("statement", "alice", "--csv", "--json").status


def test_redact_and_what_is_left(book: Run) -> None:
    """The words are gone from every view, which says so; a wrong field ends with 2."""
    posted = book(
        "mint", "alice", 1, "--reason", "x", "--memo", "my secret", "--key", "k", "--json"
    ).document
    assert 2 == book("redact", posted["id"], "--field", "amount").status
    done = book("redact", posted["id"], "--by", "clerk", "--json").document
    assert (["reference", "memo", "metadata"], ["clerk"]) == (done["redacted"], done["actors"])
    for words in (("entry", "show", posted["id"]), ("statement", "alice"), ("feed",)):
        assert "my secret" not in book(*words).out
    shown = book("entry", "show", posted["id"], "--json").document
    assert (True, None, "x") == (shown["redacted"], shown["memo"], shown["reason"])
    assert "redacted" in book("redact", posted["id"], "--field", "key").out
    assert 0 == book("check").status
