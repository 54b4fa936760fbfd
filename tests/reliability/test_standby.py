"""A standby promoted after its primary died under load has every acknowledged entry.

Method: a primary with synchronous replication, a standby made by pg_basebackup, writers in
processes of their own; every process of the primary is killed (SIGKILL) while they are at work.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from tests import books, servers
from tests.reliability import forking, poster
from tests.reliability.poster import LIST, STEP

from token_ledger.check import check
from token_ledger.errors import UnavailableError
from token_ledger.ledger import Ledger
from token_ledger.seal import seal

WRITERS = 8
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
    with books.create(url, tmp_path, ticking=False) as ledger:
        ledger.create_account("alice", initial_balance=1000)
        ledger.create_account("bob")
    acknowledged = killed_under_load(pair.primary, url, tmp_path / "secret")
    there = pair.standby.url.format(database="postgres")
    with psycopg.connect(pair.standby.dsn, autocommit=True) as connection:
        assert connection.execute("SELECT pg_promote()").fetchone() == (True,)
    with Ledger.open(there, secret_file=tmp_path / "secret") as ledger:
        entries: dict[str | None, bytes] = {}
        after = 0
        while (page := ledger.feed(after)).entries:
            entries |= {e.idempotency_key: e.id for e in page.entries if e.reason == "play"}
            after = page.after
        assert acknowledged.items() <= entries.items()
        assert [] == check(ledger).findings
        sizes = Counter(str(key).rpartition(":")[0] for key in entries)
        assert all(size == (LIST if int(of[-1]) % 2 else 1) for of, size in sizes.items())
        for key, entry_id in list(acknowledged.items())[-WRITERS:]:
            words = {"reason": "play", "idempotency_key": key}
            again = ledger.transfer("alice", "bob", STEP, **words)
            assert (entry_id, True) == (again.id, again.repeated)
        assert ledger.mint("bob", 1, reason="on").entry_no > after
        if seen := os.environ.get("SEEN"):
            with Path(seen).open("a") as file:
                file.write(f"{len(acknowledged)} acknowledged, {len(entries)} there\n")


def killed_under_load(
    primary: servers.PostgresServer, url: str, secret: Path
) -> dict[str | None, bytes]:
    """Kill the primary while every writer is at work; return what was acknowledged, ids by key."""
    context = forking.context()
    writers, heard = [], []
    for n in range(WRITERS):
        hear, say = context.Pipe(duplex=False)
        words = (url, str(secret), f"writer{n}", say)
        writers.append(context.Process(target=poster.forever, args=words))
        writers[-1].start()
        say.close()
        heard.append(hear)
    acknowledged: dict[str | None, bytes] = {}
    for hear in heard * 20:  # all are under way, and go on
        acknowledged.update(hear.recv())
    primary.kill()
    for hear in heard:
        with contextlib.suppress(EOFError):
            while True:
                acknowledged.update(hear.recv())
        hear.close()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode is not None
    return acknowledged


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
