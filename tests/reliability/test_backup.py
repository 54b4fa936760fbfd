"""Backups taken under load restore to a ledger that `check` finds clean, and that goes on.

Method: threads post while the copy is made; the copy then holds a prefix of what was posted, whole.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from tests import books, servers

from token_ledger.check import check
from token_ledger.ledger import Ledger
from token_ledger.seal import seal
from token_ledger.sign import sign

WRITERS = 3


@pytest.fixture
def busy(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger with a sealed, signed history, holds and a redacted entry."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, 200)
        seal(ledger)
        sign(ledger, books.operator())
        held = ledger.hold("alice", 5)
        ledger.capture(held.id, 2, to="bob")
        ledger.redact(ledger.feed(20, 1).entries[0].id)
        yield ledger


@contextmanager
def load(ledger: Ledger, secret: Path) -> Iterator[list[bytes]]:
    """Let writers post while the block runs; yield the ids that were acknowledged."""
    url = ledger.engine.url.render_as_string(hide_password=False)
    ended = threading.Event()
    acknowledged: list[bytes] = []

    def write(person: str) -> None:
        with Ledger.open(url, secret_file=secret) as mine:
            while not ended.is_set():
                acknowledged.append(mine.mint(person, 1, reason="load").id)
                mine.transfer(person, "erin", 1, reason="load")

    threads = [threading.Thread(target=write, args=(p,)) for p in books.PEOPLE[:WRITERS]]
    for thread in threads:
        thread.start()
    try:
        yield acknowledged
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def back_up(ledger: Ledger, postgres_server: str | None, folder: Path) -> str:
    """Copy the database in the way of its engine; return the copy's URL."""
    if ledger.engine.dialect.name == "sqlite":
        there = folder / "copy.db"
        source = sqlite3.connect(str(ledger.engine.url.database))
        target = sqlite3.connect(there)
        source.backup(target, pages=50, sleep=0.001)
        target.close()
        source.close()
        return f"sqlite:///{there}"
    assert postgres_server is not None
    url = ledger.engine.url
    server = ["-h", str(url.query["host"]), "-U", str(url.username)]
    file = folder / "backup.dump"
    dump = [servers.program("pg_dump"), *server, "-Fc", "-f", str(file), str(url.database)]
    subprocess.run(dump, check=True, capture_output=True)
    name = f"{url.database}_copy"
    admin = postgres_server.format(database="postgres").replace("+psycopg", "")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    restore = [servers.program("pg_restore"), *server, "--exit-on-error", "-d", name, str(file)]
    subprocess.run(restore, check=True, capture_output=True)
    return postgres_server.format(database=name)


def test_a_backup_under_load_is_clean(
    busy: Ledger, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The copy holds everything acknowledged before it began, is clean, and can be posted to."""
    sqlite = busy.engine.dialect.name == "sqlite"
    server = None if sqlite else request.getfixturevalue("postgres_server")
    with load(busy, tmp_path / "secret") as acknowledged:
        while len(acknowledged) < 20:
            threading.Event().wait(0.01)
        before = list(acknowledged)
        url = back_up(busy, server, tmp_path)
    with Ledger.open(url, secret_file=tmp_path / "secret") as copy:
        assert [] == check(copy).findings
        assert all(copy.get_entry(entry_id).id == entry_id for entry_id in before)
        assert copy.mint("alice", 1, reason="after", idempotency_key="after").entry_no > 200
        seal(copy)
        assert [] == check(copy).findings
        assert 0 == copy.recalc(dry_run=True).findings_total
    assert [] == check(busy).findings
    if server is not None:
        admin = server.format(database="postgres").replace("+psycopg", "")
        with psycopg.connect(admin, autocommit=True) as connection:
            name = url.partition("?")[0].rpartition("/")[2]
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_file_copied_by_halves_is_found(sqlite_url: str, tmp_path: Path) -> None:
    """What docs warn of: SQLite's file copied without its log lacks entries, or is unsound."""
    with books.create(sqlite_url, tmp_path) as ledger:
        books.fill(ledger, 300)
        count = len(ledger.feed().entries)
        half = tmp_path / "half.db"
        shutil.copy(str(ledger.engine.url.database), half)
        try:
            with Ledger.open(f"sqlite:///{half}", secret_file=tmp_path / "secret") as copy:
                lost = count - len(copy.feed().entries)
        except Exception:
            lost = count
    assert lost > 0
