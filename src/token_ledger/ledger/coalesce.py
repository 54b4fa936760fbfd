"""Many callers, one commit: single postings gathered into one transaction, each its own answer.

One thread posts whatever has been handed in since the last commit. Callers who were answered
together come back together, so it waits while they are still arriving, milliseconds at most; a
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
from typing import Literal, NamedTuple, Self, overload

from token_ledger.core.types import Record
from token_ledger.errors import DatabaseError, RetryableError, TokenLedgerError, UsageError
from token_ledger.ledger import posting
from token_ledger.ledger.accounts import Known
from token_ledger.ledger.ledger import Ledger
from token_ledger.ledger.posted import Posted
from token_ledger.ledger.requests import fresh_key
from token_ledger.ledger.tokens import StoredToken

ARRIVAL_S = 0.0005
ARRIVAL_S_MAX = 0.005
KNOWN_MAX = 100_000


class _Task(NamedTuple):
    token: StoredToken
    record: Record
    answer: Future[Posted]


class Coalescer:
    """The writer thread of a ledger, and the queue before it."""

    def __init__(self, ledger: Ledger, *, postings_max: int = 500) -> None:
        if postings_max < 1:
            raise UsageError(f"postings_max is {postings_max}", hint="one at least")
        self._ledger = ledger
        self._postings_max = postings_max
        self._tasks: deque[_Task] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._recent = 0
        self._known: dict[str, Known] = {}  # a committed account's number and address never change
        self._thread = threading.Thread(target=self._loop, name="token-ledger-writer", daemon=True)
        self._thread.start()

    def submit(self, record: Record) -> Future[Posted]:
        """Hand in a record; the future answers after its commit, with the result or the error.

        Cancelling the future takes the record back while it waits, and does nothing after that.
        Raises UsageError once closed.
        """
        if record.idempotency_key is None:
            record = replace(record, idempotency_key=fresh_key())
        task = _Task(self._ledger.token, record, Future())
        with self._wake:
            if self._closed:
                raise UsageError("the coalescer is closed", hint="open the ledger again")
            self._tasks.append(task)
            self._wake.notify()
        return task.answer

    def close(self) -> None:
        """Post what was handed in, then end the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _loop(self) -> None:
        while tasks := self._take():
            running = [task for task in tasks if task.answer.set_running_or_notify_cancel()]
            token = running[0].token if running else None
            while running and token is not None:
                mine = [task for task in running if task.token == token]
                running = [task for task in running if task.token != token]
                self._answer(token, mine)
                token = running[0].token if running else None

    def _take(self) -> list[_Task]:
        """Wait for work; return all that waits, up to the maximum, or nothing when closed."""
        with self._wake:
            self._wake.wait_for(lambda: self._tasks or self._closed)
        if self._recent > 1 and not self._closed:
            self._let_arrive()
        with self._wake:
            self._recent = min(len(self._tasks), self._postings_max)
            return [self._tasks.popleft() for _ in range(self._recent)]

    def _let_arrive(self) -> None:
        """Sleep while more and more tasks wait, a few milliseconds at most."""
        before, slept = 0, 0.0
        while before < len(self._tasks) < self._postings_max and slept < ARRIVAL_S_MAX:
            before = len(self._tasks)
            time.sleep(ARRIVAL_S)
            slept += ARRIVAL_S

    def _answer(self, token: StoredToken, tasks: Sequence[_Task]) -> None:
        outcomes = self._post(token, [task.record for task in tasks])
        for task, outcome in zip(tasks, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                task.answer.set_exception(outcome)
            else:
                task.answer.set_result(outcome)

    def _post(
        self, token: StoredToken, records: Sequence[Record]
    ) -> Sequence[Posted | BaseException]:
        """Post in one transaction. If the whole fails, find out whether one of them is to blame."""
        ledger = self._ledger
        if len(self._known) > KNOWN_MAX:
            self._known.clear()
        try:
            return ledger.run(
                lambda c: posting.post_each(c, ledger.context, token, records, known=self._known)
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
        self, records: Sequence[Record], *, atomic: Literal[True] = True
    ) -> list[Posted]: ...

    @overload
    def post_many(
        self, records: Sequence[Record], *, atomic: bool
    ) -> list[Posted | TokenLedgerError]: ...

    def post_many(
        self, records: Sequence[Record], *, atomic: bool = True
    ) -> list[Posted] | list[Posted | TokenLedgerError]:
        """Post one record in a shared commit, or a list in one of its own, as `Ledger` does."""
        if atomic and len(records) == 1:
            return [self._coalescer.submit(records[0]).result()]
        return super().post_many(records, atomic=atomic)
