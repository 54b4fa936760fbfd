"""Every cached figure, and how it follows from the entries: what `recalc` and `check` compare.

A `Cache` is one table of figures. A figure is added by one entry of its table of functions, a
table by one `Cache` in `CACHES`. Rows are streamed a page at a time; nothing is written here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, RowMapping, Table, func, select

from token_ledger.core.address import to_checksum
from token_ledger.ledger import cached_dates, cached_days, cached_holds, schema
from token_ledger.ledger.cached_holds import Key, Recomputed
from token_ledger.ledger.credit import PAID, credit_sums, outstanding
from token_ledger.ledger.owed import DRAW, REPAY
from token_ledger.ledger.store import chunks
from token_ledger.ledger.tokens import StoredToken

_ENTRY = schema.token_ledger.c
_BALANCE = schema.token_accounts.c
_PAGE = 2_000
_LOOKUP_SIZE = 500
_FETCH = 5_000

Among = Callable[["Column[Any] | ColumnElement[Any]"], ColumnElement[bool]]
"""Says whether a column's account is one of the page."""


@dataclass(frozen=True, slots=True)
class Cache:
    """A table of figures. `rows` yields all of them, or those of some keys, recomputed.

    `accounts`: whose locks keep the rows of some keys still. `supply`: they change under the lock
    of the supply as well. `guards`: triggers that would refuse a correction. `write`: corrects the
    rows of a table in which rows may be missing, or too many.
    """

    table: Table
    key: tuple[str, ...]
    rows: Callable[[Connection, StoredToken, Sequence[Key] | None], Iterator[Recomputed]]
    accounts: Callable[[Connection, StoredToken, Sequence[Key]], set[int]]
    supply: bool = False
    guards: tuple[str, ...] = ()
    write: Callable[[Connection, StoredToken, Sequence[Recomputed]], None] | None = None


class Flow(NamedTuple):
    """What went through one side of an account: the sum, the last posting, the latest date."""

    total: int = 0
    last_at: int | None = None
    latest_at: int = 0


NO_FLOW = Flow()


def flows(
    connection: Connection, token: StoredToken, side: Column[Any], condition: ColumnElement[bool]
) -> dict[int, Flow]:
    """Return the flow of each account that stands on one side of the entries.

    PostgreSQL adds up by itself; SQLite's SUM would turn to floating point, so rows are streamed.
    """
    chosen = select(side).where(_ENTRY.token_no == token.token_no, condition)
    if connection.dialect.name == "postgresql":
        sums = chosen.add_columns(
            func.sum(_ENTRY.amount), func.max(_ENTRY.created_at), func.max(_ENTRY.timestamp)
        ).group_by(side)
        return {n: Flow(int(t), at, dated) for n, t, at, dated in connection.execute(sums)}
    found: dict[int, Flow] = {}
    rows = chosen.add_columns(_ENTRY.amount, _ENTRY.created_at, _ENTRY.timestamp).order_by(side)
    with connection.execute(rows, execution_options={"yield_per": _FETCH}) as streamed:
        for number, amount, at, dated in streamed:
            total, last_at, latest_at = found.get(number, NO_FLOW)
            found[number] = Flow(total + amount, max(at, last_at or 0), max(dated, latest_at))
    return found


class AccountPage:
    """Some accounts of a token: what is stored of them, and what their entries say."""

    def __init__(self, connection: Connection, token: StoredToken, among: Among) -> None:
        self.connection, self.token, self._among = connection, token, among
        rows = connection.execute(
            select(schema.token_accounts).where(
                _BALANCE.token_no == token.token_no, among(_BALANCE.account_no)
            )
        )
        self.stored: dict[int, RowMapping] = {row.account_no: row._mapping for row in rows}

    @cached_property
    def received(self) -> dict[int, Flow]:
        """What each account received."""
        return flows(self.connection, self.token, _ENTRY.to_account, self._among(_ENTRY.to_account))

    @cached_property
    def sent(self) -> dict[int, Flow]:
        """What each account sent."""
        side = _ENTRY.from_account
        return flows(self.connection, self.token, side, self._among(side))

    @cached_property
    def staked(self) -> dict[int, int]:
        """What the escrow account of each holder keeps."""
        accounts = schema.accounts.c
        holders = {
            row.account_no: row.escrow_of
            for row in self.connection.execute(
                select(accounts.account_no, accounts.escrow_of).where(
                    self._among(accounts.escrow_of)
                )
            )
        }
        kept: dict[int, int] = {}
        for part in chunks(sorted(holders), _LOOKUP_SIZE):
            into, out = (
                flows(self.connection, self.token, side, side.in_(part))
                for side in (_ENTRY.to_account, _ENTRY.from_account)
            )
            for n in part:
                kept[holders[n]] = into.get(n, NO_FLOW).total - out.get(n, NO_FLOW).total
        return kept

    @cached_property
    def credit(self) -> dict[tuple[int, str], int]:
        """What each account drew, repaid, and had written off, by account and kind."""
        among = self._among(schema.token_debts.c.account_no)
        return credit_sums(self.connection, self.token.token_no, among)

    def numbers(self) -> list[int]:
        """Return the accounts that have a row, or ought to have one."""
        seen = self.stored.keys() | self.received.keys() | self.sent.keys()
        return sorted(seen - {schema.SYSTEM_ACCOUNT_NO})

    def addresses(self) -> dict[int, bytes]:
        """Return the address of each account: what findings name."""
        accounts = schema.accounts.c
        found = self.connection.execute(
            select(accounts.account_no, accounts.address).where(self._among(accounts.account_no))
        )
        return {row.account_no: bytes(row.address) for row in found}

    def last_at(self, number: int) -> int | None:
        """Return when the account's last entry was posted."""
        sides = (self.received.get(number, NO_FLOW), self.sent.get(number, NO_FLOW))
        return max((flow.last_at for flow in sides if flow.last_at is not None), default=None)


def _balance(page: AccountPage, number: int) -> int:
    return page.received.get(number, NO_FLOW).total - page.sent.get(number, NO_FLOW).total


def _total_earned(page: AccountPage, number: int) -> int:
    return page.received.get(number, NO_FLOW).total - page.credit.get((number, DRAW), 0)


def _total_spent(page: AccountPage, number: int) -> int:
    return page.sent.get(number, NO_FLOW).total - page.credit.get((number, REPAY), 0)


def _debt(page: AccountPage, number: int) -> int:
    return outstanding({kind: page.credit.get((number, kind), 0) for kind in (DRAW, *PAID)})


def _total_staked(page: AccountPage, number: int) -> int:
    return page.staked.get(number, 0)


def _updated_at(page: AccountPage, number: int) -> int | None:
    """Not before the account's last entry; later is right where a limit was set or a load ended."""
    row, last = page.stored.get(number), page.last_at(number)
    if row is None or last is None:
        return last if row is None else int(row["updated_at"])
    return max(last, int(row["updated_at"]))


def _latest_at(page: AccountPage, number: int) -> int:
    sides = (page.received.get(number, NO_FLOW), page.sent.get(number, NO_FLOW))
    return max(flow.latest_at for flow in sides)


def _window_spent(page: AccountPage, number: int) -> int | None:
    """No more than what left the account since its window began.

    Less is right where a part of it was no spending (a reversal, an import, a repayment) or went
    before there was a limit.
    """
    row = page.stored.get(number)
    if row is None or row["window_spent"] is None:
        return None
    if not row["window_spent"]:
        return 0
    newest = (
        select(_ENTRY.amount, _ENTRY.created_at)
        .where(_ENTRY.token_no == page.token.token_no, _ENTRY.from_account == number)
        .order_by(_ENTRY.entry_no.desc())
    )
    spent, stored = 0, int(row["window_spent"])
    options = {"yield_per": _LOOKUP_SIZE}
    with page.connection.execute(newest, execution_options=options) as rows:
        for amount, created_at in rows:
            if created_at < (row["window_start"] or 0) or spent >= stored:
                break
            spent += amount
    return min(stored, spent)


ACCOUNT_FIGURES: dict[str, Callable[[AccountPage, int], int | None]] = {
    "balance": _balance,
    "total_earned": _total_earned,
    "total_spent": _total_spent,
    "total_staked": _total_staked,
    "debt": _debt,
    "updated_at": _updated_at,
    "window_spent": _window_spent,
    "latest_at": _latest_at,
}
"""What stands in `token_accounts`, by column: right for a page's account."""


def account_rows(
    connection: Connection, token: StoredToken, keys: Sequence[Key] | None
) -> Iterator[Recomputed]:
    """Yield every account that has a row or an entry, or those of some keys."""
    for among in _pages(connection, token, keys):
        page = AccountPage(connection, token, among)
        addresses = page.addresses()
        for number in page.numbers():
            stored = page.stored.get(number)
            yield Recomputed(
                key=(number,),
                subject={"address": to_checksum(addresses.get(number, bytes(20)))},
                stored=None if stored is None else {n: stored[n] for n in ACCOUNT_FIGURES},
                right={name: right(page, number) for name, right in ACCOUNT_FIGURES.items()},
            )


def _pages(
    connection: Connection, token: StoredToken, keys: Sequence[Key] | None
) -> Iterator[Among]:
    """Yield what says whether an account belongs to a page: ranges of numbers, or some of them."""
    if keys is not None:
        for part in chunks(sorted(key[0] for key in keys), _LOOKUP_SIZE):
            yield lambda column, part=part: column.in_(part)  # type: ignore[misc]
        return
    after = schema.SYSTEM_ACCOUNT_NO
    while True:
        page = connection.execute(
            select(_BALANCE.account_no)
            .where(_BALANCE.token_no == token.token_no, _BALANCE.account_no > after)
            .order_by(_BALANCE.account_no)
            .limit(_PAGE)
        ).scalars()
        numbers = list(page)
        if len(numbers) < _PAGE:  # open at the end: an account may lack its row
            yield lambda column, after=after: column > after  # type: ignore[misc]
            return
        yield lambda column, first=after, last=numbers[-1]: (column > first) & (column <= last)  # type: ignore[misc]
        after = numbers[-1]


class SupplySides(NamedTuple):
    """What the entries of a token say of its supply."""

    minted: Flow
    burned: Flow
    stored_at: int
    credit: int


SUPPLY_FIGURES: dict[str, Callable[[SupplySides], int]] = {
    "total_supply": lambda sides: sides.minted.total - sides.burned.total,
    "total_minted": lambda sides: sides.minted.total,
    "total_burned": lambda sides: sides.burned.total,
    "credit": lambda sides: sides.credit,
    "updated_at": lambda sides: max(
        sides.minted.last_at or 0, sides.burned.last_at or 0, sides.stored_at
    ),
}
"""What stands in `token_supply`, by column."""


def supply_rows(
    connection: Connection, token: StoredToken, _keys: Sequence[Key] | None
) -> Iterator[Recomputed]:
    """Yield the one row of the token's supply."""
    table = schema.token_supply
    stored = connection.execute(select(table).where(table.c.token_no == token.token_no)).first()
    system = schema.SYSTEM_ACCOUNT_NO
    minted, burned = (
        flows(connection, token, side, side == system).get(system, NO_FLOW)
        for side in (_ENTRY.from_account, _ENTRY.to_account)
    )
    credit: Counter[str] = Counter()
    for (_, kind), total in credit_sums(connection, token.token_no).items():
        credit[kind] += total
    stored_at = 0 if stored is None else stored.updated_at
    sides = SupplySides(minted, burned, stored_at, outstanding(credit))
    yield Recomputed(
        key=(),
        subject={},
        stored=None if stored is None else {n: stored._mapping[n] for n in SUPPLY_FIGURES},
        right={name: right(sides) for name, right in SUPPLY_FIGURES.items()},
    )


def drift(row: Recomputed) -> Mapping[str, tuple[int | None, int | None]]:
    """Return stored and right figure of each column that differs."""
    stored = row.stored
    if stored is None:
        return {name: (None, right) for name, right in row.right.items() if right}
    return {n: (stored[n], right) for n, right in row.right.items() if stored[n] != right}


CACHES = (
    Cache(
        schema.token_accounts,
        ("account_no",),
        account_rows,
        accounts=lambda _connection, _token, keys: {key[0] for key in keys},
    ),
    Cache(
        schema.token_supply,
        (),
        supply_rows,
        accounts=lambda _connection, _token, _keys: set(),
        supply=True,
    ),
    Cache(
        schema.token_holds,
        ("entry_no",),
        cached_holds.hold_rows,
        accounts=cached_holds.accounts_of,
        guards=("token_holds_no_update",),
    ),
    Cache(
        schema.token_backdated,
        ("account_no", "entry_no"),
        cached_dates.backdated_rows,
        accounts=lambda _connection, _token, keys: {key[0] for key in keys},
        write=cached_dates.write_backdated,
    ),
    Cache(
        schema.token_days,
        ("day", "kind", "reason"),
        cached_days.day_rows,
        accounts=lambda _connection, _token, _keys: set(),
        write=cached_days.write_days,
    ),
)
"""Every table of cached figures, in the order in which their rows are locked."""
