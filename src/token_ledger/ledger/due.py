"""Holds that are over, released before a payment of their holder that needs what they keep.

The touch that expiry waits for where nobody sweeps: a spending that would fail posts the releases
first, as entries of the same transaction. Which holds, and what is written of them; `poster`
decides and enters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from token_ledger.core.strict import to_hex
from token_ledger.core.types import ESCROW_PREFIX
from token_ledger.ledger import accounts, schema
from token_ledger.ledger.balances import LockedAccount
from token_ledger.ledger.requests import PostingContext, Request, Requests, derived_key
from token_ledger.ledger.tokens import StoredToken

DUE_MAX = 50
"""How many of a holder's due holds one posting releases at most: those that keep the most."""

EXPIRED = "hold:expired"
REFERENCE = "hold"
_TABLE = schema.token_holds.c


class Due(NamedTuple):
    """A hold that is over and not released."""

    entry_no: int
    id: bytes
    remaining: int


def expiry_key(context: PostingContext, hold_id: bytes) -> str:
    """Return the key of the release of an expired hold, which only its id gives."""
    return derived_key(context.secret, hold_id, EXPIRED)


class DueHolds:
    """The due holds of payers whose money one poster found short."""

    def __init__(self, connection: Connection, context: PostingContext, token: StoredToken) -> None:
        self._connection = connection
        self._context = context
        self._token = token
        self._due: dict[int, list[Due]] = {}
        self._escrows: dict[int, int] = {}  # by holder
        self._known: dict[str, accounts.Known] = {}
        self._released: list[int] = []

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(map(len, self._due.values()))

    def look(
        self,
        requests: Sequence[Request],
        locked: Mapping[int, LockedAccount],
        *,
        now: Callable[[], int],
    ) -> dict[int, str]:
        """Read them for whoever might lack money; return the escrow accounts still to be locked.

        Judged as if nothing came in, because what is refused does not.
        """
        spent: Counter[int] = Counter()
        for request in requests:
            payer = locked.get(request.from_no)
            if payer is not None and payer.staked:
                spent[request.from_no] += request.value
        self._due = {}
        missing: dict[int, str] = {}
        for number in sorted(spent):
            account = locked[number]
            due = self._read(number, now()) if spent[number] > account.balance else []
            if due:
                self._due[number] = due
                name = ESCROW_PREFIX + account.name
                self._known |= accounts.resolve(self._connection, [account.name, name])
                escrow_no = self._escrows[number] = self._known[name].number
                if escrow_no not in locked:
                    missing[escrow_no] = name
        return missing

    def covering(self, payer: LockedAccount, value: int) -> list[Due]:
        """Return a payer's due holds, to be released, if it can pay a value then; else nothing."""
        due = self._due.get(payer.row.number, [])
        worth = payer.balance - payer.debt + sum(hold.remaining for hold in due)
        if not due or worth + (payer.row.overdraft_max or 0) < value:
            return []
        del self._due[payer.row.number]
        return due

    def release(self, hold: Due, holder: LockedAccount) -> Request:
        """Return the request that releases a hold, which is written as released with the rows."""
        self._released.append(hold.entry_no)
        return Requests(
            self._context, self._token, escrow_no=self._escrows[holder.row.number]
        ).make_raw(
            self._known[ESCROW_PREFIX + holder.name],
            self._known[holder.name],
            value=hold.remaining,
            timestamp=None,
            texts=(EXPIRED, REFERENCE, to_hex(hold.id), "", None),
            key=expiry_key(self._context, hold.id),
        )

    @property
    def noted(self) -> bool:
        """Whether any release is there to be written."""
        return bool(self._released)

    def write(self, *, now: int) -> None:
        """Write the holds that were released, after their entries."""
        if self._released:
            self._connection.execute(
                update(schema.token_holds)
                .where(_TABLE.entry_no.in_(self._released))
                .values(remaining=0, released_at=now, updated_at=now)
            )
            self._released = []

    def _read(self, holder_no: int, now: int) -> list[Due]:
        entry = schema.token_ledger.c
        rows = self._connection.execute(
            select(_TABLE.entry_no, entry.id, _TABLE.remaining)
            .join(schema.token_ledger, entry.entry_no == _TABLE.entry_no)
            .where(_TABLE.token_no == self._token.token_no, _TABLE.holder_no == holder_no)
            .where(_TABLE.released_at.is_(None), _TABLE.remaining > 0, _TABLE.expires_at <= now)
            .order_by(_TABLE.remaining.desc(), _TABLE.entry_no)
            .limit(DUE_MAX)
        )
        return [Due(row.entry_no, bytes(row.id), row.remaining) for row in rows]
