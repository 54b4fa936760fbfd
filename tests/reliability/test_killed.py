"""Processes killed around COMMIT: nothing acknowledged is lost, nothing is half there.

Method: a process posts a few requests and is killed (SIGKILL) before, within or after the COMMIT of
its last one, by a clock of its own, so that no instant is luck. Then its database is asked.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text
from tests import books
from tests.reliability import forking, poster
from tests.reliability.poster import Moment, Run

from token_ledger.check import check
from token_ledger.core.strict import to_hex
from token_ledger.ledger import Ledger, schema

KILLS = int(os.environ.get("KILLS", "208"))
MOMENTS: dict[str, tuple[Moment, ...]] = {
    "sqlite": ("before", "within", "within", "after"),
    "postgresql": ("before", "within", "sent", "after"),
}


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger where alice holds 100, bob nothing, and debtor may owe."""
    with books.create(database_url, tmp_path, ticking=False) as ledger:
        ledger.create_account("alice", initial_balance=100)
        ledger.create_account("bob")
        ledger.create_account("debtor")
        ledger.limit_overdraft("debtor", 100)
        yield ledger


def kill(ledger: Ledger, secret: Path, run: Run) -> dict[str, bytes]:
    """Let a process post until it dies; return what it acknowledged, ids by key."""
    url = ledger.engine.url.render_as_string(hide_password=False)
    context = forking.context()
    hear, say = context.Pipe(duplex=False)
    process = context.Process(target=poster.main, args=(url, str(secret), run, say))
    process.start()
    say.close()
    acknowledged: dict[str, bytes] = {}
    backends: list[int] = []
    try:
        while True:
            said = hear.recv()
            if isinstance(said, int):
                backends.append(said)
            else:
                acknowledged.update(said)
    except EOFError:
        pass
    process.join(60)
    assert -signal.SIGKILL == process.exitcode
    hear.close()
    wait_for_backends(ledger, backends)
    return acknowledged


def wait_for_backends(ledger: Ledger, backends: list[int]) -> None:
    """Wait until PostgreSQL has done what its dead client had asked for."""
    asked = text("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(:pids)")
    deadline = time.monotonic() + 60
    while backends and time.monotonic() < deadline:
        with ledger.read() as connection:
            if not connection.execute(asked, {"pids": backends}).scalar_one():
                return
        time.sleep(0.001)
    assert not backends


def entries_of(ledger: Ledger, run: Run) -> dict[str, bytes]:
    """Return the ids of a run's entries, by key."""
    wanted = [key for number in range(run.count + 1) for key in poster.keys(run, number)]
    entry = schema.token_ledger.c
    with ledger.read() as connection:
        rows = connection.execute(
            select(entry.idempotency_key, entry.id).where(entry.idempotency_key.in_(wanted))
        ).all()
    assert len(rows) == len({key for key, _ in rows})
    return {key: bytes(entry_id) for key, entry_id in rows}


def test_kill_around_commit(ledger: Ledger, tmp_path: Path) -> None:
    """After every kill: each acknowledged id is there, requests are whole, a retry lands once."""
    chance = random.Random(7)
    hold = to_hex(ledger.hold("alice", 50).id)
    moments = MOMENTS[ledger.engine.dialect.name]
    plan = itertools.cycle(itertools.product(poster.KINDS, moments))
    ends: Counter[tuple[str, str]] = Counter()
    asked = 0
    for n, (kind, moment) in enumerate(itertools.islice(plan, KILLS)):
        run = Run(f"run{n}", kind, moment, chance.randint(1, 3), chance.random(), hold)
        acknowledged = kill(ledger, tmp_path / "secret", run)
        there, fatal = entries_of(ledger, run), poster.keys(run, run.count)
        assert acknowledged.items() <= there.items()
        landed = {key in there for key in fatal}
        assert 1 == len(landed), "a request is whole, or not there at all"
        end = "answered" if fatal[0] in acknowledged else "landed" if landed == {True} else "not"
        ends[moment, end] += 1
        again = poster.ask(ledger, run, run.count)
        assert landed == {posted.repeated for posted in again}
        whole = there | dict(zip(fatal, (posted.id for posted in again), strict=True))
        assert whole == entries_of(ledger, run)
        assert whole.keys() == {k for i in range(run.count + 1) for k in poster.keys(run, i)}
        asked += len(whole)
        assert asked * 10**12 == ledger.get_balance("bob")
    # At these three moments there is but one way for it to end.
    assert {("before", "not"), ("sent", "landed"), ("after", "landed")} >= {
        (moment, end) for moment, end in ends if moment != "within"
    }
    assert [] == check(ledger).findings
    assert 0 == ledger.recalc(dry_run=True).findings_total
    if seen := os.environ.get("SEEN"):
        with Path(seen).open("a") as file:
            file.write(f"{ledger.engine.dialect.name}: {dict(ends)}\n")
