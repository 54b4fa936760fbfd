"""Acceptance, tournament coin: its invariants, service and idempotency, on this ledger.

Covered: credit (mint), debit (burn), transfer, keys, history, conservation, missing wallets, and in
tests/test_examples.py payouts in the caller's transaction. Not here: overdraft, recalculation.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError
from tests import books

from token_ledger.errors import (
    AmountRangeError,
    InsufficientBalanceError,
    KeyConflictError,
    RuleError,
    SelfTransferError,
    TokenLedgerError,
)
from token_ledger.ledger import Ledger

WALLETS = ("user:1", "user:2", "user:3")


@pytest.fixture
def coins(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger of three wallets with 100 each."""
    with books.create(database_url, tmp_path) as ledger:
        for wallet in WALLETS:
            ledger.create_account(wallet, initial_balance=100)
        yield ledger


def _sum(coins: Ledger) -> int:
    return sum(coins.get_balance(wallet) for wallet in WALLETS)


def test_conservation_under_concurrency(coins: Ledger) -> None:
    """Concurrent transfers neither make nor lose a coin, and nobody goes below zero."""

    def play(number: int) -> None:
        sender, receiver = WALLETS[number % 3], WALLETS[(number + 1 + number % 2) % 3]
        try:
            coins.transfer(sender, receiver, 30, reason="game")
        except InsufficientBalanceError:
            return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(play, range(60)))
    assert 300 * 10**18 == _sum(coins) == coins.get_total_supply()
    assert min(coins.get_balance(wallet) for wallet in WALLETS) >= 0


def test_two_spends_of_the_same_money(coins: Ledger) -> None:
    """Of two concurrent spends of the same money exactly one succeeds."""

    def spend(_: int) -> bool:
        try:
            coins.burn("user:1", 100, reason="shop")
        except InsufficientBalanceError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert [False, True] == sorted(pool.map(spend, range(2)))


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("amount", "(SELECT max_supply FROM tokens)"),
        ("reason", "'other'"),
        ("timestamp", "timestamp + 1"),
    ],
)
def test_entries_are_immutable(column: str, other: str, coins: Ledger) -> None:
    """The database itself refuses to change an amount, a reason or a time, and to delete."""
    for statement in (
        f"UPDATE token_ledger SET {column} = {other}",
        "DELETE FROM token_ledger",
    ):
        with pytest.raises((TokenLedgerError, DBAPIError)), coins.write() as connection:
            connection.exec_driver_sql(statement)
    assert 300 * 10**18 == _sum(coins)


def test_created_at_is_monotonic(coins: Ledger) -> None:
    """A wallet's history has times that never run backwards."""
    for _ in range(10):
        coins.transfer("user:1", "user:2", 1, reason="game")
    times = [entry.created_at for entry in coins.get_statement("user:2").entries]
    assert sorted(times, reverse=True) == times


def test_results_say_everything(coins: Ledger) -> None:
    """A transfer tells wallets, balances after, id, key, and whether it was a repeat."""
    posted = coins.transfer("user:1", "user:2", 10, reason="bet", idempotency_key="bet:1")
    assert (90 * 10**18, 110 * 10**18) == (posted.balance_after_from, posted.balance_after_to)
    assert ("bet:1", False, 32) == (posted.idempotency_key, posted.repeated, len(posted.id))
    assert 0 == coins.get_balance("user:404")


@pytest.mark.parametrize("amount", ["0", "-1"])
def test_zero_and_negative_amounts(amount: str, coins: Ledger) -> None:
    """Amounts of zero and below are refused by every verb, and nothing moves."""
    for verb in (coins.mint, coins.burn):
        with pytest.raises((AmountRangeError, TokenLedgerError)):
            verb("user:1", amount, reason="x")
    with pytest.raises(TokenLedgerError):
        coins.transfer("user:1", "user:2", amount, reason="x")
    with pytest.raises(SelfTransferError):
        coins.transfer("user:1", "user:1", 1, reason="x")
    assert 300 * 10**18 == _sum(coins)


def test_deterministic_keys_and_conflicts(coins: Ledger) -> None:
    """One key pays once, in whatever order requests come; with another amount it is a conflict."""
    keys = ["participation_award_reg_7", "placement_award_reg_7_place_1"]
    for key in (*keys, *reversed(keys)):
        coins.mint("user:1", 10, reason="award", idempotency_key=key)
    assert 120 * 10**18 == coins.get_balance("user:1")
    with pytest.raises(KeyConflictError):
        coins.mint("user:1", 11, reason="award", idempotency_key=keys[0])
    first, second = (coins.mint("user:1", 1, reason="adjustment") for _ in range(2))
    assert first.id != second.id


def test_history_is_newest_first_and_paged(coins: Ledger) -> None:
    """History comes newest first, in pages; an empty wallet has none."""
    coins.create_account("user:4")
    assert () == coins.get_statement("user:4").entries
    for number in range(5):
        coins.mint("user:4", 1, reason=f"n{number}")
    page = coins.get_statement("user:4", limit=3)
    rest = coins.get_statement("user:4", cursor=page.cursor)
    reasons = [entry.reason for entry in (*page.entries, *rest.entries)]
    assert ["n4", "n3", "n2", "n1", "n0"] == reasons


_MOVES = st.lists(
    st.tuples(st.sampled_from(WALLETS), st.sampled_from(WALLETS), st.integers(-1, 150)),
    max_size=12,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=_MOVES)
def test_conservation_over_random_transfers(
    moves: list[tuple[str, str, int]], coins: Ledger
) -> None:
    """Whatever is tried, the sum stays, no wallet goes below zero, and a failure moves nothing."""
    for sender, receiver, amount in moves:
        before = [coins.get_balance(wallet) for wallet in WALLETS]
        try:
            coins.transfer(sender, receiver, amount, reason="random")
        except (RuleError, TokenLedgerError):
            assert before == [coins.get_balance(wallet) for wallet in WALLETS]
    assert 300 * 10**18 == _sum(coins)
    assert min(coins.get_balance(wallet) for wallet in WALLETS) >= 0
