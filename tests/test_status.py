"""Status: the counts move as a ledger is sealed and signed, and drift is seen."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import insert, text
from tests import books

from token_ledger.ledger import Ledger, mirror_schema
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


def test_a_foreign_head_counts_as_nothing_replayed(database_url: str, tmp_path: Path) -> None:
    """Batches that another history replayed are not the ledger's: its own still wait."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, 20)
        own, foreign = seal(ledger).head_digest, b"\7" * 32
        for number, (digest, waiting) in enumerate(((foreign, 1), (own, 0), (foreign, 0)), 1):
            _mirror_head(ledger, number, digest)
            assert waiting == status(ledger).unreplayed
        assert [False, True, False] == [chain.ours for chain in status(ledger).chains]


def _mirror_head(ledger: Ledger, number: int, digest: bytes) -> None:
    """Let the mirror hold contract `number`, where batch 1 was replayed as `digest`."""
    some = {"block_hash": bytes(32), "tx_hash": bytes(32), "entries_root": bytes(32)}
    with ledger.write() as connection:
        connection.execute(
            insert(mirror_schema.chain_contracts).values(
                contract_no=number, chain_id=31337, address=bytes([number]) * 20, token_no=1,
                created_at=0,
            )
        )  # fmt: skip
        connection.execute(
            insert(mirror_schema.chain_batches).values(
                contract_no=number, log_index=0, block_number=1, number=1, digest=digest,
                first_seq=0, count=20, **some,
            )
        )  # fmt: skip
