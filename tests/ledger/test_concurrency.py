"""Many writers at once, on real engines: exactly what the rules allow succeeds, and in order.

Method: threads with a ledger of their own each start together; afterwards the database alone is
asked. Whatever the interleaving, the outcome that is asserted is the only one allowed.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text

from token_ledger.core.types import Record
from token_ledger.errors import (
    AccountExistsError,
    InsufficientBalanceError,
    KeyConflictError,
    RetryableError,
    SupplyExceededError,
    TokenLedgerError,
)
from token_ledger.ledger import Ledger, posting, schema
from token_ledger.ledger.engine import translated


@pytest.fixture
def coins(database_url: str) -> str:
    """Return the URL of a ledger of whole coins, at most 1,000, with four empty accounts."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("COIN", "Coin", 0, max_supply=1000)
        for name in "abcd":
            ledger.create_account(name)
    return database_url


def at_once(url: str, works: list[Callable[[Ledger], Any]]) -> list[Any]:
    """Run each work in a thread with its own ledger; return results, errors among them."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[Ledger], Any]) -> Any:
        with Ledger.open(url) as ledger:
            _ = ledger.token
            barrier.wait(timeout=60)
            try:
                return work(ledger)
            except TokenLedgerError as error:
                return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def while_open(url: str, first: Record, work: Callable[[Ledger], Any]) -> Any:
    """Return what `work` gives that is begun before a posting commits, and waits for it.

    Not two threads and luck: whatever does not wait has ended, on what was there before.
    """
    with Ledger.open(url) as ledger, ThreadPoolExecutor(1) as pool:
        with ledger.write() as connection:
            posting.post(connection, ledger.context, ledger.token, [first])
            future = pool.submit(at_once, url, [work])
            until = time.monotonic() + 60
            while not future.done() and not _somebody_waits(ledger) and time.monotonic() < until:
                wait([future], timeout=0.01)
        [result] = future.result()
        return result


def _somebody_waits(ledger: Ledger) -> bool:
    """Tell whether a connection waits for a lock; SQLite cannot tell, where a moment must do."""
    if ledger.engine.dialect.name == "sqlite":
        time.sleep(0.2)
        return True
    with ledger.read() as connection:
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(connection.execute(waiting).scalar_one())


def check_books(url: str) -> None:
    """Replay all entries by entry_no: no balance below zero, every figure as it is stored."""
    with Ledger.open(url) as ledger, ledger.read() as connection:
        balances: Counter[int] = Counter()
        earned: Counter[int] = Counter()
        entries = schema.token_ledger
        created: Counter[int] = Counter()
        for row in connection.execute(entries.select().order_by(entries.c.entry_no)):
            balances[row.from_account] -= row.amount
            balances[row.to_account] += row.amount
            earned[row.to_account] += row.amount
            for account, after in (
                (row.from_account, row.balance_after_from),
                (row.to_account, row.balance_after_to),
            ):
                if account:
                    assert after == balances[account] >= 0
                    assert row.created_at >= created[account]
                    created[account] = row.created_at
                else:
                    assert -balances[0] == row.supply_after
        assert 0 == sum(balances.values())
        assert -balances[0] == connection.execute(schema.token_supply.select()).one().total_supply
        stored = {
            row.account_no: (row.balance, row.total_earned)
            for row in connection.execute(schema.token_accounts.select())
        }
        assert stored == {n: (balances[n], earned[n]) for n in stored}
        assert set(stored) >= set(balances) - {0}


def test_two_mints_cannot_pass_the_maximum(coins: str) -> None:
    """Of two mints of 600 under a maximum of 1,000, to different accounts, exactly one succeeds."""
    works = [lambda ledger, name=name: ledger.mint(name, 600, reason="x") for name in "ab"]
    results = at_once(coins, works)
    assert [SupplyExceededError] == [type(r) for r in results if isinstance(r, Exception)]
    with Ledger.open(coins) as ledger:
        assert 600 == ledger.get_total_supply()
    check_books(coins)


def test_mint_waits_for_one_under_way(coins: str) -> None:
    """A mint that begins while another has not committed counts it against the maximum."""
    with Ledger.open(coins) as ledger:
        first = ledger.record("system", "a", 600, reason="x")
    result = while_open(coins, first, lambda ledger: ledger.mint("b", 600, reason="x"))
    assert SupplyExceededError is type(result)
    check_books(coins)


def test_spend_waits_for_one_under_way(coins: str) -> None:
    """A spend that begins while another has not committed finds the money gone."""
    with Ledger.open(coins) as ledger:
        ledger.mint("a", 10, reason="x")
        first = ledger.record("a", "b", 10, reason="x")
    result = while_open(coins, first, lambda ledger: ledger.transfer("a", "c", 10, reason="x"))
    assert InsufficientBalanceError is type(result)
    check_books(coins)


def test_double_spend_succeeds_once(coins: str) -> None:
    """Of eight concurrent spends of the same money exactly one succeeds."""
    with Ledger.open(coins) as ledger:
        ledger.mint("a", 10, reason="x")
    works = [lambda ledger, to=to: ledger.transfer("a", to, 10, reason="x") for to in "bcd" * 2]
    works += [lambda ledger: ledger.burn("a", 10, reason="x")] * 2
    kinds = Counter(type(result) for result in at_once(coins, works))
    assert {posting.Posted: 1, InsufficientBalanceError: 7} == kinds
    check_books(coins)


def test_crossing_transfers_do_not_deadlock(coins: str) -> None:
    """Transfers in both directions, lists in opposite orders: all succeed, nothing is lost."""
    with Ledger.open(coins) as ledger:
        for name in "abcd":
            ledger.mint(name, 200, reason="x")

    def work(order: str) -> Callable[[Ledger], None]:
        def run(ledger: Ledger) -> None:
            for _ in range(15):
                ledger.post_many(
                    [
                        ledger.record(sender, receiver, 1, reason="x")
                        for sender, receiver in pairwise(order)
                    ]
                )

        return run

    results = at_once(coins, [work(order) for order in ("abcd", "dcba", "bdac", "cadb")])
    assert [None] * 4 == results
    check_books(coins)


def test_one_key_at_once_posts_once(coins: str) -> None:
    """Eight callers with one key and one request: one entry, seven told that it was a repeat."""
    words = {"reason": "x", "idempotency_key": "k"}
    results = at_once(coins, [lambda ledger: ledger.mint("a", 5, **words)] * 8)
    assert 1 == len({result.id for result in results})
    assert {False: 1, True: 7} == Counter(result.repeated for result in results)
    check_books(coins)


def test_one_key_for_different_accounts_at_once(coins: str) -> None:
    """One key for requests that lock different accounts: one lands, the others conflict."""
    words = {"reason": "x", "idempotency_key": "k"}
    works = [lambda ledger, name=name: ledger.mint(name, 5, **words) for name in "abcd"]
    kinds = Counter(type(result) for result in at_once(coins, works))
    assert {posting.Posted: 1, KeyConflictError: 3} == kinds
    check_books(coins)


def test_one_account_made_at_once(coins: str) -> None:
    """Six callers make one account with an endowment: it exists once and is endowed once."""
    results = at_once(coins, [lambda ledger: ledger.create_account("new", initial_balance=7)] * 6)
    assert {AccountExistsError: 5} == Counter(
        type(result) for result in results if isinstance(result, Exception)
    )
    works = [lambda ledger: ledger.create_account("new", initial_balance=7, exist_ok=True)] * 6
    assert [7] * 6 == [account.balance for account in at_once(coins, works)]
    check_books(coins)


def test_random_traffic_stays_replayable(coins: str) -> None:
    """Random mints, burns and transfers of eight writers leave books that replay to the unit."""

    def work(seed: int) -> Callable[[Ledger], int]:
        def run(ledger: Ledger) -> int:
            chance = random.Random(seed)
            landed = 0
            for _ in range(25):
                sender, receiver = chance.sample(["system", *"abcd"], 2)
                amount = chance.randint(1, 120)
                record = ledger.record(sender, receiver, amount, reason="x")
                try:
                    ledger.post_many([record])
                    landed += 1
                except (InsufficientBalanceError, SupplyExceededError):
                    pass
            return landed

        return run

    landed = sum(at_once(coins, [work(seed) for seed in range(8)]))
    with Ledger.open(coins) as ledger, ledger.read() as connection:
        assert landed == len(connection.execute(schema.token_ledger.select()).all()) > 0
    check_books(coins)


def test_deadlock_in_a_callers_transaction_is_retryable(postgres_url: str) -> None:
    """Two callers' own transactions that deadlock: one is told to retry, the other one stands."""
    with Ledger.create(postgres_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("COIN", "Coin", 0)
        for name in "ab":
            ledger.create_account(name, initial_balance=10)
    meeting = threading.Barrier(2)

    def work(first: str, second: str) -> Callable[[Ledger], str]:
        def run(ledger: Ledger) -> str:
            theirs = ledger.record(second, "system", 1, reason="x")
            with ledger.engine.connect() as connection, connection.begin(), translated():
                connection.execute(text("SET LOCAL deadlock_timeout = '50ms'"))
                connection.execute(
                    text(
                        "SELECT 1 FROM token_accounts JOIN accounts USING (account_no)"
                        " WHERE account_id = :id FOR UPDATE OF token_accounts"
                    ),
                    {"id": first},
                )
                meeting.wait(timeout=60)
                posting.post(connection, ledger.context, ledger.token, [theirs])
            return "done"

        return run

    results = at_once(postgres_url, [work("a", "b"), work("b", "a")])
    assert {"str": 1, "RetryableError": 1} == Counter(type(r).__name__ for r in results)
    assert any(isinstance(r, RetryableError) for r in results)
    check_books(postgres_url)


def test_reader_is_not_held_up_by_a_writer(coins: str) -> None:
    """A balance can be read while a posting is under way, as it was before."""
    with Ledger.open(coins) as ledger, Ledger.open(coins) as reader:
        record = ledger.record("system", "a", 5, reason="x")
        with ledger.write() as connection:
            posting.post(connection, ledger.context, ledger.token, [record])
            assert 0 == reader.get_balance("a")
        assert 5 == reader.get_balance("a")
