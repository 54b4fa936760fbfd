"""Who waits for whom at the mirror: importers, those who enter, and whoever takes a chain back.

Locks are taken in one order: block 0 of a chain, its contracts, the homes of tokens that live on
it. SQLite has one writer, and needs none of them.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from token_ledger.errors import ChainError
from token_ledger.ledger.mirror_schema import chain_blocks, chain_contracts, token_homes


def lock_genesis(connection: Connection, chain_id: int) -> None:
    """Keep others from dropping a chain, until the commit; what is read then is as they left it."""
    blocks = chain_blocks.c
    at_zero = select(blocks.hash).where(blocks.chain_id == chain_id, blocks.number == 0)
    connection.execute(at_zero.with_for_update()).all()


def lock_chain(connection: Connection, chain_id: int) -> None:
    """Keep everybody else from importing of a chain, and from entering, until the commit.

    Contracts come before homes: whoever makes a home of a contract holds the contract's row.
    """
    contracts, homes = chain_contracts.c, token_homes.c
    connection.execute(
        select(contracts.contract_no)
        .where(contracts.chain_id == chain_id)
        .order_by(contracts.contract_no)
        .with_for_update()
    ).all()
    connection.execute(
        select(homes.token_no)
        .where(homes.chain_id == chain_id)
        .order_by(homes.token_no)
        .with_for_update()
    ).all()


def lock_contract(connection: Connection, contract_no: int, address: bytes) -> None:
    """Keep others from importing a contract, or dropping it, until the commit.

    Raises ChainError where it was dropped: its test chain began anew.
    """
    contracts = chain_contracts.c
    row = connection.execute(
        select(contracts.contract_no)
        .where(contracts.contract_no == contract_no, contracts.address == address)
        .with_for_update()
    ).first()
    if row is None:
        raise began_anew()


def began_anew() -> ChainError:
    """Return the error for what is there no more, because its chain is another one by now."""
    return ChainError(
        "the test chain began anew meanwhile, and what was mirrored of it was dropped",
        hint="run it again",
    )


def is_followed(connection: Connection, chain_id: int) -> bool:
    """Return whether some token lives on a chain: its books then follow it, entries or none yet."""
    homes = token_homes.c
    query = select(homes.token_no).where(homes.chain_id == chain_id).limit(1)
    return connection.execute(query).first() is not None
