"""Transfers into the mirror's table: the statements that an import spends its time in.

Many rows at once, in each engine's own words. `mirror` decides what is stored, and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from sqlalchemy import Connection, bindparam, update

from token_ledger.core.transfers import Cut, TransferColumns
from token_ledger.errors import DatabaseError
from token_ledger.ledger import binary_copy
from token_ledger.ledger.mirror_schema import chain_transfers

_BINARY = {"block_hash": 32, "tx_hash": 32, "from_address": 20, "to_address": 20, "value": 32}
_NUMBERS = ("block_number", "log_index", "tx_index", "seq")
_INSERT_TRANSFERS = f"""
WITH RECURSIVE place (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM place WHERE i + 1 < :count)
INSERT INTO chain_transfers (contract_no, {", ".join((*_BINARY, *_NUMBERS))})
SELECT :contract_no,
    {", ".join(f"substr(:{c}, :{c}_at + :{c}_step * i, {size})" for c, size in _BINARY.items())},
    {
    ", ".join(
        f"NULLIF(CAST(CAST(substr(:{c}, 1 + :{c}_step * i, :{c}_step) AS TEXT) AS INTEGER), -1)"
        for c in _NUMBERS
    )
}
FROM place
"""  # noqa: S608 - columns of our own
_COPY_TRANSFERS = (
    "COPY chain_transfers (contract_no, block_hash, block_number, log_index, tx_hash, tx_index,"
    " from_address, to_address, value, seq) FROM STDIN (FORMAT binary)"
)
_COPY_ROWS = 1_000


def store_transfers(connection: Connection, contract_no: int, transfers: TransferColumns) -> None:
    """Store the transfers of a range of a contract."""
    store = _copy_transfers if connection.dialect.name == "postgresql" else _insert_transfers
    store(connection, contract_no, transfers)
    _note_bridges(connection, contract_no, transfers)


def _insert_transfers(connection: Connection, contract_no: int, transfers: TransferColumns) -> None:
    # What the last range wrote is of no use in the cache: an import only appends.
    connection.exec_driver_sql("PRAGMA shrink_memory")
    bound: dict[str, object] = {"contract_no": contract_no, "count": len(transfers)}
    for name, size in _BINARY.items():
        column = getattr(transfers, name)
        if not isinstance(column, Cut):
            column = Cut(b"".join(column), size=size, start=0, step=size)
        bound |= {name: column.raw, f"{name}_at": 1 + column.start, f"{name}_step": column.step}
    for name in _NUMBERS:
        digits, width = _digits(getattr(transfers, name))
        bound |= {name: digits, f"{name}_step": width}
    # One statement that cuts each column's bytes into rows: twice as fast as a statement a row,
    # and the interpreter is free meanwhile to fetch the next range.
    connection.exec_driver_sql(_INSERT_TRANSFERS, bound)


def _digits(numbers: Sequence[int | None]) -> tuple[bytes | None, int]:
    """Return numbers as text of so many bytes each, joined; -1 for None, and None for nothing else.

    Most numbers come more than once.
    """
    different = set(numbers)
    if different == {None}:
        return None, 0
    width = max(2, *(len(str(number)) for number in different if number is not None))
    made = {n: b"%0*d" % (width, -1 if n is None else n) for n in different}
    return b"".join(map(made.__getitem__, numbers)), width


def _copy_transfers(connection: Connection, contract_no: int, transfers: TransferColumns) -> None:
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(_COPY_TRANSFERS) as copy:
            copy.write(binary_copy.HEAD)
            # In pieces: the server stores one while the next is made.
            for first in range(0, len(transfers), _COPY_ROWS):
                copy.write(_binary_rows(contract_no, transfers, slice(first, first + _COPY_ROWS)))
            copy.write(binary_copy.TAIL)
    except psycopg.Error as error:  # past SQLAlchemy, so past its translation as well
        raise DatabaseError(f"the transfers cannot be stored: {error}") from error


def _binary_rows(contract_no: int, transfers: TransferColumns, some: slice) -> bytes:
    """Return some rows as COPY takes them: columns of fields, each made in one go."""
    block_hash, value = transfers.block_hash[some], transfers.value[some]
    number_of = dict(zip(block_hash, transfers.block_number[some], strict=True))
    begin = binary_copy.row(10) + binary_copy.integer(contract_no)
    begins = {
        block: begin + binary_copy.binary(block) + binary_copy.bigint(number)
        for block, number in number_of.items()
    }
    value_head, digits = binary_copy.numerics(value)
    return binary_copy.joined(
        [begins[block] for block in block_hash],
        binary_copy.bigints(transfers.log_index[some]),
        binary_copy.size(32),
        transfers.tx_hash[some],
        binary_copy.bigints(transfers.tx_index[some]),
        binary_copy.size(20),
        transfers.from_address[some],
        binary_copy.size(20),
        transfers.to_address[some],
        value_head,
        digits,
        binary_copy.bigints(transfers.seq[some]),
    )


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
