"""Acceptance, virtual-currency engine: SQLite, no standing costs, async `earn` and `spend`.

`Engine` is what such a game has. Its ledger lines are two-legged views of entries: one account is
debited, the other credited, and `system:reserve` is what issues and takes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from token_ledger import AsyncLedger, Ledger, StoredEntry, TokenTerms
from token_ledger.core.earning import format_factor
from token_ledger.core.parse import format_amount
from token_ledger.errors import (
    BalanceLimitError,
    InsufficientBalanceError,
    TokenLedgerError,
)

T = TypeVar("T")
CAP = 1_000_000_000
RESERVE = "system:reserve"


@dataclass(frozen=True)
class LedgerEntry:
    """One leg of an entry: one of debit and credit is zero."""

    transaction_id: str
    account: str
    debit: Decimal
    credit: Decimal


def legs(entry: StoredEntry) -> tuple[LedgerEntry, LedgerEntry]:
    """Return the two legs of an entry."""
    amount, zero = Decimal(entry.amount), Decimal(0)

    def name(account: str) -> str:
        return RESERVE if account == "system" else account

    return (
        LedgerEntry(entry.id.hex(), name(entry.from_account), amount, zero),
        LedgerEntry(entry.id.hex(), name(entry.to_account), zero, amount),
    )


class Engine:
    """The game's engine, on this ledger."""

    def __init__(self, coins: AsyncLedger) -> None:
        self.coins = coins

    async def earn(self, user: int, action: str, key: str | None = None) -> Decimal:
        """Let a user earn what the action's rule gives; return the balance."""
        posted = await self.coins.award(f"user:{user}", action, idempotency_key=key)
        return self._human(posted.balance_after_to)

    async def spend(self, user: int, amount: Any, reason: str) -> Decimal:
        """Let a user pay the reserve; return the balance."""
        posted = await self.coins.spend(f"user:{user}", amount, reason=reason)
        return self._human(posted.balance_after_from)

    async def get_balance(self, user: int) -> Decimal:
        """Return a user's balance."""
        return self._human(await self.coins.get_balance(f"user:{user}"))

    async def get_transactions(self, user: int, limit: int = 50) -> list[LedgerEntry]:
        """Return a user's legs, the newest first."""
        page = await self.coins.get_statement(f"user:{user}", limit=limit)
        return [
            leg for entry in page.entries for leg in legs(entry) if leg.account == f"user:{user}"
        ]

    @staticmethod
    def _human(value: int | None) -> Decimal:
        return Decimal(format_amount(value or 0, decimals=2))


@asynccontextmanager
async def engine(url: str) -> AsyncIterator[Engine]:
    """Yield the engine of a database."""
    async with await AsyncLedger.open(url) as coins:
        yield Engine(coins)


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Callable[[Engine], Coroutine[Any, Any, T]]], T]:
    """Return a function that gives a coroutine the engine, on one file and no server."""
    url = f"sqlite:///{tmp_path / 'game.db'}"
    terms = TokenTerms("GLD", "Gold", 2)
    with Ledger.create(url, operator=b"\x11" * 20, token=terms) as ledger:
        ledger.limit_balance(None, CAP)
        ledger.set_rule("game_completion", 10, multiplier="1.5")
        ledger.set_rule("daily_login", "0.50")
        ledger.set_rule("jackpot", CAP - 5)

    def run(work: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        async def main() -> T:
            async with engine(url) as game:
                return await work(game)

        return asyncio.run(main())

    return run


def test_earning_rules(play: Any) -> None:
    """A rule is action, base amount and multiplier; earning applies it and makes the account."""

    async def work(game: Engine) -> Any:
        rule = await game.coins.get_rule("game_completion")
        return rule, await game.earn(1, "game_completion"), await game.earn(1, "daily_login")

    rule, first, second = play(work)
    assert ("game_completion", "10") == (rule.action, rule.base_amount)
    assert "1.5" == format_factor(rule.multiplier)
    assert (Decimal(15), Decimal("15.5")) == (first, second)


def test_every_entry_has_two_legs(play: Any) -> None:
    """Debits equal credits in every transaction; the reserve is on the other side of an award."""

    async def work(game: Engine) -> list[StoredEntry]:
        await game.earn(1, "game_completion")
        await game.spend(1, "2.25", "potion")
        return await game.coins.get_history("user:1")

    for entry in play(work):
        debited, credited = legs(entry)
        assert (debited.debit, debited.credit) == (credited.credit, credited.debit)
        assert RESERVE in {debited.account, credited.account}


def test_the_balance_is_what_the_ledger_says(play: Any) -> None:
    """A balance is the sum of credits less the sum of debits."""

    async def work(game: Engine) -> tuple[Decimal, list[LedgerEntry]]:
        for _ in range(4):
            await game.earn(1, "game_completion")
        await game.spend(1, "12.34", "potion")
        return await game.get_balance(1), await game.get_transactions(1)

    balance, lines = play(work)
    assert Decimal("47.66") == balance == sum(line.credit - line.debit for line in lines)


def test_the_balance_service_remembers_and_is_never_stale(tmp_path: Path, play: Any) -> None:
    """Balances live for their time; one's own earning and spending show at once, by any task."""

    async def main() -> list[Decimal]:
        url = f"sqlite:///{tmp_path / 'game.db'}"
        shown = []
        with Ledger.open(url) as ledger:
            coins = AsyncLedger(ledger.cached(ttl_s=3_600))
            game = Engine(coins)
            for _ in range(3):
                await game.earn(1, "game_completion")
                shown.append(await game.get_balance(1))
            ledger.mint("user:1", 1, reason="by another process")
            shown.append(await game.get_balance(1))  # remembered: it lives for an hour
            await asyncio.gather(*(game.spend(1, 2, "potion") for _ in range(5)))
            shown.append(await game.get_balance(1))
            await coins.close()
        return shown

    assert [15, 30, 45, 45, 36] == asyncio.run(main())


def test_balances_are_capped(play: Any) -> None:
    """No balance passes 1,000,000,000; what would is refused whole."""

    async def work(game: Engine) -> Decimal:
        await game.earn(1, "jackpot")
        with pytest.raises(BalanceLimitError):
            await game.earn(1, "game_completion")
        return await game.get_balance(1)

    assert Decimal(CAP - 5) == play(work)


def test_insufficient_balance(play: Any) -> None:
    """A spend beyond the balance is an error that says what is lacking."""

    async def work(game: Engine) -> None:
        await game.earn(1, "daily_login")
        with pytest.raises(InsufficientBalanceError) as caught:
            await game.spend(1, "0.75", "potion")
        assert "it lacks 0.25" == caught.value.hint

    play(work)


def test_two_spends_of_the_same_money(play: Any) -> None:
    """Of two concurrent spends of the same money exactly one succeeds."""

    async def work(game: Engine) -> list[bool]:
        await game.earn(1, "game_completion")
        done = await asyncio.gather(
            *(game.spend(1, 15, "sword") for _ in range(2)), return_exceptions=True
        )
        assert Decimal(0) == await game.get_balance(1)
        return sorted(isinstance(result, InsufficientBalanceError) for result in done)

    assert [False, True] == play(work)


def test_transactions_are_paginated(play: Any) -> None:
    """Fifty at a time, the newest first; the cursor goes on while new ones come in."""

    async def work(game: Engine) -> tuple[int, list[str]]:
        for number in range(60):
            await game.earn(1, "daily_login", key=f"day:{number}")
        page = await game.coins.get_statement("user:1")
        await game.earn(1, "game_completion")
        rest = await game.coins.get_statement("user:1", cursor=page.cursor)
        keys = [entry.idempotency_key for entry in (*page.entries, *rest.entries)]
        return len(page.entries), keys

    size, keys = play(work)
    assert 50 == size
    assert [f"day:{number}" for number in reversed(range(60))] == keys


def test_history_is_append_only(play: Any) -> None:
    """Nothing that happened can be changed or removed."""

    async def work(game: Engine) -> None:
        await game.earn(1, "daily_login")

        def tamper(ledger: Ledger) -> None:
            with ledger.write() as connection:
                connection.exec_driver_sql("DELETE FROM token_ledger")

        with pytest.raises(TokenLedgerError):
            await game.coins.call(tamper)

    play(work)
