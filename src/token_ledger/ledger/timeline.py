"""What entries moved over time, and how much of it the chain confirmed: figures for a chart.

Sums by the database where it can (PostgreSQL); SQLite's SUM would turn to floating point, so there
the rows are streamed and added here. Holds one window of batches at a time.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, and_, exists, false, func, select

from token_ledger.core.timeline import Timeline, plan
from token_ledger.ledger import import_joins, mirror_joins
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_joins import SealedRun
from token_ledger.ledger.mirror_schema import chain_transfers, token_imports
from token_ledger.ledger.schema import token_batches, token_ledger
from token_ledger.ledger.tokens import StoredToken

_PAGE = 10_000


def read_timeline(
    connection: Connection,
    token: StoredToken,
    contract: StoredContract,
    *,
    number_min: int,
    number_max: int,
    imported: tuple[int, int] | None = None,
) -> Timeline | None:
    """Return what the entries of some batches moved, by their own dates; None for no entry.

    `imported`: with the entries that were imported from the blocks of this range, bounds included.
    """
    bounds = _bounds(connection, token, number_min, number_max)
    rows = None if imported is None else _imported_rows(token, contract, *imported)
    if rows is not None:
        dates = select(func.min(rows.c.timestamp), func.max(rows.c.timestamp))
        bounds = (*bounds, *connection.execute(dates).one())
    found = [bound for bound in bounds if bound is not None]
    if not found:
        return None
    timeline = plan(min(found), max(found))
    for window in mirror_joins.read_runs(
        connection, token, number_min=number_min, number_max=number_max
    ):
        _add(connection, timeline, _rows(token, contract, window))
    if rows is not None:
        _add(connection, timeline, rows)
    return timeline


def _add(connection: Connection, timeline: Timeline, rows: Any) -> None:
    """Add up entries: when each is dated, what it moved, whether it was confirmed."""
    period = (rows.c.timestamp - timeline.start) // timeline.step
    if connection.dialect.name == "postgresql":
        query = select(period, rows.c.same, func.sum(rows.c.amount)).group_by(period, rows.c.same)
    else:
        query = select(period, rows.c.same, rows.c.amount)
    found = connection.execution_options(yield_per=_PAGE).execute(query)
    for place, same, value in found:
        timeline.add(int(place), same=bool(same), value=int(value))


def _bounds(
    connection: Connection, token: StoredToken, number_min: int, number_max: int
) -> tuple[int | None, ...]:
    sealed, entries = token_batches.c, token_ledger.c
    span = (
        select(func.min(sealed.first_entry_no), func.max(sealed.last_entry_no))
        .where(sealed.token_no == token.token_no, sealed.number.between(number_min, number_max))
    )  # fmt: skip
    low, high = connection.execute(span).one()
    if low is None:
        return ()
    first, last = connection.execute(
        select(func.min(entries.timestamp), func.max(entries.timestamp)).where(
            entries.token_no == token.token_no, entries.entry_no.between(low, high)
        )
    ).one()
    return first, last


def _imported_rows(token: StoredToken, contract: StoredContract, first: int, last: int) -> Any:
    """Select of imported entries what `_rows` selects of replayed ones."""
    link, entries = token_imports.c, token_ledger.c
    joined, same = import_joins.joined_with_logs(contract)
    query: Select[Any] = (
        select(entries.timestamp, entries.amount, func.coalesce(same, false()).label("same"))
        .select_from(joined)
        .where(link.token_no == token.token_no, link.block_number.between(first, last))
    )
    return query.subquery()


def _rows(token: StoredToken, contract: StoredContract, window: list[SealedRun]) -> Any:
    """Select when each entry of a window is dated, what it moved, and whether it was confirmed."""
    entries = mirror_joins.numbered(token, window[0], window[-1].last_entry_no)
    moved = chain_transfers.c
    its_own = exists().where(
        and_(
            moved.contract_no == contract.contract_no,
            moved.seq == entries.c.seq,
            moved.value == entries.c.amount,
            moved.from_address == entries.c.from_address,
            moved.to_address == entries.c.to_address,
        )
    )
    query: Select[Any] = select(entries.c.timestamp, entries.c.amount, its_own.label("same"))
    return query.subquery()
