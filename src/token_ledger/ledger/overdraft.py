"""Overdrafts as their operator sees them: who owes what, and what is written off.

Written off, a debt is gone and the tokens that were drawn for it stay: the one change of a debt
that is no entry, so it is recorded with who did it and why. Drawing and repaying is `posting`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, insert, select

from token_ledger.core.parse import format_amount, parse_text
from token_ledger.core.types import SYSTEM
from token_ledger.errors import OverdraftError, UsageError
from token_ledger.ledger import accounts, schema
from token_ledger.ledger.accounts import Account
from token_ledger.ledger.composite import Desk, lock
from token_ledger.ledger.credit import last_numbers
from token_ledger.ledger.owed import WRITE_OFF

TEXT_BYTES_MAX = 1_000
_TABLE = schema.token_debts.c


@dataclass(frozen=True, slots=True)
class WriteOff:
    """A debt that was written off: how much (base units), when (microseconds), by whom and why."""

    account_id: str
    value: int
    written_off_at: int
    by: str
    reason: str
    decimals: int

    @property
    def amount(self) -> str:
        """The value in human units."""
        return format_amount(self.value, decimals=self.decimals)


def write_off(desk: Desk, account_id: str, *, by: str, reason: str) -> WriteOff:
    """Let an account owe nothing any more. Raises OverdraftError where it owes nothing already."""
    for what, text in (("who writes it off", by), ("the reason", reason)):
        if not parse_text(text, what=what, bytes_max=TEXT_BYTES_MAX):
            raise UsageError(f"{what} is missing", hint="it is kept for ever")
    # The supply's row as well, after the account's: what all owe together stands there.
    poster = lock(desk, {account_id, SYSTEM})
    known = accounts.resolve(desk.connection, [account_id])[account_id]
    account, token_no = poster.accounts[known.number], desk.token.token_no
    if not account.debt:
        raise OverdraftError(f"account {account_id!r} owes nothing", hint="see `overdraft list`")
    now, entry = poster.now(), schema.token_ledger.c
    latest = max(  # of each side by itself, because each has its index
        desk.connection.execute(
            select(func.max(entry.entry_no)).where(entry.token_no == token_no, side == known.number)
        ).scalar()
        or 0
        for side in (entry.from_account, entry.to_account)
    )
    desk.connection.execute(
        insert(schema.token_debts).values(
            token_no=token_no,
            account_no=known.number,
            number=last_numbers(desk.connection, token_no, [known.number])[known.number] + 1,
            kind=WRITE_OFF,
            entry_no=latest,
            value=account.debt,
            debt_after=0,
            created_at=now,
            written_by=by,
            reason=reason,
        )
    )
    value = poster.forgive(known.number, now=now)
    return WriteOff(account_id, value, now, by, reason, desk.token.decimals)


def debtors(desk: Desk, *, limit: int, cursor: str | None) -> tuple[list[Account], str | None]:
    """Return a page of the accounts that owe something, oldest first, and the next's cursor."""
    return accounts.list_accounts(
        desk.connection, desk.token, limit=limit, cursor=cursor, in_debt=True
    )


def write_offs(desk: Desk, *, limit: int) -> list[WriteOff]:
    """Return what was written off, the last first."""
    holder = schema.accounts.c
    rows = desk.connection.execute(
        select(schema.token_debts, holder.account_id)
        .join(schema.accounts, holder.account_no == _TABLE.account_no)
        .where(_TABLE.token_no == desk.token.token_no, _TABLE.kind == WRITE_OFF)
        .order_by(_TABLE.entry_no.desc(), _TABLE.number.desc())
        .limit(accounts.check_limit(limit))
    )
    return [
        WriteOff(
            account_id=row.account_id,
            value=row.value,
            written_off_at=row.created_at,
            by=row.written_by,
            reason=row.reason,
            decimals=desk.token.decimals,
        )
        for row in rows
    ]
