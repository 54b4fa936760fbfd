"""What an account owed, as of an entry or a time: it is taken off every balance that is shown.

Read from `token_debts`, where each change of a debt is a row with the debt after it, by looks into
an index. Draws and repayments are dated as the entries that brought them, so back-dated ones count
as of a time as these do; a write-off is no entry, and counts from when it was made.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, ScalarSelect, and_, or_, select

from token_ledger.ledger import schema

DRAW, REPAY, WRITE_OFF = "draw", "repay", "write-off"
_TABLE = schema.token_debts.c


def debt_at(connection: Connection, token_no: int, account_no: int, entry_no: int) -> int:
    """Return what an account owed as of an entry: the balance after it, less this, was shown."""
    return connection.execute(select(_latest(token_no, account_no, entry_no))).scalar() or 0


def debt_after(side: ColumnElement[Any], *, name: str) -> ColumnElement[int | None]:
    """Return the column of what one side of each selected entry owed as of it; NULL for nothing."""
    entry = schema.token_ledger.c
    return _latest(entry.token_no, side, entry.entry_no).label(name)


def debt_at_time(
    connection: Connection,
    token_no: int,
    account_no: int,
    moment: int,
    *,
    place: int,
    reach: int | None,
) -> int:
    """Return what an account owed at a time: all draws dated up to it, less what was paid by then.

    `place`: up to it every entry of the account counts, as `asof` found it; `reach`: above it none
    does, None where that is the place. Only draws and repayments between the two are added one by
    one, and write-offs.
    """
    debt = debt_at(connection, token_no, account_no, place)
    mine = and_(_TABLE.token_no == token_no, _TABLE.account_no == account_no)
    entry = schema.token_ledger.c
    if reach is not None:
        between = connection.execute(
            select(_TABLE.kind, _TABLE.value)
            .join(schema.token_ledger, entry.entry_no == _TABLE.entry_no)
            .where(mine, _TABLE.kind != WRITE_OFF, entry.timestamp <= moment)
            .where(_TABLE.entry_no > place, _TABLE.entry_no <= reach)
        )
        debt += sum(value if kind == DRAW else -value for kind, value in between)
    written_off = connection.execute(
        select(_TABLE.entry_no, _TABLE.created_at, _TABLE.value).where(
            mine, _TABLE.kind == WRITE_OFF
        )
    )
    for entry_no, created_at, value in written_off:
        debt += value * ((entry_no < place) - (created_at <= moment))
    return debt


def _latest(token_no: Any, account_no: Any, entry_no: Any) -> ScalarSelect[int | None]:
    """Select the debt after the last change up to an entry, without a write-off right after it."""
    table = schema.token_debts.alias("owed")
    return (
        select(table.c.debt_after)
        .where(
            table.c.token_no == token_no,
            table.c.account_no == account_no,
            table.c.entry_no <= entry_no,
            or_(table.c.entry_no < entry_no, table.c.kind != WRITE_OFF),
        )
        .order_by(table.c.entry_no.desc(), table.c.number.desc())
        .limit(1)
        .scalar_subquery()
    )
