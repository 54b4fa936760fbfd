"""`move` by the command."""

from __future__ import annotations

from tests.cli.conftest import Run


def test_move_and_go_on_there(book: Run) -> None:
    """The command copies the ledger, says what it proved, and the copy answers."""
    moved = book("move", "sqlite:///there.db", "--json").document
    assert 1 == moved["entries_copied"]
    assert moved["rows_compared"] > 1
    assert "roots the same" in book("move", "sqlite:///there.db").out
    there = book("balance", "alice", "--db", "sqlite:///there.db", "--json").document
    assert "100" == there["amount"]
