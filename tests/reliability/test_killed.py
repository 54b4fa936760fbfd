"""Processes killed while they post: nothing acknowledged is lost, nothing is half there."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests import books

from token_ledger.ledger import Ledger, schema

KILLS = int(os.environ.get("KILLS", "12"))
START = 100 * 10**18


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Ledger:
    """Return a ledger where alice holds 100 and bob nothing."""
    ledger = books.create(database_url, tmp_path)
    ledger.create_account("alice", initial_balance=100)
    ledger.create_account("bob")
    return ledger


def _killed(ledger: Ledger, secret: Path, run: str, chance: random.Random) -> dict[str, str]:
    """Return what a poster acknowledged, ids by key, before it was killed at some instant."""
    url = ledger.engine.url.render_as_string(hide_password=False)
    words = [sys.executable, "-m", "tests.reliability.poster", url, str(secret), run]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = [process.stdout.readline()]
    time.sleep(chance.uniform(0, 0.05))
    process.kill()
    said += process.stdout.readlines()
    process.stdout.close()
    process.wait()
    whole = [(line[:-66], line[-65:-1]) for line in said if line.endswith("\n")]
    assert whole
    return dict(whole)


def test_kill_around_commit(ledger: Ledger, tmp_path: Path) -> None:
    """After every kill: each acknowledged id is there, lists are whole, a retry lands once."""
    chance = random.Random(7)
    entries = schema.token_ledger
    for kill in range(KILLS):
        acknowledged = _killed(ledger, tmp_path / "secret", f"run{kill}", chance)
        with ledger.read() as connection:
            keys = connection.execute(
                select(entries.c.idempotency_key, entries.c.id).where(
                    entries.c.idempotency_key.like(f"run{kill}:%")
                )
            ).all()
            count = connection.execute(
                select(func.count()).where(entries.c.reason == "play")
            ).scalar_one()
        there = {key: bytes(entry_id).hex() for key, entry_id in keys}
        assert acknowledged.items() <= there.items()
        lists: dict[str, int] = {}
        for key in there:
            number = key.split(":")[1]
            lists[number] = lists.get(number, 0) + 1
        assert all(size == (3 if int(number) % 2 else 1) for number, size in lists.items())
        moved = count * 10**12
        assert (START - moved, moved) == (ledger.get_balance("alice"), ledger.get_balance("bob"))
        for key, entry_id in list(there.items())[-2:]:
            words = {"reason": "play", "idempotency_key": key}
            again = ledger.transfer("alice", "bob", "0.000001", **words)
            assert (entry_id, True) == (again.id.hex(), again.repeated)
        assert moved == ledger.get_balance("bob")
    ledger.close()
