"""Where a token lives that left the ledger, or never was in it: one contract on one chain.

Its books are then the index of that contract: `next_block` says up to where its transfers are
entries. A home only moves on, because what was final is not taken back.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_locks import lock_contract
from token_ledger.ledger.mirror_schema import chain_batches, token_homes
from token_ledger.ledger.tokens import StoredToken

_TABLE = token_homes.c


@dataclass(frozen=True, slots=True)
class Home:
    """A token's contract, and how far the books follow it.

    Batches up to `replayed_number` were replayed into it; later ones hold imported entries. The
    transfers below `next_block` are entries. `stopped`: block and log of the transfer that the
    books cannot take.
    """

    chain_id: int
    address: bytes
    replayed_number: int
    next_block: int
    stopped: tuple[int, int] | None = None


def read_home(connection: Connection, token: StoredToken, *, lock: bool = False) -> Home | None:
    """Return where the token lives; None while it is the ledger's. `lock`: until the commit."""
    query = select(token_homes).where(_TABLE.token_no == token.token_no)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        return None
    stopped = None if row.stopped_block is None else (row.stopped_block, row.stopped_index)
    return Home(row.chain_id, bytes(row.address), row.replayed_number, row.next_block, stopped)


def settle(
    connection: Connection,
    token: StoredToken,
    contract: StoredContract,
    *,
    replayed_number: int,
    now: int,
) -> Home:
    """Remember for ever that the token lives in this contract; where it does already, do nothing.

    Its transfers count from the last replayed batch on, or from the contract's beginning. Raises
    ChainError where the contract's test chain began anew meanwhile.
    """
    lock_contract(connection, contract.contract_no, contract.address)
    known = read_home(connection, token)
    if known is not None:
        return known
    last_replay = connection.execute(
        select(func.max(chain_batches.c.block_number)).where(
            chain_batches.c.contract_no == contract.contract_no
        )
    ).scalar()
    begin = contract.block_number or 0 if last_replay is None else last_replay
    home = Home(contract.chain_id, contract.address, replayed_number, begin)
    connection.execute(
        insert(token_homes).values(
            token_no=token.token_no,
            chain_id=home.chain_id,
            address=home.address,
            replayed_number=home.replayed_number,
            next_block=home.next_block,
            updated_at=now,
        )
    )
    return home


def move_on(
    connection: Connection,
    token: StoredToken,
    next_block: int,
    *,
    now: int,
    stopped: tuple[int, int] | None = None,
) -> None:
    """Write up to where transfers are entries, and what stopped them there, if anything did."""
    block, index = (None, None) if stopped is None else stopped
    connection.execute(
        update(token_homes)
        .where(_TABLE.token_no == token.token_no)
        .values(next_block=next_block, stopped_block=block, stopped_index=index, updated_at=now)
    )
