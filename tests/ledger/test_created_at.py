"""When an entry was written: the database's own time, which for no account ever goes back."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import books

from token_ledger.ledger import Ledger
from token_ledger.ledger.dating import stored_dating

POSTERS = 6
POSTINGS = 25


def histories(ledger: Ledger) -> list[list[int]]:
    """Return for each account when its entries were written, in their order."""
    return [
        [entry.created_at for entry in reversed(ledger.get_statement(name, limit=1000).entries)]
        for name in books.PEOPLE
    ]


def test_a_clock_that_goes_back_is_not_believed(database_url: str, tmp_path: Path) -> None:
    """Where the clock goes back, an entry counts as written with the account's last one.

    Its date, where none is given, is the same: ordinary life never makes a back-dated entry.
    """
    times = iter([books.START] * 10 + [books.START + 1000 - 100 * n for n in range(500)])
    secret = tmp_path / "secret"
    with Ledger.create(
        database_url, operator=b"\1" * 20, secret_file=secret, clock=lambda: next(times)
    ) as ledger:
        ledger.create_token("T", "Token", 0)
        for name in books.PEOPLE:
            ledger.create_account(name)
        for n in range(10):
            ledger.mint("alice", n + 1, reason="x")
            ledger.transfer("alice", books.PEOPLE[1 + n % 4], 1, reason="x")
        for history in histories(ledger):
            assert sorted(history) == history
        entries = ledger.get_statement("alice").entries
        assert all(entry.timestamp == entry.created_at for entry in entries)
        with ledger.read() as connection:
            assert [] == stored_dating(connection, ledger.token.token_no).backdated


def test_created_at_takes_no_word_of_the_caller(ledger: Ledger) -> None:
    """An entry dated in another century was written after the one before it all the same."""
    dates = ("2999-01-01T00:00:00Z", "1971-01-01T00:00:00Z", None)
    numbers = [ledger.mint("alice", 1, reason="x", timestamp=date).entry_no for date in dates]
    entries = {entry.entry_no: entry for entry in ledger.get_statement("alice").entries}
    written = [entries[number].created_at for number in numbers]
    assert sorted(written) == written
    assert all(abs(at - books.START) < 1_000_000 for at in written)


def test_created_at_is_in_order_under_concurrency(database_url: str, tmp_path: Path) -> None:
    """However many post at once, each through a ledger of its own, no account's times go back."""
    secret = tmp_path / "secret"
    with Ledger.create(database_url, operator=b"\1" * 20, secret_file=secret) as ledger:
        ledger.create_token("T", "Token", 0)
        for name in books.PEOPLE:
            ledger.create_account(name, initial_balance=10_000)

        def poster(seed: int) -> None:
            chance = random.Random(seed)
            with Ledger.open(database_url, secret_file=secret) as own:
                for _ in range(POSTINGS):
                    own.transfer(*chance.sample(books.PEOPLE, 2), chance.randint(1, 9), reason="x")

        with ThreadPoolExecutor(POSTERS) as pool:
            list(pool.map(poster, range(POSTERS)))
        found = histories(ledger)
        assert 2 * POSTERS * POSTINGS + len(books.PEOPLE) == sum(map(len, found))
        for history in found:
            assert sorted(history) == history
        with ledger.read() as connection:
            assert [] == stored_dating(connection, ledger.token.token_no).backdated
