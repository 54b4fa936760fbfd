"""Sealing: every entry once, in order, in batches that fit, whatever writers do meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from tests import books

from token_ledger.core.batch import entries_tree, header_digest
from token_ledger.core.gas import CALLDATA_MAX, GAS_MAX
from token_ledger.core.hashing import keccak
from token_ledger.core.packing import unpack
from token_ledger.core.types import ZERO_HASH, Batch
from token_ledger.errors import RetryableError
from token_ledger.ledger import Ledger, batches, sealing, watermarks
from token_ledger.seal import seal


def read_all(ledger: Ledger) -> list[Batch]:
    """Return every sealed batch of the ledger's token."""
    with ledger.read() as connection:
        head = batches.head(connection, ledger.token)
        return [
            batches.read_batch(connection, ledger.token, number)
            for number in range(1, head.number + 1)
        ]


def test_sealing_chains_contiguous_batches(database_url: str, tmp_path: Path) -> None:
    """Batches follow each other in number, parent and seq, and hold what their headers say."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, 120)
        result = seal(ledger, gas_max=300_000)
        sealed = read_all(ledger)
        assert len(sealed) == result.batches > 1
        assert result.entries == 120
        parent, seq, supply = ZERO_HASH, 0, 0
        for number, batch in enumerate(sealed, start=1):
            header = batch.header
            assert (number, parent, seq) == (header.number, header.parent, header.first_seq)
            assert len(batch.entries) == header.count
            assert [e.seq for e in batch.entries] == list(range(seq, seq + header.count))
            assert entries_tree(batch.entries).root == header.entries_root
            assert keccak(batch.rows) == header.rows_hash
            assert len(unpack(batch.rows, count=header.count)) == header.count
            assert header_digest(ledger.token.uid, header) == batch.digest
            for entry in batch.entries:
                supply += entry.value * (entry.from_address == bytes(20))
                supply -= entry.value * (entry.to_address == bytes(20))
            assert supply == header.total_supply
            parent, seq = batch.digest, seq + header.count
        assert parent == result.head_digest
        assert supply == ledger.get_total_supply()


def test_sealing_nothing_adds_nothing(database_url: str, tmp_path: Path) -> None:
    """An empty ledger seals to no batch, and a sealed one stays as it is."""
    with books.create(database_url, tmp_path) as ledger:
        assert (0, 0) == (seal(ledger).batches, seal(ledger).entries)
        books.fill(ledger, 10)
        first = seal(ledger)
        again = seal(ledger)
        assert (0, 0, first.head_digest) == (again.batches, again.entries, again.head_digest)


def test_later_entries_come_into_later_batches(database_url: str, tmp_path: Path) -> None:
    """What was sealed keeps its digest when more is sealed behind it."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, 10)
        seal(ledger)
        before = read_all(ledger)
        ledger.transfer("alice", "bob", 1, reason="late")
        seal(ledger)
        after = read_all(ledger)
        assert before == after[:1]
        assert [(10, 1)] == [(b.header.first_seq, b.header.count) for b in after[1:]]


def test_tokens_are_sealed_apart(database_url: str, tmp_path: Path) -> None:
    """Interleaved entries of two tokens give each its own contiguous seq."""
    with books.create(database_url, tmp_path) as ledger:
        ledger.create_token("TWO", "The second", 6)
        for symbol in ("TKN", "TWO", "TKN", "TWO", "TKN"):
            ledger.use(symbol)
            ledger.create_account("alice", exist_ok=True)
            ledger.mint("alice", 1, reason="award")
        for symbol, count in (("TKN", 3), ("TWO", 2)):
            ledger.use(symbol)
            assert count == seal(ledger).entries
            assert [list(range(count))] == [[e.seq for e in b.entries] for b in read_all(ledger)]


def test_gaps_in_entry_no_leave_none_in_seq(postgres_url: str, tmp_path: Path) -> None:
    """A rolled-back posting may cost an entry number, never a seq."""
    with books.create(postgres_url, tmp_path) as ledger:
        books.fill(ledger, 6)
        with ledger.write() as connection:
            connection.execute(text("SELECT nextval('token_ledger_entry_no')"))
            connection.rollback()
        ledger.transfer("alice", "bob", 1, reason="after the gap")
        seal(ledger)
        with ledger.read() as connection:
            numbers = connection.execute(text("SELECT entry_no FROM token_ledger")).scalars().all()
        assert max(numbers) > len(numbers)
        assert [list(range(7))] == [[e.seq for e in b.entries] for b in read_all(ledger)]


def test_limits_can_be_lowered_and_never_raised(sqlite_url: str, tmp_path: Path) -> None:
    """A batch never outgrows one replay transaction, whatever the caller asks."""
    with books.create(sqlite_url, tmp_path) as ledger:
        books.fill(ledger, 60)
        assert 1 == seal(ledger, gas_max=100 * GAS_MAX, calldata_max=100 * CALLDATA_MAX).batches
    with books.create(f"{sqlite_url}2", tmp_path) as ledger:
        books.fill(ledger, 60)
        assert 60 == seal(ledger, gas_max=1).batches


def test_a_posting_in_flight_holds_the_sealer_back(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an entry with a lower number may still commit, nothing is sealed over it."""
    monkeypatch.setattr(sealing, "WATERMARK_ATTEMPTS_MAX", 2)
    with books.create(postgres_url, tmp_path) as ledger:
        books.fill(ledger, 5)
        with ledger.write() as connection:
            connection.execute(
                text("SELECT pg_advisory_xact_lock_shared(:lock)"),
                {"lock": watermarks.WRITERS_LOCK},
            )
            with pytest.raises(RetryableError, match="long posting"):
                seal(ledger)
        assert 5 == seal(ledger).entries


def test_sealing_under_load_loses_and_repeats_nothing(database_url: str, tmp_path: Path) -> None:
    """Writers and sealers at once: in the end every entry is sealed exactly once, in order."""
    with books.create(database_url, tmp_path) as ledger:
        for person in books.PEOPLE:
            ledger.create_account(person, initial_balance=1000)
        stop = threading.Event()
        failures: list[BaseException] = []

        def write(sender: str, receiver: str) -> None:
            try:
                for i in range(30):
                    key = f"{sender}:{i}"
                    ledger.transfer(sender, receiver, 1, reason="play", idempotency_key=key)
            except BaseException as error:
                failures.append(error)

        def keep_sealing() -> None:
            try:
                while not stop.is_set():
                    seal(ledger, gas_max=400_000)
            except BaseException as error:
                failures.append(error)

        pairs = zip(books.PEOPLE, books.PEOPLE[1:] + books.PEOPLE[:1], strict=True)
        writers = [threading.Thread(target=write, args=pair) for pair in pairs]
        sealers = [threading.Thread(target=keep_sealing) for _ in range(2)]
        for thread in (*writers, *sealers):
            thread.start()
        for thread in writers:
            thread.join()
        stop.set()
        for thread in sealers:
            thread.join()
        seal(ledger)
        assert [] == failures
        with ledger.read() as connection:
            query = text("SELECT id FROM token_ledger ORDER BY entry_no")
            expected = [bytes(row) for row in connection.execute(query).scalars()]
        assert expected == [entry.id for batch in read_all(ledger) for entry in batch.entries]
        assert 155 == len(expected)
