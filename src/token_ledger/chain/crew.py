"""A few threads that fetch while somebody else writes, their results taken in order.

Unlike an executor's, they keep no process alive: who is told to stop while a node keeps it waiting
can stop. Knows nothing of nodes.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple["Future[Any]", Callable[[], Any]]


class Crew:
    """So many threads; use it as a context manager."""

    def __init__(self, size: int) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._size = size
        for i in range(size):
            threading.Thread(target=self._work, name=f"fetch-{i}", daemon=True).start()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Return the future of some work; jobs begin in the order in which they came."""
        future: Future[T] = Future()
        self._jobs.put((future, work))
        return future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, work = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = work()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
            del future, work, job  # what was fetched must not live here until the next job comes

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Begin nothing new; what is under way ends by itself."""
        try:
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    job[0].cancel()
        except queue.Empty:
            pass
        for _ in range(self._size):
            self._jobs.put(None)
