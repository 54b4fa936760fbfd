"""Opening databases: URLs, pragmas, versions, retries, and errors that hold no secrets."""

from __future__ import annotations

import sqlite3
import stat
import traceback
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from tests import books

from token_ledger.errors import (
    DatabaseError,
    RetryableError,
    SchemaVersionError,
    TokenLedgerError,
    UsageError,
)
from token_ledger.ledger import Ledger, engine, schema, upgrade


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@pytest.mark.parametrize(
    "url",
    [
        "mysql://root:hunter2@db/x",
        "postgresql+asyncpg://u:hunter2@h/d",
        "sqlite+aiosqlite:///x.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "hunter2",
        "",
        "postgresql://u:hunter2@h:port/d",
    ],
)
def test_other_databases_are_refused(url: str) -> None:
    """Only SQLite files and PostgreSQL are taken, and the refusal repeats no password."""
    with pytest.raises(UsageError) as caught:
        engine.parse_database_url(url)
    assert "hunter2" not in str(caught.value) or url == "hunter2"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_is_spoken_by_psycopg_3(scheme: str) -> None:
    """Every usual spelling of a PostgreSQL URL ends at psycopg 3."""
    assert "postgresql+psycopg" == engine.parse_database_url(f"{scheme}://u@h/d").drivername


def test_pool_and_preparing_are_said_in_the_url(postgres_url: str, tmp_path: Path) -> None:
    """A URL's settings reach pool and driver; without prepared statements everything works."""
    settings = "&pool_size=2&max_overflow=1&prepare_threshold=none"
    with books.create(postgres_url + settings, tmp_path) as ledger:
        books.fill(ledger, 30)
        pool = ledger.engine.pool
        assert (2, 1) == (pool.size(), pool._max_overflow)
        with ledger.read() as connection:
            assert connection.connection.driver_connection.prepare_threshold is None
            assert [] == connection.execute(text("SELECT * FROM pg_prepared_statements")).all()


@pytest.mark.parametrize("setting", ["pool_size=0", "pool_size=x", "prepare_threshold=-1"])
def test_wrong_pool_settings_are_refused(setting: str) -> None:
    """A setting that is no number from 1 is refused by name, and no password is repeated."""
    with pytest.raises(UsageError) as caught:
        Ledger.open(f"postgresql://someone:hunter2@127.0.0.1:9/none?{setting}")
    assert setting in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_lost_prepared_statement_names_the_way_out(postgres_url: str, tmp_path: Path) -> None:
    """Where a pooler changes the connection underneath, the error says what to put in the URL."""
    with books.create(postgres_url, tmp_path) as ledger:
        with pytest.raises(DatabaseError) as caught, ledger.write() as connection:
            connection.exec_driver_sql("EXECUTE none_such")
        assert "prepare_threshold=none" in str(caught.value.hint)


def test_password_is_in_no_error() -> None:
    """A PostgreSQL that does not answer is a DatabaseError without the password."""
    with pytest.raises(DatabaseError) as caught:
        Ledger.open("postgresql://someone:hunter2@127.0.0.1:9/none")
    assert "hunter2" not in str(caught.value)


def test_statement_parameters_are_in_no_error(ledger: Ledger) -> None:
    """What a statement was given is personal data, and stays out of the error's whole text."""
    with pytest.raises(DatabaseError) as caught, ledger.write() as connection:
        values = {"account_no": 9, "account_id": "private-name", "derived": True, "created_at": 0}
        connection.execute(schema.accounts.insert().values(**values, address=b"short"))
    assert "private-name" not in "".join(traceback.format_exception(caught.value))


def test_missing_file_is_not_made_by_opening(sqlite_url: str) -> None:
    """Opening a database that is not there is an error, and leaves no empty file behind."""
    with pytest.raises(DatabaseError, match="no database"):
        Ledger.open(sqlite_url)
    assert not file_of(sqlite_url).exists()


def test_file_without_a_directory_is_a_clear_error(tmp_path: Path) -> None:
    """A database cannot be made in a directory that does not exist."""
    with pytest.raises(DatabaseError, match="cannot create"):
        Ledger.create(f"sqlite:///{tmp_path}/none/x.db", operator=b"\1" * 20)


def test_new_sqlite_file_is_its_owners_alone(sqlite_url: str) -> None:
    """The file holds the ledger's secret: nobody else may read it."""
    with Ledger.create(sqlite_url, operator=b"\1" * 20):
        pass
    assert 0o600 == stat.S_IMODE(file_of(sqlite_url).stat().st_mode)


def test_foreign_file_is_refused(sqlite_url: str) -> None:
    """A file that is no SQLite database is named as such."""
    file_of(sqlite_url).write_bytes(b"this is not a database, " * 100)
    with pytest.raises(DatabaseError, match="not a SQLite database"):
        Ledger.open(sqlite_url)


def test_database_without_a_ledger_is_refused(database_url: str) -> None:
    """An empty database is told from one of another version, with the way out."""
    if database_url.startswith("sqlite"):
        sqlite3.connect(file_of(database_url)).close()
    with pytest.raises(SchemaVersionError, match="token-ledger init"):
        Ledger.open(database_url)


@pytest.mark.parametrize(("version", "hint"), [("0000", "upgrade"), ("9999", "newer")])
def test_database_of_another_version_is_refused(version: str, hint: str, database_url: str) -> None:
    """An older schema asks for `upgrade`, a newer one for a newer release; neither is touched."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger, ledger.write() as connection:
        connection.execute(
            text(f"UPDATE {schema.VERSION_TABLE} SET version_num = :v"), {"v": version}
        )
    with pytest.raises(SchemaVersionError, match=hint):
        Ledger.open(database_url)


def test_upgrade_of_a_current_database_does_nothing(database_url: str) -> None:
    """`upgrade` on this release's schema says its version, twice, and the ledger still opens."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        uid = ledger.ledger_uid
    assert [schema.SCHEMA_VERSION] * 2 == [upgrade(database_url), upgrade(database_url)]
    with Ledger.open(database_url) as ledger:
        assert uid == ledger.ledger_uid


def test_upgrade_refuses_a_newer_database(database_url: str) -> None:
    """A schema that this release does not know is not touched by `upgrade`."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger, ledger.write() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(SchemaVersionError, match="newer"):
        upgrade(database_url)


def test_schema_version_is_the_last_migration(project: Path) -> None:
    """The version that the code asks for is that of the newest file in `migrations`."""
    files = sorted((project / "migrations" / "versions").glob("[0-9]*.py"))
    assert schema.SCHEMA_VERSION == files[-1].name[:4]


def test_second_create_is_refused(database_url: str) -> None:
    """A database holds one ledger; making another in it is refused and changes nothing."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        uid = ledger.ledger_uid
    with pytest.raises(UsageError, match="already"):
        Ledger.create(database_url, operator=b"\2" * 20)
    with Ledger.open(database_url) as ledger:
        assert (uid, b"\1" * 20) == (ledger.ledger_uid, ledger.operator)


def test_secret_may_live_in_a_file(database_url: str, tmp_path: Path) -> None:
    """With a secret file the database alone cannot open: not without it, not with another's."""
    file = tmp_path / "secret"
    with Ledger.create(database_url, operator=b"\1" * 20, secret_file=file) as ledger:
        secret = ledger.secret
        with ledger.read() as connection:
            assert connection.execute(schema.ledger.select()).one().ledger_secret is None
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    with Ledger.open(database_url, secret_file=file) as ledger:
        assert secret == ledger.secret
    with pytest.raises(UsageError, match="file of its own"):
        Ledger.open(database_url)
    for content, match in (("0x" + "ab" * 32, "another ledger's"), ("nonsense", "no secret")):
        file.write_text(content)
        with pytest.raises(TokenLedgerError, match=match):
            Ledger.open(database_url, secret_file=file)
    file.unlink()
    with pytest.raises(UsageError, match="cannot read"):
        Ledger.open(database_url, secret_file=file)


@pytest.mark.parametrize(
    "terms",
    [{"operator": bytes(20)}, {"operator": b"\1"}, {"operator": b"\1" * 20, "ledger_uid": b"1"}],
)
def test_identity_of_the_wrong_size_is_refused(terms: dict, sqlite_url: str) -> None:
    """An operator has 20 bytes that are not zero, a ledger uid 32; nothing is half made."""
    with pytest.raises(UsageError):
        Ledger.create(sqlite_url, **terms)
    with pytest.raises(DatabaseError):
        Ledger.open(sqlite_url)


def test_secret_is_in_no_representation(ledger: Ledger) -> None:
    """Printing what holds the secret does not print it."""
    shown = repr([ledger._identity, ledger.context, ledger])
    assert ledger.secret.hex() not in shown
    assert repr(ledger.secret) not in shown


def test_sqlite_connections_are_durable_and_strict(sqlite_url: str) -> None:
    """WAL, synchronous FULL, foreign keys, recursive triggers and a busy timeout are set."""
    with (
        Ledger.create(sqlite_url, operator=b"\1" * 20) as ledger,
        ledger.read() as connection,
    ):
        names = ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
        timeout = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
    assert ["wal", 2, 1, 1, engine.BUSY_TIMEOUT_MS] == [*found, timeout]


def test_reading_cannot_write_on_postgresql(postgres_url: str) -> None:
    """A reading connection refuses to write."""
    with (
        Ledger.create(postgres_url, operator=b"\1" * 20) as ledger,
        pytest.raises(DatabaseError, match="read-only"),
        ledger.read() as connection,
    ):
        connection.execute(text("UPDATE tokens SET canonical_chain_id = 1"))


def test_reading_sees_one_snapshot(ledger: Ledger) -> None:
    """What commits while a reader reads is not seen by it."""
    with ledger.read() as connection:
        query = schema.token_supply.select()
        before = connection.execute(query).one().total_supply
        ledger.mint("carol", 5, reason="late")
        assert before == connection.execute(query).one().total_supply
    assert before < ledger.get_total_supply()


def test_deadlock_is_retried_and_then_raised(ledger: Ledger) -> None:
    """A retryable failure runs the work again, at most so often, and then is raised as such."""
    calls: list[int] = []

    def fails_twice(_connection: object) -> str:
        calls.append(1)
        if len(calls) < 3:
            raise RetryableError("deadlock")
        return "done"

    assert ("done", 3) == (ledger.run(fails_twice), len(calls))

    def fails_always(_connection: object) -> None:
        calls.append(1)
        raise RetryableError("deadlock")

    calls.clear()
    with pytest.raises(RetryableError):
        engine.run(ledger.engine, fails_always, attempts=4)
    assert 4 == len(calls)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg.errors.DeadlockDetected("x"), RetryableError),
        (psycopg.errors.SerializationFailure("x"), RetryableError),
        (psycopg.errors.LockNotAvailable("x"), RetryableError),
        (sqlite3.OperationalError("database is locked"), RetryableError),
        (psycopg.errors.UndefinedTable("x"), DatabaseError),
        (psycopg.OperationalError("gone"), DatabaseError),
        (sqlite3.IntegrityError("CHECK"), DatabaseError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_drivers_errors_are_told_apart(error: BaseException, expected: type[DatabaseError]) -> None:
    """Deadlocks and locks are worth another try; the rest is not."""
    assert expected is type(engine.translate(error))


def test_locked_sqlite_is_retryable(sqlite_url: str, tmp_path: Path) -> None:
    """A writer that finds the file locked past the timeout raises RetryableError."""
    with books.create(sqlite_url, tmp_path) as ledger:
        other = sqlite3.connect(file_of(sqlite_url), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RetryableError), ledger.engine.connect() as connection:
            connection.connection.driver_connection.execute("PRAGMA busy_timeout = 1")
            connection.rollback()
            with engine.translated():
                connection.exec_driver_sql("BEGIN IMMEDIATE")
        other.close()
