"""Holds that are over give their money back when their holder needs it, though nobody swept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from token_ledger.check import check
from token_ledger.errors import HoldError, InsufficientBalanceError
from token_ledger.ledger import Ledger, due
from token_ledger.load import load

NOON = 1_800_000_000_000_000
MINUTE = 60_000_000


class Clock:
    """A clock that stands where it was put."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> int:
        """Return the time in microseconds."""
        return self.time


def after(minutes: int) -> dt.datetime:
    """Return a moment so many minutes after noon."""
    return dt.datetime.fromtimestamp((NOON + minutes * MINUTE) // 1_000_000, dt.UTC)


@pytest.fixture
def clock() -> Clock:
    """Return the ledger's clock."""
    return Clock()


@pytest.fixture
def stakes(database_url: str, clock: Clock) -> Iterator[Ledger]:
    """Yield a ledger in which alice has 10, holds of 30 and 20 for a minute, 40 for an hour."""
    with Ledger.create(database_url, operator=b"\1" * 20, clock=clock) as ledger:
        ledger.create_token("T", "Token", 0)
        ledger.create_account("alice", initial_balance=100)
        ledger.create_account("bob")
        for value, minutes in ((30, 1), (20, 1), (40, 60)):
            ledger.hold("alice", value, expires_at=after(minutes))
        yield ledger


def reasons(ledger: Ledger) -> list[tuple[int, str | None]]:
    """Return alice's last four entries, oldest first."""
    page = ledger.get_statement("alice", limit=4).entries
    return [(entry.value, entry.reason) for entry in reversed(page)]


WAYS: dict[str, Callable[[Ledger, Path], object]] = {
    "transfer": lambda ledger, _: ledger.transfer("alice", "bob", 55, reason="buy"),
    "spend": lambda ledger, _: ledger.spend("alice", 55, to="bob", reason="buy"),
    "burn": lambda ledger, _: ledger.burn("alice", 55, reason="buy"),
    "hold": lambda ledger, _: ledger.hold("alice", 55, reason="buy"),
    "list": lambda ledger, _: ledger.post_many([ledger.record("alice", "bob", 55, reason="buy")]),
    "each": lambda ledger, _: ledger.post_many(
        [ledger.record("alice", "bob", 55, reason="buy")], atomic=False
    ),
    "keyed": lambda ledger, _: ledger.post_many(
        [ledger.record("alice", "bob", 55, reason="buy")], idempotency_key="k"
    ),
    "load": lambda ledger, folder: load(ledger, _file(folder)),
}


def _file(folder: Path) -> Path:
    path = folder / "rows.csv"
    path.write_text(
        "timestamp,from_account,to_account,amount,reason\n2027-02-01T00:00:00Z,alice,bob,55,buy\n"
    )
    return path


@pytest.mark.parametrize("way", WAYS)
def test_what_is_due_is_released_first(
    stakes: Ledger, clock: Clock, way: str, tmp_path: Path
) -> None:
    """A spending that would fail posts the releases before it, and goes on; all books agree."""
    with pytest.raises(InsufficientBalanceError):
        stakes.spend("alice", 55, reason="early")
    clock.time += 2 * MINUTE
    assert (10, 90) == (stakes.get_balance("alice"), stakes.get_account("alice").total_staked)
    WAYS[way](stakes, tmp_path)
    assert [(30, "hold:expired"), (20, "hold:expired"), (55, "buy")] == reasons(stakes)[1:]
    assert 5 == stakes.get_balance("alice")
    kept = [hold.value for hold in stakes.holds("alice") if hold.expires_at is not None]
    assert [40] == kept
    assert 0 == stakes.expire_holds()
    assert [] == check(stakes).findings
    assert 0 == stakes.recalc(dry_run=True).findings_total


def test_nothing_is_released_without_need_or_use(stakes: Ledger, clock: Clock) -> None:
    """Not where the balance is enough, nor where due holds are not; a refusal leaves nothing."""
    clock.time += 2 * MINUTE
    stakes.spend("alice", 10, reason="small")
    with pytest.raises(InsufficientBalanceError):
        stakes.spend("alice", 51, reason="large")
    (refused,) = stakes.post_many([stakes.record("alice", "bob", 51, reason="x")], atomic=False)
    assert isinstance(refused, InsufficientBalanceError)
    assert (0, 90) == (stakes.get_balance("alice"), stakes.get_account("alice").total_staked)
    assert (3, 2) == (len(stakes.holds("alice")), stakes.expire_holds())


def test_what_another_rule_refuses_releases_nothing(stakes: Ledger, clock: Clock) -> None:
    """Neither a limit of spending nor one of holding leaves releases behind, in lists as well."""
    clock.time += 2 * MINUTE
    stakes.limit_spending("alice", 20, dt.timedelta(days=1))
    stakes.limit_balance("bob", 15)
    for value, code in ((30, "spend_limit"), (16, "balance_limit")):
        record = stakes.record("alice", "bob" if value < 20 else "system", value, reason="x")
        (refused,) = stakes.post_many([record], atomic=False)
        assert code == getattr(refused, "code", None)
        assert (10, 3) == (stakes.get_balance("alice"), len(stakes.holds("alice")))
    assert 0 == stakes.spend("alice", 15, to="bob", reason="x").balance_after_to - 15


def test_a_captured_part_and_a_released_hold_are_not_given_twice(
    stakes: Ledger, clock: Clock
) -> None:
    """Of a hold only what is left comes back, and afterwards it has ended."""
    first, second, _ = stakes.holds("alice")
    stakes.capture(first.id, 25, to="bob")
    clock.time += 2 * MINUTE
    stakes.spend("alice", 35, reason="buy")
    assert (0, 40) == (stakes.get_balance("alice"), stakes.get_account("alice").total_staked)
    for hold in (first, second):
        with pytest.raises(HoldError, match="released"):
            stakes.release(hold.id)
        assert stakes.get_hold(hold.id).released_at is not None


def test_debts_are_repaid_and_drawn_last(stakes: Ledger, clock: Clock) -> None:
    """Where the limit of overdraft is not enough, releases repay first, and the rest is drawn."""
    stakes.limit_overdraft("alice", 20)
    stakes.spend("alice", 25, reason="on credit")
    clock.time += 2 * MINUTE
    stakes.spend("alice", 50, reason="buy")
    account = stakes.get_account("alice")
    assert (-15, 15, 40) == (account.balance, account.debt, account.total_staked)
    assert [] == check(stakes).findings
    assert 0 == stakes.recalc(dry_run=True).findings_total


def test_a_list_of_many_payers(stakes: Ledger, clock: Clock) -> None:
    """Each payer's own holds are released before its posting; neighbours keep their places."""
    for name in ("c", "d"):
        stakes.create_account(name, initial_balance=10)
        stakes.hold(name, 10, expires_at=after(1))
    clock.time += 2 * MINUTE
    records = [
        stakes.record(*sides, reason=f"p{n}")
        for n, sides in enumerate(
            [("c", "bob", 4), ("d", "bob", 11), ("alice", "c", 60), ("c", "d", 66)]
        )
    ]
    results = stakes.post_many(records, atomic=False)
    assert [None, "insufficient_balance", None, None] == [
        getattr(result, "code", None) for result in results
    ]
    assert [0, 4, 0, 66] == [stakes.get_balance(n) for n in ("alice", "bob", "c", "d")]
    assert [] == check(stakes).findings
    assert 0 == stakes.recalc(dry_run=True).findings_total


def test_as_many_as_one_posting_releases(
    stakes: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that keep the most; what they do not cover waits for the sweep."""
    monkeypatch.setattr(due, "DUE_MAX", 1)
    clock.time += 2 * MINUTE
    with pytest.raises(InsufficientBalanceError):
        stakes.spend("alice", 50, reason="buy")
    stakes.spend("alice", 40, reason="buy")
    assert 60 == stakes.get_account("alice").total_staked


def test_a_sweep_and_spendings_at_once(stakes: Ledger, clock: Clock) -> None:
    """Sweeper and spenders side by side give each hold back once, and spend the money once."""
    clock.time += 2 * MINUTE

    def spend(number: int) -> bool:
        if number % 4 == 0:
            stakes.expire_holds()
            return False
        try:
            stakes.spend("alice", 20, reason="buy")
        except InsufficientBalanceError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        spent = sum(pool.map(spend, range(16)))
    assert (3, 0, 40) == (
        spent, stakes.get_balance("alice"), stakes.get_account("alice").total_staked,
    )  # fmt: skip
    assert [] == check(stakes).findings


def test_a_remembered_escrow_balance_is_not_kept(stakes: Ledger, clock: Clock) -> None:
    """A cached ledger forgets what the escrow account held when its own write released holds."""
    clock.time += 2 * MINUTE
    coins = stakes.cached(ttl_s=3600)
    assert 90 == coins.get_balance("escrow:alice")
    coins.spend("alice", 55, reason="buy")
    assert 40 == coins.get_balance("escrow:alice")
