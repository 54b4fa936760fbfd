"""Transfers into the mirror's table: the statements that an import spends its time in.

Many rows at once, in each engine's own words. `mirror` decides what is stored, and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from sqlalchemy import Connection, bindparam, update

from token_ledger.core.transfers import TransferColumns
from token_ledger.errors import DatabaseError
from token_ledger.ledger.mirror_schema import chain_transfers

_COLUMNS = (
    "contract_no, block_hash, log_index, block_number, tx_hash, tx_index, "
    "from_address, to_address, value, seq"
)
_NUMBER = "CAST(CAST(substr(?{}, 1 + 20 * i, 20) AS TEXT) AS INTEGER)"
_INSERT_TRANSFERS = f"""
WITH RECURSIVE place (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM place WHERE i + 1 < ?2)
INSERT INTO chain_transfers ({_COLUMNS})
SELECT ?1, substr(?3, 1 + 32 * i, 32), {_NUMBER.format(8)}, {_NUMBER.format(9)},
    substr(?4, 1 + 32 * i, 32), {_NUMBER.format(10)}, substr(?5, 1 + 20 * i, 20),
    substr(?6, 1 + 20 * i, 20), substr(?7, 1 + 32 * i, 32), NULLIF({_NUMBER.format(11)}, -1)
FROM place
"""  # noqa: S608 - columns of our own
_COPY_TRANSFERS = f"COPY chain_transfers ({_COLUMNS}) FROM STDIN"
_COPY_ROWS = 5_000


def store_transfers(connection: Connection, contract_no: int, transfers: TransferColumns) -> None:
    """Store the transfers of a range of a contract."""
    store = _copy_transfers if connection.dialect.name == "postgresql" else _insert_transfers
    store(connection, contract_no, transfers)
    _note_bridges(connection, contract_no, transfers)


def _insert_transfers(connection: Connection, contract_no: int, transfers: TransferColumns) -> None:
    # What the last range wrote is of no use in the cache: an import only appends.
    connection.exec_driver_sql("PRAGMA shrink_memory")
    # One statement that cuts each column's bytes into rows: twice as fast as a statement a row,
    # and the interpreter is free meanwhile to fetch the next range.
    connection.exec_driver_sql(
        _INSERT_TRANSFERS,
        (
            contract_no,
            len(transfers),
            b"".join(transfers.block_hash),
            b"".join(transfers.tx_hash),
            b"".join(transfers.from_address),
            b"".join(transfers.to_address),
            b"".join(transfers.value),
            _digits(transfers.log_index),
            _digits(transfers.block_number),
            _digits(transfers.tx_index),
            _digits([-1 if seq is None else seq for seq in transfers.seq]),
        ),
    )


def _digits(numbers: Sequence[int]) -> bytes:
    """Return numbers as text of 20 bytes each, joined; most of them come more than once."""
    made = {number: b"%020d" % number for number in set(numbers)}
    return b"".join(map(made.__getitem__, numbers))


def _copy_transfers(connection: Connection, contract_no: int, transfers: TransferColumns) -> None:
    driver: Any = connection.connection.driver_connection
    columns = zip(
        transfers.block_hash,
        transfers.log_index,
        transfers.block_number,
        transfers.tx_hash,
        transfers.tx_index,
        transfers.from_address,
        transfers.to_address,
        transfers.value,
        transfers.seq,
        strict=True,
    )
    from_bytes, null = int.from_bytes, "\\N"
    lines = [
        f"{contract_no}\t\\\\x{block.hex()}\t{index}\t{number}\t\\\\x{tx.hex()}\t{place}"
        f"\t\\\\x{sender.hex()}\t\\\\x{receiver.hex()}\t{from_bytes(value, 'big')}"
        f"\t{null if seq is None else seq}\n"
        for block, index, number, tx, place, sender, receiver, value, seq in columns
    ]
    try:
        with driver.cursor() as cursor, cursor.copy(_COPY_TRANSFERS) as copy:
            for start in range(0, len(lines), _COPY_ROWS):
                copy.write("".join(lines[start : start + _COPY_ROWS]).encode("ascii"))
    except psycopg.Error as error:  # past SQLAlchemy, so past its translation as well
        raise DatabaseError(f"the transfers cannot be stored: {error}") from error


def _note_bridges(connection: Connection, contract_no: int, transfers: TransferColumns) -> None:
    """Write which bridge a mint or burn came from: afterwards, because most tokens have none."""
    table = chain_transfers.c
    if transfers.bridges:
        connection.execute(
            update(chain_transfers)
            .where(
                table.contract_no == contract_no,
                table.block_number == bindparam("number"),
                table.log_index == bindparam("place"),
                table.block_hash == bindparam("block"),
            )
            .values(bridge=bindparam("who")),
            [
                {
                    "number": transfers.block_number[i],
                    "place": transfers.log_index[i],
                    "block": transfers.block_hash[i],
                    "who": bridge,
                }
                for i, bridge in transfers.bridges.items()
            ],
        )
