"""`recalc` by the command: what it prints, and how it ends."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.cli.conftest import Run


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
