"""What is stored beside the entries, against what the entries left: balances and the supply.

And how many transfers the mirror holds, for the count at the end of a comparison.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, and_, func, or_, select

from token_ledger.ledger import import_joins
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_joins import with_balance_after
from token_ledger.ledger.mirror_schema import chain_transfers
from token_ledger.ledger.schema import (
    SYSTEM_ACCOUNT_NO,
    accounts,
    token_accounts,
    token_supply,
)
from token_ledger.ledger.tokens import StoredToken


def read_drifted(
    connection: Connection, token: StoredToken
) -> Iterator[tuple[bytes, int | None, int]]:
    """Yield the address, stored balance and balance by entries of accounts where these differ.

    An account with entries has a stored balance, be it zero: None where its row is gone.
    """
    wallet = token_accounts.c
    mine = and_(wallet.account_no == accounts.c.account_no, wallet.token_no == token.token_no)
    chosen = (
        select(accounts.c.account_no, accounts.c.address, wallet.balance.label("stored"))
        .outerjoin(token_accounts, mine)
        .where(accounts.c.account_no != SYSTEM_ACCOUNT_NO)
        .subquery()
    )
    found = with_balance_after(token, chosen, None).subquery()
    wrong = or_(
        found.c.balance != found.c.stored,
        and_(found.c.balance.is_(None), found.c.stored > 0),
        and_(found.c.balance.is_not(None), found.c.stored.is_(None)),
    )
    for row in connection.execute(select(found).where(wrong)):
        yield row.address, row.stored, row.balance or 0


def read_supply(connection: Connection, token: StoredToken) -> tuple[int | None, int]:
    """Return the stored supply, None where its row is gone, and what the last entry left of it."""
    stored = connection.execute(
        select(token_supply.c.total_supply).where(token_supply.c.token_no == token.token_no)
    ).scalar()
    return stored, import_joins.supply_after(connection, token, import_joins.ENTRY_NO_MAX)


def count_transfers(
    connection: Connection, contract: StoredContract, *, below: int
) -> tuple[int, int]:
    """Return how many transfers replays made, and how many others below a block move something."""
    moved = chain_transfers.c
    mine = moved.contract_no == contract.contract_no
    replays = select(func.count()).where(mine, moved.seq.is_not(None))
    own = select(func.count()).where(*import_joins.own(contract), moved.block_number < below)
    return connection.execute(replays).scalar_one(), connection.execute(own).scalar_one()
