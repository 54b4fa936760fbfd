"""Listings of entries, newest first: of an account or of the whole token, by page and by filter.

Pages are cut by `entry_no`, which agrees with the order of every account's balances: a cursor
stays good however many entries come after it. Where nothing but an account is asked for, a page
costs what it shows. Filters look at SCAN_MAX entries a page at most, so that a rare one cannot
keep the database busy: such a page is short, and its cursor goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Subquery, func, null, select, union_all
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from token_ledger.core.parse import REASON_BYTES_MAX, parse_account_id, parse_text
from token_ledger.core.types import SYSTEM
from token_ledger.errors import UnknownAccountError, UsageError
from token_ledger.ledger import asof, schema
from token_ledger.ledger.accounts import check_limit, parse_cursor
from token_ledger.ledger.queries import StoredEntry, select_stored, to_stored
from token_ledger.ledger.tokens import StoredToken

SCAN_MAX = 10_000
"""How many entries of an account (of either side) or of the token a filtered page looks at."""

SCAN_FIRST = 1_000
"""As many at first: they fill a page of whatever is not rare."""

OFFSET_MAX = 100_000
"""A history is skipped by reading it: further back only a cursor leads."""

DIRECTIONS = ("in", "out")
_ENTRY = schema.token_ledger.c
_Conditions = list[ColumnElement[bool]]
_Columns = ReadOnlyColumnCollection[str, Any]


@dataclass(frozen=True, slots=True)
class StatementPage:
    """Entries, newest first; `cursor` asks for the next page, None at the end.

    A page of a filtered listing may be short or empty and still have a cursor.
    """

    entries: tuple[StoredEntry, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Filters:
    """Which entries of a listing are wanted; None for whatever.

    `since` and `until` in microseconds: dated then or later, and before. `counterparty` (an
    account's id, or `system`) and `direction` (`in` or `out`) make sense of an account alone. What
    was erased from an entry is found by no text.
    """

    since: int | None = None
    until: int | None = None
    reason: str | None = None
    reason_prefix: str | None = None
    reference: str | tuple[str, str] | None = None
    counterparty: str | None = None
    direction: str | None = None

    def check(self) -> None:
        """Raise TextError for texts that no entry has, and UsageError for other mistakes."""
        for text in (self.reason, self.reason_prefix):
            if text is not None:
                parse_text(text, what="reason", bytes_max=REASON_BYTES_MAX)
        pair = (self.reference,) if isinstance(self.reference, str) else self.reference or ()
        if len(pair) > 2:
            raise UsageError(f"reference {pair!r:.80}", hint="a type, or a type and an id")
        for text in pair:
            parse_text(text, what="reference")
        if self.direction not in (None, *DIRECTIONS):
            raise UsageError(f"direction {self.direction!r:.50}", hint="in or out")
        if self.counterparty is not None:
            parse_account_id(self.counterparty, allow_system=True)

    def of_dates(self, timestamp: ColumnElement[Any]) -> _Conditions:
        """Return the conditions on an entry's date."""
        found: _Conditions = []
        if self.since is not None:
            found.append(timestamp >= self.since)
        if self.until is not None:
            found.append(timestamp < self.until)
        return found

    def of_texts(self, entry: _Columns, reason: ColumnElement[Any]) -> _Conditions:
        """Return the conditions on an entry's texts."""
        found: _Conditions = []
        if self.reason is not None:
            found.append(reason == self.reason)
        if self.reason_prefix is not None:  # byte for byte: LIKE minds no case, and < a locale
            start = func.substr(reason, 1, len(self.reason_prefix))
            found.append(start == self.reason_prefix)
        if isinstance(self.reference, str):
            found.append(entry.reference_type == self.reference)
        elif self.reference is not None:
            found.append(entry.reference_type == self.reference[0])
            found.append(entry.reference_id == self.reference[1])
        return found


class _Side(NamedTuple):
    """A run of entries in order: what an index leads through, and what is looked at for each."""

    driver: _Conditions
    conditions: _Conditions


NO_FILTERS = Filters()


def get_statement(
    connection: Connection,
    token: StoredToken,
    account_id: str,
    *,
    filters: Filters = NO_FILTERS,
    limit: int = 50,
    cursor: str | None = None,
) -> StatementPage:
    """Return a page of an account's entries, the last posted first.

    Raises UnknownAccountError, for the counterparty too, and UsageError for a limit outside 1 to
    1,000 or a cursor that no page gave.
    """
    parse_account_id(account_id)
    filters.check()
    size = check_limit(limit)
    window = _before(cursor, _ENTRY)
    number = _number(connection, account_id)
    ours: list[tuple[ColumnElement[Any], ColumnElement[Any]]] = []
    if filters.direction != "in":
        ours.append((_ENTRY.from_account, _ENTRY.to_account))
    if filters.direction != "out":
        ours.append((_ENTRY.to_account, _ENTRY.from_account))
    drivers = [[_ENTRY.token_no == token.token_no, side == number] for side, _ in ours]
    others = [[] for _ in ours] if filters.counterparty is None else [
        [other == _number(connection, filters.counterparty)] for _, other in ours
    ]  # fmt: skip
    window += _between(connection, token, number, filters)
    # In words that keep the planner on the account's own index: the time's or the reason's would
    # lead through everybody's entries.
    dates, reason = _ENTRY.timestamp + 0, func.coalesce(_ENTRY.reason, null())
    conditions = filters.of_dates(dates) + filters.of_texts(_ENTRY, reason)
    sides = [
        _Side([*driver, *window], [*conditions, *other])
        for driver, other in zip(drivers, others, strict=True)
    ]
    return _page(connection, token, sides, size=size)


def get_entries(
    connection: Connection,
    token: StoredToken,
    *,
    filters: Filters = NO_FILTERS,
    limit: int = 50,
    cursor: str | None = None,
) -> StatementPage:
    """Return a page of the token's entries, the last posted first.

    It shows what was there when its first page was read; who follows the ledger uses the feed.
    Raises UsageError as `get_statement`, and for filters that make sense of an account alone.
    """
    filters.check()
    if filters.counterparty is not None or filters.direction is not None:
        raise UsageError("a counterparty or a direction of whom?", hint="name an account")
    size = check_limit(limit)
    dated = _few_dated(connection, token, filters)
    if dated is not None:
        few = select(dated.c.entry_no).where(
            *_before(cursor, dated.c), *filters.of_texts(dated.c, dated.c.reason)
        )
        return _cut(_newest(connection, token, [few], size + 1), size=size, floor=0)
    driver = [_ENTRY.token_no == token.token_no, *_before(cursor, _ENTRY)]
    if filters.reason is not None:  # an index of its own: nothing else is looked at
        driver.append(_ENTRY.reason == filters.reason)
    others = replace(filters, reason=None)
    conditions = others.of_dates(_ENTRY.timestamp + 0) + others.of_texts(_ENTRY, _ENTRY.reason)
    return _page(connection, token, [_Side(driver, conditions)], size=size)


def get_history(
    connection: Connection, token: StoredToken, account_id: str, *, limit: int, offset: int
) -> list[StoredEntry]:
    """Return entries of an account, the last posted first, after `offset` newer ones."""
    size = check_limit(limit)
    if isinstance(offset, bool) or not 0 <= offset <= OFFSET_MAX:
        raise UsageError(
            f"offset {offset} is out of range", hint=f"0 to {OFFSET_MAX}; or use a cursor"
        )
    number = asof.find_account(connection, account_id)
    if number is None:
        return []
    sides = [
        select(_ENTRY.entry_no).where(_ENTRY.token_no == token.token_no, side == number)
        for side in (_ENTRY.from_account, _ENTRY.to_account)
    ]
    return _newest(connection, token, sides, size, offset=offset)


def _before(cursor: str | None, entry: _Columns) -> _Conditions:
    return [] if cursor is None else [entry.entry_no < parse_cursor(cursor)]


def _number(connection: Connection, account_id: str) -> int:
    if account_id == SYSTEM:
        return schema.SYSTEM_ACCOUNT_NO
    number = asof.find_account(connection, account_id)
    if number is None:
        raise UnknownAccountError(f"no account {account_id!r}", hint="create it first")
    return number


def _between(
    connection: Connection, token: StoredToken, number: int, filters: Filters
) -> _Conditions:
    """Return which entry numbers of an account can be dated as asked: no others are looked at."""
    found: _Conditions = []
    if filters.since:
        place = asof.place_at(connection, token, number, filters.since - 1)
        found.append(_ENTRY.entry_no > place)
    if filters.until is not None:
        reach = asof.reach_at(connection, token, number, filters.until - 1)
        found.append(_ENTRY.entry_no <= reach)
    return found


def _few_dated(connection: Connection, token: StoredToken, filters: Filters) -> Subquery | None:
    """Return the entries dated as asked if they are few, read by their dates; else None."""
    dates = filters.of_dates(_ENTRY.timestamp)
    if not dates:
        return None
    found = (
        select(*(_ENTRY[name] for name in ("entry_no", "reason", "reference_type", "reference_id")))
        .where(_ENTRY.token_no == token.token_no, *dates)
        .order_by(_ENTRY.timestamp, _ENTRY.entry_no)
        .limit(SCAN_MAX)
        .subquery()
    )
    count = connection.execute(select(func.count()).select_from(found)).scalar_one()
    return found if count < SCAN_MAX else None


def _floor(connection: Connection, driver: _Conditions, scanned: int) -> int:
    """Return the entry number at which looking must end, 0 where the end is nearer."""
    found: int | None = connection.execute(
        select(_ENTRY.entry_no)
        .where(*driver)
        .order_by(_ENTRY.entry_no.desc())
        .limit(1)
        .offset(scanned - 1)
    ).scalar()
    return found or 0


def _page(
    connection: Connection, token: StoredToken, sides: Sequence[_Side], *, size: int
) -> StatementPage:
    """Return a page of what meets the conditions of one of the sides."""
    chosen = any(side.conditions for side in sides)
    page = StatementPage((), None)
    for scanned in (SCAN_FIRST, SCAN_MAX) if chosen else (0,):
        floor = 0
        if chosen:
            floor = max(_floor(connection, side.driver, scanned) for side in sides)
        numbers = [
            select(_ENTRY.entry_no).where(
                *side.driver, *side.conditions, *([_ENTRY.entry_no >= floor] if floor else ())
            )
            for side in sides
        ]
        found = _newest(connection, token, numbers, size + 1)
        page = _cut(found, size=size, floor=floor)
        if len(found) > size or not floor:
            break
    return page


def _cut(found: list[StoredEntry], *, size: int, floor: int) -> StatementPage:
    """Return a page of what was found, with one more where there is one."""
    page = tuple(found[:size])
    if len(found) > size:
        return StatementPage(page, str(page[-1].entry_no))
    return StatementPage(page, str(floor) if floor else None)


def _newest(
    connection: Connection,
    token: StoredToken,
    sides: Sequence[Select[Any]],
    count: int,
    *,
    offset: int = 0,
) -> list[StoredEntry]:
    """Return the newest of the entries whose numbers one of the sides selects."""
    numbers = []
    for side in sides:
        # Each side reads its own index from the end: a page costs the same whatever the history.
        number = side.selected_columns.entry_no
        newest = side.order_by(number.desc()).limit(offset + count).subquery()
        numbers.append(select(newest.c.entry_no))
    either = union_all(*numbers).subquery().c.entry_no
    wanted = select(either).order_by(either.desc()).limit(count).offset(offset).subquery()
    rows = connection.execute(
        select_stored()
        .join(wanted, wanted.c.entry_no == _ENTRY.entry_no)
        .order_by(_ENTRY.entry_no.desc())
    )
    return [to_stored(row, token) for row in rows]
