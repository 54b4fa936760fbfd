"""Balances remembered for a while, and never older than what their caller wrote himself.

A balance is remembered with the number of the account's last entry as of its reading: numbers agree
with the order of an account's balances, so that number says what the balance includes. Every write
leaves a mark, the number of its entry at both its accounts; what is remembered from before the mark
is not given out, however late a slow reader stores it. Others' writes are seen once the time is
over, at the latest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeVar, overload

from sqlalchemy import Connection, func, select

from token_ledger.core.types import ESCROW_PREFIX, Record
from token_ledger.errors import InputError, RuleError, TokenLedgerError, UsageError
from token_ledger.ledger import accounts, schema
from token_ledger.ledger.bound import BoundLedger
from token_ledger.ledger.ledger import Ledger
from token_ledger.ledger.posted import Posted
from token_ledger.ledger.tokens import StoredToken

T = TypeVar("T")
_Key = tuple[int, str]


class _Remembered(NamedTuple):
    value: int
    entry_no: int  # the account's last one that is in it
    until: float


class CachedLedger(Ledger):
    """A ledger whose `get_balance` remembers; all other verbs are as ever.

    Threads may share it. `ttl_s`: how long a balance that others may have changed is given out.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        ttl_s: float,
        accounts_max: int,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        if isinstance(ledger, BoundLedger):
            raise UsageError(
                "a caller's transaction is not remembered", hint="cache the ledger, not the session"
            )
        if ttl_s < 0 or accounts_max < 1:
            raise UsageError(f"ttl_s is {ttl_s}, accounts_max {accounts_max}", hint="0, 1 at least")
        super().__init__(ledger.engine, ledger._identity, token=ledger._symbol, clock=ledger._clock)
        self._token = ledger._token
        self._inner, self._ttl_s = ledger, ttl_s
        self._accounts_max, self._timer = accounts_max, timer
        self._lock = threading.Lock()
        self._remembered: dict[_Key, _Remembered] = {}
        self._marks: dict[_Key, int] = {}
        self._generation = 0

    def close(self) -> None:
        """Forget everything; the ledger underneath stays open."""
        self.forget()

    def get_balance(self, account_id: str, *, after: int = 0) -> int:
        """Return a balance in base units, as it was at most `ttl_s` ago; 0 for no account.

        It includes every write that was made through this object, by whichever thread, and what
        `wrote` was told of. `after`: the entry number of a posting of the account, made elsewhere,
        that it must include.
        """
        token = self.token
        key = (token.token_no, account_id)
        with self._lock:
            generation, found = self._generation, self._remembered.get(key)
            needed = max(after, self._marks.get(key, 0))
        began = self._timer()
        if found is not None and began < found.until and needed <= found.entry_no:
            return found.value
        with self.read() as connection:
            value = accounts.get_balance(connection, token, account_id)
            entry_no = _last_entry(connection, token, account_id)
        with self._lock:
            if generation == self._generation:
                before = self._remembered.get(key)
                if before is None or before.entry_no <= entry_no:
                    made = _Remembered(value, entry_no, began + self._ttl_s)
                    self._remembered[key] = made
                self._make_room()
        return value

    def wrote(self, *postings: Posted) -> None:
        """Remember no balance from before these postings, made and committed elsewhere.

        As by `bound_to(session)`: tell it after your commit.
        """
        token_no = self.token.token_no
        with self._lock:
            for posted in postings:
                # A payment may have released holds of its payer's that were over.
                escrow = ESCROW_PREFIX + posted.from_account
                for name in (posted.from_account, posted.to_account, escrow):
                    key = (token_no, name)
                    self._marks[key] = max(self._marks.get(key, 0), posted.entry_no)
                    self._remembered.pop(key, None)
            self._make_room()

    def forget(self) -> None:
        """Remember nothing of what was read up to now, nor of what is being read."""
        with self._lock:
            self._forget()

    def run(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, run as the ledger underneath runs it."""
        try:
            result = self._inner.run(work)
        except (InputError, RuleError):
            raise  # nothing was written
        except BaseException:
            self.forget()  # it may have been committed all the same
            raise
        self._committed(result)
        return result

    @overload
    def post_many(
        self,
        records: Sequence[Record],
        *,
        atomic: Literal[True] = True,
        idempotency_key: str | None = None,
    ) -> list[Posted]: ...

    @overload
    def post_many(
        self, records: Sequence[Record], *, atomic: bool, idempotency_key: str | None = None
    ) -> list[Posted | TokenLedgerError]: ...

    def post_many(
        self,
        records: Sequence[Record],
        *,
        atomic: bool = True,
        idempotency_key: str | None = None,
    ) -> list[Posted] | list[Posted | TokenLedgerError]:
        """Post a list as the ledger underneath does, which may share commits."""
        try:
            results = self._inner.post_many(records, atomic=atomic, idempotency_key=idempotency_key)
        except (InputError, RuleError):
            raise
        except BaseException:
            self.forget()
            raise
        self._committed(results)
        return results

    def _committed(self, outcome: object) -> None:
        """Leave marks where it is known which balances changed; else forget them all."""
        several = outcome if isinstance(outcome, list) else [outcome]
        if all(isinstance(one, Posted | InputError | RuleError) for one in several) and not (
            isinstance(outcome, RuleError)  # returned, not raised: a release came with it
        ):
            self.wrote(*(one for one in several if isinstance(one, Posted)))
        else:
            self.forget()

    def _make_room(self) -> None:
        if len(self._remembered) + len(self._marks) > self._accounts_max:
            self._forget()

    def _forget(self) -> None:
        # A reader that began before stores nothing any more: marks are not needed against it.
        self._generation += 1
        self._remembered.clear()
        self._marks.clear()


def _last_entry(connection: Connection, token: StoredToken, account_id: str) -> int:
    """Return the number of an account's last entry, 0 without one: each side has its index."""
    entry = schema.token_ledger.c
    number = (
        select(schema.accounts.c.account_no)
        .where(schema.accounts.c.account_id == account_id)
        .scalar_subquery()
    )
    return max(
        connection.execute(
            select(func.max(entry.entry_no)).where(entry.token_no == token.token_no, side == number)
        ).scalar()
        or 0
        for side in (entry.from_account, entry.to_account)
    )
