"""A standby promoted after its primary died under load has every acknowledged entry.

Method: a primary with synchronous replication, a standby made by pg_basebackup, a poster in a
process of its own; the primary is stopped at once (no checkpoint, nothing flushed), as in a crash.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from tests import books, servers

from token_ledger.check import check
from token_ledger.errors import UnavailableError
from token_ledger.ledger import Ledger
from token_ledger.seal import seal

SETTINGS = ("synchronous_commit=on", "fsync=on", "full_page_writes=on")


@dataclass(frozen=True)
class Pair:
    """A primary and its synchronous standby."""

    primary: servers.PostgresServer
    standby: servers.PostgresServer


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Yield a primary whose commits wait for the standby."""
    with (
        servers.PostgresServer(settings=SETTINGS) as primary,
        servers.PostgresServer(settings=SETTINGS, copy_of=primary) as standby,
    ):
        with psycopg.connect(primary.dsn, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
            question = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
            deadline = time.monotonic() + 60
            while connection.execute(question).fetchone() != (1,):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield Pair(primary, standby)


def test_no_acknowledged_entry_is_lost(pair: Pair, tmp_path: Path) -> None:
    """After the promotion every acknowledged id is there, lists are whole, a retry lands once."""
    url = pair.primary.url.format(database="postgres")
    with books.create(url, tmp_path) as ledger:
        ledger.create_account("alice", initial_balance=1000)
        ledger.create_account("bob")
    words = [sys.executable, "-m", "tests.reliability.poster", url, str(tmp_path / "secret"), "r"]
    poster = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert poster.stdout is not None
    said = [poster.stdout.readline()]
    time.sleep(random.uniform(0.3, 1.0))
    pair.primary.crash()
    said += poster.stdout.readlines()
    poster.stdout.close()
    poster.wait()
    acknowledged = dict(line.split() for line in said if line.endswith("\n"))
    assert len(acknowledged) > 3
    there = pair.standby.url.format(database="postgres")
    with psycopg.connect(pair.standby.dsn, autocommit=True) as connection:
        assert connection.execute("SELECT pg_promote()").fetchone() == (True,)
    with Ledger.open(there, secret_file=tmp_path / "secret") as ledger:
        entries = {}
        after = 0
        while (page := ledger.feed(after)).entries:
            entries |= {e.idempotency_key: e.id.hex() for e in page.entries if e.reason == "play"}
            after = page.after
        assert acknowledged.items() <= entries.items()
        assert [] == check(ledger).findings
        sizes: dict[int, int] = {}
        for key in entries:
            number = int(str(key).split(":")[1])
            sizes[number] = sizes.get(number, 0) + 1
        assert all(size == (3 if number % 2 else 1) for number, size in sizes.items())
        key, entry_id = list(acknowledged.items())[-1]
        again = ledger.transfer("alice", "bob", "0.000001", reason="play", idempotency_key=key)
        assert (entry_id, True) == (again.id.hex(), again.repeated)
        assert ledger.mint("bob", 1, reason="on").entry_no > after
        if seen := os.environ.get("SEEN"):
            Path(seen).write_text(f"{len(acknowledged)} acknowledged, {len(entries)} there\n")


def test_a_standby_reads_and_does_not_feed(pair: Pair, tmp_path: Path) -> None:
    """Balances are read from the standby; feed and seal say that only the primary can tell."""
    with books.create(pair.primary.url.format(database="postgres"), tmp_path) as ledger:
        books.fill(ledger, 20)
    url = pair.standby.url.format(database="postgres")
    with Ledger.open(url, secret_file=tmp_path / "secret") as standby:
        deadline = time.monotonic() + 60  # synchronous is flushed there, and applied soon after
        while 20 > len(standby.get_entries(limit=50).entries) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert standby.get_total_supply() > 0
        for work in (standby.feed, lambda: seal(standby)):
            with pytest.raises(UnavailableError, match="standby"):
                work()
