"""The mirror against itself: rows that contradict the others, whatever the books say. Streams.

Every block that holds a transfer has its header; the rows of one replay are of one transaction; an
import remembers which transaction its log was in. So a row that was altered shows, although it
still moves what its entry moves. What all rows of a mirror agree in is not doubted here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, exists, func, or_, select

from token_ledger.core.match import Doubt
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_schema import (
    chain_batches,
    chain_blocks,
    chain_transfers,
    token_imports,
)
from token_ledger.ledger.tokens import StoredToken

_PAGE = 1_000


def read_doubts(
    connection: Connection,
    token: StoredToken,
    contract: StoredContract,
    *,
    first_block: int,
    last_block: int,
) -> Iterator[Doubt]:
    """Yield what the mirror's rows of a range of blocks contradict each other in."""
    streaming = connection.execution_options(yield_per=_PAGE)
    span = (first_block, last_block)
    for table in (chain_transfers, chain_batches):
        for row in streaming.execute(_of_unknown_blocks(table, contract, *span)):
            yield Doubt("block", row.block_number, row.block_hash, row.place, rows=row.rows)
    # Most mirrors have none, which is seen in a fifth of the time that telling them takes.
    is_torn = connection.execute(_torn_blocks(contract, *span).limit(1)).first() is not None
    for row in streaming.execute(_torn(contract, *span)) if is_torn else ():
        aspect = "seq" if row.seq < 0 else "transaction"
        yield Doubt(aspect, row.block_number, row.block_hash, row.log_index, row.tx_hash, row.seq)
    for aspect, query, place in (
        ("replay", _replayed_elsewhere(contract), chain_batches.c.block_number),
        ("import", _imported_elsewhere(token, contract), token_imports.c.block_number),
    ):
        for row in streaming.execute(query.where(place.between(*span))):
            yield Doubt(
                aspect, row.block_number, row.block_hash, row.log_index, row.tx_hash, row.seq
            )


def _own(table: Table, contract: StoredContract, first: int, last: int) -> list[Any]:
    return [table.c.contract_no == contract.contract_no, table.c.block_number.between(first, last)]


def _of_unknown_blocks(table: Table, contract: StoredContract, first: int, last: int) -> Any:
    """Select blocks of rows whose number and hash are no header's that the chain has."""
    header, row = chain_blocks.c, table.c
    known = exists().where(
        header.chain_id == contract.chain_id,
        header.hash == row.block_hash,
        header.number == row.block_number,
        header.orphaned_at.is_(None),
    )
    return (
        select(
            row.block_number,
            row.block_hash,
            func.min(row.log_index).label("place"),
            func.count().label("rows"),
        )
        .where(*_own(table, contract, first, last), ~known)
        .group_by(row.block_number, row.block_hash)
        .order_by(row.block_number, row.block_hash)
    )


def _torn_blocks(contract: StoredContract, first: int, last: int) -> Any:
    """Select blocks of which `_torn` may select a transfer; of the others it selects none."""
    row = chain_transfers.c
    places = (
        select(row.block_number, row.tx_index, row.tx_hash, func.min(row.seq).label("seq"))
        .where(*_own(chain_transfers, contract, first, last), row.seq.is_not(None))
        .group_by(row.block_number, row.tx_index, row.tx_hash)
        .subquery()
    )
    place = places.c
    return (
        select(place.block_number)
        .group_by(place.block_number)
        .having(
            or_(
                func.count() != func.count(place.tx_index.distinct()),
                func.count() != func.count(place.tx_hash.distinct()),
                func.min(place.seq) < 0,
            )
        )
    )


def _torn(contract: StoredContract, first: int, last: int) -> Any:
    """Select replayed transfers that are of another transaction than their place in the block says.

    Compared with the one before in the block: one place is one transaction, and the other way
    round. Of the rows of one place only the first that differs. And those of an impossible `seq`.
    """
    row = chain_transfers.c

    def before(column: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.lag(column).over(partition_by=row.block_number, order_by=row.log_index)

    rows = (
        select(
            *(row.block_number, row.block_hash, row.log_index, row.tx_hash, row.tx_index, row.seq),
            before(row.tx_hash).label("tx_before"),
            before(row.tx_index).label("index_before"),
        )
        .where(*_own(chain_transfers, contract, first, last), row.seq.is_not(None))
        .subquery()
    )
    differs = _unlike(rows.c)
    marked = select(rows, func.count().filter(differs).over(
        partition_by=(rows.c.block_number, rows.c.tx_index), order_by=rows.c.log_index
    ).label("differing")).where(or_(differs, rows.c.seq < 0)).subquery()  # fmt: skip
    table = marked.c
    return (
        select(marked)
        .where(or_(table.seq < 0, table.differing == 1))
        .order_by(table.block_number, table.log_index)
    )


def _unlike(row: Any) -> ColumnElement[bool]:
    return or_(
        and_(row.index_before == row.tx_index, row.tx_before != row.tx_hash),
        and_(row.index_before != row.tx_index, row.tx_before == row.tx_hash),
    )


def _replayed_elsewhere(contract: StoredContract) -> Any:
    """Select the last transfers of batches that are of another transaction than their replay."""
    log, row = chain_batches.c, chain_transfers.c
    its_last = and_(row.contract_no == log.contract_no, row.seq == log.first_seq + log.count - 1)
    return (
        select(row.block_number, row.block_hash, row.log_index, row.tx_hash, row.seq)
        .select_from(chain_batches)
        .join(chain_transfers, its_last)
        .where(log.contract_no == contract.contract_no)
        .where(or_(row.tx_hash != log.tx_hash, row.block_hash != log.block_hash))
        .order_by(log.number)  # by the place of the transfers, SQLite would go through all
    )


def _imported_elsewhere(token: StoredToken, contract: StoredContract) -> Any:
    """Select transfers that were imported from another transaction than they name."""
    link, row = token_imports.c, chain_transfers.c
    its_own = and_(
        row.contract_no == contract.contract_no,
        row.block_number == link.block_number,
        row.log_index == link.log_index,
        row.block_hash == link.block_hash,
    )
    return (
        select(row.block_number, row.block_hash, row.log_index, row.tx_hash, row.seq)
        .select_from(token_imports)
        .join(chain_transfers, its_own)
        .where(link.token_no == token.token_no, link.tx_hash != row.tx_hash)
        .order_by(row.block_number, row.log_index)
    )
