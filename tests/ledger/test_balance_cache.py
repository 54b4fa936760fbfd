"""`cached`: balances remembered for a while, never older than the caller's own last write."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session

from token_ledger.errors import DatabaseError, HoldError, InsufficientBalanceError, UsageError
from token_ledger.ledger import AsyncLedger, Ledger
from token_ledger.ledger.balance_cache import CachedLedger
from token_ledger.ledger.posted import Posted

ONE = 10**18


class Timer:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def cached(ledger: Ledger, timer: Timer) -> CachedLedger:
    """Return the ledger, remembering for ten seconds of the test's own time."""
    return CachedLedger(ledger, ttl_s=10, accounts_max=1_000, timer=timer)


@pytest.fixture
def queries(ledger: Ledger) -> Iterator[list[str]]:
    """Yield the statements that reach the database."""
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(ledger.engine, "before_cursor_execute", note)
    yield seen
    event.remove(ledger.engine, "before_cursor_execute", note)


def test_a_remembered_balance_asks_nothing(cached: CachedLedger, queries: list[str]) -> None:
    """The second reading reaches no database, for an account that does not exist too."""
    for name in ("alice", "nobody"):
        first = cached.get_balance(name)
        asked = len(queries)
        assert first == cached.get_balance(name)
        assert asked == len(queries)


def test_others_are_seen_when_the_time_is_over(
    cached: CachedLedger, ledger: Ledger, timer: Timer
) -> None:
    """What somebody else wrote is seen after the time at the latest, or by naming its number."""
    assert 50 * ONE == cached.get_balance("bob")
    posted = ledger.transfer("alice", "bob", 1, reason="x")
    assert 50 * ONE == cached.get_balance("bob")
    assert 51 * ONE == cached.get_balance("bob", after=posted.entry_no)
    ledger.transfer("alice", "bob", 1, reason="x")
    timer.at = 9.9
    assert 51 * ONE == cached.get_balance("bob")
    timer.at = 10.1
    assert 52 * ONE == cached.get_balance("bob")


def test_ones_own_writes_are_seen_at_once(cached: CachedLedger, ledger: Ledger) -> None:
    """After each verb, every balance is what the database has: no time passes here."""
    names = ("alice", "bob", "carol", "dora", "escrow:alice")
    state: dict[str, Any] = {}

    def later() -> dt.datetime:
        return dt.datetime(2030, 1, 1, tzinfo=dt.UTC)

    def record(sender: str, amount: int) -> Any:
        return cached.record(sender, "bob", amount, reason="x")

    def held(**words: Any) -> None:
        state["held"] = cached.hold("alice", 9, **words).id

    verbs = [
        lambda: cached.transfer("alice", "bob", 1, reason="x"),
        lambda: cached.mint("carol", 5, reason="x"),
        lambda: cached.burn("carol", 1, reason="x"),
        lambda: cached.spend("alice", 1, to="bob", reason="x"),
        lambda: cached.credit("dora", 1, create_account=True, reason="x"),
        lambda: cached.set_rule("play", 2),
        lambda: state.update(award=cached.award("dora", "play").id),
        lambda: cached.reverse(state["award"]),
        lambda: cached.post_many([record("alice", 1), record("bob", 1)][:1] * 2),
        lambda: cached.post_many([record("alice", 1), record("carol", 10**6)], atomic=False),
        lambda: cached.create_account("emil", initial_balance=3),
        lambda: cached.seed_accounts(7),
        held,
        lambda: cached.capture(state["held"], 2, to="bob"),
        lambda: cached.release(state["held"]),
        lambda: cached.limit_overdraft("carol", 50),
        lambda: cached.spend("carol", 30, reason="x"),
        lambda: cached.write_off("carol", by="me", reason="x"),
        lambda: held(expires_at=later()),
    ]
    for verb in verbs:
        before = [cached.get_balance(name) for name in names]
        assert before == [ledger.get_balance(name) for name in names]
        verb()
        expected = [ledger.get_balance(name) for name in names]
        assert expected == [cached.get_balance(name) for name in names]


def test_an_expiry_that_comes_along_is_seen(database_url: str) -> None:
    """A capture that is refused because the hold expired gives the money back: seen at once."""
    now = [10**15]
    with Ledger.create(database_url, operator=b"\1" * 20, clock=lambda: now[0]) as ledger:
        ledger.create_token("T", "Token", 0)
        ledger.create_account("alice", initial_balance=10)
        cached = ledger.cached(ttl_s=100)
        until = dt.datetime.fromtimestamp(10**9 + 60, dt.UTC)
        hold = cached.hold("alice", 4, expires_at=until)
        assert 6 == cached.get_balance("alice")
        now[0] += 120 * 10**6
        with pytest.raises(HoldError, match="expired"):
            cached.capture(hold.id)
        assert 10 == cached.get_balance("alice")


class Unmarked(CachedLedger):
    """A store with a planted bug: it drops what it remembers, and leaves no mark."""

    def wrote(self, *postings: Posted) -> None:
        for posted in postings:
            for name in (posted.from_account, posted.to_account):
                self._remembered.pop((1, name), None)


@pytest.mark.parametrize(("kind", "seen"), [(CachedLedger, 51), (Unmarked, 50)])
def test_a_slow_reader_cannot_bring_the_past_back(
    kind: type[CachedLedger], seen: int, ledger: Ledger
) -> None:
    """A reading that began before a write and is stored after it is not given to the writer.

    The store with the planted bug gives it, which shows that this test would see it.
    """
    cached = kind(ledger, ttl_s=1_000, accounts_max=100)
    has_read, may_store = threading.Event(), threading.Event()

    def hold_up(_connection: Any) -> None:
        if threading.current_thread().name == "slow":
            has_read.set()
            assert may_store.wait(30)

    event.listen(ledger.engine, "commit", hold_up)
    slow = threading.Thread(target=lambda: cached.get_balance("bob"), name="slow")
    slow.start()
    assert has_read.wait(30)
    cached.transfer("alice", "bob", 1, reason="x")
    may_store.set()
    slow.join()
    event.remove(ledger.engine, "commit", hold_up)
    assert seen * ONE == cached.get_balance("bob")


def test_many_threads_each_see_their_own(ledger: Ledger) -> None:
    """Among threads that write to shared accounts, no reading lacks what its thread has written."""
    with ledger.coalesced() as fast:
        cached = fast.cached(ttl_s=1_000)

        def play(number: int) -> bool:
            paid = cached.transfer("alice", "bob", "0.01", reason="x")
            assert paid.balance_after_to is not None
            return cached.get_balance("bob") >= paid.balance_after_to

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(play, range(160)))
        assert ledger.get_balance("bob") == cached.get_balance("bob")


def test_what_is_written_in_the_callers_transaction(cached: CachedLedger, ledger: Ledger) -> None:
    """Told of it after the commit, it gives nothing older; a session's own view is never cached."""
    engine = create_engine(ledger.engine.url)
    assert 50 * ONE == cached.get_balance("bob")
    with Session(engine) as session:
        inside = cached.bound_to(session)
        posted = inside.transfer("alice", "bob", 1, reason="x")
        assert 51 * ONE == inside.get_balance("bob")
        assert 50 * ONE == cached.get_balance("bob")
        with pytest.raises(UsageError):
            inside.cached()
        session.commit()
    engine.dispose()
    cached.wrote(posted)
    assert 51 * ONE == cached.get_balance("bob")


def test_a_write_that_may_have_landed_is_looked_up(cached: CachedLedger, ledger: Ledger) -> None:
    """Cut after COMMIT and before the answer: what was written is seen all the same."""
    assert 50 * ONE == cached.get_balance("bob")

    def cut(connection: Any) -> Any:
        raise DatabaseError("the connection was cut")

    ledger.transfer("alice", "bob", 1, reason="x")  # what the cut transaction did
    with pytest.raises(DatabaseError):
        cached.run(cut)
    assert 51 * ONE == cached.get_balance("bob")


def test_refusals_forget_nothing(cached: CachedLedger, queries: list[str]) -> None:
    """A refused posting changed nothing: what is remembered stays."""
    cached.get_balance("bob")
    with pytest.raises(InsufficientBalanceError):
        cached.transfer("carol", "bob", 1, reason="x")
    asked = len(queries)
    cached.get_balance("bob")
    assert asked == len(queries)


def test_it_keeps_within_its_size(ledger: Ledger) -> None:
    """More accounts than it has room for: it begins anew, and is right."""
    cached = ledger.cached(ttl_s=1_000, accounts_max=3)
    for _ in range(3):
        for name in ("alice", "bob", "carol", "x", "y"):
            assert ledger.get_balance(name) == cached.get_balance(name)
            cached.transfer("alice", "bob", "0.1", reason="x")
    assert len(cached._remembered) + len(cached._marks) <= 3
    with pytest.raises(UsageError):
        ledger.cached(accounts_max=0)


def test_awaited(ledger: Ledger) -> None:
    """An AsyncLedger on a cached one remembers, and sees its tasks' own writes."""

    async def main() -> None:
        async with AsyncLedger(ledger.cached(ttl_s=1_000)) as coins:
            assert 50 * ONE == await coins.get_balance("bob")
            ledger.transfer("alice", "bob", 1, reason="x")
            assert 50 * ONE == await coins.get_balance("bob")
            await coins.transfer("alice", "bob", 1, reason="x")
            assert 52 * ONE == await coins.get_balance("bob")

    asyncio.run(main())
