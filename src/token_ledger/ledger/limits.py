"""What an account may do: its limits, freezing, closing. Kept in the row that postings lock."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from token_ledger.core.parse import format_amount
from token_ledger.errors import AccountClosedError, UsageError
from token_ledger.ledger import accounts, schema
from token_ledger.ledger.balances import LockedAccount
from token_ledger.ledger.composite import Desk, lock

PERIOD_MAX = 366 * 86_400_000_000


def set_token_limit(desk: Desk, balance_max: int | None) -> None:
    """Set the most that an account without a limit of its own may hold; None for no limit."""
    desk.connection.execute(
        update(schema.tokens)
        .where(schema.tokens.c.token_no == desk.token.token_no)
        .values(balance_max=balance_max)
    )


def set_balance_limit(desk: Desk, account_id: str, balance_max: int | None) -> None:
    """Set the most that an account may hold, holds included; None for the token's own limit."""
    _set(desk, account_id, balance_max=balance_max)


def set_spend_limit(desk: Desk, account_id: str, spend_max: int | None, period: int | None) -> None:
    """Set the most that an account may spend in each period (microseconds); None for no limit.

    Periods are counted from 1970-01-01T00:00Z, so a day is a UTC day. What was spent before in the
    running period counts only where there was a limit already, of the same period.
    """
    if (spend_max is None) != (period is None):
        raise UsageError("a limit of spending is an amount and a period", hint="give both")
    if period is not None and not 0 < period <= PERIOD_MAX:
        raise UsageError(f"a period of {period} µs", hint="above 0, and a year at most")
    account = _lock(desk, account_id)
    changes: dict[str, Any] = {"spend_max": spend_max, "spend_period": period}
    if account.row.spend_period != period:
        changes |= {"window_start": None, "window_spent": None}
    _update(desk, account, **changes)


def set_overdraft_limit(desk: Desk, account_id: str, overdraft_max: int | None) -> None:
    """Set how far an account may go below zero; None for not at all. What it owes already stays."""
    _set(desk, account_id, overdraft_max=overdraft_max)


def freeze(desk: Desk, account_id: str, *, now: int) -> None:
    """Let the account spend nothing from now on; frozen, it stays as it is."""
    account = _lock(desk, account_id)
    if account.row.frozen_at is None:
        _update(desk, account, frozen_at=now)


def unfreeze(desk: Desk, account_id: str) -> None:
    """Let the account spend again."""
    _set(desk, account_id, frozen_at=None)


def close(desk: Desk, account_id: str, *, now: int) -> None:
    """Close an empty account for ever; closed, it stays so.

    Raises AccountClosedError while it has a balance, a hold or a debt.
    """
    account = _lock(desk, account_id)
    if account.row.closed_at is not None:
        return
    if account.debt:
        raise AccountClosedError(
            f"account {account_id!r} owes"
            f" {format_amount(account.debt, decimals=desk.token.decimals)}",
            hint="let it repay, or `overdraft write-off`",
        )
    if account.balance or account.staked:
        raise AccountClosedError(
            f"account {account_id!r} is not empty", hint="move balance and holds away first"
        )
    _update(desk, account, closed_at=now)


def _lock(desk: Desk, account_id: str) -> LockedAccount:
    known = accounts.resolve(desk.connection, [account_id])[account_id]
    if known.escrow_of is not None:
        raise UsageError("an escrow account has no limits of its own", hint="name its holder")
    return lock(desk, {account_id}).accounts[known.number]


def _set(desk: Desk, account_id: str, **values: Any) -> None:
    _update(desk, _lock(desk, account_id), **values)


def _update(desk: Desk, account: LockedAccount, **values: Any) -> None:
    table = schema.token_accounts.c
    desk.connection.execute(
        update(schema.token_accounts)
        .where(table.token_no == desk.token.token_no, table.account_no == account.row.number)
        .values(**values)
    )
