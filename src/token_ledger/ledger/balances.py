"""A locked account while postings are computed: its figures, and the rules on one account.

Frozen, closed, how much it may hold, spend in a period, and owe. Asks no database.
"""

from __future__ import annotations

from typing import NamedTuple

from token_ledger.core.parse import format_amount, format_timestamp
from token_ledger.errors import (
    AccountClosedError,
    AccountFrozenError,
    BalanceLimitError,
    InsufficientBalanceError,
    SpendLimitError,
)
from token_ledger.ledger.dating import Lanes
from token_ledger.ledger.store import AccountRow, ChangedRow
from token_ledger.ledger.tokens import StoredToken


class Waived(NamedTuple):
    """Which rules a posting is not judged by: the ledger's own, and what the chain has done."""

    spending: bool = False
    """Frozen, and the limit of spending."""
    holding: bool = False
    """The most that the payee may hold."""
    closed: bool = False
    supply: bool = False
    """The token's maximum: what the chain mints is there."""


NOTHING = Waived()
CAPTURE = Waived(spending=True)
HOLD = Waived(holding=True)  # what is held counts for its holder as before
RELEASE = Waived(spending=True, holding=True)
REVERSAL = Waived(spending=True)
IMPORTED = Waived(spending=True, holding=True, closed=True, supply=True)


class LockedAccount:
    """An account that this transaction has locked.

    `earned` is all that it ever received, mints included, and `spent` all that it ever sent, draws
    and repayments in neither. While it owes a `debt` it holds nothing: what comes in repays it.
    """

    __slots__ = (
        *("balance", "changed", "debt", "earned", "lanes", "latest_at", "name", "row", "spent"),
        *("staked", "window"),
    )

    def __init__(self, row: AccountRow, name: str) -> None:
        self.row = row
        self.name = name
        self.balance, self.earned, self.spent = row.balance, row.earned, row.spent
        self.staked, self.debt = row.staked, row.debt
        self.window = (row.window_start, row.window_spent)
        self.latest_at = row.latest_at
        self.lanes: Lanes | None = None  # read when an entry is dated before an earlier one
        self.changed = False

    def pay(self, value: int, token: StoredToken, *, now: int, waived: Waived) -> int:
        """Take a value from it and return what is left, or raise the RuleError that forbids it."""
        self.window = self.check_pay(value, token, now=now, waived=waived)
        self.balance -= value
        self.spent += value
        self.changed = True
        return self.balance

    def check_pay(
        self, value: int, token: StoredToken, *, now: int, waived: Waived, credit: int = 0
    ) -> tuple[int | None, int | None]:
        """Return its period of spending after a payment, or raise the RuleError that forbids it.

        `credit`: what it draws for it.
        """
        row, window = self.row, self.window
        if row.closed_at is not None and not waived.closed:
            raise self._closed(row.closed_at)
        if not waived.spending:
            self.check_may_spend()
        if self.balance + credit < value:
            raise self._overdrawn(value, token)
        if row.spend_max is not None and row.spend_period is not None and not waived.spending:
            start = now - now % row.spend_period
            spent = window[1] or 0 if window[0] == start else 0
            if spent + value > row.spend_max:
                free = format_amount(max(0, row.spend_max - spent), decimals=token.decimals)
                raise SpendLimitError(
                    f"account {self.name!r} may spend"
                    f" {format_amount(row.spend_max, decimals=token.decimals)} in a period",
                    hint=f"{free} until {format_timestamp(start + row.spend_period)}",
                )
            return start, spent + value
        return window

    def shortage(self, value: int) -> int:
        """Return what it would draw to pay a value: 0 where it holds as much, or may not owe it."""
        missing, most = value - self.balance, self.row.overdraft_max
        return 0 if missing <= 0 or most is None or self.debt + missing > most else missing

    def draw(self, value: int) -> int:
        """Credit it with what it owes from now on; return what it holds then."""
        self.balance += value
        self.debt += value
        self.changed = True
        return self.balance

    def repay(self, value: int) -> int:
        """Take from it what it owes no more; return what it holds then."""
        self.balance -= value
        self.debt -= value
        assert self.balance >= 0 <= self.debt, "nobody repays more than is held or owed"
        self.changed = True
        return self.balance

    def check_may_spend(self) -> None:
        """Raise AccountFrozenError while it is frozen."""
        if self.row.frozen_at is not None:
            raise AccountFrozenError(
                f"account {self.name!r} is frozen since {format_timestamp(self.row.frozen_at)}",
                hint="it may be paid, but may not pay",
            )

    def check_receive(
        self, value: int, token: StoredToken, *, most: int | None, waived: Waived
    ) -> None:
        """Raise the RuleError that keeps a value from it. `most`: the token's maximum balance."""
        if self.row.closed_at is not None and not waived.closed:
            raise self._closed(self.row.closed_at)
        ceiling = most if self.row.balance_max is None else self.row.balance_max
        if ceiling is None or waived.holding:
            return
        held = self.balance + self.staked
        kept = value - min(self.debt, value)  # the rest goes back to the issuer at once
        if kept and held + kept > ceiling:
            raise BalanceLimitError(
                f"account {self.name!r} may hold {format_amount(ceiling, decimals=token.decimals)}"
                f" {token.symbol}, and holds {format_amount(held, decimals=token.decimals)}",
                hint="it takes"
                f" {format_amount(max(0, ceiling - held) + self.debt, decimals=token.decimals)}",
            )

    def receive(self, value: int) -> int:
        """Add a value that was checked; return what it holds then."""
        self.balance += value
        self.earned += value
        self.changed = True
        return self.balance

    def stake(self, change: int) -> None:
        """Change what its escrow account keeps for it."""
        self.staked += change
        assert self.staked >= 0, "holds are what their escrow account keeps"
        self.changed = True

    def changed_row(self, now: int) -> ChangedRow:
        """Return what is written of it."""
        figures = (self.row.number, self.balance, self.earned, self.spent, self.staked, self.debt)
        return (*figures, now, *self.window, self.latest_at)

    def _closed(self, closed_at: int) -> AccountClosedError:
        return AccountClosedError(
            f"account {self.name!r} was closed at {format_timestamp(closed_at)}",
            hint="it neither pays nor is paid any more",
        )

    def _overdrawn(self, value: int, token: StoredToken) -> InsufficientBalanceError:
        def human(number: int) -> str:
            return format_amount(number, decimals=token.decimals)

        most = self.row.overdraft_max
        line = "" if most is None else f" and may overdraw to -{human(most)}"
        free = self.balance + max(0, (most or 0) - self.debt)
        return InsufficientBalanceError(
            f"account {self.name!r} holds {human(self.balance - self.debt)}"
            f" {token.symbol}{line}, {human(value)} is needed",
            hint=f"it lacks {human(value - free)}",
        )
