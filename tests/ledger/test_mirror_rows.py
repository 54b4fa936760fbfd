"""The mirror's transfers: stored as they were read, held by their contract, found by their entry.

On each engine, because each has a way of its own to take many rows at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, event, select, text
from tests import books

from token_ledger.core.transfers import Cut, TransferColumns
from token_ledger.core.types import UINT256_MAX
from token_ledger.errors import DatabaseError
from token_ledger.ledger import (
    Ledger,
    binary_copy,
    mirror,
    mirror_doubts,
    mirror_joins,
    mirror_rows,
    upgrade,
)
from token_ledger.ledger import engine as engines
from token_ledger.ledger.mirror_joins import SealedRun
from token_ledger.ledger.mirror_schema import chain_transfers
from token_ledger.ledger.schema import SCHEMA_VERSION

VALUES = (0, 1, 9_999, 10_000, 10_001, 10**18, 2**80 + 10**4, 10**76, UINT256_MAX)
SEQS = (None, 0, 7, 123_456_789, None, 2**62, 1, 2, None)
ROW = (
    "INSERT INTO chain_transfers (contract_no, block_hash, log_index, block_number, tx_hash,"
    " tx_index, from_address, to_address, value, seq)"
    " VALUES ({no}, {word}, {index}, 5, {word}, 0, {party}, {party}, {value}, {seq})"
)
CONTRACT = (
    "INSERT INTO chain_contracts (contract_no, chain_id, address, created_at)"
    " VALUES ({no}, 1, {party}, 0)"
)


@pytest.fixture
def empty(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger whose mirror knows the contracts 1 and 2, and no transfer."""
    with books.create(database_url, tmp_path) as ledger:
        for no in (1, 2):
            execute(ledger, CONTRACT.format(no=no, party=raw(ledger, bytes([no]) * 20)))
        yield ledger


def raw(ledger: Ledger, data: bytes) -> str:
    """Return a literal of bytes."""
    return f"X'{data.hex()}'" if ledger.engine.dialect.name == "sqlite" else f"'\\x{data.hex()}'"


def execute(ledger: Ledger, statement: str) -> None:
    with ledger.write() as connection:
        connection.exec_driver_sql(statement)


def row(ledger: Ledger, *, no: int, index: int = 0, seq: str = "NULL") -> str:
    """Return the statement that adds a transfer of a contract."""
    value = raw(ledger, bytes(32)) if ledger.engine.dialect.name == "sqlite" else "0"
    word, party = raw(ledger, b"\1" * 32), raw(ledger, b"\2" * 20)
    return ROW.format(no=no, index=index, seq=seq, word=word, party=party, value=value)


def some(*, seqs: tuple[int | None, ...], cut: bool) -> TransferColumns:
    """Return a transfer of each value, no two of which have a field in common."""
    n = len(VALUES)

    def column(size: int, first: int) -> Any:
        parts = [bytes([first + i]) * size for i in range(n)]
        if not cut:
            return parts
        return Cut(
            b"".join(b"??" + part + b"?" for part in parts), size=size, start=2, step=size + 3
        )

    return TransferColumns(
        block_number=[2**40 + i // 2 for i in range(n)],
        block_hash=[bytes([i // 2]) * 32 for i in range(n)],
        log_index=[10**i for i in range(n)],
        tx_hash=column(32, 10),
        tx_index=list(range(n)),
        from_address=column(20, 30),
        to_address=column(20, 50),
        value=[value.to_bytes(32, "big") for value in VALUES],
        seq=list(seqs),
    )


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("seqs", [SEQS, (None,) * len(VALUES), (0, *range(8))])
def test_what_is_stored_is_what_was_read(
    seqs: tuple[int | None, ...], cut: bool, empty: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every field of every row comes back, from 0 to 2**256 - 1, whole columns or parts of them."""
    monkeypatch.setattr(mirror_rows, "_COPY_ROWS", 4)
    transfers = some(seqs=seqs, cut=cut)
    empty.run(lambda connection: mirror_rows.store_transfers(connection, 2, transfers))
    table = chain_transfers.c
    with empty.read() as connection:
        rows = connection.execute(select(chain_transfers).order_by(table.log_index)).all()
    expected = [
        (2, *fields, None)
        for fields in zip(
            transfers.block_number, transfers.log_index, transfers.block_hash, transfers.tx_hash,
            transfers.tx_index, transfers.from_address, transfers.to_address, VALUES, seqs,
            strict=True,
        )
    ]  # fmt: skip
    assert expected == [tuple(found) for found in rows]


@given(st.lists(st.integers(0, UINT256_MAX), min_size=1, max_size=8))
def test_the_digits_are_the_number(numbers: list[int]) -> None:
    """The digits to the base of 10,000 that PostgreSQL is sent add up to each number."""
    head, parts = binary_copy.numerics([number.to_bytes(32, "big") for number in numbers])
    count = int.from_bytes(head[4:6], "big")
    assert (8 + 2 * count, count - 1) == tuple(
        int.from_bytes(head[i : i + size], "big") for i, size in ((0, 4), (6, 2))
    )
    for number, part in zip(numbers, parts, strict=True):
        digits = [int.from_bytes(part[i : i + 2], "big") for i in range(0, len(part), 2)]
        assert all(digit < 10_000 for digit in digits)
        assert number == int("".join(f"{digit:04d}" for digit in digits))


def test_a_cut_is_a_sequence() -> None:
    """Its parts by place, from the end, by slices and by steps: as of the list it stands for."""
    parts = [bytes([i] * 3) for i in range(7)]
    cut = Cut(b"".join(b"xy" + part + b"z" for part in parts), size=3, start=2, step=6)
    assert parts == cut
    assert cut != parts[:-1]
    assert (7, parts[2], parts[-1]) == (len(cut), cut[2], cut[-1])
    for some_of in (slice(None), slice(2, 5), slice(5, 99), slice(3, 3), slice(None, None, -2)):
        assert parts[some_of] == list(cut[some_of])
    with pytest.raises(IndexError):
        cut[7]


# --- held by their contract


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM chain_contracts WHERE contract_no = 1",
        "UPDATE chain_contracts SET contract_no = 3 WHERE contract_no = 1",
        "UPDATE chain_transfers SET contract_no = 3",
        "UPDATE chain_transfers SET contract_no = NULL",
    ],
)
def test_a_transfer_is_of_a_contract(statement: str, empty: Ledger) -> None:
    """Raw SQL leaves no transfer without its contract; one without transfers may go."""
    execute(empty, row(empty, no=1))
    for refused in (statement, row(empty, no=3, index=1)):
        with pytest.raises(DatabaseError):
            execute(empty, refused)
    execute(empty, "DELETE FROM chain_contracts WHERE contract_no = 2")
    execute(empty, "DELETE FROM chain_transfers")
    execute(empty, "DELETE FROM chain_contracts")


def test_many_rows_of_an_unknown_contract_are_refused(empty: Ledger) -> None:
    """What an importer writes is held to it as well, and leaves nothing."""
    transfers = some(seqs=SEQS, cut=True)
    with pytest.raises(DatabaseError):
        empty.run(lambda connection: mirror_rows.store_transfers(connection, 3, transfers))
    with empty.read() as connection:
        assert [] == connection.execute(select(chain_transfers)).all()


def test_a_database_of_the_schema_before_keeps_its_transfers(database_url: str) -> None:
    """0011 with transfers becomes 0012 with the same ones, and refuses what it refused."""
    engine = engines.open_engine(database_url, create=True)
    sqlite = engine.dialect.name == "sqlite"
    word, party = (f"X'{'01' * n}'" if sqlite else f"'\\x{'01' * n}'" for n in (32, 20))
    zero = f"X'{'00' * 32}'" if sqlite else "0"

    def insert(no: int, index: int, seq: str) -> str:
        return ROW.format(no=no, index=index, seq=seq, word=word, party=party, value=zero)

    with engines.writing(engine) as connection:
        engines.migrate(connection, revision="0011")
        connection.exec_driver_sql(CONTRACT.format(no=1, party=party))
        for index, seq in enumerate(("NULL", "0", "1")):
            connection.exec_driver_sql(insert(1, index, seq))
        before = connection.execute(select(chain_transfers)).all()
    assert SCHEMA_VERSION == upgrade(database_url)
    with engines.reading(engine) as connection:
        assert before == connection.execute(select(chain_transfers)).all()
    for refused in (insert(2, 9, "NULL"), insert(1, 2, "1"), "DELETE FROM chain_contracts"):
        with pytest.raises(DatabaseError), engines.writing(engine) as connection:
            connection.exec_driver_sql(refused)
    with engines.writing(engine) as connection:
        connection.exec_driver_sql(insert(1, 9, "NULL"))
    engine.dispose()


# --- found by their entry


def test_entries_find_their_transfers_by_an_index(empty: Ledger) -> None:
    """The comparison of a window goes through the index of replayed transfers, on both engines."""
    execute(empty, row(empty, no=1, seq="0"))
    said: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        said.append((statement, parameters))

    with empty.read() as connection:
        contract = mirror.find_contract(connection, 1, b"\1" * 20)
        assert contract is not None
        event.listen(connection, "before_cursor_execute", note)
        run = SealedRun(number=1, first_entry_no=1, last_entry_no=9, first_seq=0, count=1)
        assert mirror_joins.count_matches(connection, empty.token, contract, [run]) is None
        event.remove(connection, "before_cursor_execute", note)
        assert "chain_transfers_by_seq" in _plan(connection, *said[-1])


def test_replays_are_compared_with_their_transfers_by_the_index(empty: Ledger) -> None:
    """Each batch finds its last transfer by its `seq`: not through all transfers for each batch."""
    execute(empty, row(empty, no=1, seq="0"))
    said: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM chain_batches JOIN chain_transfers" in " ".join(statement.split()):
            said.append((statement, parameters))

    with empty.read() as connection:
        contract = mirror.find_contract(connection, 1, b"\1" * 20)
        assert contract is not None
        event.listen(connection, "before_cursor_execute", note)
        doubts = mirror_doubts.read_doubts(
            connection, empty.token, contract, first_block=0, last_block=9
        )
        list(doubts)
        event.remove(connection, "before_cursor_execute", note)
    assert 1 == len(said)
    with empty.read() as connection:  # the other one streams what it is asked
        assert "chain_transfers_by_seq" in _plan(connection, *said[0])


def _plan(connection: Connection, statement: str, parameters: Any) -> str:
    verb = "EXPLAIN"
    if connection.dialect.name == "sqlite":
        verb = "EXPLAIN QUERY PLAN"
    else:  # of a table with a row a scan is cheaper
        connection.execute(text("SET LOCAL enable_seqscan = off"))
    return str(connection.exec_driver_sql(f"{verb} {statement}", parameters).all())
