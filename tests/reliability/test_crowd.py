"""Sixteen processes at once among few accounts: exactly the allowed number succeed, to the unit.

Method: each posts at random and races the others for the same money, holds, reversals and keys;
afterwards the winners are counted and `check` replays the whole database. `CROWD=20000` is the long
run of docs/reliability.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests import books
from tests.reliability import crowd

from token_ledger.check import check
from token_ledger.core.strict import to_hex
from token_ledger.ledger import Ledger

PROCESSES = 16
POSTINGS = int(os.environ.get("CROWD", "480"))


def prepare(ledger: Ledger) -> dict[str, list[str]]:
    """Make the accounts and what is raced for; return the ids of holds and of entries."""
    for name in crowd.PEOPLE:
        ledger.create_account(name, initial_balance=50)
    ledger.create_account("banker", initial_balance=10_000)
    holds, entries = [], []
    for n in range(crowd.RACES):
        ledger.create_account(f"prize{n}", initial_balance=1)
        holds.append(to_hex(ledger.hold("banker", crowd.HELD).id))
        ledger.create_account(f"payee{n}")
        entries.append(to_hex(ledger.transfer("banker", f"payee{n}", 1, reason="x").id))
    return {"holds": holds, "entries": entries}


def test_exactly_the_allowed_number_succeed(postgres_url: str, tmp_path: Path) -> None:
    """One spend of each prize, three captures of each hold, one reversal and one entry a key."""
    began = time.monotonic()
    with books.create(postgres_url, tmp_path, ticking=False) as ledger:
        document = json.dumps(prepare(ledger))
        words = [sys.executable, "-m", "tests.reliability.crowd", postgres_url]
        processes = [
            subprocess.Popen(
                [*words, str(tmp_path / "secret"), str(seed), str(POSTINGS // PROCESSES)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for seed in range(PROCESSES)
        ]
        for process in processes:  # all are fed before any is waited for
            assert process.stdin is not None
            process.stdin.write(document)
            process.stdin.close()
            process.stdin = None
        won: Counter[str] = Counter()
        for process in processes:
            out, _ = process.communicate(timeout=3000)
            assert 0 == process.returncode
            won.update(json.loads(out))
        assert {
            "spend": crowd.RACES,
            "capture": crowd.RACES * (crowd.HELD // crowd.TAKEN),
            "reverse": crowd.RACES,
            "same key": crowd.RACES,
        } == {name: won[name] for name in ("spend", "capture", "reverse", "same key")}
        assert (
            crowd.RACES * (crowd.HELD % crowd.TAKEN)
            == ledger.get_account("banker").total_staked // 10**18
        )
        result = check(ledger)
        assert [] == result.findings
        assert ledger.get_balance("payee0") == 0
        if seen := os.environ.get("SEEN"):
            Path(seen).write_text(f"{dict(won)} in {time.monotonic() - began:.0f} s\n")
