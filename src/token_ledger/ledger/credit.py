"""Draws and repayments: the entries that postings on credit bring along, and what they change.

    draw     system → account   before the entry that spends more than the account holds
    repay    account → system   after the entry that an account in debt is paid by

Both are ordinary entries with keys derived from the id of the entry that brought them. Each change
of a debt is also a row of `token_debts`. Decides nothing: `posting` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, insert, select

from token_ledger.core.strict import to_hex
from token_ledger.core.types import SYSTEM
from token_ledger.ledger import accounts, schema
from token_ledger.ledger.balances import LockedAccount
from token_ledger.ledger.owed import DRAW, REPAY, WRITE_OFF, debt_at
from token_ledger.ledger.posted import Outcome
from token_ledger.ledger.requests import PostingContext, Request, Requests, derived_key
from token_ledger.ledger.store import chunks
from token_ledger.ledger.tokens import StoredToken

PAID = (REPAY, WRITE_OFF)
REASONS = {DRAW: "overdraft:draw", REPAY: "overdraft:repay"}
REFERENCE = "overdraft"
_LOOKUP_SIZE = 500
_FETCH = 5_000
_TABLE = schema.token_debts.c


class _Change(NamedTuple):
    account_no: int
    kind: str
    entry_no: int
    cause_no: int
    value: int
    debt_after: int


class Credit:
    """The draws and repayments of one poster."""

    def __init__(self, connection: Connection, context: PostingContext, token: StoredToken) -> None:
        self._connection = connection
        self._context = context
        self._token = token
        self.names: dict[int, str] = {}  # of the locked accounts that may draw or owe, by number
        self._known: dict[str, accounts.Known] = {}
        self._make: Callable[..., Request] | None = None
        self._changes: list[_Change] = []

    def prepare(self) -> None:
        """Learn the addresses of those accounts, unless that was done already."""
        if self._make is None:
            self._known = accounts.resolve(self._connection, [SYSTEM, *self.names.values()])
            self._make = Requests(self._context, self._token).make_raw

    def request(self, kind: str, account: LockedAccount, cause: Request, value: int) -> Request:
        """Return the request of the draw before another request, or of the repayment after it."""
        assert self._make is not None, "whoever draws or repays has prepared it"
        payer, payee = (SYSTEM, account.name) if kind == DRAW else (account.name, SYSTEM)
        what = REASONS[kind]
        return self._make(
            self._known[payer],
            self._known[payee],
            value=value,
            timestamp=cause.timestamp,
            texts=(what, REFERENCE, to_hex(cause.id), "", None),
            key=derived_key(self._context.secret, cause.id, what),
        )

    def note(
        self, kind: str, account: LockedAccount, value: int, entry_no: int, *, cause_no: int
    ) -> None:
        """Remember a change of the account's debt, which is what it owes now."""
        number = account.row.number
        self._changes.append(_Change(number, kind, entry_no, cause_no, value, account.debt))

    @property
    def noted(self) -> bool:
        """Whether any change is there to be written."""
        return bool(self._changes)

    def write(self, *, now: int) -> None:
        """Insert the changes, whose entries are there already."""
        if not self._changes:
            return
        numbers = last_numbers(
            self._connection, self._token.token_no, {change.account_no for change in self._changes}
        )
        rows: list[dict[str, Any]] = []
        for change in self._changes:
            number = numbers.get(change.account_no, 0) + 1
            numbers[change.account_no] = number
            fixed = {"token_no": self._token.token_no, "number": number, "created_at": now}
            rows.append({**change._asdict(), **fixed})
        self._connection.execute(insert(schema.token_debts), rows)
        self._changes = []


def last_numbers(
    connection: Connection, token_no: int, account_nos: Iterable[int]
) -> dict[int, int]:
    """Return the number of the last change of each account's debt, where there is any."""
    found: dict[int, int] = {}
    for part in chunks(sorted(account_nos), _LOOKUP_SIZE):
        rows = connection.execute(
            select(_TABLE.account_no, func.max(_TABLE.number))
            .where(_TABLE.token_no == token_no, _TABLE.account_no.in_(part))
            .group_by(_TABLE.account_no)
        )
        found.update((int(account_no), int(number)) for account_no, number in rows)
    return found


def with_debts(
    connection: Connection,
    token_no: int,
    requests: Sequence[Request],
    outcomes: Sequence[Outcome | None],
) -> list[Outcome | None]:
    """Return the outcomes, with what was owed as of each one that is repeated."""
    repeats = [
        side
        for request, outcome in zip(requests, outcomes, strict=True)
        if outcome is not None and outcome.repeated
        for side in (request.from_no, request.to_no)
    ]
    ever = last_numbers(connection, token_no, set(repeats)) if repeats else {}
    if not ever:
        return list(outcomes)

    def owed(side: int, entry_no: int) -> int:
        return debt_at(connection, token_no, side, entry_no) if side in ever else 0

    return [
        outcome
        if outcome is None or not outcome.repeated
        else outcome._replace(
            debt_from=owed(request.from_no, outcome.entry_no),
            debt_to=owed(request.to_no, outcome.entry_no),
        )
        for request, outcome in zip(requests, outcomes, strict=True)
    ]


def brought_by(connection: Connection, entry_no: int) -> int | None:
    """Return the number of the entry that a draw or a repayment came with, None for others."""
    return connection.execute(
        select(_TABLE.cause_no).where(_TABLE.entry_no == entry_no, _TABLE.kind != WRITE_OFF)
    ).scalar()


def credit_sums(
    connection: Connection, token_no: int, among: ColumnElement[bool] | None = None
) -> dict[tuple[int, str], int]:
    """Return what accounts drew, repaid and had written off in all, by account and kind.

    PostgreSQL adds up by itself; SQLite's SUM would turn to floating point, so rows are streamed.
    """
    sides = (_TABLE.account_no, _TABLE.kind)
    chosen = select(*sides).where(_TABLE.token_no == token_no)
    if among is not None:
        chosen = chosen.where(among)
    sums: Counter[tuple[int, str]] = Counter()
    if connection.dialect.name == "postgresql":
        for number, kind, total in connection.execute(
            chosen.add_columns(func.sum(_TABLE.value)).group_by(*sides)
        ):
            sums[number, kind] = int(total)
        return sums
    rows = connection.execute(
        chosen.add_columns(_TABLE.value), execution_options={"yield_per": _FETCH}
    )
    for number, kind, value in rows:
        sums[number, kind] += value
    return sums


def outstanding(sums: Mapping[str, int]) -> int:
    """Return what is owed, from what was drawn, repaid and written off."""
    return sums.get(DRAW, 0) - sum(sums.get(kind, 0) for kind in PAID)
