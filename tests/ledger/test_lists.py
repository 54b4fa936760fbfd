"""Lists of postings: all or none, or each by itself; the same by every way in, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from token_ledger.core.types import Record, Texts
from token_ledger.errors import DatabaseError, InsufficientBalanceError, TokenLedgerError
from token_ledger.ledger import AsyncLedger, Ledger, Posted

Post = Callable[..., list[Any]]


def _record(sender: str, receiver: str, value: int, key: str | None = None) -> Record:
    return Record(sender, receiver, value, Texts(reason="play"), key)


@pytest.fixture(params=["own", "bound", "coalesced", "async", "async bound"])
def post(request: pytest.FixtureRequest, ledger: Ledger) -> Iterator[Post]:
    """Yield `post_many` by each way in; bound ones commit afterwards, whatever happened."""
    if request.param == "own":
        yield ledger.post_many
    elif request.param == "coalesced":
        with ledger.coalesced() as fast:
            yield fast.post_many
    elif request.param == "bound":
        engine = create_engine(ledger.engine.url)

        def bound(*records: Any, **words: Any) -> list[Any]:
            with Session(engine) as session:
                try:
                    return ledger.bound_to(session).post_many(*records, **words)
                finally:
                    session.commit()

        yield bound
        engine.dispose()
    else:
        yield lambda *records, **words: asyncio.run(
            _awaited(ledger, request.param, *records, **words)
        )


async def _awaited(ledger: Ledger, way: str, *records: Any, **words: Any) -> list[Any]:
    url = ledger.engine.url
    if url.get_backend_name() == "sqlite":
        url = url.set(drivername="sqlite+aiosqlite")
    awaited = AsyncLedger(Ledger(ledger.engine, ledger._identity, token=None, clock=ledger._clock))
    if way == "async":
        try:
            return await awaited.post_many(*records, **words)
        finally:
            await asyncio.to_thread(awaited._fast.close)
    engine = create_async_engine(url)
    try:
        async with AsyncSession(engine) as session:
            try:
                return await awaited.bound_to(session).post_many(*records, **words)
            finally:
                await session.commit()
    finally:
        await engine.dispose()
        await asyncio.to_thread(awaited._fast.close)


def test_each_by_itself(post: Post, ledger: Ledger) -> None:
    """With atomic=False the good land and each bad one's place holds its error, in order."""
    ledger.hold("bob", 1)
    outcomes = post(
        [
            _record("alice", "bob", 1, "a"),
            _record("carol", "bob", 10**30),
            _record("nobody", "bob", 1),
            _record("alice", "alice", 1),
            _record("alice", "bob", 1, "a"),
            _record("alice", "bob", 2, "a"),
            _record("alice", "escrow:bob", 1),
            _record("alice", "bob", 0),
            _record("bob", "system", 1, "b"),
        ],
        atomic=False,
    )
    codes = [o.code if isinstance(o, TokenLedgerError) else o.repeated for o in outcomes]
    assert [
        *(False, "insufficient_balance", "unknown_account", "self_transfer", True, "key_conflict"),
        *("hold", "amount_out_of_range", False),
    ] == codes
    assert outcomes[0].id == outcomes[4].id
    assert 49 * 10**18 == ledger.get_balance("bob")
    assert [] == post([], atomic=False)


def test_all_or_none(post: Post, ledger: Ledger) -> None:
    """As a list is by default: the first that is refused undoes all, and is what is raised."""
    records = [_record("alice", "bob", 1), _record("carol", "bob", 10**30)]
    with pytest.raises(InsufficientBalanceError):
        post(records)
    assert 50 * 10**18 == ledger.get_balance("bob")
    results = post(records[:1] * 3)
    assert all(isinstance(result, Posted) for result in results)
    assert 50 * 10**18 + 3 == ledger.get_balance("bob")
    assert [] == post([])


def test_what_is_nobodys_fault_is_raised(ledger: Ledger) -> None:
    """Where the database refuses, nothing of the list landed, by itself or not."""
    with ledger.write() as connection:
        if ledger.engine.dialect.name == "sqlite":
            connection.exec_driver_sql(
                "CREATE TRIGGER poison BEFORE INSERT ON token_ledger WHEN NEW.reason = 'poison'"
                " BEGIN SELECT RAISE(ABORT, 'poisoned'); END"
            )
        else:
            connection.exec_driver_sql(
                "ALTER TABLE token_ledger ADD CONSTRAINT poison CHECK (reason <> 'poison')"
            )
    bad = ledger.record("alice", "bob", 1, reason="poison")
    with pytest.raises(DatabaseError):
        ledger.post_many([_record("alice", "bob", 1), bad], atomic=False)
    assert 50 * 10**18 == ledger.get_balance("bob")


def test_an_escrow_account_fails_alone_among_many_callers(ledger: Ledger) -> None:
    """Of callers who share a commit, one who names an escrow account does not fail the others."""
    ledger.hold("bob", 1)
    with ledger.coalesced() as fast:
        answers = [
            fast.submit(_record("alice", to, 1)) for to in ("bob", "escrow:bob", "carol", "bob")
        ]
    assert [None, "hold", None, None] == [getattr(a.exception(), "code", None) for a in answers]
