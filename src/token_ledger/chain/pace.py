"""How many blocks to ask a node for at once: learned from its answers and its refusals."""

from __future__ import annotations

import threading

from token_ledger.chain.exchange import TooLargeError
from token_ledger.chain.rpc import NodeError
from token_ledger.core.limits import SHRINKS, classify

RANGE_START, RANGE_MAX = 8, 100_000
_GROW_AFTER = 32


class Pace:
    """A number of blocks that grows and shrinks towards `logs_target` logs an answer.

    A node's limit is remembered as a ceiling, and tried again after a while: it may have been busy.
    Shared by all who ask for ranges of the same contracts, from any thread.
    """

    def __init__(self, logs_target: int) -> None:
        self._logs_target = logs_target
        self._lock = threading.Lock()
        self._size = RANGE_START
        self._ceiling = RANGE_MAX
        self._successes = 0

    @property
    def size(self) -> int:
        """How many blocks to ask for next, at least 1."""
        return self._size

    def refused(self, error: NodeError | TooLargeError, asked: int) -> None:
        """Learn that `asked` blocks were too many: take as few as the text says, or half."""
        size = asked // 2
        if isinstance(error, NodeError):
            limit = classify(error.text, code=error.rpc_code, status=error.status)
            if limit.kind in SHRINKS:
                size = limit.next_size(asked)
        with self._lock:
            # Others may have asked for as many at the same time: they all learn the same.
            self._size = self._ceiling = max(1, min(size, self._size))
            self._successes = 0

    def answered(self, asked: int, logs: int) -> None:
        """Learn that `asked` blocks held so many logs."""
        with self._lock:
            self._successes += 1
            if self._successes % _GROW_AFTER == 0:
                self._ceiling = min(2 * self._ceiling, RANGE_MAX)
            if logs > self._logs_target:
                self._size = max(1, min(self._size, asked // 2))
            elif logs * 2 <= self._logs_target:
                self._size = max(self._size, min(2 * asked, self._ceiling))
