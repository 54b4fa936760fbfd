"""Debts: every change of one held against the entry that it is and the entry that brought it.

What `check` proves of draws, repayments and write-offs. Findings name entries, never account ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from token_ledger.core.types import Finding
from token_ledger.ledger import schema
from token_ledger.ledger.audit import entry_finding, stream
from token_ledger.ledger.owed import DRAW, REPAY, WRITE_OFF
from token_ledger.ledger.tokens import StoredToken

KIND = "debt_differs"
_SYSTEM = schema.SYSTEM_ACCOUNT_NO


def check_debts(connection: Connection, token: StoredToken) -> Iterator[Finding]:
    """Yield changes of debts that are not their entries, have no cause, or do not add up."""
    debt, entry = schema.token_debts.c, schema.token_ledger.c
    cause = schema.token_ledger.alias("cause")
    rows = stream(
        connection,
        select(
            *(debt.account_no, debt.number, debt.kind, debt.value, debt.debt_after),
            debt.entry_no.label("change_no"),
            *(entry.entry_no, entry.id, entry.token_no),
            *(entry.from_account, entry.to_account, entry.amount),
            *(cause.c[name].label(f"cause_{name}") for name in ("entry_no", "token_no")),
            *(cause.c[name].label(f"cause_{name}") for name in ("from_account", "to_account")),
        )
        .select_from(schema.token_debts)
        .outerjoin(schema.token_ledger, entry.entry_no == debt.entry_no)
        .outerjoin(cause, cause.c.entry_no == debt.cause_no)
        .where(debt.token_no == token.token_no)
        .order_by(debt.account_no, debt.number),
    )
    account_no, number, owed = None, 0, 0
    for row in rows:
        if row.account_no != account_no:
            account_no, number, owed = row.account_no, 0, 0
        if row.id is None:
            details: dict[str, object] = {"token": token.symbol, "entry_no": row.change_no}
            yield Finding(KIND, "a change of a debt without its entry", details)
        elif not _is_entry(row, token):
            yield entry_finding(KIND, "the change of a debt is not what it names", token, row)
        after = owed + row.value if row.kind == DRAW else owed - row.value
        is_whole = row.kind != WRITE_OFF or row.debt_after == 0
        if row.id is not None and not (
            row.number == number + 1 and row.debt_after == after and is_whole
        ):
            message = "the debt after it is not the debt before it and what it changed"
            yield entry_finding(
                KIND, message, token, row, stored=str(row.debt_after), computed=str(after)
            )
        number, owed = row.number, row.debt_after  # once told, gone on from what the row says


def _is_entry(row: Any, token: StoredToken) -> bool:
    """Return whether a change is its entry, in the right order with what brought it."""
    sides, mine = (row.from_account, row.to_account), row.account_no
    if row.token_no != token.token_no:
        return False
    if row.kind == WRITE_OFF:
        return mine in sides and row.cause_entry_no is None
    if row.cause_entry_no is None or row.cause_token_no != token.token_no:
        return False
    if row.kind == DRAW:
        brought = row.cause_from_account == mine and row.cause_entry_no > row.entry_no
        return brought and sides == (_SYSTEM, mine) and row.amount == row.value
    brought = row.cause_to_account == mine and row.cause_entry_no < row.entry_no
    return row.kind == REPAY and brought and sides == (mine, _SYSTEM) and row.amount == row.value
