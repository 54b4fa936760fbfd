"""Statistics against brute force over every entry, however much of it was added up before."""

from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, update
from tests import books

from token_ledger.core.types import UINT256_MAX
from token_ledger.errors import TokenLedgerError, UsageError
from token_ledger.ledger import Ledger, rollups, schema
from token_ledger.ledger.statistics import PERCENTS, Statistics, gini

PEOPLE = ("alice", "bob", "carol", "dave")
FIRST = dt.date(2026, 1, 1)
DAYS = 6
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("post", "post", "post", "hold", "capture", "release", "count", "owe")),
        st.sampled_from(("system", *PEOPLE)),
        st.sampled_from(("system", *PEOPLE)),
        st.one_of(st.integers(1, 40), st.just(2**200)),
        st.sampled_from(("tip", "earn:cite", "")),
        st.integers(0, DAYS - 1),
    ),
    max_size=25,
)
_numbers = itertools.count(1)


def walk(ledger: Ledger, steps: list[tuple]) -> None:
    """Do what the ledger lets be done."""
    for what, payer, payee, value, reason, day in steps:
        try:
            if what == "count":
                ledger.get_statistics()
            elif what == "hold":
                ledger.hold(payer, value, reason=reason)
            elif what == "capture" and ledger.holds():
                ledger.capture(ledger.holds()[0].id, 1, to=payee)
            elif what == "release" and ledger.holds():
                ledger.release(ledger.holds()[0].id)
            elif what == "owe":
                ledger.limit_overdraft(payer, 100)
            elif what == "post":
                when = dt.datetime.combine(FIRST, dt.time(23, 59, 59, 999_999 * (day % 2)), dt.UTC)
                record = ledger.record(
                    payer, payee, value, reason=reason, timestamp=when + dt.timedelta(days=day)
                )
                ledger.post_many([record])
        except TokenLedgerError:
            continue  # the ledger refuses it, as it may


def brute(ledger: Ledger, since: dt.date, until: dt.date) -> dict[str, Any]:
    """Return the statistics in the simplest words, over every entry and account."""
    entries = ledger.get_entries(limit=1000).entries
    accounts = ledger.accounts(1000)[0]
    escrows = {account.account_id for account in accounts if account.escrow}
    holds = {frozenset((name, name.removeprefix("escrow:"))) for name in escrows}
    balances = dict.fromkeys((account.account_id for account in accounts), 0)
    reasons: dict[str | None, tuple[int, int]] = {}
    moves = []
    for entry in entries:
        for name, change in ((entry.from_account, -entry.value), (entry.to_account, entry.value)):
            if name != "system":
                balances[name] += change
        count, value = reasons.get(entry.reason, (0, 0))
        reasons[entry.reason] = (count + 1, value + entry.value)
        day = (dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=entry.timestamp)).date()
        sides = frozenset((entry.from_account, entry.to_account))
        if since <= day < until and "system" not in sides and sides not in holds:
            moves.append(entry.value)
    wealth = sorted(
        balances[name] + balances.get(f"escrow:{name}", 0)
        for name in balances
        if name not in escrows and balances[name] + balances.get(f"escrow:{name}", 0)
    )
    supply, staked = sum(balances.values()), sum(balances[name] for name in escrows)
    credit = sum(account.debt for account in accounts)
    return {
        "supply": (supply, staked, credit, supply - staked - credit),
        "moves": (len(moves), sum(moves), rounded(sum(moves), supply)),
        "reasons": reasons,
        "wealth": wealth,
    }


def rounded(part: int, whole: int) -> Decimal | None:
    if not whole:
        return None
    scaled = Fraction(part, whole) * 10**6
    down, rest = divmod(scaled.numerator, scaled.denominator)
    up = 2 * rest > scaled.denominator or (2 * rest == scaled.denominator and down % 2)
    return Decimal((0, tuple(map(int, str(down + int(up)))), -6))


def told(found: Statistics) -> dict[str, Any]:
    return {
        "supply": (found.total_supply, found.staked, found.credit, found.circulating),
        "moves": (found.velocity.moves, found.velocity.moved, found.velocity.velocity),
        "reasons": {r.reason: (r.entries, r.value) for r in found.reasons},
    }


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(STEPS, st.integers(0, DAYS - 1), st.integers(1, DAYS))
@example([], 0, 1)
def test_statistics_are_the_brute_force(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, steps: list[tuple], first: int, days: int
) -> None:
    """Whatever was posted, held, captured or owed, and counted in between: exact to the unit."""
    monkeypatch.setattr(rollups, "TAIL_MAX", 2)
    monkeypatch.setattr(rollups, "CHUNK", 3)
    symbol = f"T{next(_numbers)}"
    ledger.create_token(symbol, "Token", 0)
    ledger.use(symbol)
    for name in PEOPLE:
        ledger.create_account(name, exist_ok=True)
    ledger.mint("alice", 60, reason="endow", timestamp="2026-01-01T00:00:00Z")
    ledger.mint("bob", 50, reason="endow", timestamp="2026-01-02T00:00:00Z")
    walk(ledger, steps)
    since = FIRST + dt.timedelta(days=first)
    until = since + dt.timedelta(days=days)
    found, expected = ledger.get_statistics(since, until), brute(ledger, since, until)
    wealth = expected.pop("wealth")
    assert expected == told(found)
    spread = found.distribution
    assert (len(wealth), sorted(wealth, reverse=True)[:10]) == (
        spread.holders,
        [holder.value for holder in spread.top],
    )
    differences = sum(abs(one - other) for one in wealth for other in wealth)
    assert rounded(differences, 2 * len(wealth) * sum(wealth)) == spread.gini
    for percent in PERCENTS if wealth else ():
        least = next(
            v for v in wealth if sum(w <= v for w in wealth) * 100 >= percent * len(wealth)
        )
        assert least == spread.percentiles[percent]
    assert ledger.recalc(dry_run=True).drifted == 0


def test_gini_in_the_textbook() -> None:
    """All the same is 0, one of four holding everything that is held tends to 1."""
    assert Decimal("0.000000") == gini([7, 7, 7, 7])
    assert Decimal("0.250000") == gini([1, 3])
    assert Decimal("0.750000") == gini([1, 1, 1, 10**9])
    assert gini([]) is None
    assert Decimal("0.000000") == gini([UINT256_MAX])


def test_an_empty_token(ledger: Ledger) -> None:
    """Without a supply there is no velocity and no Gini, and nothing fails."""
    ledger.create_token("TWO", "Second", 2)
    ledger.use("TWO")
    found = ledger.get_statistics()
    assert (0, 0, None, None, 0, ()) == (
        found.total_supply,
        found.circulating,
        found.velocity.velocity,
        found.distribution.gini,
        found.distribution.holders,
        found.reasons,
    )
    assert dt.timedelta(days=30) == found.velocity.until - found.velocity.since
    assert "0" == found.to_json()["circulating"]


def test_periods_are_whole_days(ledger: Ledger) -> None:
    """The first day counts from its first microsecond, the last to its last, and none beyond."""
    for at in ("01T23:59:59.999999", "02T00:00:00", "03T23:59:59.999999", "04T00:00:00"):
        ledger.transfer("alice", "bob", 1, reason="tip", timestamp=f"2026-01-{at}Z")
    found = ledger.get_statistics("2026-01-02", "2026-01-04").velocity
    assert (2, 2 * 10**18, Decimal("0.013333")) == (found.moves, found.moved, found.velocity)
    for words in (
        {"since": "2026-01-02", "until": "2026-01-02"},
        {"since": "1969-01-01"},
        {"until": "0001-01-05"},
        {"since": "yesterday"},
        {"since": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
        {"top": -1},
        {"top": 1001},
    ):
        with pytest.raises(UsageError):
            ledger.get_statistics(**words)


def test_what_was_added_up_is_recalculated(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """An altered, a missing and a surplus row are found by `recalc`, and put right."""
    monkeypatch.setattr(rollups, "TAIL_MAX", 2)
    books.fill(ledger, 60)
    before = told(ledger.get_statistics())
    table = schema.token_days
    with ledger.write() as connection:
        kept = rollups.read_sums(connection, 1)
        one, two, *_ = (key for key in kept if key.day != rollups.ALL_DAYS)
        for key, statement in ((one, delete(table)), (two, update(table).values(entries=99))):
            connection.execute(
                statement.where(
                    table.c.day == key.day, table.c.kind == key.kind, table.c.reason == key.reason
                )
            )
        surplus = {"token_no": 1, "day": 5, "kind": 2, "reason": "x", "entries": 1, "value": 7}
        connection.execute(insert(table).values(surplus))
    assert 3 == ledger.recalc(dry_run=True).drifted
    ledger.recalc()
    assert 0 == ledger.recalc(dry_run=True).drifted
    assert before == told(ledger.get_statistics())
    with ledger.read() as connection:
        assert kept == rollups.read_sums(connection, 1)


def test_inside_a_callers_transaction_nothing_is_kept(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound ledger counts what its transaction sees, and leaves no mark locked behind."""
    monkeypatch.setattr(rollups, "TAIL_MAX", 2)
    books.fill(ledger, 20)
    with ledger.engine.connect() as connection, connection.begin():
        bound = ledger.bound_to(connection)
        bound.transfer("alice", "bob", 5, reason="unseen")
        assert "unseen" in {figure.reason for figure in bound.get_statistics().reasons}
        assert 0 == rollups.read_mark(connection, 1)
        connection.get_transaction().rollback()  # type: ignore[union-attr]
    assert "unseen" not in {figure.reason for figure in ledger.get_statistics().reasons}
    with ledger.read() as connection:
        assert rollups.read_mark(connection, 1) > 0


def test_an_erased_reason_is_counted_apart(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an entry moved stays counted when its texts are erased, under no reason."""
    monkeypatch.setattr(rollups, "TAIL_MAX", 2)
    tips = [ledger.transfer("alice", "bob", n, reason="tip") for n in (1, 2, 3)]
    only = ledger.transfer("alice", "bob", 4, reason="secret")
    assert {"endow": 2, "tip": 3, "secret": 1} == {
        figure.reason: figure.entries for figure in ledger.get_statistics().reasons
    }
    late = ledger.transfer("alice", "bob", 5, reason="late")
    for posted in (tips[1], only, late):
        ledger.redact(posted.id, ["reason"])
        ledger.redact(posted.id, ["reason", "memo"])
    found = {f.reason: (f.entries, f.value // 10**18) for f in ledger.get_statistics().reasons}
    assert {"endow": (2, 150), "tip": (2, 4), None: (3, 11)} == found
    assert 0 == ledger.recalc(dry_run=True).drifted
    with ledger.read() as connection:
        assert {"endow", "tip", ""} == {key.reason for key in rollups.read_sums(connection, 1)}
