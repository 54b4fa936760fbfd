"""`AsyncLedger`: the same verbs, awaited.

Single postings go to the coalescer, so any number of tasks share one writer and its commits and
hold no thread while they wait; every other verb runs in one of a few threads. Inside a caller's
AsyncSession or AsyncConnection (aiosqlite, async psycopg) verbs run on that connection itself.
Why not async drivers throughout: docs/decisions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    Unpack,
    overload,
)

from token_ledger.core.parse import Amount, parse_account_id
from token_ledger.core.types import SYSTEM, Record
from token_ledger.errors import TokenLedgerError
from token_ledger.ledger.coalesce import CoalescedLedger
from token_ledger.ledger.ledger import Ledger
from token_ledger.ledger.posted import Posted
from token_ledger.ledger.requests import Words

if TYPE_CHECKING:  # it needs greenlet, which only they need who have such a session
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

P = ParamSpec("P")
R = TypeVar("R")
THREADS = 10  # SQLAlchemy's pool holds 15 connections: the writer and others need theirs


class _Caller(Protocol):
    async def call(self, verb: Callable[..., R], *args: Any, **words: Any) -> R:
        """Run a verb of `Ledger` where it belongs."""


def _awaited(
    verb: Callable[Concatenate[Ledger, P], R],
) -> Callable[Concatenate[_Caller, P], Coroutine[Any, Any, R]]:
    name: str = verb.__name__

    def own(ledger: Ledger, *args: Any, **words: Any) -> R:
        """Call the ledger's own verb: it may be one that shares commits, or remembers."""
        result: R = getattr(ledger, name)(*args, **words)
        return result

    async def awaited(self: _Caller, /, *args: P.args, **words: P.kwargs) -> R:
        return await self.call(own, *args, **words)

    awaited.__name__, awaited.__doc__ = name, verb.__doc__
    return awaited


class _Verbs:
    """The verbs of `Ledger`, awaited; one that is not listed is found by its name all the same."""

    create_token = _awaited(Ledger.create_token)
    tokens = _awaited(Ledger.tokens)
    set_canonical_chain = _awaited(Ledger.set_canonical_chain)

    create_account = _awaited(Ledger.create_account)
    get_account = _awaited(Ledger.get_account)
    accounts = _awaited(Ledger.accounts)
    freeze_account = _awaited(Ledger.freeze_account)
    unfreeze_account = _awaited(Ledger.unfreeze_account)
    close_account = _awaited(Ledger.close_account)
    seed_accounts = _awaited(Ledger.seed_accounts)

    transfer = _awaited(Ledger.transfer)
    mint = _awaited(Ledger.mint)
    burn = _awaited(Ledger.burn)
    credit = _awaited(Ledger.credit)
    debit = _awaited(Ledger.debit)
    spend = _awaited(Ledger.spend)
    post_many = _awaited(Ledger.post_many)
    award = _awaited(Ledger.award)
    reverse = _awaited(Ledger.reverse)

    hold = _awaited(Ledger.hold)
    capture = _awaited(Ledger.capture)
    release = _awaited(Ledger.release)
    expire_holds = _awaited(Ledger.expire_holds)
    get_hold = _awaited(Ledger.get_hold)
    holds = _awaited(Ledger.holds)

    set_rule = _awaited(Ledger.set_rule)
    retire_rule = _awaited(Ledger.retire_rule)
    get_rule = _awaited(Ledger.get_rule)
    rules = _awaited(Ledger.rules)
    rule_of = _awaited(Ledger.rule_of)

    limit_balance = _awaited(Ledger.limit_balance)
    limit_spending = _awaited(Ledger.limit_spending)
    limit_overdraft = _awaited(Ledger.limit_overdraft)
    debtors = _awaited(Ledger.debtors)
    write_off = _awaited(Ledger.write_off)
    write_offs = _awaited(Ledger.write_offs)

    get_balance = _awaited(Ledger.get_balance)
    get_balance_at = _awaited(Ledger.get_balance_at)
    get_statement = _awaited(Ledger.get_statement)
    get_entries = _awaited(Ledger.get_entries)
    feed = _awaited(Ledger.feed)
    get_history = _awaited(Ledger.get_history)
    get_entry = _awaited(Ledger.get_entry)
    get_statistics = _awaited(Ledger.get_statistics)
    get_reversal = _awaited(Ledger.get_reversal)
    get_supply = _awaited(Ledger.get_supply)
    get_total_supply = _awaited(Ledger.get_total_supply)

    findings = _awaited(Ledger.findings)
    acknowledge_finding = _awaited(Ledger.acknowledge_finding)
    withdraw_acknowledgement = _awaited(Ledger.withdraw_acknowledgement)
    recalc = _awaited(Ledger.recalc)
    redact = _awaited(Ledger.redact)
    get_redaction = _awaited(Ledger.get_redaction)

    async def call(self, verb: Callable[..., R], *args: Any, **words: Any) -> R:
        """Run a verb of `Ledger`."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        verb = getattr(Ledger, name, None)
        if name.startswith("_") or not callable(verb):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return partial(self.call, verb)


class AsyncLedger(_Verbs):
    """An open ledger for asyncio.

    A task that is cancelled while its posting waits takes it back; once the writer has it, it is
    posted, and the same key asked again returns it.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._fast = CoalescedLedger(ledger)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="token-ledger")

    @classmethod
    async def open(
        cls, url: str, *, token: str | None = None, secret_file: str | Path | None = None
    ) -> Self:
        """Return the ledger of a database, as `Ledger.open` does."""
        opened = partial(Ledger.open, url, token=token, secret_file=secret_file)
        return cls(await asyncio.to_thread(opened))

    async def close(self) -> None:
        """Post what was handed in, then close every connection."""
        await asyncio.to_thread(self._fast.close)
        self._threads.shutdown()
        self.ledger.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def call(self, verb: Callable[..., R], *args: Any, **words: Any) -> R:
        """Run a verb of `Ledger`, or any function of one, in a thread."""
        work = partial(verb, self.ledger, *args, **words)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @overload
    async def post_many(
        self,
        records: Sequence[Record],
        *,
        atomic: Literal[True] = True,
        idempotency_key: str | None = None,
    ) -> list[Posted]: ...

    @overload
    async def post_many(
        self, records: Sequence[Record], *, atomic: bool, idempotency_key: str | None = None
    ) -> list[Posted | TokenLedgerError]: ...

    async def post_many(
        self,
        records: Sequence[Record],
        *,
        atomic: bool = True,
        idempotency_key: str | None = None,
    ) -> list[Posted] | list[Posted | TokenLedgerError]:
        """Post one record in a shared commit, or a list in one of its own, as `Ledger` does."""
        if atomic and len(records) == 1 and idempotency_key is None:
            return [await self._post(records[0])]
        return await self.call(
            Ledger.post_many, records, atomic=atomic, idempotency_key=idempotency_key
        )

    async def transfer(
        self, from_account: str, to_account: str, amount: Amount, **words: Unpack[Words]
    ) -> Posted:
        """Move an amount (human units) from one account to another, as `Ledger.transfer`."""
        parse_account_id(from_account)
        parse_account_id(to_account)
        return await self._enter(from_account, to_account, amount, **words)

    async def mint(self, account_id: str, amount: Amount, **words: Unpack[Words]) -> Posted:
        """Issue an amount to an account: `system → account`."""
        parse_account_id(account_id)
        return await self._enter(SYSTEM, account_id, amount, **words)

    async def burn(self, account_id: str, amount: Amount, **words: Unpack[Words]) -> Posted:
        """Take an amount back from an account: `account → system`."""
        parse_account_id(account_id)
        return await self._enter(account_id, SYSTEM, amount, **words)

    async def debit(self, account_id: str, amount: Amount, **words: Unpack[Words]) -> Posted:
        """Take an amount back from an account, as `burn` does."""
        return await self.burn(account_id, amount, **words)

    async def spend(
        self, account_id: str, amount: Amount, *, to: str = SYSTEM, **words: Unpack[Words]
    ) -> Posted:
        """Let an account pay: to `to`, or to the issuer where nobody is named."""
        parse_account_id(account_id)
        parse_account_id(to, allow_system=True)
        return await self._enter(account_id, to, amount, **words)

    def bound_to(self, host: AsyncSession | AsyncConnection) -> AsyncBoundLedger:
        """Return this ledger inside a caller's own async transaction; the caller commits."""
        return AsyncBoundLedger(self.ledger, host)

    async def _enter(
        self, from_account: str, to_account: str, amount: Amount, **words: Unpack[Words]
    ) -> Posted:
        if self.ledger._token is None:  # asks the database once
            await self.call(lambda ledger: ledger.token)
        return await self._post(self.ledger.record(from_account, to_account, amount, **words))

    async def _post(self, record: Record) -> Posted:
        if self.ledger._token is None:
            await self.call(lambda ledger: ledger.token)
        return await asyncio.wrap_future(self._fast.submit(record))


class AsyncBoundLedger(_Verbs):
    """A ledger whose every verb runs on the caller's async connection."""

    def __init__(self, ledger: Ledger, host: AsyncSession | AsyncConnection) -> None:
        self._ledger = ledger
        self._host = host

    async def call(self, verb: Callable[..., R], *args: Any, **words: Any) -> R:
        """Run a verb of `Ledger` on the caller's connection, inside a SAVEPOINT where it writes."""

        def work(host: Any) -> R:
            return verb(self._ledger.bound_to(host), *args, **words)

        return await self._host.run_sync(work)
