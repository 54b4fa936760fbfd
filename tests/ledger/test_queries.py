"""Statements against a brute-force scan, entries by id, and the supply."""

from __future__ import annotations

import datetime as dt

import pytest
from tests import books

from token_ledger.errors import (
    TimestampError,
    UnknownAccountError,
    UnknownEntryError,
    UsageError,
)
from token_ledger.ledger import Ledger, StoredEntry


def whole(ledger: Ledger, account: str, **words: object) -> list[StoredEntry]:
    """Return every page of a statement, joined."""
    found: list[StoredEntry] = []
    cursor = None
    while True:
        page = ledger.get_statement(account, cursor=cursor, **words)
        found += page.entries
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 7, 50, 1000])
def test_statement_is_the_brute_force_scan(limit: int, ledger: Ledger) -> None:
    """Pages of any size give every entry of an account once, newest first."""
    books.fill(ledger, 60)
    everything = {entry.entry_no: entry for p in books.PEOPLE for entry in whole(ledger, p)}
    for person in ("alice", "bob"):
        expected = [
            entry
            for _, entry in sorted(everything.items(), reverse=True)
            if person in (entry.from_account, entry.to_account)
        ]
        assert expected == whole(ledger, person, limit=limit)


def test_statement_since(ledger: Ledger) -> None:
    """`since` keeps entries dated then or later, whenever they were posted."""
    days = (3, 1, 2, 5, 4)
    for day in days:
        ledger.mint("carol", day, reason="x", timestamp=f"2020-01-0{day}T00:00:00Z")
    since = dt.datetime(2020, 1, 3, tzinfo=dt.UTC)
    for limit in (1, 2, 50):
        found = whole(ledger, "carol", since=since, limit=limit)
        assert ["4", "5", "3"] == [entry.amount for entry in found]
    assert 5 == len(whole(ledger, "carol", since="1970-01-01T00:00:00Z"))
    with pytest.raises(TimestampError):
        ledger.get_statement("carol", since="2020-01-01")


def test_cursor_is_stable(ledger: Ledger) -> None:
    """Entries that arrive between two pages neither repeat nor hide one."""
    books.fill(ledger, 30)
    expected = [entry.entry_no for entry in whole(ledger, "alice")]
    first = ledger.get_statement("alice", limit=5)
    ledger.mint("alice", 1, reason="late")
    rest = []
    cursor = first.cursor
    while cursor is not None:
        page = ledger.get_statement("alice", limit=5, cursor=cursor)
        rest += page.entries
        cursor = page.cursor
    assert expected == [entry.entry_no for entry in (*first.entries, *rest)]


def test_balances_after_tell_the_story(ledger: Ledger) -> None:
    """Read backwards, a statement's balances are the running sum of its amounts."""
    books.fill(ledger, 60)
    balance = 0
    for entry in reversed(whole(ledger, "alice")):
        balance += entry.value if entry.to_account == "alice" else -entry.value
        assert balance == entry.balance_after("alice")
        assert entry.balance_after("stranger") is None
    assert balance == ledger.get_balance("alice")


def test_empty_and_unknown_statements(ledger: Ledger) -> None:
    """An account without entries has an empty page; an unknown account is an error."""
    page = ledger.get_statement("carol")
    assert ((), None) == (page.entries, page.cursor)
    with pytest.raises(UnknownAccountError):
        ledger.get_statement("nobody")


@pytest.mark.parametrize(
    "words",
    [
        *({"limit": limit} for limit in (0, 1001, "5", 5.0, True, None)),
        *({"cursor": cursor} for cursor in ("x", "", 5, b"5")),
    ],
    ids=str,
)
def test_bad_pages_are_refused(words: dict, ledger: Ledger) -> None:
    """Limits are whole numbers, 1 to 1,000, and cursors the texts that were given."""
    with pytest.raises(UsageError):
        ledger.get_statement("alice", **words)
    with pytest.raises(UsageError):
        ledger.accounts(**words)


def test_entry_by_id(ledger: Ledger) -> None:
    """An entry is found by its id as bytes or hex, in its own token only."""
    posted = ledger.transfer("alice", "bob", 1, reason="x")
    entry = ledger.get_entry(posted.id)
    assert entry == ledger.get_entry("0x" + posted.id.hex())
    assert ("alice", "bob", "1") == (entry.from_account, entry.to_account, entry.amount)
    for bad in ("0x12", "xyz", "0x" + "g" * 64, " " + posted.id.hex()):
        with pytest.raises(UsageError):
            ledger.get_entry(bad)
    with pytest.raises(UnknownEntryError):
        ledger.get_entry(bytes(32))
    ledger.create_token("TWO", "Second", 0)
    ledger.use("TWO")
    with pytest.raises(UnknownEntryError):
        ledger.get_entry(posted.id)


def test_supply_of_a_new_token(ledger: Ledger) -> None:
    """A new token has no supply, and says its maximum."""
    ledger.create_token("TWO", "Second", 2, max_supply="10.5")
    ledger.use("TWO")
    supply = ledger.get_supply()
    assert (0, 0, 0, 1050, "0") == (
        supply.total_supply,
        supply.total_minted,
        supply.total_burned,
        supply.max_supply,
        supply.amount,
    )
