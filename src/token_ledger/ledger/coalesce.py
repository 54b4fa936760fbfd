"""Many callers, one commit: single postings gathered into one transaction, each its own answer.

One thread posts whatever has been handed in since the last commit. Callers who were answered come
back at once, so it waits while they join those who came meanwhile, no longer than a commit takes
and milliseconds at most: two half crowds that take turns would pay for twice as many commits. A
lone caller never waits and is as fast as without it. An answer is given after the commit and never
before. Keys are settled before the commit: who hears of a broken connection can ask again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Literal, Protocol, Self, overload

from token_ledger.core.types import Record
from token_ledger.errors import DatabaseError, RetryableError, TokenLedgerError, UsageError
from token_ledger.ledger import engine as engines
from token_ledger.ledger import posting
from token_ledger.ledger.accounts import Known
from token_ledger.ledger.ledger import Ledger
from token_ledger.ledger.posted import Posted
from token_ledger.ledger.requests import fresh_key
from token_ledger.ledger.tokens import StoredToken

ARRIVAL_S = 0.0005
ARRIVAL_S_MAX = 0.005
IDLE_S = 1.0
KNOWN_MAX = 100_000


class _Task(Protocol):
    """A record that was handed in, and whoever waits for what it becomes."""

    token: StoredToken
    record: Record

    def start(self) -> bool:
        """Return whether it is still wanted."""

    def finish(self, outcome: Posted | BaseException) -> None:
        """Answer."""


class _Promised:
    """A task that answers into a future."""

    __slots__ = ("future", "record", "token")

    def __init__(self, token: StoredToken, record: Record) -> None:
        self.token, self.record = token, record
        self.future: Future[Posted] = Future()

    def start(self) -> bool:
        return self.future.set_running_or_notify_cancel()

    def finish(self, outcome: Posted | BaseException) -> None:
        if isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class _Awaited:
    """A task whose caller's thread waits: a bare lock, at a third of what a future costs."""

    __slots__ = ("_answered", "_outcome", "record", "token")

    def __init__(self, token: StoredToken, record: Record) -> None:
        self.token, self.record = token, record
        self._outcome: Posted | BaseException | None = None
        self._answered = threading.Lock()
        self._answered.acquire()

    def start(self) -> bool:
        return True

    def finish(self, outcome: Posted | BaseException) -> None:
        self._outcome = outcome
        self._answered.release()

    def wait(self) -> Posted:
        """Return the result, or raise the error, once it is there."""
        with self._answered:
            outcome = self._outcome
        assert outcome is not None, "it is set before the lock opens"
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


class Coalescer:
    """The writer thread of a ledger, and the queue before it."""

    def __init__(self, ledger: Ledger, *, postings_max: int = 500) -> None:
        if postings_max < 1:
            raise UsageError(f"postings_max is {postings_max}", hint="one at least")
        self._ledger = ledger
        self._connection = engines.KeptConnection(ledger.engine)
        self._postings_max = postings_max
        self._tasks: deque[_Task] = deque()
        self._door = threading.Lock()  # of the queue, and of the next three
        self._bell = threading.Semaphore(0)
        self._awaited = 0  # how many tasks the writer sleeps for; 0 while it is awake
        self._closed = False
        self._taken, self._taken_at = 0, 0.0  # how many tasks were taken last, and when
        self._crowd = 0  # of those, and who waited when they were answered; 0 until then
        self._took = 0.0  # seconds until then
        self._known: dict[str, Known] = {}  # a committed account's number and address never change
        self._thread = threading.Thread(target=self._loop, name="token-ledger-writer", daemon=True)
        self._thread.start()

    def submit(self, record: Record) -> Future[Posted]:
        """Hand in a record; the future answers after its commit, with the result or the error.

        Cancelling the future takes the record back while it waits, and does nothing after that.
        Raises UsageError once closed.
        """
        task = _Promised(self._ledger.token, _keyed(record))
        self._hand_in(task)
        return task.future

    def post(self, record: Record) -> Posted:
        """Return what a record became, after its commit. Raises its error, and as `submit`."""
        task = _Awaited(self._ledger.token, _keyed(record))
        self._hand_in(task)
        return task.wait()

    def close(self) -> None:
        """Post what was handed in, then end the thread."""
        with self._door:
            self._closed = True
            self._ring()
        self._thread.join()

    def _hand_in(self, task: _Task) -> None:
        with self._door:
            if self._closed:
                raise UsageError("the coalescer is closed", hint="open the ledger again")
            self._tasks.append(task)
            if 0 < self._awaited <= len(self._tasks):
                self._ring()

    def _ring(self) -> None:
        """Wake the writer if it sleeps. The door is held."""
        if self._awaited:
            self._awaited = 0
            self._bell.release()

    def _loop(self) -> None:
        while tasks := self._take():
            self._taken, self._taken_at, self._crowd = len(tasks), time.monotonic(), 0
            running = [task for task in tasks if task.start()]
            while running:
                token = running[0].token
                mine = [task for task in running if task.token is token or task.token == token]
                if len(mine) == len(running):
                    running = []
                else:
                    running = [task for task in running if task.token != token]
                self._answer(token, mine)
        self._connection.release()

    def _take(self) -> list[_Task]:
        """Wait for work; return all that waits, up to the maximum, or nothing when closed."""
        if not self._sleep(1, IDLE_S):
            self._connection.release()
            self._sleep(1, None)
        # Callers who were answered come back, and join those who have come meanwhile.
        slept, before = 0.0, 0
        while slept < min(ARRIVAL_S_MAX, self._took) and before < len(self._tasks):
            before = len(self._tasks)
            if self._sleep(min(self._crowd, self._postings_max), ARRIVAL_S):
                break
            slept += ARRIVAL_S
        with self._door:
            count = min(len(self._tasks), self._postings_max)
            return [self._tasks.popleft() for _ in range(count)]

    def _sleep(self, count: int, seconds: float | None) -> bool:
        """Wait until so many tasks are there, or it closes; return False if it took too long."""
        with self._door:
            if len(self._tasks) >= count or self._closed:
                return True
            self._awaited = count
        if self._bell.acquire(timeout=seconds):
            return True
        with self._door:
            if self._awaited:
                self._awaited = 0
                return False
        return self._bell.acquire()  # rung in between

    def _answer(self, token: StoredToken, tasks: Sequence[_Task]) -> None:
        outcomes = self._post(token, [task.record for task in tasks])
        self._ledger._committed(list(outcomes))
        if not self._crowd:
            self._crowd = self._taken + len(self._tasks)
            self._took = time.monotonic() - self._taken_at
        for task, outcome in zip(tasks, outcomes, strict=True):
            task.finish(outcome)

    def _post(
        self, token: StoredToken, records: Sequence[Record]
    ) -> Sequence[Posted | BaseException]:
        """Post in one transaction. If the whole fails, find out whether one of them is to blame."""
        ledger = self._ledger
        if len(self._known) > KNOWN_MAX:
            self._known.clear()
        try:
            return engines.run(
                ledger.engine,
                lambda c: posting.post_each(c, ledger.context, token, records, known=self._known),
                begin=self._connection.writing,
            )
        except RetryableError as error:
            return [error] * len(records)
        except DatabaseError as error:
            if len(records) == 1 or not self._reachable():
                return [error] * len(records)
        except TokenLedgerError as error:
            return [error] * len(records)
        except BaseException as error:
            return [error] * len(records)
        return [self._post(token, [record])[0] for record in records]

    def _reachable(self) -> bool:
        try:
            self._ledger.tokens()
        except DatabaseError:
            return False
        return True


def _keyed(record: Record) -> Record:
    """Return the record with a key: settled before the commit, it can be asked again."""
    if record.idempotency_key is not None:
        return record
    return replace(record, idempotency_key=fresh_key())


class CoalescedLedger(Ledger):
    """A ledger whose single postings share commits; lists and all other verbs are as ever."""

    def __init__(self, ledger: Ledger, *, postings_max: int = 500) -> None:
        super().__init__(ledger.engine, ledger._identity, token=ledger._symbol, clock=ledger._clock)
        self._token = ledger._token
        self._coalescer = Coalescer(ledger, postings_max=postings_max)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Post what was handed in and end the writer; the ledger underneath stays open."""
        self._coalescer.close()

    def submit(self, record: Record) -> Future[Posted]:
        """Hand in a record; the future answers after its commit, with the result or the error."""
        return self._coalescer.submit(record)

    @overload
    def post_many(
        self,
        records: Sequence[Record],
        *,
        atomic: Literal[True] = True,
        idempotency_key: str | None = None,
    ) -> list[Posted]: ...

    @overload
    def post_many(
        self, records: Sequence[Record], *, atomic: bool, idempotency_key: str | None = None
    ) -> list[Posted | TokenLedgerError]: ...

    def post_many(
        self,
        records: Sequence[Record],
        *,
        atomic: bool = True,
        idempotency_key: str | None = None,
    ) -> list[Posted] | list[Posted | TokenLedgerError]:
        """Post one record in a shared commit, or a list in one of its own, as `Ledger` does."""
        if atomic and len(records) == 1 and idempotency_key is None:
            return [self._coalescer.post(records[0])]
        return super().post_many(records, atomic=atomic, idempotency_key=idempotency_key)
