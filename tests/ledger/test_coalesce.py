"""Write coalescing: many callers share a commit, and each gets its own result or error."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import Connection, event

from token_ledger.core.types import Record, Texts
from token_ledger.errors import (
    DatabaseError,
    InsufficientBalanceError,
    KeyConflictError,
    TokenLedgerError,
    UnknownAccountError,
    UsageError,
)
from token_ledger.ledger import Ledger, coalesce, posting
from token_ledger.ledger.coalesce import CoalescedLedger


def _record(sender: str, receiver: str, value: int, key: str | None = None) -> Record:
    return Record(sender, receiver, value, Texts(reason="play"), key)


@contextmanager
def held_up(ledger: Ledger, fast: CoalescedLedger) -> Iterator[None]:
    """Keep the writer at an earlier commit while the block runs, so that all of it is the next."""
    with ledger.write() as connection:
        words = (connection, ledger.context, ledger.token)
        posting.post(*words, [_record("alice", "bob", 1, "in the way")])
        plug = fast.submit(_record("alice", "bob", 1, "held up"))
        while fast._coalescer._tasks:
            time.sleep(0.001)
        yield
    plug.result(timeout=60)


def test_one_commit_answers_each_its_own(ledger: Ledger) -> None:
    """In one commit the good are posted, each bad one gets its error, and a key counts once."""
    with ledger.coalesced() as fast, held_up(ledger, fast):
        answers = [
            fast.submit(record)
            for record in (
                _record("alice", "bob", 1, "a"),
                _record("carol", "bob", 10**30),
                _record("nobody", "bob", 1),
                _record("alice", "alice", 1),
                _record("alice", "bob", 1, "a"),
                _record("alice", "bob", 2, "a"),
                _record("alice", "bob", 0),
                _record("bob", "system", 3, "b"),
                _record("alice", "bob", 2, "c"),
            )
        ]
        commits = count_commits(ledger)
    errors = [answer.exception() for answer in answers]
    codes = [error.code if isinstance(error, TokenLedgerError) else None for error in errors]
    expected = [None, "insufficient_balance", "unknown_account", "self_transfer", None]
    assert [*expected, "key_conflict", "amount_out_of_range", None, None] == codes
    posted = [answers[i].result() for i in (0, 4, 7, 8)]
    assert [("a", False), ("a", True), ("b", False), ("c", False)] == [
        (one.idempotency_key, one.repeated) for one in posted
    ]
    assert [1, 1, 3, 2] == [one.value for one in posted]
    assert posted[0].id == posted[1].id
    assert 50 * 10**18 + 2 + 1 - 3 + 2 == ledger.get_balance("bob")
    assert 3 == len(commits)  # what was in the way, what was held up, and all of these


def count_commits(ledger: Ledger) -> list[bool]:
    """Return a list that grows with each commit of a transaction that may write."""
    commits: list[bool] = []

    def note(connection: Connection) -> None:
        if connection.get_execution_options().get("token_ledger_write"):
            commits.append(True)

    event.listen(ledger.engine, "commit", note)
    return commits


def test_sixty_four_callers_share_a_commit(ledger: Ledger) -> None:
    """Postings of 64 threads that come at once are one commit, in the order of the balances."""
    with ledger.coalesced() as fast, ThreadPoolExecutor(64) as pool:

        def play(number: int) -> int:
            key = f"play:{number}"
            posted = fast.transfer("alice", "bob", "0.01", reason="play", idempotency_key=key)
            return posted.balance_after_to or 0

        with held_up(ledger, fast):
            commits = count_commits(ledger)
            calls = [pool.submit(play, number) for number in range(64)]
            while len(fast._coalescer._tasks) < 64 and not any(call.done() for call in calls):
                time.sleep(0.001)
        balances = [call.result(timeout=60) for call in calls]
    assert 3 == len(commits)
    assert 64 == len(set(balances))
    assert 50 * 10**18 + 2 + 64 * 10**16 == ledger.get_balance("bob") == max(balances)


def test_double_spends_do_not_pass(ledger: Ledger) -> None:
    """Of a hundred spends of the same money, as many pass as there is money for."""
    with ledger.coalesced() as fast, ThreadPoolExecutor(32) as pool:

        def spend(_: int) -> bool:
            try:
                fast.transfer("bob", "carol", 1, reason="spend")
            except InsufficientBalanceError:
                return False
            return True

        assert 50 == sum(pool.map(spend, range(100)))
    assert 0 == ledger.get_balance("bob")


def test_answered_means_committed(ledger: Ledger) -> None:
    """When the answer is there, every other connection sees the entry."""
    with ledger.coalesced() as fast:
        for _ in range(20):
            posted = fast.transfer("alice", "bob", 1, reason="play")
            assert posted.id == ledger.get_entry(posted.id).id


def test_a_row_that_the_database_refuses_fails_alone(ledger: Ledger) -> None:
    """Where the database refuses the whole transaction, the neighbours are posted one by one."""
    bad = ledger.record("alice", "bob", 1, reason="poison", idempotency_key="bad")
    sqlite = ledger.engine.dialect.name == "sqlite"
    with ledger.write() as connection:
        if sqlite:
            connection.exec_driver_sql(
                "CREATE TRIGGER poison BEFORE INSERT ON token_ledger WHEN NEW.reason = 'poison'"
                " BEGIN SELECT RAISE(ABORT, 'poisoned'); END"
            )
        else:
            connection.exec_driver_sql(
                "ALTER TABLE token_ledger ADD CONSTRAINT poison CHECK (reason <> 'poison')"
            )
    with ledger.coalesced() as fast:
        answers = [fast.submit(_record("alice", "bob", 1)) for _ in range(3)]
        answers.insert(1, fast.submit(bad))
    assert isinstance(answers[1].exception(), DatabaseError)
    assert [None] * 3 == [answers[i].exception() for i in (0, 2, 3)]
    assert 50 * 10**18 + 3 == ledger.get_balance("bob")


def test_lists_stay_atomic(ledger: Ledger) -> None:
    """A list of postings is one transaction, all or none, as without the coalescer."""
    with ledger.coalesced() as fast:
        records = [_record("alice", "bob", 1), _record("carol", "bob", 10**30)]
        with pytest.raises(InsufficientBalanceError):
            fast.post_many(records)
    assert 50 * 10**18 == ledger.get_balance("bob")


def test_errors_are_those_of_the_ledger(ledger: Ledger) -> None:
    """Callers see the same classes as without the coalescer, also for a repeated key."""
    with ledger.coalesced() as fast:
        fast.transfer("alice", "bob", 1, reason="play", idempotency_key="k")
        with pytest.raises(KeyConflictError):
            fast.transfer("alice", "bob", 2, reason="play", idempotency_key="k")
        with pytest.raises(UnknownAccountError):
            fast.transfer("alice", "dave", 2, reason="play")
        assert fast.transfer("alice", "bob", 1, reason="play", idempotency_key="k").repeated


def test_closed_means_closed(ledger: Ledger) -> None:
    """What was handed in before the close is posted; after it nothing is taken."""
    fast = ledger.coalesced(postings_max=1)
    answers = [fast.submit(_record("alice", "bob", 1)) for _ in range(10)]
    fast.close()
    assert all(answer.done() and answer.exception() is None for answer in answers)
    with pytest.raises(UsageError, match="closed"):
        fast.submit(_record("alice", "bob", 1))
    with pytest.raises(UsageError, match="one at least"):
        ledger.coalesced(postings_max=0)


def test_a_connection_that_was_cut_is_replaced(postgres_url: str) -> None:
    """The writer keeps its connection between commits; cut while it waits, it takes another."""
    with Ledger.create(postgres_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("T", "Token", 0)
        ledger.create_account("alice", initial_balance=10)
        ledger.create_account("bob")
        with ledger.coalesced() as fast:
            for number in range(3):
                posted = fast.transfer("alice", "bob", 1, reason="play")
                assert (False, number + 1) == (posted.repeated, posted.balance_after_to)
                with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
                    connection.execute(
                        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )


def test_a_writer_without_work_keeps_no_connection(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A while after the last posting its connection is back in the pool."""
    monkeypatch.setattr(coalesce, "IDLE_S", 0.05)
    back = threading.Event()
    with ledger.coalesced() as fast:
        fast.transfer("alice", "bob", 1, reason="play")
        event.listen(ledger.engine, "checkin", lambda *_: back.set())
        assert back.wait(timeout=60)
        assert 50 * 10**18 == fast.get_balance("bob") - 10**18
        fast.transfer("alice", "bob", 1, reason="play")


def test_callers_who_come_and_go_are_all_answered(ledger: Ledger) -> None:
    """Threads that wait and futures that do not, in bursts of any size: nobody is forgotten."""
    chance = random.Random(3)
    with ledger.coalesced(postings_max=7) as fast, ThreadPoolExecutor(24) as pool:

        def caller(size: int) -> int:
            futures = [fast.submit(_record("alice", "bob", 1)) for _ in range(size % 3)]
            for _ in range(size):
                fast.post_many([_record("alice", "bob", 1)])
            return sum(future.result(timeout=60).value for future in futures) + size

        sizes = [chance.randint(0, 9) for _ in range(40)]
        assert sum(sizes) + sum(size % 3 for size in sizes) == sum(pool.map(caller, sizes))


def test_half_a_crowd_waits_for_the_other(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers who came during a commit share the next with those whom it answered."""
    monkeypatch.setattr(coalesce, "ARRIVAL_S", 60.0)  # the writer waits for those it counts on
    monkeypatch.setattr(coalesce, "ARRIVAL_S_MAX", 1e-9)
    begun, go_on = threading.Event(), threading.Event()

    def hold(_connection: object) -> None:
        begun.set()
        assert go_on.wait(timeout=60)

    with ledger.coalesced() as fast:
        event.listen(ledger.engine, "commit", hold)
        first = [fast.submit(_record("alice", "bob", 1))]
        assert begun.wait(timeout=60)
        first.append(fast.submit(_record("alice", "carol", 1)))
        go_on.set()
        assert 1 == first[0].result(timeout=60).value
        event.remove(ledger.engine, "commit", hold)
        commits: list[int] = []
        event.listen(ledger.engine, "commit", lambda _connection: commits.append(1))
        assert not first[1].done()
        back = fast.submit(_record("alice", "bob", 1))
        assert [1, 1] == [answer.result(timeout=60).value for answer in (first[1], back)]
    assert [1] == commits
