"""A ledger inside the caller's own transaction: same verbs, same ids, and the caller commits.

Each write is a SAVEPOINT of the caller's transaction, so a refused posting leaves nothing behind
and the transaction usable. Nothing is retried here: what a deadlock undoes is the caller's too.
Advisory locks that a ROLLBACK TO drops are taken again before the next entry number (design,
section 6): whatever the caller rolls back, the sealer waits for what may still commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session, scoped_session

from token_ledger.errors import UsageError
from token_ledger.ledger import engine as engines
from token_ledger.ledger import schema
from token_ledger.ledger.ledger import Ledger
from token_ledger.ledger.tokens import StoredToken

T = TypeVar("T")
Host = Connection | Session | scoped_session[Any]
"""Whose transaction it is."""

_DRIVERS = frozenset({"pysqlite", "aiosqlite", "psycopg", "psycopg_async"})


class BoundLedger(Ledger):
    """A ledger whose every read and write runs on a caller's connection."""

    def __init__(self, ledger: Ledger, host: Host) -> None:
        super().__init__(ledger.engine, ledger._identity, token=ledger._symbol, clock=ledger._clock)
        self._token = ledger._token
        self._host = host
        self._known: Connection | None = None

    def close(self) -> None:
        """Do nothing: the connection is the caller's."""

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield the caller's connection: it sees what the caller's transaction sees."""
        with engines.translated():
            connection = self._connection()
            self._check_ledger(connection)
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield the caller's connection inside a SAVEPOINT. Commits nothing."""
        with engines.translated():
            connection = self._connection()
            _lock(connection)
            self._check_ledger(connection)
            with connection.begin_nested():
                yield connection

    def run(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, run once inside a SAVEPOINT of the caller's transaction."""
        with self.write() as connection:
            return work(connection)

    def _count_on(self, token: StoredToken) -> None:
        """Do nothing: the mark would stay locked until the caller commits."""

    def _connection(self) -> Connection:
        # A session's connection changes with its transactions: ask each time.
        host = self._host
        return host if isinstance(host, Connection) else host.connection()

    def _check_ledger(self, connection: Connection) -> None:
        if self._known is connection:
            return
        found = connection.execute(select(schema.ledger.c.ledger_uid)).scalar()
        if found is None or bytes(found) != self.ledger_uid:
            raise UsageError(
                "the session is on a database that does not hold this ledger",
                hint="bind the ledger to a session of its own database",
            )
        self._known = connection


def _lock(connection: Connection) -> None:
    """Make sure of a transaction in which posting is safe, before anything is read in it."""
    if connection.dialect.driver not in _DRIVERS:
        raise UsageError(
            f"the driver {connection.dialect.driver!r} is not supported",
            hint="postgresql+psycopg:// or sqlite://",
        )
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        # A write that changes nothing: it begins the transaction where the driver has not yet, and
        # takes the only writer's lock before a balance is read. It fails at once where the caller
        # has read and another has written since, whatever busy_timeout says.
        connection.exec_driver_sql("UPDATE token_supply SET updated_at = updated_at WHERE 0")
        commits_itself = not driver.in_transaction
    else:
        commits_itself = driver.autocommit
        level = connection.get_isolation_level()
        if level not in ("AUTOCOMMIT", "READ COMMITTED"):
            raise UsageError(
                f"the transaction is {level}: it could not see that the books were closed",
                hint="post in READ COMMITTED; rows are locked where it matters",
            )
    if commits_itself:
        raise UsageError(
            "the connection commits every statement by itself", hint="begin a transaction first"
        )
