"""Holds: never over-captured, captured after release, released twice or lost, on both engines."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import books

from token_ledger.core.address import derive_vault
from token_ledger.errors import (
    AccountFrozenError,
    BalanceLimitError,
    DatabaseError,
    HoldError,
    InsufficientBalanceError,
    KeyConflictError,
    ReversalError,
    RuleError,
    SelfTransferError,
    TimestampError,
    UsageError,
)
from token_ledger.ledger import Ledger

ONE = 10**18


class Clock:
    """A clock that a test sets, in microseconds; each look is later than the last."""

    def __init__(self) -> None:
        self.at = books.START

    def __call__(self) -> int:
        self.at += 1
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(database_url: str, clock: Clock) -> Iterator[Ledger]:
    """Yield a ledger on that clock where alice holds 100, and bob nothing."""
    with Ledger.create(database_url, operator=b"\1" * 20, clock=clock) as ledger:
        ledger.create_token("T", "Token", 0)
        ledger.create_account("alice", initial_balance=100)
        ledger.create_account("bob")
        yield ledger


def later(clock: Clock, seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(clock.at // 10**6 + seconds, tz=dt.UTC)


def staked(ledger: Ledger, name: str = "alice") -> int:
    """Return what the holder's figures and the escrow account agree to be held."""
    figure = ledger.get_account(name).total_staked
    assert figure == ledger.get_balance(f"escrow:{name}")
    return figure


def test_hold_capture_release(ledger: Ledger) -> None:
    """A hold leaves the balance for escrow; parts go to anybody, the rest back to the holder."""
    held = ledger.hold("alice", 40, reason="bid")
    assert (60 * ONE, 40 * ONE) == (ledger.get_balance("alice"), staked(ledger))
    ledger.capture(held.id, 10, to="bob")
    ledger.capture(held.id, 5)  # burnt
    assert 25 * ONE == staked(ledger)
    assert 25 * ONE == ledger.release(held.id).value
    assert (85 * ONE, 60 * ONE, 0) == (
        ledger.get_balance("alice"), ledger.get_balance("bob"), staked(ledger),
    )  # fmt: skip
    assert 145 * ONE == ledger.get_total_supply()
    assert [] == ledger.holds()
    entry = ledger.get_statement("bob").entries[0]
    assert ("hold", "0x" + held.id.hex()) == (entry.reference_type, entry.reference_id)


def test_one_escrow_account_a_holder(ledger: Ledger) -> None:
    """All holds of a holder share one account, at a vault of the kind that obeys the operator."""
    for name, amount in (("alice", 1), ("alice", 2), ("bob", 3)):
        ledger.hold(name, amount)
    escrow = ledger.get_account("escrow:alice")
    expected = derive_vault(ledger.secret, "escrow:alice", ledger.operator, kind="escrow")
    assert (expected, True, 3 * ONE) == (escrow.address, escrow.escrow, escrow.balance)
    assert [1, 2] == [hold.value // ONE for hold in ledger.holds("alice")]
    assert 3 == len(ledger.holds())


def test_an_ended_hold_is_ended(ledger: Ledger) -> None:
    """Nothing is captured beyond the hold, after its release, or released twice."""
    held = ledger.hold("alice", 10)
    with pytest.raises(HoldError, match="10 left"):
        ledger.capture(held.id, 11, to="bob")
    ledger.release(held.id)
    for again in (ledger.release, ledger.capture):
        with pytest.raises(HoldError, match="was released"):
            again(held.id)
    whole = ledger.hold("alice", 10)
    ledger.capture(whole.id, to="bob")
    for again in (ledger.release, ledger.capture):
        with pytest.raises(HoldError, match="captured whole"):
            again(whole.id)
    with pytest.raises(HoldError, match="no hold"):
        ledger.release(b"\1" * 32)


def test_repeats_are_judged_on_the_request(ledger: Ledger) -> None:
    """Hold, capture and release repeat their results; the key with other arguments conflicts."""
    held = ledger.hold("alice", 10, idempotency_key="h")
    assert held.id == ledger.hold("alice", 10, idempotency_key="h").id
    paid = ledger.capture(held.id, to="bob", idempotency_key="c")
    again = ledger.capture(held.id, to="bob", idempotency_key="c")
    assert (paid.id, True) == (again.id, again.repeated)
    other = ledger.hold("alice", 10)
    back = ledger.release(other.id, idempotency_key="r")
    assert back.id == ledger.release(other.id, idempotency_key="r").id
    for conflict in (
        lambda: ledger.hold("alice", 11, idempotency_key="h"),
        lambda: ledger.hold("alice", 10, expires_at="2099-01-01T00:00:00Z", idempotency_key="h"),
        lambda: ledger.capture(held.id, 10, to="bob", idempotency_key="c"),
        lambda: ledger.release(other.id, idempotency_key="c"),
    ):
        with pytest.raises(KeyConflictError):
            conflict()


def test_escrow_moves_by_holds_alone(ledger: Ledger) -> None:
    """Nobody posts to or from escrow, makes, limits, reverses or holds such an account."""
    held = ledger.hold("alice", 10)
    for refused, kind in (
        (lambda: ledger.transfer("escrow:alice", "bob", 1, reason="x"), HoldError),
        (lambda: ledger.transfer("bob", "escrow:alice", 1, reason="x"), HoldError),
        (lambda: ledger.burn("escrow:alice", 1, reason="x"), HoldError),
        (lambda: ledger.hold("escrow:alice", 1), HoldError),
        (lambda: ledger.reverse(held.id), ReversalError),
        (lambda: ledger.freeze_account("escrow:alice"), UsageError),
        (lambda: ledger.create_account("escrow:bob"), UsageError),
        (lambda: ledger.capture(held.id, 1, to="escrow:alice"), RuleError),
        (lambda: ledger.capture(held.id, 1, to="alice"), SelfTransferError),
    ):
        with pytest.raises(kind):
            refused()
    assert 3 == ledger.seed_accounts(1) + 2  # carol alone: escrow is never endowed
    assert 10 * ONE == staked(ledger)


def test_frozen_holders(ledger: Ledger) -> None:
    """Freezing blocks new holds and captures, not the release."""
    held = ledger.hold("alice", 10)
    ledger.freeze_account("alice")
    with pytest.raises(AccountFrozenError):
        ledger.hold("alice", 1)
    with pytest.raises(AccountFrozenError):
        ledger.capture(held.id, 1, to="bob")
    assert 100 * ONE == ledger.release(held.id).balance_after_to


def test_caps_count_balance_and_holds(ledger: Ledger) -> None:
    """Money that is held still counts for the cap, and its release never breaks one."""
    ledger.limit_balance("alice", 100)
    held = ledger.hold("alice", 60)
    with pytest.raises(BalanceLimitError):
        ledger.mint("alice", 1, reason="x")
    ledger.limit_balance("alice", 50)
    ledger.release(held.id)
    assert 100 * ONE == ledger.get_balance("alice")


def test_expiry(timed: Ledger, clock: Clock) -> None:
    """From its instant on a hold cannot be captured; the attempt itself gives the money back."""
    with pytest.raises(TimestampError):
        timed.hold("alice", 1, expires_at=later(clock, -5))
    held = timed.hold("alice", 30, expires_at=later(clock, 60))
    timed.capture(held.id, 10, to="bob")
    assert 0 == timed.expire_holds()
    clock.at += 60_000_000
    with pytest.raises(HoldError, match="expired"):
        timed.capture(held.id, 1, to="bob")
    assert (90, 0) == (timed.get_balance("alice"), staked(timed))
    with pytest.raises(HoldError, match="was released"):
        timed.capture(held.id, 1, to="bob")


def test_expiry_of_many_without_a_touch(timed: Ledger, clock: Clock) -> None:
    """`expire_holds` releases all that are due, frozen holders' too, and only those, once."""
    for number in range(5):
        timed.hold("alice", 1, expires_at=later(clock, 60 * (number + 1)))
    timed.hold("alice", 1)
    timed.freeze_account("alice")
    clock.at += 190_000_000
    with ThreadPoolExecutor(4) as pool:
        assert 3 == sum(pool.map(lambda _: timed.expire_holds(), range(4)))
    assert (97, 3, 0) == (timed.get_balance("alice"), staked(timed), timed.expire_holds())


def test_captures_and_releases_at_once(ledger: Ledger) -> None:
    """Of many captures exactly what is held is taken, and of capture and release one succeeds."""
    held, other = ledger.hold("alice", 5), ledger.hold("alice", 5)

    def attempt(number: int) -> int:
        try:
            ledger.capture(held.id, 1, to="bob" if number % 2 else "carol")
        except HoldError:
            return 0
        return 1

    def end(number: int) -> int:
        try:
            ledger.release(other.id) if number % 2 else ledger.capture(other.id, to="carol")
        except HoldError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert 5 == sum(pool.map(attempt, range(16)))
        assert 1 == sum(pool.map(end, range(8)))
    assert 0 == staked(ledger)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE token_holds SET remaining = value, captured = value",
        "UPDATE token_holds SET value = remaining",
        "UPDATE token_holds SET expires_at = 5",
        "UPDATE token_holds SET holder_no = 2",
        "DELETE FROM token_holds",
        "UPDATE accounts SET escrow_of = NULL WHERE escrow_of = 1",
    ],
)
def test_the_database_keeps_it(ledger: Ledger, statement: str) -> None:
    """A hold never grows, changes holder or expiry, nor goes away, for raw SQL either."""
    held = ledger.hold("alice", 5)
    ledger.capture(held.id, 1, to="bob")
    with pytest.raises(DatabaseError), ledger.write() as connection:
        connection.exec_driver_sql(statement)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hold", "capture", "release", "pay", "tick", "expire", "reverse"]),
        st.sampled_from(["alice", "bob"]),
        st.integers(1, 40),
        st.integers(0, 3),
    ),
    max_size=30,
)


class Model:
    """The rules of holds in their shortest form; each verb returns whether it was taken."""

    def __init__(self) -> None:
        self.balances = {"alice": 100, "bob": 0}
        self.holds: list[dict] = []
        self.paid: list[list] = []
        self.time = 0

    def hold(self, who: str, value: int, index: int) -> bool:
        if self.balances[who] < value:
            return False
        self.balances[who] -= value
        until = self.time + 100 if index % 2 else None
        self.holds.append({"who": who, "left": value, "until": until, "ended": False})
        return True

    def end(self, hold: dict) -> None:
        self.balances[hold["who"]] += hold["left"]
        hold.update(left=0, ended=True)

    def capture(self, to: str, value: int, hold: dict) -> bool:
        if to == hold["who"] or hold["ended"] or not hold["left"]:
            return False
        if hold["until"] is not None and hold["until"] <= self.time:
            self.end(hold)
            return False
        if value > hold["left"]:
            return False
        hold["left"] -= value
        self.balances[to] += value
        return True

    def staked(self, who: str) -> int:
        return sum(hold["left"] for hold in self.holds if hold["who"] == who)


def walk(ledger: Ledger, clock: Clock, steps: list[tuple]) -> None:
    """Take the steps in the ledger and in the model, and compare after each."""
    model, ids, paid = Model(), [], []
    other = {"alice": "bob", "bob": "alice"}

    def taken(call) -> object:
        try:
            return call()
        except (HoldError, InsufficientBalanceError, SelfTransferError, ReversalError):
            return None

    for verb, who, value, index in steps:
        if verb == "hold":
            until = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(
                seconds=books.START // 10**6 + model.time + 100
            )
            expires = until if index % 2 else None
            done = taken(lambda: ledger.hold(who, value, expires_at=expires))  # noqa: B023
            assert model.hold(who, value, index) is (done is not None)
            if done is not None:
                ids.append(done.id)
        elif verb in ("capture", "release") and ids:
            place = index % len(ids)
            hold = model.holds[place]
            if verb == "capture":
                done = taken(lambda: ledger.capture(ids[place], value, to=who))  # noqa: B023
                assert model.capture(who, value, hold) is (done is not None)
            else:
                done = taken(lambda: ledger.release(ids[place]))  # noqa: B023
                assert (not hold["ended"] and hold["left"] > 0) is (done is not None)
                if done is not None:
                    model.end(hold)
        elif verb == "pay":
            done = taken(lambda: ledger.transfer(who, other[who], value, reason="x"))  # noqa: B023
            assert (model.balances[who] >= value) is (done is not None)
            if done is not None:
                model.balances[who] -= value
                model.balances[other[who]] += value
                paid.append([done.id, who, value])
        elif verb == "reverse" and paid:
            entry = paid[index % len(paid)]
            done = taken(lambda: ledger.reverse(entry[0], min(value, entry[2])))  # noqa: B023
            amount, payee = min(value, entry[2]), other[entry[1]]
            assert (len(entry) == 3 and model.balances[payee] >= amount) is (done is not None)
            if done is not None:
                entry.append("reversed")
                model.balances[payee] -= amount
                model.balances[entry[1]] += amount
        elif verb == "tick":
            model.time += 50
            clock.at += 50_000_000
        elif verb == "expire":
            due = [
                h for h in model.holds
                if h["left"] and h["until"] is not None and h["until"] <= model.time
            ]  # fmt: skip
            assert len(due) == ledger.expire_holds()
            for hold in due:
                model.end(hold)
        for name in ("alice", "bob"):
            account = ledger.get_account(name)
            assert (model.balances[name], model.staked(name)) == (
                account.balance, account.total_staked,
            )  # fmt: skip
            assert model.staked(name) == ledger.get_balance(f"escrow:{name}")
    assert 100 == ledger.get_total_supply()


def _timed(url: str) -> tuple[Ledger, Clock]:
    clock = Clock()
    ledger = Ledger.create(url, operator=b"\1" * 20, clock=clock)
    ledger.create_token("T", "Token", 0)
    ledger.create_account("alice", initial_balance=100)
    ledger.create_account("bob")
    return ledger, clock


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_random_walks_against_a_dict_on_sqlite(steps: list[tuple]) -> None:
    """Any run of holds, captures, releases, expiries and reversals does what it does to a dict."""
    with TemporaryDirectory() as directory:
        ledger, clock = _timed(f"sqlite:///{Path(directory) / 'x.db'}")
        with ledger:
            walk(ledger, clock, steps)


@settings(
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(STEPS)
def test_random_walks_against_a_dict_on_postgresql(new_postgres_url, steps: list[tuple]) -> None:
    """The same on PostgreSQL."""
    ledger, clock = _timed(new_postgres_url())
    with ledger:
        walk(ledger, clock, steps)
