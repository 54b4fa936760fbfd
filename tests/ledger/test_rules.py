"""Earning rules and awards, on both engines: versions, exact amounts, caps under concurrency."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from tests import books

from token_ledger.core.earning import earned_value, format_factor, parse_factor
from token_ledger.errors import (
    AmountError,
    AmountRangeError,
    DatabaseError,
    EarningCapError,
    KeyConflictError,
    SupplyExceededError,
    SystemAccountError,
    TextError,
    UnknownAccountError,
    UnknownEntryError,
    UnknownRuleError,
    UsageError,
)
from token_ledger.ledger import Ledger

ONE = 10**18
DAY = dt.timedelta(days=1)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = books.START

    def __call__(self) -> int:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(database_url: str, clock: Clock) -> Iterator[Ledger]:
    """Yield a ledger of one token without decimals, whose time stands."""
    with Ledger.create(database_url, operator=b"\1" * 20, clock=clock) as ledger:
        ledger.create_token("T", "Token", 0)
        yield ledger


def test_an_award_makes_the_account_and_says_all(ledger: Ledger) -> None:
    """The account is made, the balance is in the result, the entry is a mint for `earn:ACTION`."""
    rule = ledger.set_rule("publish", "1.5", "2")
    made = ledger.award(
        "dora",
        "publish",
        idempotency_key="k",
        reference=("paper", "7"),
        memo="m",
        metadata={"a": 1},
    )
    assert (3 * ONE, None, 153 * ONE) == (
        made.balance_after_to, made.balance_after_from, made.supply_after,
    )  # fmt: skip
    assert ("publish", 1, "k", False) == (
        made.action, made.rule_version, made.idempotency_key, made.repeated,
    )  # fmt: skip
    entry = ledger.get_entry(made.id)
    assert ("system", "dora", "earn:publish", "paper", "7", "m", '{"a":1}') == (
        entry.from_account, entry.to_account, entry.reason, entry.reference_type,
        entry.reference_id, entry.memo, entry.metadata,
    )  # fmt: skip
    assert rule == ledger.rule_of(made.id) == ledger.get_rule("publish")
    assert ledger.rule_of(ledger.mint("dora", 1, reason="x").id) is None
    with pytest.raises(UnknownEntryError):
        ledger.rule_of(b"\1" * 32)
    with pytest.raises(UnknownAccountError):
        ledger.award("emil", "publish", create_account=False)


def test_a_rule_changes_by_versions(ledger: Ledger) -> None:
    """Each change is the next version, the same words are none, retired and set again are two."""
    first = ledger.set_rule("cite", "0.5")
    assert (1, first) == (first.version, ledger.set_rule("cite", Decimal("0.5"), "1.0"))
    second = ledger.set_rule("cite", "0.5", count_max=3, period=DAY)
    made = ledger.award("alice", "cite")
    third = ledger.retire_rule("cite")
    assert (third, [], third) == (
        ledger.retire_rule("cite"), ledger.rules(), ledger.get_rule("cite"),
    )  # fmt: skip
    with pytest.raises(UnknownRuleError, match="retired"):
        ledger.award("alice", "cite")
    fourth = ledger.set_rule("cite", "0.5", count_max=3, period=DAY)
    other = ledger.set_rule("adopt", 2)
    assert [first, second, third, fourth] == ledger.rules("cite", history=True)
    assert [other, fourth] == ledger.rules()
    assert (5, first) == (len(ledger.rules(history=True)), ledger.get_rule("cite", 1))
    assert (second, 4) == (ledger.rule_of(made.id), ledger.award("alice", "cite").rule_version)
    for call in (
        lambda: ledger.get_rule("remix"),
        lambda: ledger.get_rule("cite", 9),
        lambda: ledger.retire_rule("remix"),
        lambda: ledger.award("alice", "remix"),
    ):
        with pytest.raises(UnknownRuleError):
            call()


def test_a_repeat_is_the_first_result(ledger: Ledger) -> None:
    """Under one key the first award is returned, though the rule changed, was capped or retired."""
    ledger.set_rule("login", 1)
    words = {"idempotency_key": "login:1", "reference": ("day", "1")}
    first = ledger.award("dora", "login", **words)
    ledger.set_rule("login", 5, count_max=1)
    again = ledger.award("dora", "login", **words)
    ledger.retire_rule("login")
    third = ledger.award("dora", "login", **words)
    assert [(first.id, 1, True)] * 2 == [(a.id, a.rule_version, a.repeated) for a in (again, third)]
    assert ONE == ledger.get_balance("dora")


@pytest.mark.parametrize(
    "changes",
    [
        {"account_id": "alice"},
        {"action": "cite"},
        {"factor": 2},
        {"memo": "other"},
        {"reference": ("a", "b")},
        {"metadata": [1]},
        {"timestamp": "2024-02-29T00:00:00Z"},
    ],
    ids=str,
)
def test_another_award_under_the_key_is_a_conflict(changes: dict, ledger: Ledger) -> None:
    """What was asked for is judged whole: account, action, factor, texts, and a time if given."""
    for action in ("login", "cite"):
        ledger.set_rule(action, 1)
    asked = {"account_id": "bob", "action": "login", "idempotency_key": "k"}
    ledger.award(**asked)
    with pytest.raises(KeyConflictError):
        ledger.award(**(asked | changes))
    assert 51 * ONE == ledger.get_balance("bob")


def test_a_key_is_no_mints_and_awards_at_once(ledger: Ledger) -> None:
    """An award's key is no mint's, even of the same words, nor the other way round."""
    ledger.set_rule("login", 1)
    ledger.mint("bob", 1, reason="earn:login", idempotency_key="m")
    with pytest.raises(KeyConflictError):
        ledger.award("bob", "login", idempotency_key="m")
    assert 51 * ONE == ledger.get_balance("bob")


def test_the_fraction_is_dropped(timed: Ledger) -> None:
    """Base times multiplier times factor, exact, then down to a whole base unit; 0 is refused."""
    timed.set_rule("play", 7, "1.1")
    assert [7, 15, 3] == [timed.award("a", "play", f).value for f in ("1", 2, "0.5")]
    with pytest.raises(AmountRangeError, match="less than a base unit"):
        timed.award("a", "play", "0.1")
    timed.set_rule("huge", 2**255, 2)
    with pytest.raises(AmountRangeError):
        timed.award("a", "huge")
    assert 2**255 == timed.award("b", "huge", "0.5").balance_after_to


def test_a_refused_award_leaves_nothing(timed: Ledger) -> None:
    """A refusal makes no account and takes no key."""
    timed.set_rule("play", 1, "0.4")
    with pytest.raises(AmountRangeError):
        timed.award("new", "play", idempotency_key="k")
    with pytest.raises(UnknownAccountError):
        timed.get_account("new")
    timed.set_rule("play", 1)
    assert not timed.award("new", "play", idempotency_key="k").repeated


@given(
    base=st.integers(1, 2**256 - 1),
    multiplier=st.integers(1, 10**40),
    parts=st.lists(st.integers(1, 10**30), min_size=1, max_size=4),
)
def test_awards_are_exact(base: int, multiplier: int, parts: list[int]) -> None:
    """The result is the floor of the exact product; in pieces it is never more than whole."""
    unit = Fraction(1, 10**18)
    exact = base * multiplier * unit * parts[0] * unit
    got = earned_value(base, multiplier=multiplier, factor=parts[0])
    assert got <= exact < got + 1
    pieces = sum(earned_value(base, multiplier=multiplier, factor=part) for part in parts)
    assert pieces <= earned_value(base, multiplier=multiplier, factor=sum(parts))
    assert multiplier == parse_factor(format_factor(multiplier), what="x")


@pytest.mark.parametrize("bad", ["0", "-1", "x", 1.5, "1e3", "0.0000000000000000001", None])
def test_what_is_no_number_is_refused(bad: object, ledger: Ledger) -> None:
    """Floats, exponents, zero and finer than 18 decimals: no base, multiplier or factor."""
    ledger.set_rule("play", 1)
    calls = [lambda: ledger.set_rule("play", 1, bad), lambda: ledger.award("bob", "play", bad)]
    for call in calls:
        with pytest.raises((AmountError, AmountRangeError), match=r"multiplier|factor"):
            call()
    with pytest.raises((AmountError, AmountRangeError)):
        ledger.set_rule("play", bad)
    assert 1 == ledger.get_rule("play").version


def test_rules_that_make_no_sense_are_refused(ledger: Ledger) -> None:
    """A period without a cap, counts of nothing, names that cannot be read; `system` earns not."""
    for words in ({"period": DAY}, {"count_max": 0}, {"count_max": 1, "period": dt.timedelta(0)}):
        with pytest.raises(UsageError):
            ledger.set_rule("play", 1, **words)
    with pytest.raises(UsageError):
        ledger.set_rule("play", 1, count_max=1, period=dt.timedelta(days=400))
    for name in ("", " play", "a\nb", "a" * 201):
        with pytest.raises(TextError):
            ledger.set_rule(name, 1)
    ledger.set_rule("play", 1)
    with pytest.raises(SystemAccountError):
        ledger.award("system", "play")
    with pytest.raises(UsageError):
        ledger.award("escrow:bob", "play")
    assert [] == ledger.rules("other")


def test_caps_of_a_period(timed: Ledger, clock: Clock) -> None:
    """Count and amount start anew with each UTC day, for each account by itself."""
    clock.at = 1_700_006_400_000_000 - 1  # an instant before a UTC midnight
    timed.set_rule("login", 10, count_max=2, amount_max=25, period=DAY)
    assert [10, 20] == [timed.award("a", "login").balance_after_to for _ in range(2)]
    with pytest.raises(EarningCapError, match=r"2 times.*0 are left until 2023-11-15T00:00:00Z"):
        timed.award("a", "login")
    timed.award("b", "login")
    with pytest.raises(EarningCapError, match=r"may earn 25 T .*15 T are left"):
        timed.award("b", "login", 2)
    clock.at += 1
    assert [40, 45] == [timed.award("a", "login", f).balance_after_to for f in (2, "0.5")]
    with pytest.raises(EarningCapError):
        timed.award("a", "login", "0.1")
    timed.set_rule("login", 10, count_max=3, period=DAY)
    assert 3 == len([timed.award("b", "login") for _ in range(3)])
    with pytest.raises(EarningCapError):
        timed.award("b", "login")


def test_caps_for_ever_and_for_all(timed: Ledger, clock: Clock) -> None:
    """Without a period a cap never starts anew; the total counts everybody and every version."""
    timed.set_rule("signup", 10, count_max=1, total_max=35)
    for name in "abc":
        timed.award(name, "signup")
    clock.at += 10 * 366 * 86_400_000_000
    with pytest.raises(EarningCapError, match="for ever"):
        timed.award("a", "signup")
    with pytest.raises(EarningCapError, match="5 T are left"):
        timed.award("d", "signup")
    timed.set_rule("signup", 5, count_max=2, total_max=35)
    assert 15 == timed.award("a", "signup").balance_after_to
    with pytest.raises(EarningCapError):
        timed.award("b", "signup", "0.2")


def test_caps_are_met_to_the_unit(timed: Ledger) -> None:
    """Exactly what a cap allows is awarded, and not one base unit more."""
    timed.set_rule("play", 1, amount_max=25, total_max=40)
    assert 25 == timed.award("a", "play", 25).balance_after_to
    with pytest.raises(EarningCapError, match="0 T are left"):
        timed.award("a", "play")
    assert 15 == timed.award("b", "play", 15).balance_after_to
    with pytest.raises(EarningCapError, match="all accounts may earn 40 T"):
        timed.award("b", "play")


def test_a_reversal_gives_no_cap_back(timed: Ledger) -> None:
    """What was taken back counts as awarded: nobody earns again by undoing."""
    timed.set_rule("publish", 1, count_max=1)
    timed.reverse(timed.award("a", "publish").id)
    with pytest.raises(EarningCapError):
        timed.award("a", "publish")


def test_the_maximum_supply_holds(database_url: str) -> None:
    """An award is a mint: the token's maximum stands above every rule."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("T", "Token", 0, max_supply=3)
        ledger.set_rule("play", 2)
        ledger.award("a", "play")
        with pytest.raises(SupplyExceededError):
            ledger.award("a", "play")


def test_caps_hold_when_many_come_at_once(ledger: Ledger) -> None:
    """Of many at once exactly as many are awarded as the caps allow, for one account and for all.

    Their accounts are made by whoever comes first.
    """
    ledger.set_rule("login", 1, count_max=3)
    ledger.set_rule("signup", 1, total_max=5)

    def attempt(call) -> int:
        try:
            call()
        except EarningCapError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        jobs = [lambda: ledger.award("dora", "login")] * 16
        assert 3 == sum(pool.map(attempt, jobs))
        jobs = [lambda n=n: ledger.award(f"new-{n % 9}", "signup") for n in range(18)]
        assert 5 == sum(pool.map(attempt, jobs))
    assert (3 * ONE, 158 * ONE) == (ledger.get_balance("dora"), ledger.get_total_supply())


def test_one_key_at_once_awards_once(ledger: Ledger) -> None:
    """Many with the same key: one entry, one award counted, the others are its repeats."""
    ledger.set_rule("login", 1, count_max=2)
    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(lambda _: ledger.award("dora", "login", idempotency_key="k"), range(16))
        )
    assert (1, 1) == (len({m.id for m in made}), sum(not m.repeated for m in made))
    assert not ledger.award("dora", "login").repeated


def test_a_retired_rule_awards_nothing_more(ledger: Ledger) -> None:
    """After `retire_rule` has answered no award lands, however many were under way."""
    ledger.set_rule("play", 1)

    def play(number: int) -> int:
        if number == 12:
            version = ledger.retire_rule("play")
            return -ledger.get_supply().total_supply if version.retired else 0
        try:
            return ledger.award("dora", "play").value
        except UnknownRuleError:
            return 0

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(play, range(30)))
    assert -min(results) == ledger.get_supply().total_supply


def test_awards_in_the_callers_transaction(ledger: Ledger) -> None:
    """Bound to a session, rule and award are the caller's to commit or to roll back."""
    engine = create_engine(ledger.engine.url)
    with Session(engine) as session:
        inside = ledger.bound_to(session)
        inside.set_rule("play", 1)
        inside.award("dora", "play", idempotency_key="k")
        session.rollback()
        assert [] == ledger.rules()
        inside.set_rule("play", 2)
        inside.award("dora", "play", idempotency_key="k")
        session.commit()
    engine.dispose()
    assert 2 * ONE == ledger.get_balance("dora")


_COPY = (
    "INSERT INTO token_awards SELECT {entry}, token_no, account_no, action, {version},"
    " awarded_at, count_after, value_after, total_after FROM token_awards"
)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE earning_rules SET retired = (SELECT NOT retired)",
        "UPDATE earning_rules SET base_value = multiplier",
        "DELETE FROM earning_rules",
        "UPDATE token_awards SET version = 2",
        "DELETE FROM token_awards",
        _COPY.format(entry="entry_no - 1", version="version"),
        _COPY.format(entry="entry_no + 1", version="version + 1"),
    ],
)
def test_the_database_keeps_it(statement: str, ledger: Ledger) -> None:
    """Neither versions nor awards are rewritten, and an award belongs to the mint that it made."""
    ledger.mint("bob", 1, reason="not an award of his")
    ledger.set_rule("play", 2)
    ledger.award("alice", "play")
    ledger.mint("alice", 1, reason="no award")
    with pytest.raises(DatabaseError), ledger.write() as connection:
        connection.exec_driver_sql(statement)
