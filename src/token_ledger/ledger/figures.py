"""Figures over a whole token, for `status` and checks: sums that no 64-bit integer can hold."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, func, select, text

from token_ledger.ledger import engine as engines
from token_ledger.ledger.mirror_schema import (
    chain_batches,
    chain_blocks,
    chain_contracts,
    chain_transfers,
)
from token_ledger.ledger.schema import accounts, token_accounts, token_ledger
from token_ledger.ledger.tokens import StoredToken

_PAGE = 10_000


def sum_balances(connection: Connection, token: StoredToken) -> int:
    """Return the sum of all balances in base units; `system` has none and is not in it.

    SQLite's own SUM would turn to floating point, so there the rows are streamed and added here.
    """
    balances = select(token_accounts.c.balance).where(token_accounts.c.token_no == token.token_no)
    if connection.dialect.name == "postgresql":
        total = connection.execute(select(func.sum(balances.subquery().c.balance))).scalar_one()
        return int(total or 0)
    rows = connection.execution_options(yield_per=_PAGE).execute(balances)
    return sum(row.balance for row in rows)


def count_entries(connection: Connection, token: StoredToken) -> int:
    """Return how many entries the token has."""
    return connection.execute(
        select(func.count())
        .select_from(token_ledger)
        .where(token_ledger.c.token_no == token.token_no)
    ).scalar_one()


def mirrored_heads(
    connection: Connection, token: StoredToken
) -> list[tuple[int, bytes, int, bytes | None]]:
    """Return, for each contract of the token, (chain id, address, head number, head digest).

    The head is the last batch that the mirror has seen replayed: 0 and None where it saw none.
    """
    contracts, batches = chain_contracts.c, chain_batches.c
    found: list[tuple[int, bytes, int, bytes | None]] = []
    for contract in connection.execute(
        select(chain_contracts)
        .where(contracts.token_no == token.token_no)
        .order_by(contracts.contract_no)
    ).all():
        head = connection.execute(
            select(batches.number, batches.digest)
            .where(batches.contract_no == contract.contract_no)
            .order_by(batches.number.desc())
            .limit(1)
        ).first()
        number, digest = (0, None) if head is None else (head.number, head.digest)
        found.append((contract.chain_id, contract.address, number, digest))
    return found


def refresh_statistics(engine: Engine) -> None:
    """Let PostgreSQL look at the tables that a join of millions is about to read.

    Just filled and not looked at yet, they make its planner take a join of a window for a look-up
    of a few rows: measured at 200 times the time. Samples only, so it costs the same at any size;
    a role that does not own the tables may not, and is passed over with a warning of the server's.
    SQLite needs none.
    """
    if engine.dialect.name != "postgresql":
        return
    tables = (token_ledger, chain_transfers, chain_blocks, accounts)
    names = ", ".join(table.name for table in tables)
    with engines.writing(engine) as connection:
        connection.execute(text(f"ANALYZE {names}"))
