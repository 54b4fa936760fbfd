"""How far a comparison reaches into the mirror, and what the mirror's own transfers add up to.

A range of blocks is turned into the batches that it replays. `mirror_joins` compares them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from token_ledger.core.match import OrphanedReplay
from token_ledger.core.types import ZERO_ADDRESS
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_schema import (
    chain_batches,
    chain_blocks,
    chain_orphans,
    chain_transfers,
)
from token_ledger.ledger.schema import token_batches
from token_ledger.ledger.tokens import StoredToken

BLOCK_MAX = (1 << 63) - 1
_PAGE = 10_000
_IN_MAX = 200


@dataclass(frozen=True, slots=True)
class Reach:
    """Blocks and batches that are compared, both bounds included; `last_number` 0 for none."""

    first_block: int
    last_block: int
    first_number: int
    last_number: int


def replayed_number(connection: Connection, contract: StoredContract, last_block: int) -> int:
    """Return the number of the last batch that the mirror saw replayed up to a block, or 0."""
    table = chain_batches.c
    highest = connection.execute(
        select(func.max(table.number)).where(
            table.contract_no == contract.contract_no, table.block_number <= last_block
        )
    ).scalar()
    return highest or 0


def reach_of_blocks(
    connection: Connection,
    token: StoredToken,
    contract: StoredContract,
    *,
    first_block: int,
    last_block: int,
) -> Reach:
    """Return the batches of which a range of blocks holds a replay, or a part of one."""
    if first_block == 0:
        return Reach(0, last_block, 1, replayed_number(connection, contract, last_block))
    logs, moved, headers = chain_batches.c, chain_transfers.c, token_batches.c
    numbers = connection.execute(
        select(func.min(logs.number), func.max(logs.number)).where(
            logs.contract_no == contract.contract_no,
            logs.block_number.between(first_block, last_block),
        )
    ).one()
    seqs = connection.execute(
        select(func.min(moved.seq), func.max(moved.seq)).where(
            moved.contract_no == contract.contract_no,
            moved.block_number.between(first_block, last_block),
        )
    ).one()
    found = [number for number in numbers if number is not None]
    for seq in seqs:
        if seq is not None:
            holding = select(func.max(headers.number)).where(
                headers.token_no == token.token_no, headers.first_seq <= seq
            )
            found.append(connection.execute(holding).scalar() or 1)
    # A part of a batch may be replayed before the rest of it: only whole ones are compared.
    last = min(max(found, default=0), replayed_number(connection, contract, last_block))
    return Reach(first_block, last_block, min(found, default=1), last)


def end_seq(connection: Connection, token: StoredToken, number: int) -> int:
    """Return the first `seq` behind a batch, and behind all before it; 0 where there is none."""
    table = token_batches.c
    found = connection.execute(
        select(table.first_seq + table.count)
        .where(table.token_no == token.token_no, table.number <= number)
        .order_by(table.number.desc())
        .limit(1)
    ).scalar()
    return found or 0


def read_orphaned(
    connection: Connection, contract: StoredContract, *, first_seq: int
) -> Iterator[OrphanedReplay]:
    """Yield the transactions that replayed entries from `first_seq` on and were taken back.

    Of what was taken back more than once, replayed in between, only the last time: nothing of the
    times before is missing any more.
    """
    orphans = chain_orphans.c
    latest = func.max(orphans.orphaned_at).over(partition_by=orphans.seq).label("latest")
    found = (
        select(chain_orphans, latest)
        .where(orphans.contract_no == contract.contract_no, orphans.seq >= first_seq)
        .subquery()
    )
    table = found.c
    rows = connection.execute(
        select(
            table.block_number,
            table.block_hash,
            table.tx_hash,
            func.min(table.seq).label("first"),
            func.max(table.seq).label("last"),
        )
        .where(table.orphaned_at == table.latest)
        .group_by(table.block_number, table.block_hash, table.tx_hash)
        .order_by(table.block_number, table.block_hash, func.min(table.seq))
    )
    for row in rows:
        yield OrphanedReplay(row.block_number, row.block_hash, row.tx_hash, row.first, row.last)


def net_transfers(
    connection: Connection,
    contract: StoredContract,
    addresses: Collection[bytes],
    *,
    last_block: int,
) -> dict[bytes, int]:
    """Return what the mirror's transfers up to a block leave at some addresses, in base units.

    One pass over the transfers, of which those of other addresses are passed over. At the zero
    address that is minus the supply.
    """
    net = dict.fromkeys(addresses, 0)
    table = chain_transfers.c
    query = (
        select(table.from_address, table.to_address, table.value)
        .where(table.contract_no == contract.contract_no, table.block_number <= last_block)
        .where(_of_some(addresses))
    )
    rows = connection.execution_options(yield_per=_PAGE).execute(query)
    for sender, receiver, value in rows:
        if sender in net:
            net[sender] -= value
        if receiver in net:
            net[receiver] += value
    return net


def _of_some(addresses: Collection[bytes]) -> ColumnElement[bool]:
    table = chain_transfers.c
    if len(addresses) > _IN_MAX:  # then nearly every row may be one of theirs
        return and_(True)
    return or_(table.from_address.in_(addresses), table.to_address.in_(addresses))


def net_supply(connection: Connection, contract: StoredContract, *, last_block: int) -> int:
    """Return the supply that the mirror's transfers up to a block leave, in base units."""
    return -net_transfers(connection, contract, [ZERO_ADDRESS], last_block=last_block)[ZERO_ADDRESS]


def knows_block(connection: Connection, chain_id: int, block_hash: bytes) -> bool:
    """Return whether the mirror has a block, and its chain still had it when last asked."""
    blocks = chain_blocks.c
    found = connection.execute(
        select(blocks.number).where(
            blocks.chain_id == chain_id,
            blocks.hash == block_hash,
            blocks.orphaned_at.is_(None),
        )
    ).first()
    return found is not None
