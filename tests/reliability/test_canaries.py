"""Canaries: stores and posters with one planted bug each, which the suite must catch.

Method: the one test of the conformance suite that is to catch it runs in a process whose module has
one line changed, and must fail. No test is chosen that needs luck: they run by themselves, or wait
for one another. The same tests pass where nothing is planted, as the suite itself shows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_TRANSACTION = """
        connection.execution_options(**{_WRITE: True})
        with connection.begin():
            yield connection
"""
_COMMITTED = """
        connection.execution_options(**{_WRITE: True})
        with connection.begin() as transaction:
            try:
                yield connection
            except Exception:
                transaction.commit()
                raise
"""
_HOLD_ENDS = (
    "    _take(desk, found, poster, value=found.remaining, released=True)\n    return posted"
)
_NEEDED = "test_posting.py::test_overdraft_names_account_balance_and_need[sqlite]"
_OTHER = "test_posting.py::test_same_key_with_another_request_is_a_conflict[sqlite-{'amount': 2}]"
_DRAWS = "test_overdraft.py::test_spending_past_zero_draws_the_shortage_first[sqlite]"
_PERIOD = "test_rules.py::test_caps_of_a_period[sqlite]"
_SHARED = "test_coalesce.py::test_one_commit_answers_each_its_own[sqlite]"
_SLOW = "test_balance_cache.py::test_a_slow_reader_cannot_bring_the_past_back"
CANARIES: dict[str, tuple[str, str, str]] = {
    "rows are not locked": (
        *(' ORDER BY account_no FOR NO KEY UPDATE"', ' ORDER BY account_no"'),
        "test_concurrency.py::test_spend_waits_for_one_under_way[postgresql]",
    ),
    "the supply is not locked": (
        *(' WHERE token_no = %s FOR NO KEY UPDATE"', ' WHERE token_no = %s"'),
        "test_concurrency.py::test_mint_waits_for_one_under_way[postgresql]",
    ),
    "numbers are taken without the writers' lock": (
        *("pg_advisory_xact_lock_shared({WRITERS_LOCK})", "{WRITERS_LOCK}"),
        "test_feed.py::test_what_commits_late_is_not_skipped",
    ),
    "one token too much may be spent": (
        *("self.balance + credit < value", "self.balance + credit + 10**18 < value"),
        _NEEDED,
    ),
    "no balance is checked": ("if self.balance + credit < value", "if False", _NEEDED),
    "what is received is lost": (
        *("self.balance += value\n        self.earned += value", "self.earned += value"),
        "test_posting.py::test_transfer_moves_and_says_what_became[sqlite]",
    ),
    "the last account's update is lost": (
        *(
            "_store.write(self._rows, changed, supply,",
            "_store.write(self._rows, changed[:-1], supply,",
        ),
        "test_posting.py::test_transfer_moves_and_says_what_became[sqlite]",
    ),
    "repeats are not looked up": (
        *("= prior.get(request.nonce)", "= None"),
        "test_posting.py::test_repeat_returns_the_first_result[sqlite]",
    ),
    "a repeat may ask for something else": ("if request.id != prior.id:", "if False:", _OTHER),
    "time may go back": (
        *("max(now, self._latest)\n        waived", "now\n        waived"),
        "test_posting.py::test_created_at_never_goes_back[sqlite]",
    ),
    "the maximum is off by one": (
        *("self.total + value > ceiling", "self.total + value > ceiling + 1"),
        "test_posting.py::test_supply_cannot_exceed_the_maximum[sqlite]",
    ),
    "a refused posting is committed": (
        *(_TRANSACTION, _COMMITTED),
        "test_posting.py::test_list_is_all_or_nothing[sqlite]",
    ),
    "a deadlock is not tried again": (
        *("            if attempt == attempts:", "            if attempt:"),
        "test_engine.py::test_deadlock_is_retried_and_then_raised[sqlite]",
    ),
    "a hold may be captured over": (
        *("if taken > found.remaining:", "if False:"),
        "test_holds.py::test_an_ended_hold_is_ended[sqlite]",
    ),
    "a hold may be captured after it expired": (
        *("    if _expired(found, poster):", "    if False:"),
        "test_holds.py::test_expiry[sqlite]",
    ),
    "a hold may be released twice": (
        *(_HOLD_ENDS, "    poster.close()\n    return posted"),
        "test_holds.py::test_an_ended_hold_is_ended[sqlite]",
    ),
    "what is held does not count against the cap": (
        *("held = self.balance + self.staked", "held = self.balance"),
        "test_holds.py::test_caps_count_balance_and_holds[sqlite]",
    ),
    "an entry may be reversed twice": (
        *("    if before is not None:\n        raise Rev", "    if False:\n        raise Rev"),
        "test_reversal.py::test_an_entry_is_reversed_once[sqlite]",
    ),
    "more may be reversed than was moved": (
        *("if value is not None and value > entry.value:", "if False:"),
        "test_reversal.py::test_an_entry_is_reversed_once[sqlite]",
    ),
    "frozen accounts spend": (
        *("if self.row.frozen_at is not None:", "if False:"),
        "test_limits.py::test_frozen_accounts_are_paid_and_do_not_pay[sqlite]",
    ),
    "what is drawn is not owed": (
        *("self.balance += value\n        self.debt += value", "self.balance += value"),
        _DRAWS,
    ),
    "what comes in repays nothing": (
        *("if payee is not None and payee.debt:", "if False:"),
        "test_overdraft.py::test_what_comes_in_repays_at_once[sqlite]",
    ),
    "one token too much may be owed": (
        *("self.debt + missing > most else", "self.debt + missing > most + 1 else"),
        "test_overdraft.py::test_never_beyond_the_limit[sqlite]",
    ),
    "a draw that is refused stays": (
        *("        self._supply.check_mint(drawn)", "        pass"),
        "test_overdraft.py::test_draws_count_against_the_maximum_supply[sqlite]",
    ),
    "one award too many is given": ("times >= rule.count_max", "times > rule.count_max", _PERIOD),
    "a unit too much may be earned": (
        *("earned + value > rule.value_max", "earned + value > rule.value_max + 1"),
        "test_rules.py::test_caps_are_met_to_the_unit[sqlite]",
    ),
    "a unit too much may be earned by all": (
        *("sums.total + value > rule.total_max", "sums.total + value > rule.total_max + 1"),
        "test_rules.py::test_caps_are_met_to_the_unit[sqlite]",
    ),
    "a balance as of an entry lacks that entry": (
        *(
            "_account = :account AND entry_no <= {place}",
            "_account = :account AND entry_no < {place}",
        ),
        "test_asof.py::test_as_of_an_id_and_of_nothing[sqlite]",
    ),
    "a list is posted again under its key": (
        *("replace(r, idempotency_key=item_key(desk.context.secret, nonce, place))", "r"),
        "test_lists_keyed.py::test_a_list_is_posted_once_under_its_key[sqlite]",
    ),
    "another list passes under the key": (
        *("if found is not None and bytes(found) != digest:", "if False:"),
        "test_lists_keyed.py::test_a_list_is_posted_once_under_its_key[sqlite]",
    ),
    "a shared commit answers with a neighbour's result": (
        *("in zip(tasks, outcomes, strict=True)", "in zip(tasks, outcomes[::-1], strict=True)"),
        _SHARED,
    ),
    "one bad posting fails its neighbours": (
        *(
            "outcomes = poster.enter(requests, refuse=refuse)\n            poster",
            "outcomes = poster.enter(requests)\n            poster",
        ),
        _SHARED,
    ),
    "a balance is remembered from before one's own write": (
        *(" and needed <= found.entry_no:", ":"),
        f"{_SLOW}[sqlite-CachedLedger-51]",
    ),
    "one's own writes are not marked": (
        *("self.wrote(*(one for", "print(*(one for"),
        "test_balance_cache.py::test_ones_own_writes_are_seen_at_once[sqlite]",
    ),
}


def home_of(text: str, package: Path) -> str:
    """Return the one module of the books in which a text stands, once."""
    found = [path for path in package.glob("*.py") for _ in range(path.read_text().count(text))]
    assert 1 == len(found), f"{text!r} stands in {[path.name for path in found]}"
    return f"token_ledger.ledger.{found[0].stem}"


@pytest.fixture(scope="module")
def runner(project: Path) -> Iterator[subprocess.Popen[str]]:
    """Yield the process that runs tests with a bug planted."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.reliability.canary"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("bug", CANARIES)
def test_the_suite_catches_it(bug: str, project: Path, runner: subprocess.Popen[str]) -> None:
    """With this one bug planted, the suite fails, and not for another reason."""
    old, new, test = CANARIES[bug]
    module = home_of(old, project / "src" / "token_ledger" / "ledger")
    assert runner.stdin is not None
    assert runner.stdout is not None
    runner.stdin.write(json.dumps([module, old, new, f"tests/ledger/{test}"]) + "\n")
    runner.stdin.flush()
    status, said = json.loads(runner.stdout.readline())
    assert "stands there" not in said
    assert (1, True) == (status, f"FAILED tests/ledger/{test}" in said), said[-2000:]
