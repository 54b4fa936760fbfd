"""Debts in every balance that is shown: statements, CSV, the feed, as of an entry, as of a time.

Against sums over entries by a model that keeps the debt as one number and its changes as a list.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from token_ledger.core.parse import format_timestamp
from token_ledger.errors import (
    DatabaseError,
    InsufficientBalanceError,
    OverdraftError,
    SchemaVersionError,
)
from token_ledger.ledger import Ledger

LAST = 12
MOVES = st.lists(
    st.tuples(
        st.sampled_from(("in", "in", "out", "out", "out", "write-off")),
        st.integers(1, 9),
        st.integers(0, LAST),
    ),
    max_size=30,
)
POST_DATED = [("out", 3, LAST), ("out", 4, 2), ("in", 5, 3), ("out", 9, 4), ("in", 1, 5)]
FORGIVEN = [("out", 3, 1), ("write-off", 1, 0), ("out", 4, 2), ("write-off", 1, 0), ("in", 2, 3)]
Move = tuple[str, int, int]


class Clock:
    """A clock that stands where it was put."""

    def __init__(self) -> None:
        self.time = LAST + 1

    def __call__(self) -> int:
        """Return the time in microseconds."""
        return self.time


def play(ledger: Ledger, clock: Clock, moves: Sequence[Move]) -> list[tuple[int, int, int]]:
    """Let alice pay and be paid; return (moment, change, 0 or the entry) of what changed her.

    Postings are dated as they say, write-offs by the clock, which is later than every date.
    """
    changes, balance = [], 0
    for verb, value, at in moves:
        words = {"reason": "x", "timestamp": format_timestamp(at)}
        try:
            if verb == "write-off":
                done = ledger.write_off("alice", by="me", reason="x")
                clock.time += 1
                changes.append((done.written_off_at, done.value, 0))
                balance += done.value
                continue
            posted = (
                ledger.mint("alice", value, **words)
                if verb == "in"
                else ledger.spend("alice", value, **words)
            )
        except (InsufficientBalanceError, OverdraftError):
            continue
        balance += value if verb == "in" else -value
        after = posted.balance_after_to if verb == "in" else posted.balance_after_from
        assert balance == after == ledger.get_balance("alice")
        changes.append((at, value if verb == "in" else -value, posted.entry_no))
    return changes


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(MOVES)
@example(POST_DATED)
@example(FORGIVEN)
def test_debts_are_in_every_balance(database_url: str, moves: list[Move]) -> None:
    """As of any entry and time, in pages and in the CSV, the balance is the sum of what counts."""
    clock = Clock()
    ledger = _fresh(database_url, clock)
    with ledger:
        changes = play(ledger, clock, moves)
        for time in [*range(LAST + 2), clock.time]:
            found = ledger.get_balance_at("alice", time=format_timestamp(time))
            assert sum(change for at, change, _ in changes if at <= time) == found.value
        assert ledger.get_balance("alice") == found.value
        _compare_pages(ledger, changes)


def _fresh(url: str, clock: Clock) -> Ledger:
    """Return a ledger whose chosen token nobody has used: alice may owe 20 of it."""
    try:
        ledger = Ledger.open(url, clock=clock)
    except (SchemaVersionError, DatabaseError):
        ledger = Ledger.create(url, operator=b"\1" * 20, clock=clock)
    symbol = f"T{len(ledger.tokens())}"
    ledger.create_token(symbol, "Token", 0)
    ledger.use(symbol)
    ledger.create_account("alice", exist_ok=True)
    ledger.limit_overdraft("alice", 20)
    return ledger


def _compare_pages(ledger: Ledger, changes: list[tuple[int, int, int]]) -> None:
    """Every listing shows after each entry what `get_balance` showed."""
    expected: dict[int, int] = {}
    balance = 0
    for _, change, entry_no in changes:
        balance += change
        if entry_no:
            expected[entry_no] = balance
    entries = list(ledger.get_statement("alice", limit=1000).entries)
    others = [
        ledger.get_history("alice", 1000),
        list(ledger.get_entries(limit=1000).entries),
        list(reversed(ledger.feed().entries)),
        [ledger.get_entry(entry.id) for entry in entries],
    ]
    assert [entries] * len(others) == others
    rows = csv.DictReader(io.StringIO("".join(ledger.statement_csv("alice")), newline=""))
    for entry, row in zip(entries, rows, strict=True):
        shown, debt = entry.balance_after("alice"), entry.debt_after("alice")
        assert shown == expected.get(entry.entry_no, shown)
        then = ledger.get_balance_at("alice", entry=entry.entry_no)
        assert (shown, debt) == (then.value, then.debt)
        assert (str(shown), str(debt)) == (row["balance"], row["owed"])


def test_draws_and_repayments_leave_the_shown_balance(purse: Ledger) -> None:
    """A statement in which 70 become -30 and 10: what is drawn is owed, what is repaid is not."""
    purse.transfer("alice", "bob", 100, reason="buy")
    purse.mint("alice", 40, reason="award")
    shown = [
        (e.reason, e.balance_after("alice"), e.debt_after("alice"))
        for e in reversed(purse.get_statement("alice").entries)
    ]
    assert [
        ("endow", 70, 0),
        ("overdraft:draw", 70, 30),
        ("buy", -30, 30),
        ("award", 10, 30),
        ("overdraft:repay", 10, 0),
    ] == shown


def test_as_of_when_it_was_written_off(purse: Ledger) -> None:
    """As of an entry it counts from the account's next one on; as of a time from that moment."""
    paid = purse.transfer("alice", "bob", 100, reason="buy")
    done = purse.write_off("alice", by="me", reason="x")
    assert -30 == purse.get_balance_at("alice", entry=paid.entry_no).value
    before = format_timestamp(done.written_off_at - 1)
    assert -30 == purse.get_balance_at("alice", time=before).value
    assert 0 == purse.get_balance_at("alice", time=format_timestamp(done.written_off_at)).value
    later = purse.mint("alice", 5, reason="award")
    assert 5 == purse.get_balance_at("alice", entry=later.entry_no).value
