"""Questions about entries: one entry, an account's statement, the supply.

Pages are cut by `entry_no`, which agrees with the order of every account's balances: a cursor
stays good however many entries come after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from sqlalchemy import ColumnElement, Connection, Row, select, union_all
from sqlalchemy.sql import Select

from token_ledger.core.parse import format_amount, parse_account_id
from token_ledger.errors import UnknownAccountError, UnknownEntryError, UsageError
from token_ledger.ledger import schema
from token_ledger.ledger.accounts import check_limit, parse_cursor
from token_ledger.ledger.tokens import StoredToken

OFFSET_MAX = 100_000
"""A history is skipped by reading it: further back only a cursor leads."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A ledger row, with the ids and the addresses of its accounts.

    `value`, balances and supply in base units; times in microseconds. A balance is None on the
    side of `system`. Texts and key are None where `redacted_at` says so.
    """

    entry_no: int
    id: bytes
    timestamp: int
    from_account: str
    to_account: str
    from_address: bytes
    to_address: bytes
    value: int
    decimals: int
    reason: str | None
    reference_type: str | None
    reference_id: str | None
    memo: str | None
    metadata: str | None
    idempotency_key: str | None
    nonce: bytes
    ref: bytes
    balance_after_from: int | None
    balance_after_to: int | None
    supply_after: int | None
    created_at: int
    redacted_at: int | None

    @property
    def amount(self) -> str:
        """The value in human units."""
        return format_amount(self.value, decimals=self.decimals)

    def balance_after(self, account_id: str) -> int | None:
        """Return the balance of one of its two accounts after it, in base units."""
        if account_id == self.from_account:
            return self.balance_after_from
        return self.balance_after_to if account_id == self.to_account else None


@dataclass(frozen=True, slots=True)
class StatementPage:
    """Entries of an account, newest first; `cursor` asks for the next page, None at the end."""

    entries: tuple[StoredEntry, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Supply:
    """A token's supply, in base units.

    `credit` is what accounts have drawn beyond zero and not repaid. It is in the supply, as draws
    are in `total_minted` and repayments in `total_burned`: each of them is an entry.
    """

    total_supply: int
    total_minted: int
    total_burned: int
    max_supply: int
    decimals: int
    credit: int = 0

    @property
    def amount(self) -> str:
        """The total supply in human units."""
        return format_amount(self.total_supply, decimals=self.decimals)


_FROM = schema.accounts.alias("payer")
_TO = schema.accounts.alias("payee")
_ENTRY = schema.token_ledger


def _entries() -> Select[tuple[object, ...]]:
    columns = [c for c in _ENTRY.c if c.name not in ("from_account", "to_account")]
    return select(
        *columns,
        _FROM.c.account_id.label("from_account"),
        _TO.c.account_id.label("to_account"),
        _FROM.c.address.label("from_address"),
        _TO.c.address.label("to_address"),
    ).select_from(
        _ENTRY.join(_FROM, _FROM.c.account_no == _ENTRY.c.from_account).join(
            _TO, _TO.c.account_no == _ENTRY.c.to_account
        )
    )


_COPIED = tuple(f.name for f in fields(StoredEntry) if f.name not in ("value", "decimals"))


def _entry(row: Row[tuple[object, ...]], token: StoredToken) -> StoredEntry:
    values = row._mapping
    return StoredEntry(
        value=values["amount"], decimals=token.decimals, **{name: values[name] for name in _COPIED}
    )


def get_entry(connection: Connection, token: StoredToken, entry_id: bytes) -> StoredEntry:
    """Return the entry of an id (32 bytes). Raises UnknownEntryError."""
    row = connection.execute(
        _entries().where(_ENTRY.c.id == entry_id, _ENTRY.c.token_no == token.token_no)
    ).first()
    if row is None:
        raise UnknownEntryError(f"no entry 0x{entry_id.hex()}", hint="check the id and the token")
    return _entry(row, token)


def get_entry_by_number(connection: Connection, token: StoredToken, entry_no: int) -> StoredEntry:
    """Return an entry that is known to be there."""
    return _entry(connection.execute(_entries().where(_ENTRY.c.entry_no == entry_no)).one(), token)


def get_statement(
    connection: Connection,
    token: StoredToken,
    account_id: str,
    *,
    since: int | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> StatementPage:
    """Return a page of an account's entries, the last posted first.

    `since`: only entries dated then (microseconds) or later. Raises UnknownAccountError, and
    UsageError for a limit outside 1 to 1,000 or a cursor that no page gave.
    """
    parse_account_id(account_id)
    size = check_limit(limit)
    number = connection.execute(
        select(schema.accounts.c.account_no).where(schema.accounts.c.account_id == account_id)
    ).scalar()
    if number is None:
        raise UnknownAccountError(f"no account {account_id!r}", hint="create it first")
    conditions: list[ColumnElement[bool]] = []
    if cursor is not None:
        conditions.append(_ENTRY.c.entry_no < parse_cursor(cursor))
    if since is not None:
        conditions.append(_ENTRY.c.timestamp >= since)
    rows = _newest(connection, token, number, conditions, size + 1)
    page = tuple(_entry(row, token) for row in rows[:size])
    return StatementPage(page, str(page[-1].entry_no) if len(rows) > size else None)


def get_history(
    connection: Connection, token: StoredToken, account_id: str, *, limit: int, offset: int
) -> list[StoredEntry]:
    """Return entries of an account, the last posted first, after `offset` newer ones."""
    parse_account_id(account_id)
    size = check_limit(limit)
    if isinstance(offset, bool) or not 0 <= offset <= OFFSET_MAX:
        raise UsageError(
            f"offset {offset} is out of range", hint=f"0 to {OFFSET_MAX}; or use a cursor"
        )
    number = connection.execute(
        select(schema.accounts.c.account_no).where(schema.accounts.c.account_id == account_id)
    ).scalar()
    if number is None:
        return []
    rows = _newest(connection, token, number, [], size, offset=offset)
    return [_entry(row, token) for row in rows]


def _newest(
    connection: Connection,
    token: StoredToken,
    number: int,
    conditions: Sequence[ColumnElement[bool]],
    count: int,
    *,
    offset: int = 0,
) -> Sequence[Row[tuple[object, ...]]]:
    """Return the newest entries of an account that meet the conditions."""
    sides = []
    for side in (_ENTRY.c.from_account, _ENTRY.c.to_account):
        numbers = select(_ENTRY.c.entry_no).where(
            _ENTRY.c.token_no == token.token_no, side == number, *conditions
        )
        # Each side reads its own index from the end: a page costs the same whatever the history.
        newest = numbers.order_by(_ENTRY.c.entry_no.desc()).limit(offset + count).subquery()
        sides.append(select(newest.c.entry_no))
    wanted = union_all(*sides).subquery()
    return connection.execute(
        _entries()
        .join(wanted, wanted.c.entry_no == _ENTRY.c.entry_no)
        .order_by(_ENTRY.c.entry_no.desc())
        .limit(count)
        .offset(offset)
    ).all()


def get_supply(connection: Connection, token: StoredToken) -> Supply:
    """Return the token's supply."""
    row = connection.execute(
        select(schema.token_supply).where(schema.token_supply.c.token_no == token.token_no)
    ).one()
    return Supply(
        total_supply=row.total_supply,
        total_minted=row.total_minted,
        total_burned=row.total_burned,
        max_supply=token.max_supply,
        decimals=token.decimals,
        credit=row.credit,
    )


def parse_entry_id(text: str) -> bytes:
    """Return the 32 bytes of an entry id given as 0x-hex. Raises UsageError."""
    try:
        entry_id = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        entry_id = b""
    if len(entry_id) != 32 or len(text.removeprefix("0x")) != 64:
        raise UsageError(f"not an entry id: {text[:80]!r}", hint="0x and 64 hexadecimal digits")
    return entry_id
