"""Connections cut around COMMIT: whoever asks again with the same key gets the one result.

Method: between psycopg and a real server stands a proxy that loses the next COMMIT, or lets the
server commit and loses its answer. Every kind of request is cut both ways, again and again.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from tests import books
from tests.reliability.cutting import CuttingProxy, Mode

from token_ledger.check import check
from token_ledger.errors import DatabaseError, RetryableError
from token_ledger.ledger import AsyncLedger, Ledger, Posted

CUTS = int(os.environ.get("CUTS", "4"))
ONE = 10**18


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[CuttingProxy]:
    """Yield a proxy before this test's server."""
    server = Path(postgres_url.partition("host=")[2])
    with tempfile.TemporaryDirectory(prefix="tl-cut-") as folder:  # socket paths are short
        proxy = CuttingProxy(server, Path(folder))
        yield proxy
        proxy.close()


@pytest.fixture
def cut(proxy: CuttingProxy, postgres_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger behind the proxy, where alice holds 1,000 and bob 100."""
    with books.create(postgres_url, tmp_path) as ledger:
        ledger.create_account("alice", initial_balance=1000)
        ledger.create_account("bob", initial_balance=100)
    through = f"{postgres_url.partition('host=')[0]}host={proxy.folder}"
    with Ledger.open(through, secret_file=tmp_path / "secret") as ledger:
        yield ledger


Request = Callable[[Ledger, str], Posted]


def transfer(ledger: Ledger, key: str) -> Posted:
    return ledger.transfer("alice", "bob", 1, reason="x", idempotency_key=key)


def coalesced(ledger: Ledger, key: str) -> Posted:
    with ledger.coalesced() as fast:
        return fast.transfer("alice", "bob", 1, reason="x", idempotency_key=key)


def capture(ledger: Ledger, key: str) -> Posted:
    held = next(h for h in ledger.feed(limit=1000).entries if h.idempotency_key == f"hold:{key}")
    return ledger.capture(held.id, to="bob", idempotency_key=key)


def in_a_session(ledger: Ledger, key: str) -> Posted:
    engine = create_engine(ledger.engine.url, poolclass=NullPool)
    with Session(engine) as session, session.begin():  # the caller commits
        return transfer(ledger.bound_to(session), key)


def awaited(ledger: Ledger, key: str) -> Posted:
    async def main() -> Posted:
        async with AsyncLedger(ledger) as coins:
            return await coins.transfer("alice", "bob", 1, reason="x", idempotency_key=key)

    return asyncio.run(main())


def in_an_async_session(ledger: Ledger, key: str) -> Posted:
    async def main() -> Posted:
        engine = create_async_engine(ledger.engine.url, poolclass=NullPool)  # async psycopg
        async with AsyncLedger(ledger) as coins, AsyncSession(engine) as session, session.begin():
            inside = coins.bound_to(session)
            return await inside.transfer("alice", "bob", 1, reason="x", idempotency_key=key)

    return asyncio.run(main())


REQUESTS: dict[str, Request] = {
    "transfer": transfer,
    "coalesced": coalesced,
    "capture": capture,
    "in a session": in_a_session,
    "awaited": awaited,
    "in an async session": in_an_async_session,
}


def ask(ledger: Ledger, request: Request, key: str) -> tuple[Posted, int]:
    """Ask until there is an answer, as an application does; return it and how often it failed."""
    for failures in range(5):
        try:
            return request(ledger, key), failures
        except DatabaseError as error:
            assert not isinstance(error, RetryableError)  # nobody may repeat it unasked
        except OperationalError:  # the driver's own, where the caller commits
            pass
    raise AssertionError("no answer")


@pytest.mark.parametrize("mode", ["before", "after"])
@pytest.mark.parametrize("kind", REQUESTS)
def test_it_lands_once(kind: str, mode: Mode, cut: Ledger, proxy: CuttingProxy) -> None:
    """Lost before or after the server committed: one entry a key, and its result is returned."""
    failed = 0
    for n in range(CUTS):
        if kind == "capture":
            cut.hold("alice", 1, idempotency_key=f"hold:{kind}:{n}")
        proxy.mode = mode
        posted, failures = ask(cut, REQUESTS[kind], f"{kind}:{n}")
        failed += failures
        assert cut.get_balance("bob") == (101 + n) * ONE
        again = REQUESTS[kind](cut, f"{kind}:{n}")
        assert (posted.id, True) == (again.id, again.repeated)
    # Nobody repeats it unasked, not the coalescer either: each caller hears, and asks again.
    assert (CUTS, CUTS) == (proxy.cuts, failed)
    assert (1000 - CUTS) * ONE == cut.get_balance("alice")
    assert [] == check(cut).findings


def test_a_list_is_whole(cut: Ledger, proxy: CuttingProxy) -> None:
    """A list whose answer was lost is there whole, one whose COMMIT was lost not at all."""
    for mode, landed in (("after", 5), ("before", 0)):
        proxy.mode = mode  # type: ignore[assignment]
        before = cut.get_balance("bob")
        records: list[Any] = [
            cut.record("alice", "bob", 1, reason="x", idempotency_key=f"{mode}:{n}")
            for n in range(5)
        ]
        with pytest.raises(DatabaseError):
            cut.post_many(records)
        assert landed * ONE == cut.get_balance("bob") - before
        assert {mode == "after"} == {posted.repeated for posted in cut.post_many(records)}
        assert 5 * ONE == cut.get_balance("bob") - before


@pytest.mark.parametrize("mode", ["before", "after"])
def test_callers_of_a_shared_commit(mode: Mode, cut: Ledger, proxy: CuttingProxy) -> None:
    """Of callers whose shared commit was cut each is answered or hears of it, and lands once."""
    records = [
        cut.record("alice", "bob", 1, reason="x", idempotency_key=f"{mode}:{n}") for n in range(40)
    ]
    with cut.coalesced() as fast:
        fast.mint("alice", 1, reason="x")  # its connection is there
        proxy.mode = mode
        answers = [fast.submit(record) for record in records]
        errors = [answer.exception(timeout=60) for answer in answers]
        assert {type(None), DatabaseError} >= {type(error) for error in errors}
        heard = {n for n, error in enumerate(errors) if error is not None}
        again = {n for n in range(40) if not fast.post_many([records[n]])[0].repeated}
    assert again <= heard
    assert not again or mode == "before"
    assert (1, 140 * ONE) == (proxy.cuts, cut.get_balance("bob"))
    assert [] == check(cut).findings
