"""Reorganisations in the mirror: what it knows of a chain's blocks, and how it lets go of some.

The mirror of a chain is one chain: `chain_transfers` and `chain_batches` hold what the present one
says, of all its contracts, and a fork takes all of them back together. What was taken back stays:
headers marked, transfers in `chain_orphans`. Asks no node: `token_ledger.converge` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, func, select, text, update

from token_ledger.core.transfers import BlockHeader
from token_ledger.errors import ChainError
from token_ledger.ledger.mirror_locks import lock_chain
from token_ledger.ledger.mirror_schema import (
    chain_batches,
    chain_blocks,
    chain_contracts,
    chain_cursors,
    chain_transfers,
    token_homes,
)

_MOVED = (
    "contract_no, block_number, log_index, block_hash, tx_hash, tx_index,"
    " from_address, to_address, value, seq, bridge"
)


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What a reorganisation undid: `blocks` whose headers were known, and `transfers` in them."""

    blocks: int
    transfers: int


def highest_block(connection: Connection, chain_id: int, at_most: int) -> BlockHeader | None:
    """Return the highest block of the chain that the mirror knows, up to a number."""
    found = known_blocks(connection, chain_id, 0, at_most, limit=1)
    return found[0] if found else None


def known_blocks(
    connection: Connection, chain_id: int, low: int, high: int, *, limit: int | None = None
) -> list[BlockHeader]:
    """Return the known blocks of the chain with low ≤ number ≤ high, the highest first."""
    blocks = chain_blocks.c
    rows = connection.execute(
        select(blocks.number, blocks.hash, blocks.parent_hash, blocks.timestamp)
        .where(
            blocks.chain_id == chain_id,
            blocks.number.between(low, high),
            blocks.orphaned_at.is_(None),
        )
        .order_by(blocks.number.desc())
        .limit(limit)
    )
    return [BlockHeader(*row) for row in rows]


def contradicts(connection: Connection, chain_id: int, headers: list[BlockHeader]) -> bool:
    """Return whether the mirror knows another block at one of these heights."""
    if not headers:
        return False
    said = {header.number: header.hash for header in headers}
    known = known_blocks(connection, chain_id, headers[0].number, headers[-1].number)
    return any(said.get(block.number, block.hash) != block.hash for block in known)


def entered_up_to(connection: Connection, chain_id: int) -> int:
    """Return the block of a chain below which transfers of some token are entries; 0 for none."""
    homes, contracts = token_homes.c, chain_contracts.c
    same = and_(contracts.chain_id == homes.chain_id, contracts.address == homes.address)
    found = connection.execute(
        select(func.max(homes.next_block))
        .join(chain_contracts, same)
        .where(homes.chain_id == chain_id)
    ).scalar()
    return found or 0


def take_back(connection: Connection, chain_id: int, fork: BlockHeader, *, now: int) -> TakenBack:
    """Undo every block above `fork`, which the chain still has, for all contracts of the chain.

    Headers are marked, transfers kept as orphans; cursors go back behind the fork. Raises
    ChainError where the books hold entries of such a block, which was final then.
    """
    lock_chain(connection, chain_id)
    entered = entered_up_to(connection, chain_id)
    if entered > fork.number + 1:
        raise ChainError(
            f"chain {chain_id} took back its blocks above {fork.number}, and those below {entered} "
            "were final: their transfers are entries",
            hint="nothing was changed; ask another node. If the chain did take them back, only a "
            "database from before can follow it",
        )
    ours = select(chain_contracts.c.contract_no).where(chain_contracts.c.chain_id == chain_id)
    moved = connection.execute(
        text(
            f"INSERT INTO chain_orphans ({_MOVED}, orphaned_at)"  # noqa: S608 - our own columns
            f" SELECT {_MOVED}, :now FROM chain_transfers WHERE block_number > :fork"
            " AND contract_no IN (SELECT contract_no FROM chain_contracts WHERE chain_id = :chain)"
            " ON CONFLICT DO NOTHING"
        ),
        {"now": now, "fork": fork.number, "chain": chain_id},
    ).rowcount
    for table in (chain_transfers, chain_batches):
        connection.execute(
            delete(table).where(table.c.contract_no.in_(ours), table.c.block_number > fork.number)
        )
    blocks, cursors = chain_blocks.c, chain_cursors.c
    marked = connection.execute(
        update(chain_blocks)
        .where(
            blocks.chain_id == chain_id,
            blocks.number > fork.number,
            blocks.orphaned_at.is_(None),
        )
        .values(orphaned_at=now)
    ).rowcount
    connection.execute(
        update(chain_cursors)
        .where(cursors.contract_no.in_(ours), cursors.next_block > fork.number + 1)
        .values(next_block=fork.number + 1, last_block_hash=fork.hash, updated_at=now)
    )
    return TakenBack(blocks=marked, transfers=moved)
