"""Limits of balance and spending, freezing and closing, on both engines and against raw SQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from token_ledger.errors import (
    AccountClosedError,
    AccountFrozenError,
    BalanceLimitError,
    DatabaseError,
    SpendLimitError,
    SystemAccountError,
    UsageError,
)
from token_ledger.ledger import Ledger

ONE = 10**18
DAY = dt.timedelta(days=1)


def test_a_balance_stops_at_its_limit(ledger: Ledger) -> None:
    """The token's limit holds for all, an account's own instead of it, to the unit."""
    ledger.limit_balance(None, 120)
    assert 120 * ONE == ledger.mint("alice", 20, reason="x").balance_after_to
    with pytest.raises(BalanceLimitError, match="it takes 0"):
        ledger.transfer("bob", "alice", "0.000000000000000001", reason="x")
    ledger.limit_balance("alice", 130)
    assert 130 * ONE == ledger.transfer("bob", "alice", 10, reason="x").balance_after_to
    with pytest.raises(BalanceLimitError):
        ledger.mint("alice", 1, reason="x")
    ledger.limit_balance("alice", None)
    with pytest.raises(BalanceLimitError):
        ledger.mint("alice", 1, reason="x")
    ledger.limit_balance(None, None)
    ledger.mint("alice", 10**9, reason="x")


def test_a_repeat_is_not_judged_again(ledger: Ledger) -> None:
    """What was posted before a limit came returns its result, whatever the limit says now."""
    ledger.transfer("alice", "bob", 5, reason="x", idempotency_key="k")
    ledger.limit_balance("bob", 1)
    ledger.freeze_account("alice")
    assert ledger.transfer("alice", "bob", 5, reason="x", idempotency_key="k").repeated


def test_spending_is_limited_in_each_period(ledger: Ledger) -> None:
    """In one UTC day an account spends so much and no more; reversals do not count."""
    ledger.limit_spending("alice", 10, DAY)
    first = ledger.transfer("alice", "bob", 6, reason="x")
    with pytest.raises(SpendLimitError, match="4 until"):
        ledger.burn("alice", 5, reason="x")
    ledger.burn("alice", 4, reason="x")
    with pytest.raises(SpendLimitError):
        ledger.transfer("alice", "bob", 1, reason="x")
    ledger.transfer("bob", "alice", 1, reason="x", idempotency_key="r")
    ledger.reverse(ledger.transfer("bob", "alice", 2, reason="x").id)
    assert 6 == first.value // ONE
    ledger.limit_spending("alice", 12, DAY)
    ledger.transfer("alice", "bob", 2, reason="x")
    ledger.limit_spending("alice", None)
    ledger.transfer("alice", "bob", 20, reason="x")


def test_a_new_period_begins_anew(ledger: Ledger) -> None:
    """With the next period the whole limit is free again."""
    ledger.limit_spending("alice", 1, dt.timedelta(microseconds=1))  # the clock ticks each call
    for _ in range(5):
        ledger.transfer("alice", "bob", 1, reason="x")


@pytest.mark.parametrize(
    ("amount", "period"), [(1, None), (None, DAY), (1, dt.timedelta(0)), (1, dt.timedelta(400))]
)
def test_half_a_limit_is_refused(ledger: Ledger, amount: object, period: object) -> None:
    """A limit of spending is an amount and a period of at most a year."""
    with pytest.raises(UsageError):
        ledger.limit_spending("alice", amount, period)  # type: ignore[arg-type]


def test_frozen_accounts_are_paid_and_do_not_pay(ledger: Ledger) -> None:
    """Freezing blocks transfers and burns, not receiving, nor the operator's reversal."""
    paid = ledger.transfer("bob", "alice", 10, reason="x")
    frozen = ledger.freeze_account("alice")
    assert ledger.freeze_account("alice").frozen_at == frozen.frozen_at
    for spend in (ledger.debit, ledger.burn):
        with pytest.raises(AccountFrozenError):
            spend("alice", 1, reason="x")
    ledger.mint("alice", 1, reason="x")
    assert 50 * ONE == ledger.reverse(paid.id).balance_after_to
    ledger.unfreeze_account("alice")
    ledger.burn("alice", 1, reason="x")


def test_a_closed_account_is_closed_for_ever(ledger: Ledger) -> None:
    """Only an empty account closes; then it neither pays nor is paid, and raw SQL opens none."""
    with pytest.raises(AccountClosedError, match="not empty"):
        ledger.close_account("alice")
    closed = ledger.close_account("carol")
    assert ledger.close_account("carol").closed_at == closed.closed_at
    with pytest.raises(AccountClosedError):
        ledger.mint("carol", 1, reason="x")
    with pytest.raises(AccountClosedError):
        ledger.burn("carol", 1, reason="x")
    with pytest.raises(DatabaseError, match="stays closed"), ledger.write() as connection:
        connection.exec_driver_sql("UPDATE token_accounts SET closed_at = NULL")


def test_system_has_no_limits(ledger: Ledger) -> None:
    """`system` can neither be limited nor frozen nor closed, and holds nothing."""
    limits: list[Callable[[str], object]] = [
        *(ledger.freeze_account, ledger.unfreeze_account, ledger.close_account),
        *(lambda a: ledger.limit_balance(a, 1), lambda a: ledger.hold(a, 1)),
        lambda a: ledger.limit_spending(a, 1, dt.timedelta(days=1)),
        lambda a: ledger.limit_overdraft(a, 1),
    ]
    for limit in limits:
        with pytest.raises(SystemAccountError, match="`system` is not an account"):
            limit("system")


def test_together_they_do_not_pass_a_limit(ledger: Ledger) -> None:
    """Of many at once exactly as many succeed as the limits allow."""
    ledger.limit_spending("alice", 7, DAY)
    ledger.limit_balance("carol", 4)

    def attempt(receiver: str) -> bool:
        try:
            ledger.transfer("alice", receiver, 1, reason="x")
        except (SpendLimitError, BalanceLimitError):
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert 4 == sum(pool.map(attempt, ["carol"] * 10))
        assert 3 == sum(pool.map(attempt, ["bob"] * 10))


def test_an_account_tells_its_limits(ledger: Ledger) -> None:
    """What was set is read back, and None where there is none of its own."""

    def told() -> tuple[object, ...]:
        account = ledger.get_account("alice")
        limits = (account.balance_max, account.spend_max, account.spend_period)
        return (*limits, account.overdraft_max)

    ledger.limit_balance(None, 5000)
    assert (None, None, None, None) == told()
    ledger.limit_balance("alice", 200)
    ledger.limit_spending("alice", 10, DAY)
    ledger.limit_overdraft("alice", 5)
    assert (200 * ONE, 10 * ONE, 86_400_000_000, 5 * ONE) == told()
    assert told()[0] == {a.account_id: a for a in ledger.accounts()[0]}["alice"].balance_max
