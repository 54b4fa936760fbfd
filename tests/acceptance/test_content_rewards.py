"""Acceptance, content-reward token: a FastAPI backend's service, awaited, DECIMAL(20,8).

`RewardService` is what such a backend has: async methods that return dictionaries. The routes on
top of it are `examples/content_rewards.py`, which `tests/test_examples.py` calls over HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from token_ledger import AsyncLedger, Ledger, TokenTerms
from token_ledger.core.parse import format_amount
from token_ledger.errors import (
    AmountError,
    AmountRangeError,
    EarningCapError,
    InsufficientBalanceError,
    UnknownAccountError,
    UnknownRuleError,
)

T = TypeVar("T")
Run = Callable[[Callable[["RewardService"], Coroutine[Any, Any, T]]], T]


class RewardService:
    """The backend's service, on this ledger."""

    def __init__(self, coins: AsyncLedger) -> None:
        self.coins = coins

    async def award(self, user: str, action: str, **words: Any) -> Decimal:
        """Reward an action; return the user's new balance."""
        posted = await self.coins.award(user, action, **words)
        return self._human(posted.balance_after_to)

    async def transfer(self, sender: str, receiver: str, amount: Any, reason: str) -> Any:
        """Move an amount from a user to another."""
        posted = await self.coins.transfer(sender, receiver, amount, reason=reason)
        return {"from": sender, "to": receiver, "amount": posted.amount, "reason": reason}

    async def balance(self, user: str) -> Decimal:
        """Return a user's balance."""
        return self._human(await self.coins.get_balance(user))

    async def get_ledger(self, user: str, limit: int = 50) -> list[Any]:
        """Return a user's movements, the newest first."""
        return await self.coins.get_history(user, limit)

    @staticmethod
    def _human(value: int | None) -> Decimal:
        return Decimal(format_amount(value or 0, decimals=8))


@pytest.fixture
def run(database_url: str) -> Any:
    """Return a function that gives a coroutine the service, on a ledger with three rules."""
    terms = TokenTerms("RWD", "Reward", 8)
    with Ledger.create(database_url, operator=b"\x11" * 20, token=terms) as ledger:
        for action, amount in (("publish", "1"), ("citation", "0.5"), ("remix", "0.25")):
            ledger.set_rule(action, amount)

    def call(work: Callable[[RewardService], Coroutine[Any, Any, T]]) -> T:
        async def main() -> T:
            async with await AsyncLedger.open(database_url) as coins:
                return await work(RewardService(coins))

        return asyncio.run(main())

    return call


def test_awards(run: Any) -> None:
    """Publishing, citation and remix earn what their rules say; the first makes the account."""

    async def work(service: RewardService) -> list[Decimal]:
        return [await service.award("ana", what) for what in ("publish", "citation", "remix")]

    assert [Decimal(1), Decimal("1.5"), Decimal("1.75")] == run(work)


def test_an_award_remembers_its_rule(run: Any) -> None:
    """A changed rule holds from then on; what was awarded before shows the version it came from."""

    async def work(service: RewardService) -> list[Any]:
        coins = service.coins
        before = await coins.award("ana", "publish", idempotency_key="w1")
        await coins.set_rule("publish", "2")
        after = await coins.award("ana", "publish")
        again = await coins.award("ana", "publish", idempotency_key="w1")
        versions = [(await coins.rule_of(posted.id)).version for posted in (before, after)]
        return [before.amount, after.amount, again.amount, again.repeated, versions]

    assert ["1", "2", "1", True, [1, 2]] == run(work)


def test_an_award_may_be_capped(run: Any) -> None:
    """An action pays so many times and no more; an unknown action pays nothing."""

    async def work(service: RewardService) -> None:
        await service.coins.set_rule("daily_login", "0.1", count_max=1)
        await service.award("ana", "daily_login")
        with pytest.raises(EarningCapError):
            await service.award("ana", "daily_login")
        with pytest.raises(UnknownRuleError):
            await service.award("ana", "sleep")
        assert Decimal("0.1") == await service.balance("ana")

    run(work)


def test_transfer(run: Any) -> None:
    """A transfer returns from, to, amount and reason, and moves exactly that."""

    async def work(service: RewardService) -> Any:
        await service.award("ana", "publish")
        await service.award("ben", "publish")
        told = await service.transfer("ana", "ben", Decimal("0.00000001"), "thanks")
        return told, await service.balance("ana"), await service.balance("ben")

    told, ana, ben = run(work)
    assert {"from": "ana", "to": "ben", "amount": "0.00000001", "reason": "thanks"} == told
    assert (Decimal("0.99999999"), Decimal("1.00000001")) == (ana, ben)


@pytest.mark.parametrize(
    ("amount", "error"),
    [
        (0.1, AmountError),
        ("0.000000001", AmountError),
        ("NaN", AmountError),
        ("0", AmountRangeError),
        ("-1", AmountRangeError),
    ],
)
def test_money_is_exact(amount: Any, error: type[Exception], run: Any) -> None:
    """A float, a ninth decimal, zero and less are refused, and nothing moves."""

    async def work(service: RewardService) -> Decimal:
        await service.award("ana", "publish")
        await service.award("ben", "publish")
        with pytest.raises(error):
            await service.transfer("ana", "ben", amount, "x")
        return await service.balance("ana")

    assert Decimal(1) == run(work)


def test_no_balance_is_negative(run: Any, database_url: str) -> None:
    """The application refuses it, and so does the database itself by a CHECK."""

    async def work(service: RewardService) -> None:
        await service.award("ana", "publish")
        await service.award("ben", "publish")
        with pytest.raises(InsufficientBalanceError):
            await service.transfer("ana", "ben", "1.00000001", "x")
        with pytest.raises(UnknownAccountError):
            await service.transfer("ana", "nobody", 1, "x")

    run(work)
    below = "x'00'" if database_url.startswith("sqlite") else "-1"
    with (
        Ledger.open(database_url) as ledger,
        pytest.raises(DBAPIError) as caught,
        ledger.engine.begin() as connection,
    ):
        connection.execute(text(f"UPDATE token_accounts SET balance = {below}"))
    assert "constraint" in str(caught.value).lower()


def test_one_operation_is_one_transaction(run: Any) -> None:
    """An award that is refused does not leave the account behind that it would have made."""

    async def work(service: RewardService) -> None:
        with pytest.raises(UnknownRuleError):
            await service.award("new", "sleep")
        with pytest.raises(UnknownAccountError):
            await service.coins.get_account("new")

    run(work)


def test_the_ledger_is_complete_and_newest_first(run: Any) -> None:
    """Every movement is there with its metadata; a limit takes the newest."""

    async def work(service: RewardService) -> list[Any]:
        for number in range(3):
            await service.award(
                "ana", "publish", reference=("work", f"w{number}"), metadata={"n": [number, "ü"]}
            )
        return await service.get_ledger("ana", 2)

    entries = run(work)
    assert ["w2", "w1"] == [entry.reference_id for entry in entries]
    assert '{"n":[2,"ü"]}' == entries[0].metadata
    assert {"earn:publish"} == {entry.reason for entry in entries}


def test_concurrent_awards(run: Any) -> None:
    """Many requests at once: each pays, each key once, and the sum is exact."""

    async def work(service: RewardService) -> Decimal:
        keys = [f"k{number % 20}" for number in range(60)]
        await asyncio.gather(
            *(service.award("ana", "citation", idempotency_key=key) for key in keys)
        )
        return await service.balance("ana")

    assert Decimal(10) == run(work)


def test_the_history_is_immutable(run: Any, database_url: str) -> None:
    """Nothing of a movement can be changed or deleted, whoever asks the database."""

    async def work(service: RewardService) -> None:
        await service.award("ana", "publish")

    run(work)
    with Ledger.open(database_url) as ledger:
        for statement in ("DELETE FROM token_ledger", "UPDATE token_ledger SET timestamp = 1"):
            with pytest.raises(DBAPIError), ledger.engine.begin() as connection:
                connection.execute(text(statement))
