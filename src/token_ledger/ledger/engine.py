"""Engines, transactions and migrations: the one place that opens a database.

SQLite and PostgreSQL alone. Every error that leaves this module is a DatabaseError whose message
holds no password. Does not know what is in the tables beyond their version.
"""

from __future__ import annotations

import contextlib
import os
import random
import selectors
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import alembic.command
import alembic.config
import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from token_ledger.errors import DatabaseError, RetryableError, SchemaVersionError, UsageError
from token_ledger.ledger.schema import SCHEMA_VERSION, VERSION_TABLE

BUSY_TIMEOUT_MS = 30_000
ATTEMPTS_MAX = 10
_POOL, _PREPARE = ("pool_size", "max_overflow"), "prepare_threshold"
_WRITE = "token_ledger_write"
_MIGRATIONS_LOCK = 0x746F6B656E5F6D67
_RETRYABLE_STATES = frozenset({"40001", "40P01", "55P03"})  # serialization, deadlock, lock timeout
# Prefixes of unique constraints: of two at once with one key, the second finds the first's row.
_CONCURRENT_KEYS = ("token_ledger_", "accounts_", "tokens_", "chain_")

T = TypeVar("T")


def parse_database_url(url: str) -> URL:
    """Return the URL with the driver that this package uses.

    `sqlite:///file.db`, `postgresql://…` and `postgres://…`. Raises UsageError for others, in
    words that never repeat a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UsageError(
            "not a database URL", hint="sqlite:///file.db or postgresql://user@host/database"
        ) from None
    backend, _, driver = parsed.drivername.partition("+")
    if backend == "sqlite" and driver in ("", "pysqlite"):
        if not parsed.database or parsed.database == ":memory:" or "mode=memory" in url:
            raise UsageError("a ledger in memory would not outlive the process", hint="name a file")
        return parsed.set(drivername="sqlite+pysqlite")
    if backend in ("postgresql", "postgres") and driver in ("", "psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    raise UsageError(
        f"databases of the kind {parsed.drivername!r} are not supported",
        hint="sqlite:///file.db or postgresql://user@host/database",
    )


def open_engine(url: str | URL, *, create: bool = False) -> Engine:
    """Return an engine on a database.

    A SQLite file must exist unless `create`, which makes it readable by its owner alone: it may
    hold the ledger's secret. A PostgreSQL URL may say `?pool_size=N`, `max_overflow=N` and
    `prepare_threshold=N` or `none`, for poolers that know no prepared statements; UsageError
    otherwise.
    """
    parsed = url if isinstance(url, URL) else parse_database_url(url)
    if parsed.get_backend_name() != "sqlite":
        pool = {name: _setting(parsed, name) for name in _POOL if name in parsed.query}
        connect: dict[str, Any] = {"application_name": "token-ledger"}
        if _PREPARE in parsed.query:
            connect[_PREPARE] = _setting(parsed, _PREPARE, none=True)
        return create_engine(
            parsed.difference_update_query([*_POOL, _PREPARE]),
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            hide_parameters=True,  # they hold account ids: an exception's text may be logged
            connect_args=connect,
            **pool,
        )
    path = Path(str(parsed.database))
    if not str(parsed.database).startswith("file:") and not path.exists():
        if not create:
            raise DatabaseError(f"there is no database {path}", hint="run `token-ledger init`")
        _create_private(path)
    engine = create_engine(
        parsed, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000}
    )
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _setting(url: URL, name: str, *, none: bool = False) -> int | None:
    """Return a number that a URL says, None where it may say `none`."""
    value = url.query[name]
    if none and value == "none":
        return None
    if not isinstance(value, str) or not value.isdecimal() or not 0 < int(value) < 10_000:
        raise UsageError(
            f"the database URL says {name}={value!s:.40}",
            hint="a number from 1" + (", or none" if none else ""),
        )
    return int(value)


@contextmanager
def creating(url: str) -> Iterator[Engine]:
    """Yield an engine on a database that is being made; after an error, none is left behind.

    A SQLite file that was made for it is taken back, unless somebody's tables are in it by then.
    """
    parsed = parse_database_url(url)
    path = Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None
    is_new = path is not None and not path.exists()
    engine = open_engine(parsed, create=True)
    try:
        yield engine
    except BaseException:
        engine.dispose()
        if path is not None and is_new:
            _take_back(path)
        raise


def _take_back(path: Path) -> None:
    with contextlib.suppress(sqlite3.Error, OSError), contextlib.closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
    ) as connection:  # fmt: skip
        connection.execute("BEGIN EXCLUSIVE")
        if connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)


def _create_private(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise DatabaseError(
            f"cannot create {path}: {error.strerror}", hint="check the directory"
        ) from None


_SMALL_CACHE = -8_192  # KiB, as SQLite has it


def _set_pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # this module says BEGIN itself
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "recursive_triggers = ON",  # so that REPLACE fires DELETE triggers too
        "trusted_schema = OFF",
        "cache_size = -65536",  # 64 MiB: ids are random, and their index is touched everywhere
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads and then writes fails at once when another wrote in between,
    # whatever busy_timeout says: writers take the lock from the start.
    write = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLAlchemy and the drivers raise into this package's DatabaseErrors.

    The original stays out of tracebacks: PostgreSQL's DETAIL repeats rows, which are personal data.
    """
    try:
        yield
    except DBAPIError as error:
        raise translate(error.orig, gone=error.connection_invalidated) from None
    except (sqlite3.Error, psycopg.Error) as error:  # from COPY, which SQLAlchemy does not wrap
        raise translate(error) from None
    except (PoolTimeoutError, SQLAlchemyError) as error:
        raise DatabaseError(f"the database failed: {type(error).__name__}: {error}") from None


def translate(error: BaseException | None, *, gone: bool = False) -> DatabaseError:
    """Return the DatabaseError for a driver's error: without its statement or parameters."""
    lines = str(error).strip().splitlines()
    said = lines[0] if lines else repr(error)
    if is_retryable(error):
        return RetryableError(
            f"another transaction came in between: {said}", hint="run the transaction again"
        )
    if isinstance(error, sqlite3.DatabaseError) and "not a database" in said:
        return DatabaseError("the file is not a SQLite database", hint="check --db")
    if gone or type(error).__name__ == "OperationalError":
        return DatabaseError(f"the database cannot be used: {said}", hint="check --db")
    if isinstance(
        error, psycopg.errors.InvalidSqlStatementName | psycopg.errors.DuplicatePreparedStatement
    ):
        return DatabaseError(
            f"the database refused: {said}",
            hint=f"a pooler hands out its connections: say ?{_PREPARE}=none in the URL",
        )
    return DatabaseError(f"the database refused: {said}")


def is_retryable(error: BaseException | None) -> bool:
    """Return whether the same transaction may well succeed when it is run again."""
    if isinstance(error, sqlite3.OperationalError):
        return "locked" in str(error) or "busy" in str(error)
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate == "23505":  # two at once with one key: the second run finds the first's row
        return str(error.diag.constraint_name).startswith(_CONCURRENT_KEYS)
    return error.sqlstate in _RETRYABLE_STATES


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Yield a connection on one unchanging snapshot that cannot write."""
    with translated(), engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            with connection.begin():
                yield connection
            return
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin():
            yield connection


@contextmanager
def small_cache(connection: Connection) -> Iterator[None]:
    """Let SQLite cache little, while one goes through whole tables and comes back to no page.

    It would fill its 64 MiB otherwise, to no use. PostgreSQL's cache is not in this process.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    before = connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
    connection.exec_driver_sql(f"PRAGMA cache_size = {_SMALL_CACHE}")
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA cache_size = {before}")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in one transaction: committed at the end, rolled back on any error."""
    with translated(), engine.connect() as connection:
        connection.execution_options(**{_WRITE: True})
        with connection.begin():
            yield connection


def run(
    engine: Engine,
    work: Callable[[Connection], T],
    *,
    attempts: int = ATTEMPTS_MAX,
    begin: Callable[[], AbstractContextManager[Connection]] | None = None,
) -> T:
    """Return what `work` returns, run in one write transaction, again after a deadlock or such.

    Bounded, with jitter. `work` may be called several times, each on a fresh transaction, which
    `begin` yields (by default `writing`). Raises RetryableError when the last attempt failed so.
    """
    for attempt in range(1, attempts + 1):
        try:
            with writing(engine) if begin is None else begin() as connection:
                return work(connection)
        except RetryableError:
            if attempt == attempts:
                raise
            time.sleep(random.uniform(0, min(1.0, 0.005 * 2**attempt)))  # noqa: S311
    raise AssertionError("unreachable")


class KeptConnection:
    """One connection for many write transactions in a row, taken from the pool when it is needed.

    Not taken and given back each time, which costs round trips: a pool asks whether a connection
    is still alive. Given back after an error, when the server has said something meanwhile (that
    it ends, most likely), and whenever nothing follows: see `release`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield the connection in one transaction, as `writing` does."""
        with translated():
            try:
                if self._connection is not None and _has_spoken(self._connection):
                    self.release()
                if self._connection is None:
                    self._connection = self._engine.connect().execution_options(**{_WRITE: True})
                with self._connection.begin():
                    yield self._connection
            except BaseException:
                self.release()
                raise

    def release(self) -> None:
        """Give the connection back to the pool, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _has_spoken(connection: Connection) -> bool:
    """Return whether the server has sent something, or hung up, since its last answer."""
    link = getattr(connection.connection.driver_connection, "pgconn", None)
    if link is None:  # SQLite's has no server
        return False
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(link.socket, selectors.EVENT_READ)
            return bool(selector.select(0))
    except (psycopg.Error, OSError, ValueError):  # closed at this end
        return True


def migrations_path() -> Path:
    """Return where the migrations are: in the installed package, or beside `src` in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "migrations", package.parent.parent / "migrations"):
        if (candidate / "env.py").is_file():
            return candidate
    raise DatabaseError("this installation lacks its migrations", hint="install it again")


def migrate(connection: Connection, *, revision: str = "head") -> None:
    """Bring a database to the schema of this release, inside the connection's transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _MIGRATIONS_LOCK})
        encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
        if encoding != "UTF8":
            raise DatabaseError(
                f"the database's encoding is {encoding}", hint="create it with ENCODING 'UTF8'"
            )
    config = alembic.config.Config()
    config.set_main_option("script_location", str(migrations_path()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, revision)


def schema_version(connection: Connection) -> str | None:
    """Return the version of the schema, or None where there is no ledger's schema at all."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
    return found.scalar_one_or_none()


def check_schema(connection: Connection) -> None:
    """Raise SchemaVersionError unless the database has the schema of this release."""
    version = schema_version(connection)
    if version == SCHEMA_VERSION:
        return
    if version is None:
        raise SchemaVersionError("the database holds no ledger", hint="run `token-ledger init`")
    if version < SCHEMA_VERSION:
        raise SchemaVersionError(
            f"the database's schema is {version}, this release needs {SCHEMA_VERSION}",
            hint="back it up, then run `token-ledger upgrade`",
        )
    raise SchemaVersionError(
        f"the database's schema is {version}, this release knows {SCHEMA_VERSION} at most",
        hint="use the release that made it, or a newer one",
    )
