"""Status: the counts move as a ledger is sealed and signed, and drift is seen."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text
from tests import books

from token_ledger.seal import seal
from token_ledger.sign import sign
from token_ledger.status import status


def test_the_counts_follow_the_work(database_url: str, tmp_path: Path) -> None:
    """Unsealed, unsigned and unreplayed each fall as their verb has run."""
    with books.create(database_url, tmp_path) as ledger:
        empty = status(ledger)
        assert (0, 0, 0, 0) == (empty.entries, empty.unsealed, empty.batches, empty.drift)
        books.fill(ledger, 20)
        posted = status(ledger)
        assert (20, 20, 0, 0) == (posted.entries, posted.unsealed, posted.batches, posted.unsigned)
        head = seal(ledger).head_digest
        sealed = status(ledger)
        assert (0, 1, 1, 1) == (
            sealed.unsealed,
            sealed.batches,
            sealed.unsigned,
            sealed.unreplayed,
        )
        assert head == sealed.head.digest
        sign(ledger, books.operator())
        assert 0 == status(ledger).unsigned
        assert ledger.get_total_supply() == status(ledger).total_supply


def test_a_balance_changed_behind_the_books_is_drift(database_url: str, tmp_path: Path) -> None:
    """A cached balance that no entry explains shows as drift, in the sense of its sign."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, 5)
        with ledger.write() as connection:
            connection.execute(
                text("UPDATE token_accounts SET balance = :zero WHERE account_no = 1"),
                {"zero": bytes(32) if ledger.engine.dialect.name == "sqlite" else 0},
            )
        result = status(ledger)
        assert -1000 * 10**18 == result.drift
        assert "-1000" == result.to_json()["drift"]
