"""Sixteen processes at once among few accounts: exactly the allowed number succeed, to the unit.

Method: they post 20,000 entries among five accounts, then go for the same money, credit, holds,
reversals, awards and keys, prize after prize, all sixteen for each. The winners of every race are
counted, and `check` replays the whole database. `RACES=200` is the run of docs/reliability.md.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

from tests import books
from tests.reliability import crowd, forking
from tests.reliability.crowd import Prize, Won

from token_ledger.check import check
from token_ledger.core.strict import to_hex
from token_ledger.ledger import Ledger

POSTINGS = int(os.environ.get("CROWD", "20000"))
RACES = int(os.environ.get("RACES", "25"))


def prepare(ledger: Ledger) -> list[Prize]:
    """Make the accounts and what is raced for, one of each kind a prize."""
    for name in crowd.PEOPLE:
        ledger.create_account(name, initial_balance=50)
    ledger.create_account("banker", initial_balance=10_000)
    ledger.set_rule("race", 1, count_max=crowd.SINGLE["award"])
    prizes = []
    for n in range(RACES):
        for name in (f"payee{n}", f"debtor{n}"):
            ledger.create_account(name)
        ledger.create_account(f"prize{n}", initial_balance=crowd.HELD + 1 + crowd.LISTED["spend"])
        ledger.limit_overdraft(f"debtor{n}", crowd.LISTED["credit"])
        hold, ending = ledger.hold(f"prize{n}", crowd.HELD), ledger.hold(f"prize{n}", 1)
        entry = ledger.transfer("banker", f"payee{n}", 1, reason="x")
        prizes.append(Prize(n, to_hex(hold.id), to_hex(ending.id), to_hex(entry.id)))
    return prizes


def let_loose(url: str, secret: Path, prizes: list[Prize]) -> list[Won]:
    """Return what each process of the crowd came to."""
    context = forking.context()
    gate = context.Barrier(crowd.PROCESSES)
    made = []
    for seed in range(crowd.PROCESSES):
        hear, say = context.Pipe(duplex=False)
        share = -(-POSTINGS // crowd.PROCESSES)
        words = (url, str(secret), seed, share, prizes, gate, say)
        made.append((context.Process(target=crowd.main, args=words), hear))
        made[-1][0].start()
        say.close()
    came = [hear.recv() for _, hear in made]  # EOFError: it failed, and said why on stderr
    for process, hear in made:
        process.join(60)
        assert 0 == process.exitcode
        hear.close()
    return came


def test_exactly_the_allowed_number_succeed(postgres_url: str, tmp_path: Path) -> None:
    """In every race exactly as many win as may; the sum is zero, and the order can be replayed."""
    with books.create(postgres_url, tmp_path, ticking=False) as ledger:
        prizes = prepare(ledger)
        began = time.monotonic()
        came = let_loose(postgres_url, tmp_path / "secret", prizes)
        took = time.monotonic() - began
        winners = Counter(race for won in came for race in won.races)
        for kind, allowed in (crowd.LISTED | crowd.SINGLE).items():
            assert [allowed] * RACES == [winners[kind, n] for n in range(RACES)], kind
        ids = {(n, entry_id) for won in came for n, entry_id in won.ids}
        assert RACES == len(ids), "one key gives everybody one id"
        counts: Counter[str] = sum((won.counts for won in came), Counter())
        assert counts["entries"] >= POSTINGS
        result = check(ledger)
        assert [] == result.findings
        assert 0 == ledger.recalc(dry_run=True).findings_total
        kept = {ledger.get_account(f"prize{n}").total_staked for n in range(RACES)}
        assert {crowd.HELD % crowd.TAKEN * 10**18} == kept
        assert {-crowd.LISTED["credit"] * 10**18} == {
            ledger.get_balance(f"debtor{n}") for n in range(RACES)
        }
        if seen := os.environ.get("SEEN"):
            said = f"{dict(counts)}, {sum(winners.values())} wins, {took:.0f} s\n"
            Path(seen).write_text(said)
