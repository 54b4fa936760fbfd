"""What a process remembers of the writers: which entry numbers none of them can commit any more.

PostgreSQL: every writer shares a lock from before it takes a number to its end. So whatever may
still come at or below a number that is committed already is held by those who hold the lock after
it was seen; once these have ended, in whatever order, nothing comes. New writers are not waited
for, and none is held up (CREATE INDEX CONCURRENTLY waits for its elders in the same way).
"""

from __future__ import annotations

import threading
import weakref
from typing import NamedTuple

from sqlalchemy import Connection, Engine, func, select, text

from token_ledger.errors import UnavailableError
from token_ledger.ledger import engine as engines
from token_ledger.ledger.schema import WRITERS_LOCK, token_ledger

CANDIDATES_MAX = 64

HIGHEST = select(func.coalesce(func.max(token_ledger.c.entry_no), 0))

# A key of 64 bits is shown in two halves, with objsubid 1; other databases' locks are shown too.
_SERVER = text(
    "SELECT pg_is_in_recovery(), pg_postmaster_start_time()::text || ' ' || oid::text"
    " FROM pg_database WHERE datname = current_database()"
)
_HOLDERS = text(
    "SELECT pid, virtualtransaction FROM pg_locks WHERE locktype = 'advisory' AND granted"  # noqa: S608
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    f" AND classid = {WRITERS_LOCK >> 32} AND objid = {WRITERS_LOCK & 0xFFFFFFFF} AND objsubid = 1"
)


class Holder(NamedTuple):
    """One who holds the writers' lock; `pid` is None when his transaction is prepared."""

    pid: int | None
    transaction: str


class Seen(NamedTuple):
    """One look: the highest committed number, then who held the lock, and of which server."""

    server: str
    highest: int
    holders: frozenset[Holder]


class _Candidate(NamedTuple):
    made: int
    entry_no: int
    holders: frozenset[Holder]


class Watermark:
    """The highest number below which nothing can come, and the candidates to be the next one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks = 0
        self._server = ""
        self._accepted = 0
        self._candidates: list[_Candidate] = []

    def begin(self) -> int:
        """Return what `take` wants to know: when a look began."""
        with self._lock:
            return self._looks

    def take(self, begun: int, seen: Seen) -> int:
        """Take what a look has shown; return the watermark, 0 where there is none yet.

        A candidate is judged by looks alone that began after it was made: an older look, come late
        from another thread, does not show its holders. A transaction that is prepared changes its
        name, and may be any of those who seem to have ended: no candidate passes one.
        """
        with self._lock:
            if seen.server != self._server:  # restarted, restored or failed over: numbers may be
                self._server, self._accepted, self._candidates = seen.server, 0, []  # taken anew
            self._looks += 1
            prepared = any(holder.pid is None for holder in seen.holders)
            if not seen.holders:
                self._accepted = max(self._accepted, seen.highest)
            for made, entry_no, holders in self._candidates:
                if made <= begun and not prepared and holders.isdisjoint(seen.holders):
                    self._accepted = max(self._accepted, entry_no)
            kept = [one for one in self._candidates if one.entry_no > self._accepted]
            last = max((one.entry_no for one in kept), default=self._accepted)
            if seen.highest > last and len(kept) < CANDIDATES_MAX:
                kept.append(_Candidate(self._looks, seen.highest, seen.holders))
            self._candidates = kept
            return self._accepted


_KNOWN: weakref.WeakKeyDictionary[Engine, Watermark] = weakref.WeakKeyDictionary()
_KNOWN_LOCK = threading.Lock()


def known(engine: Engine) -> Watermark:
    """Return what this process remembers of an engine's database."""
    with _KNOWN_LOCK:
        return _KNOWN.setdefault(engine, Watermark())


def look(connection: Connection) -> Seen:
    """Return what is committed and, read after it, who holds the writers' lock.

    Raises UnavailableError on a standby: what its primary may still commit, only it knows.
    """
    standby, server = connection.execute(_SERVER).one()
    if standby:
        raise UnavailableError(
            "a standby cannot tell what its primary may still commit", hint="ask the primary"
        )
    highest = int(connection.execute(HIGHEST).scalar_one())
    holders = frozenset(Holder(*row) for row in connection.execute(_HOLDERS))
    return Seen(server, highest, holders)


def ask(engine: Engine) -> tuple[int, int]:
    """Return the watermark after one more look, and the highest committed number."""
    memory = known(engine)
    begun = memory.begin()
    with engines.reading(engine) as connection:
        seen = look(connection)
    return memory.take(begun, seen), seen.highest
