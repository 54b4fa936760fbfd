"""What an entry is when it is read, one entry by its id or number, and the supply."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Row, func, select
from sqlalchemy.sql import Select

from token_ledger.core.parse import format_amount
from token_ledger.errors import UnknownEntryError, UsageError
from token_ledger.ledger import owed, schema
from token_ledger.ledger.tokens import StoredToken


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A ledger row, with the ids and the addresses of its accounts.

    `value`, balances, debts and supply in base units; times in microseconds. A balance is None on
    the side of `system`, and less the debt, as `get_balance` showed it right after the entry: with
    the debt it is the book's own, as on the chain. Texts and key are None where `redacted_at` says
    so.
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
    debt_from: int = 0
    debt_to: int = 0

    @property
    def amount(self) -> str:
        """The value in human units."""
        return format_amount(self.value, decimals=self.decimals)

    def balance_after(self, account_id: str) -> int | None:
        """Return the balance of one of its two accounts after it, in base units."""
        if account_id == self.from_account:
            return self.balance_after_from
        return self.balance_after_to if account_id == self.to_account else None

    def debt_after(self, account_id: str) -> int:
        """Return what one of its two accounts owed after it, in base units."""
        return self.debt_from if account_id == self.from_account else self.debt_to


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


def select_stored() -> Select[tuple[object, ...]]:
    """Select entries with the ids and addresses of their accounts."""
    columns = [c for c in _ENTRY.c if c.name not in ("from_account", "to_account")]
    return select(
        *columns,
        _FROM.c.account_id.label("from_account"),
        _TO.c.account_id.label("to_account"),
        _FROM.c.address.label("from_address"),
        _TO.c.address.label("to_address"),
        owed.debt_after(_ENTRY.c.from_account, name="debt_from"),
        owed.debt_after(_ENTRY.c.to_account, name="debt_to"),
    ).select_from(
        _ENTRY.join(_FROM, _FROM.c.account_no == _ENTRY.c.from_account).join(
            _TO, _TO.c.account_no == _ENTRY.c.to_account
        )
    )


_MADE = ("value", "decimals", "balance_after_from", "balance_after_to", "debt_from", "debt_to")
_COPIED = tuple(f.name for f in fields(StoredEntry) if f.name not in _MADE)


def to_stored(row: Row[tuple[object, ...]], token: StoredToken) -> StoredEntry:
    """Return the entry of a row of `select_stored`."""
    values = row._mapping
    made: dict[str, Any] = {"value": values["amount"], "decimals": token.decimals}
    for side in ("from", "to"):
        after, debt = values[f"balance_after_{side}"], values[f"debt_{side}"] or 0
        made[f"debt_{side}"] = debt
        made[f"balance_after_{side}"] = None if after is None else after - debt
    return StoredEntry(**made, **{name: values[name] for name in _COPIED})


def get_entry(connection: Connection, token: StoredToken, entry_id: bytes) -> StoredEntry:
    """Return the entry of an id (32 bytes). Raises UnknownEntryError."""
    row = connection.execute(
        select_stored().where(_ENTRY.c.id == entry_id, _ENTRY.c.token_no == token.token_no)
    ).first()
    if row is None:
        raise UnknownEntryError(f"no entry 0x{entry_id.hex()}", hint="check the id and the token")
    return to_stored(row, token)


def get_entry_by_number(connection: Connection, token: StoredToken, entry_no: int) -> StoredEntry:
    """Return an entry that is known to be there."""
    return to_stored(
        connection.execute(select_stored().where(_ENTRY.c.entry_no == entry_no)).one(), token
    )


def read_entries(
    connection: Connection, token: StoredToken, *, after: int, up_to: int, limit: int
) -> list[StoredEntry]:
    """Return entries of the token with `after < entry_no ≤ up_to`, the first posted first."""
    rows = connection.execute(
        select_stored()
        .where(_ENTRY.c.token_no == token.token_no)
        .where(_ENTRY.c.entry_no > after, _ENTRY.c.entry_no <= up_to)
        .order_by(_ENTRY.c.entry_no)
        .limit(limit)
    )
    return [to_stored(row, token) for row in rows]


def highest_entry(connection: Connection) -> int:
    """Return the highest entry number, of whichever token: no ledger has more entries."""
    return connection.execute(select(func.max(_ENTRY.c.entry_no))).scalar() or 0


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
