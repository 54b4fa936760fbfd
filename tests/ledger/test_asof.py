"""Balances as of an entry or a time, against sums over every entry, however the dates lie."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, update
from tests import books

from token_ledger.core.parse import format_timestamp
from token_ledger.core.types import UINT256_MAX, Record, Texts
from token_ledger.errors import UnknownEntryError, UsageError
from token_ledger.ledger import Ledger, schema
from token_ledger.ledger.dating import LANES, compute_dating, stored_dating

ACCOUNTS = ("a", "b", "c")
LAST = 12
MOVES = st.lists(
    st.tuples(
        st.sampled_from(("system", *ACCOUNTS)),
        st.sampled_from(("system", *ACCOUNTS)),
        st.integers(1, 9),
        st.integers(0, LAST),
    ).filter(lambda move: move[0] != move[1]),
    max_size=40,
)
Move = tuple[str, str, int, int]
FALLING: list[Move] = [("system", "a", n, LAST) for n in range(1, 4)] + [
    ("system", "a", 1, LAST - n // 3) for n in range(30)
]


def post(ledger: Ledger, moves: Sequence[Move], *, together: int = 3) -> list[Move]:
    """Post what can be posted, some in a list and some alone; return it in order."""
    held, good = dict.fromkeys(("system", *ACCOUNTS), 0), []
    for payer, payee, value, at in moves:
        if payer == "system" or held[payer] >= value:
            held[payer] -= value
            held[payee] += value
            good.append((payer, payee, value, at))
    records = [
        Record(payer, payee, value, Texts(reason="x"), timestamp=at)
        for payer, payee, value, at in good
    ]
    while records:
        ledger.post_many(records[:together])
        records, together = records[together:], 4 - together
    return good


_numbers = itertools.count(1)


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(MOVES)
@example(FALLING)
def test_balances_as_of_any_time_and_entry(ledger: Ledger, moves: list[Move]) -> None:
    """As of any time and any entry, the balance is the sum of what counts, back-dated or not."""
    symbol = f"T{next(_numbers)}"
    ledger.create_token(symbol, "Token", 0)
    ledger.use(symbol)
    for name in ACCOUNTS:
        ledger.create_account(name, exist_ok=True)
    good = post(ledger, moves)
    numbers = [entry.entry_no for entry in reversed(ledger.get_entries(limit=1000).entries)]
    assert len(good) == len(numbers)
    for name in ACCOUNTS:
        changes = [
            (value if payee == name else -value if payer == name else 0, at)
            for payer, payee, value, at in good
        ]
        for time in range(LAST + 1):
            found = ledger.get_balance_at(name, time=format_timestamp(time))
            expected = sum(change for change, at in changes if at <= time)
            assert (expected, expected < 0) == (found.value, found.negative)
            assert not found.negative or found.back_dated
        for index, number in enumerate(numbers):
            found = ledger.get_balance_at(name, entry=number)
            assert sum(change for change, _ in changes[: index + 1]) == found.value
    with ledger.read() as connection:
        token_no = ledger.token.token_no
        assert compute_dating(connection, token_no) == stored_dating(connection, token_no)


def test_lanes_keep_what_falls_back_again_and_again(ledger: Ledger) -> None:
    """Dates that only fall fill every lane; the last takes the rest, and the sums stay exact."""
    falling = [("system", "alice", n + 1, LAST + 40 - n) for n in range(40)]
    ledger.post_many(
        [Record(p, q, v, Texts(reason="x"), timestamp=at) for p, q, v, at in falling[:20]]
    )
    for payer, payee, value, at in falling[20:]:
        ledger.post_many([Record(payer, payee, value, Texts(reason="x"), timestamp=at)])
    with ledger.read() as connection:
        assert set(range(1, LANES + 1)) == {b.lane for b in stored_dating(connection, 1).backdated}
        assert compute_dating(connection, 1) == stored_dating(connection, 1)
    for time in range(LAST + 42):
        expected = sum(value for _, _, value, at in falling if at <= time)
        assert expected == ledger.get_balance_at("alice", time=format_timestamp(time)).value


def test_a_post_dated_entry_makes_one_lane(ledger: Ledger) -> None:
    """After an entry of the year 9999 ordinary life goes on in one lane, looked into, not added."""
    ledger.mint("alice", 1, reason="x", timestamp="9999-12-31T23:59:59Z")
    for day in range(1, 20):
        ledger.mint("alice", 1, reason="x", timestamp=f"2026-01-{day:02}T00:00:00Z")
    with ledger.read() as connection:
        assert {1} == {row.lane for row in stored_dating(connection, 1).backdated}
    found = ledger.get_balance_at("alice", time="2026-01-10T12:00:00Z")
    endowed = 100 * 10**18
    assert (10 * 10**18 + endowed, True) == (found.value + 0, found.back_dated)


def test_edges_of_uint256(database_url: str, tmp_path: Path) -> None:
    """Sums below zero and near 2**256 come back to the unit."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("T", "Token", 0)
        ledger.create_account("a")
        for _ in range(3):
            ledger.mint("a", UINT256_MAX, reason="x", timestamp="2026-01-02T00:00:00Z")
            ledger.burn("a", UINT256_MAX, reason="x", timestamp="2026-01-01T00:00:00Z")
        found = ledger.get_balance_at("a", time="2026-01-01T00:00:00Z")
        assert (-3 * UINT256_MAX, True, True) == (found.value, found.negative, found.back_dated)
        assert f"-{3 * UINT256_MAX}" == found.amount
        assert 0 == ledger.get_balance_at("a", time="2026-01-02T00:00:00Z").value
        assert UINT256_MAX == ledger.get_balance_at("a", entry=5).value


def test_as_of_an_id_and_of_nothing(ledger: Ledger) -> None:
    """An id is as good as a number; an account that is not there held nothing."""
    posted = ledger.transfer("alice", "bob", 30, reason="x")
    ledger.transfer("alice", "bob", 30, reason="x")
    for entry in (posted.id, "0x" + posted.id.hex(), posted.entry_no, posted.entry_no):
        found = ledger.get_balance_at("alice", entry=entry)
        assert (70 * 10**18, "70", posted.entry_no) == (found.value, found.amount, found.entry_no)
    assert 100 * 10**18 == ledger.get_balance_at("alice", entry=posted.entry_no - 1).value
    nobody = ledger.get_balance_at("nobody", time="2026-01-01T00:00:00Z")
    assert (0, None, False) == (nobody.value, nobody.entry_no, nobody.back_dated)
    assert 0 == ledger.get_balance_at("alice", entry=0).value
    with pytest.raises(UnknownEntryError):
        ledger.get_balance_at("alice", entry=bytes(32))
    for words in ({}, {"entry": 1, "time": "2026-01-01T00:00:00Z"}, {"entry": -1}, {"entry": True}):
        with pytest.raises(UsageError):
            ledger.get_balance_at("alice", **words)


def test_tokens_do_not_mix(ledger: Ledger) -> None:
    """Each token has its own dates: what is back-dated in one is not in another."""
    ledger.mint("alice", 1, reason="x", timestamp="2030-01-01T00:00:00Z")
    ledger.create_token("TWO", "Second", 0)
    ledger.use("TWO")
    ledger.mint("alice", 7, reason="x", timestamp="2020-01-01T00:00:00Z")
    found = ledger.get_balance_at("alice", time="2020-01-01T00:00:00Z")
    assert (7, False) == (found.value, found.back_dated)


def test_the_migration_computes_the_same(ledger: Ledger, project: Path) -> None:
    """What 0008 computes for the entries of an older database is what posting would have kept."""
    move = [("system", "alice", n, at) for n, at in enumerate((9, 3, 5, 9, 4, 1, 2, 8), start=1)]
    ledger.post_many([Record(p, q, v, Texts(reason="x"), timestamp=at) for p, q, v, at in move])
    ledger.transfer("alice", "bob", 1, reason="x", timestamp="1970-01-01T00:00:00Z")
    with ledger.read() as connection:
        kept = stored_dating(connection, 1)
    spec = importlib.util.spec_from_file_location(
        "history_migration", project / "migrations" / "versions" / "0008_history.py"
    )
    assert spec is not None and spec.loader is not None
    migration = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(migration)
    with ledger.write() as connection:
        connection.execute(delete(schema.token_backdated))
        connection.execute(update(schema.token_accounts).values(latest_at=0))
        migration.fill(connection)
    with ledger.read() as connection:
        assert kept == stored_dating(connection, 1)
        assert len(kept.backdated) > 5


def test_altered_dates_are_recalculated(ledger: Ledger) -> None:
    """Whatever is altered in what is kept of dates is found by `recalc`, and put right once."""
    books.fill(ledger, 40)
    for value in (5, 6, 7):
        ledger.mint("alice", value, reason="x", timestamp=f"2020-01-0{value}T00:00:00Z")
    ledger.mint("carol", 6, reason="x", timestamp="2020-01-02T00:00:00Z")
    assert 0 == ledger.recalc().drifted
    with ledger.read() as connection:
        before = stored_dating(connection, 1)
    gone, altered, copied, *_ = before.backdated
    surplus = {**copied._asdict(), "token_no": 1, "account_no": 3, "entry_no": 1}
    table = schema.token_backdated
    with ledger.write() as connection:
        connection.execute(delete(table).where(table.c.entry_no == gone.entry_no))
        connection.execute(
            update(table).where(table.c.entry_no == altered.entry_no).values(total=-7)
        )
        connection.execute(insert(table).values(surplus))
        connection.execute(update(schema.token_accounts).values(latest_at=7))
    assert 1 + 2 + 1 <= ledger.recalc(dry_run=True).drifted
    assert ledger.recalc().corrected >= 4
    assert 0 == ledger.recalc(dry_run=True).drifted
    with ledger.read() as connection:
        assert before == stored_dating(connection, 1)
