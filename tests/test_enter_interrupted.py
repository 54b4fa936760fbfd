"""Import into the books, killed: whatever was reached, the next one ends in the same books.

Method: a process of its own imports, and is killed at random instants until it ends by itself.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select
from tests import books
from tests.chain.fake_node import FakeNode
from tests.chain.living import NOBODY, LivingToken, log
from tests.entered import bring, entries, expected, held, take_in
from tests.onchain import count, found

from token_ledger.ledger import Ledger, imports
from token_ledger.ledger.mirror_schema import token_imports
from token_ledger.reconcile import reconcile

KILLS = 12
IMPORT = """
import sys
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, imports
imports.RUN_TRANSFERS = 20
ingest(Ledger.open(sys.argv[1], secret_file=sys.argv[2], token="LIV"), sys.argv[3])
"""
PEOPLE = [bytes([n]) * 20 for n in range(1, 40)]


def history(blocks: int) -> list[dict[str, object]]:
    """Return many transfers among many, several a block, none beyond what its sender has."""
    chance = random.Random(7)
    logs = [log(1, i, NOBODY, who, 10**6) for i, who in enumerate(PEOPLE)]
    for block in range(2, blocks):
        for i in range(chance.randint(0, 8)):
            payer, payee = chance.sample(PEOPLE, 2)
            logs.append(log(block, i, payer, payee, chance.randint(1, 100)))
    return logs


def links(ledger: Ledger) -> list[tuple[int, int]]:
    """Return block and log of every imported entry, in the order of the entries."""
    with ledger.read() as connection:
        rows = connection.execute(select(token_imports).order_by(token_imports.c.entry_no)).all()
    return [(row.block_number, row.log_index) for row in rows]


def test_killed_at_any_instant_each_log_is_one_entry(database_url: str, tmp_path: Path) -> None:
    """After a dozen kills the books are those of an import that nobody disturbed."""
    logs = history(600)
    chain = LivingToken(logs, head=700)
    chance = random.Random(os.urandom(8))
    with books.create(database_url, tmp_path) as ledger, FakeNode(chain) as node:
        take_in(ledger, node.url)
        secret = str(tmp_path / "secret")
        command = [sys.executable, "-c", IMPORT, database_url, secret, node.url]
        for _ in range(KILLS):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            time.sleep(chance.uniform(0.6, 1.6))
            process.send_signal(signal.SIGKILL)
            process.wait()
        bring(ledger, node.url)
        assert len(logs) == count(ledger, token_imports) == len(entries(ledger))
        assert sorted(links(ledger)) == links(ledger)
        assert expected(chain, 700) == held(ledger)
        assert [] == found(reconcile(ledger))


class InterruptedRunError(Exception):
    """What a test throws into a run."""


@pytest.mark.parametrize("place", ["_link", "_requests", "_accounts_at"])
def test_a_run_that_fails_leaves_nothing(
    database_url: str, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accounts, entries, links and the place reached land together or not at all."""
    with (
        books.create(database_url, tmp_path) as ledger,
        FakeNode(LivingToken(history(20), head=40)) as node,
    ):
        take_in(ledger, node.url)

        def fail(*_: object) -> None:
            raise InterruptedRunError

        with monkeypatch.context() as patch:
            patch.setattr(imports, place, fail)
            with pytest.raises(InterruptedRunError):
                bring(ledger, node.url)
        assert ([], []) == (entries(ledger), ledger.accounts()[0])
        done = bring(ledger, node.url)
        assert done.entered is not None
        assert len(history(20)) == done.entered.entries
