"""`AsyncLedger`: the same verbs, awaited, and inside a caller's own async transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from token_ledger.errors import InsufficientBalanceError, UnknownAccountError
from token_ledger.ledger import AsyncLedger, Ledger

T = TypeVar("T")


@pytest.fixture
def run(ledger: Ledger) -> Iterator[Callable[[Callable[[AsyncLedger], Awaitable[T]]], T]]:
    """Yield what runs a coroutine function on an AsyncLedger."""

    def run(work: Callable[[AsyncLedger], Awaitable[T]]) -> T:
        async def main() -> T:
            async with AsyncLedger(ledger) as awaited:
                return await work(awaited)

        return asyncio.run(main())

    return run


def test_the_verbs_are_the_same(run: Any, ledger: Ledger) -> None:
    """Verbs of Ledger, awaited, have the parameters and the results that they have there."""

    async def work(awaited: AsyncLedger) -> None:
        assert not hasattr(awaited, "no_such_verb")
        posted = await awaited.transfer("alice", "bob", 1, reason="play", idempotency_key="k")
        assert posted.id == ledger.get_entry(posted.id).id
        assert 51 * 10**18 == await awaited.get_balance("bob")
        await awaited.create_account("dave", initial_balance=5)
        await awaited.burn("dave", 1, reason="fee")
        await awaited.mint("dave", 2, reason="gift")
        statement = await awaited.get_statement("dave")
        assert 3 == len(statement.entries)
        assert 156 * 10**18 == await awaited.get_total_supply()
        records = [ledger.record("alice", "bob", 1, reason="list") for _ in range(2)]
        assert 2 == len(await awaited.post_many(records))
        assert 1 == len(await awaited.post_many(records[:1]))

    run(work)


def test_tasks_share_commits_and_fail_alone(run: Any, ledger: Ledger) -> None:
    """Two hundred tasks at once: the good are posted, each bad one has its own error."""

    async def work(awaited: AsyncLedger) -> list[Any]:
        return await asyncio.gather(
            *(
                awaited.transfer("carol" if n % 10 == 0 else "alice", "bob", "0.1", reason="play")
                for n in range(200)
            ),
            awaited.mint("nobody", 1, reason="play"),
            return_exceptions=True,
        )

    outcomes = run(work)
    errors = [type(o) for o in outcomes if isinstance(o, Exception)]
    assert [InsufficientBalanceError] * 20 + [UnknownAccountError] == errors
    assert 68 * 10**18 == ledger.get_balance("bob")


def test_inside_an_async_transaction(run: Any, ledger: Ledger) -> None:
    """On aiosqlite and async psycopg: the caller commits or rolls back, and lists work as well."""
    url = ledger.engine.url
    if url.get_backend_name() == "sqlite":
        url = url.set(drivername="sqlite+aiosqlite")
    records = [ledger.record("alice", "bob", "0.01", reason="list") for _ in range(60)]

    async def work(awaited: AsyncLedger) -> None:
        engine = create_async_engine(url)
        async with AsyncSession(engine) as session:
            inside = awaited.bound_to(session)
            await inside.transfer("alice", "bob", 1, reason="undone")
            await session.rollback()
            await inside.transfer("alice", "bob", 2, reason="kept")
            with pytest.raises(InsufficientBalanceError):
                await inside.transfer("carol", "bob", 1, reason="refused")
            await inside.post_many(records)
            assert 50 * 10**18 == await awaited.get_balance("bob")
            await session.commit()
        async with engine.begin() as connection:
            await awaited.bound_to(connection).mint("bob", 1, reason="gift")
        await engine.dispose()

    run(work)
    assert 53_600 * 10**15 == ledger.get_balance("bob")


def test_open_and_close(ledger: Ledger, tmp_path: Any) -> None:
    """A ledger is opened by its URL, and closed with everything that it began."""

    async def main() -> int:
        url = ledger.engine.url.render_as_string(hide_password=False)
        secret = tmp_path / "secret"
        async with await AsyncLedger.open(url, secret_file=secret) as awaited:
            await awaited.mint("carol", 1, reason="gift")
            return await awaited.get_balance("carol")

    assert 10**18 == asyncio.run(main())
