"""Random walks over earning rules and awards, against a plain list of what was awarded."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import books

from token_ledger.errors import EarningCapError, UnknownRuleError
from token_ledger.ledger import Ledger


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = books.START

    def __call__(self) -> int:
        return self.at


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["award", "award", "award", "set", "retire", "tick", "repeat"]),
        st.sampled_from(["alice", "bob"]),
        st.integers(1, 9),
        st.sampled_from([None, 1, 2, 5]),
        st.sampled_from([None, 4, 10]),
    ),
    max_size=30,
)
PERIOD = 100


def walk(ledger: Ledger, clock: Clock, steps: list[tuple]) -> None:
    """Take the steps in the ledger and in a list of what was awarded, and compare."""
    rule: dict | None = None
    awarded: list[tuple] = []  # who, when, value, version, id
    versions, keys = 0, itertools.count()
    for verb, who, number, count_max, amount_max in steps:
        if verb == "tick":
            clock.at += number * 20_000_000
        elif verb == "set":
            period = PERIOD if number % 2 and (count_max or amount_max) else None
            terms = (number, count_max, amount_max, period, 30 if number == 9 else None)
            if rule is None or rule["retired"] or rule["terms"] != terms:
                versions += 1
            rule = {"terms": terms, "retired": False}
            length = None if period is None else dt.timedelta(seconds=period)
            made = ledger.set_rule(
                "play", number, count_max=count_max, amount_max=amount_max,
                period=length, total_max=terms[4],
            )  # fmt: skip
            assert versions == made.version
        elif verb == "retire" and rule is not None:
            versions += not rule["retired"]
            rule["retired"] = True
            assert versions == ledger.retire_rule("play").version
        elif verb == "repeat" and awarded:
            past = awarded[number % len(awarded)]
            again = ledger.award(past[0], "play", idempotency_key=past[5])
            assert (past[4], past[3], True) == (again.id, again.rule_version, again.repeated)
        elif verb == "award":
            allowed = rule is not None and not rule["retired"]
            if allowed:
                value, count, most, period, total = rule["terms"]
                start = 0 if period is None else clock.at - clock.at % (period * 1_000_000)
                mine = [a[2] for a in awarded if a[0] == who and a[1] >= start]
                allowed = (
                    (count is None or len(mine) < count)
                    and (most is None or sum(mine) + value <= most)
                    and (total is None or sum(a[2] for a in awarded) + value <= total)
                )
            key = f"k{next(keys)}"
            try:
                made = ledger.award(who, "play", idempotency_key=key)
            except (EarningCapError, UnknownRuleError):
                made = None
            assert allowed is (made is not None)
            if made is not None:
                awarded.append((who, clock.at, made.value, versions, made.id, key))
                assert (value, versions) == (made.value, made.rule_version)
    for name in ("alice", "bob"):
        assert sum(a[2] for a in awarded if a[0] == name) == ledger.get_balance(name)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_random_walks_against_a_list_on_sqlite(steps: list[tuple]) -> None:
    """Any run of rules, awards, repeats and ticks does what a list of awards says."""
    with TemporaryDirectory() as directory:
        clock = Clock()
        url = f"sqlite:///{Path(directory) / 'x.db'}"
        with Ledger.create(url, operator=b"\1" * 20, clock=clock) as ledger:
            ledger.create_token("T", "Token", 0)
            walk(ledger, clock, steps)


@settings(
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(STEPS)
def test_random_walks_against_a_list_on_postgresql(new_postgres_url, steps: list[tuple]) -> None:
    """The same on PostgreSQL."""
    clock = Clock()
    with Ledger.create(new_postgres_url(), operator=b"\1" * 20, clock=clock) as ledger:
        ledger.create_token("T", "Token", 0)
        walk(ledger, clock, steps)
