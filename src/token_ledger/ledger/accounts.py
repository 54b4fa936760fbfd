"""Accounts: ids and addresses, ledger-wide; balances, per token.

Every account has one address, fixed when it is made because entry ids commit to it: one that the
caller registers, or the address of a vault that the account's owner can claim later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, Row, insert, literal, or_, select
from sqlalchemy.sql import Select

from token_ledger.core.address import derive_vault, to_checksum
from token_ledger.core.parse import format_amount, parse_account_id
from token_ledger.core.types import ESCROW_PREFIX, SYSTEM, ZERO_ADDRESS
from token_ledger.errors import AccountExistsError, UnknownAccountError, UsageError
from token_ledger.ledger import schema
from token_ledger.ledger.store import chunks
from token_ledger.ledger.tokens import StoredToken

_LOOKUP_SIZE = 500
_INSERT_SIZE = 5_000
PAGE_MAX = 1_000

_FIGURES = (
    *("balance", "total_earned", "total_spent", "total_staked", "updated_at"),
    *("frozen_at", "closed_at", "debt", "overdraft_max"),
    *("balance_max", "spend_max", "spend_period"),
)


class Known(NamedTuple):
    """An account as the posting path knows it."""

    number: int
    address: bytes
    escrow_of: int | None = None


class Context(Protocol):
    """What deriving an address takes."""

    @property
    def operator(self) -> bytes:
        """The address that every vault obeys."""

    @property
    def secret(self) -> bytes:
        """The ledger's secret."""

    @property
    def clock(self) -> Callable[[], int] | None:
        """The time in microseconds, in tests."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account, with its figures in one token (base units; all zero without a token).

    `balance` is what it holds less its `debt`, so it may be negative; on a chain it is never below
    zero, because what is owed was drawn by an entry. `overdraft_max` is how far it may go below
    zero, None for not at all. `total_earned` is all that it ever received, mints included, and
    `total_spent` all that it ever sent, burns included; draws and repayments of debt are in
    neither. `derived`: its address is that of a vault nobody has registered. `balance_max` is its
    own limit of holding, None where the token's counts; `spend_max` that of spending in each
    `spend_period` (microseconds).
    """

    account_id: str
    address: bytes
    derived: bool
    created_at: int
    balance: int
    total_earned: int
    total_spent: int
    total_staked: int
    updated_at: int | None
    decimals: int
    frozen_at: int | None = None
    closed_at: int | None = None
    escrow: bool = False
    debt: int = 0
    overdraft_max: int | None = None
    balance_max: int | None = None
    spend_max: int | None = None
    spend_period: int | None = None

    @property
    def amount(self) -> str:
        """The balance in human units."""
        return format_amount(self.balance, decimals=self.decimals)


def find_known(connection: Connection, names: Iterable[str]) -> dict[str, Known]:
    """Return those of the accounts that exist, `system` among them."""
    known: dict[str, Known] = {}
    wanted = set(names)
    if SYSTEM in wanted:
        wanted.discard(SYSTEM)
        known[SYSTEM] = Known(schema.SYSTEM_ACCOUNT_NO, ZERO_ADDRESS)
    table = schema.accounts.c
    for part in chunks(sorted(wanted), _LOOKUP_SIZE):
        rows = connection.execute(
            select(table.account_id, table.account_no, table.address, table.escrow_of).where(
                table.account_id.in_(part)
            )
        )
        for name, number, address, escrow_of in rows:
            known[name] = Known(number, bytes(address), escrow_of)
    return known


def unknown(name: str) -> UnknownAccountError:
    """Return the error for an account that does not exist."""
    return UnknownAccountError(f"no account {name!r}", hint="create it first")


def resolve(connection: Connection, names: Iterable[str]) -> dict[str, Known]:
    """Return the accounts of these ids. Raises UnknownAccountError for one that does not exist."""
    wanted = list(names)
    known = find_known(connection, wanted)
    for name in wanted:
        if name not in known:
            raise unknown(name)
    return known


def check_unreserved(account_id: str) -> None:
    """Raise UsageError for an id that only the ledger itself gives."""
    if account_id.startswith(ESCROW_PREFIX):
        raise UsageError(
            f"ids that begin with {ESCROW_PREFIX!r} are the ledger's own", hint="choose another id"
        )


def create_missing(
    connection: Connection, context: Context, names: Sequence[str]
) -> dict[str, Known]:
    """Make accounts with derived addresses for ids that do not exist yet; return them all.

    Raises UsageError for an id that is the ledger's own.
    """
    known = find_known(connection, names)
    missing = [name for name in dict.fromkeys(names) if name not in known]
    for name in missing:
        check_unreserved(name)
    now = context.clock() if context.clock else time.time_ns() // 1000
    for part in chunks(missing, _INSERT_SIZE):
        connection.execute(
            insert(schema.accounts),
            [
                {
                    "account_id": parse_account_id(name),
                    "address": derive_vault(context.secret, name, context.operator),
                    "derived": True,
                    "created_at": now,
                }
                for name in part
            ],
        )
    return known | find_known(connection, missing)


def create_account(
    connection: Connection,
    context: Context,
    account_id: str,
    *,
    address: bytes | None,
    exist_ok: bool = False,
) -> None:
    """Make one account, at a registered address or at its vault's.

    Raises AccountExistsError if the id or the address is taken; with `exist_ok` not for an
    account of this id, unless it has another address than the one given.
    """
    parse_account_id(account_id)
    check_unreserved(account_id)
    table = schema.accounts.c
    chosen = address or derive_vault(context.secret, account_id, context.operator)
    if len(chosen) != 20 or chosen == ZERO_ADDRESS:
        raise UsageError("an account's address has 20 bytes and is not zero", hint="check it")
    query = select(table.account_id, table.address).where(
        or_(table.account_id == account_id, table.address == chosen)
    )
    found = {row[0]: bytes(row[1]) for row in connection.execute(query)}
    mine = found.get(account_id)
    if mine is not None and exist_ok and (address is None or mine == address):
        return
    if mine is not None:
        raise AccountExistsError(
            f"there is an account {account_id!r} already, at {to_checksum(mine)}",
            hint="an account and its address are for ever",
        )
    if found:
        raise AccountExistsError(
            f"the address {to_checksum(chosen)} is another account's", hint="one account each"
        )
    connection.execute(
        insert(schema.accounts).values(
            account_id=account_id,
            address=chosen,
            derived=address is None,
            created_at=context.clock() if context.clock else time.time_ns() // 1000,
        )
    )


def ensure_escrow(connection: Connection, context: Context, holder_id: str, holder: Known) -> str:
    """Return the id of the account that keeps a holder's holds, made if it is not there yet.

    Its address is that of a vault of its own kind, which nobody can claim: it obeys the operator.
    Raises AccountExistsError where an account of the application's has that id.
    """
    name = ESCROW_PREFIX + holder_id
    found = find_known(connection, [name]).get(name)
    if found is not None and found.escrow_of != holder.number:
        raise AccountExistsError(
            f"{name!r} is an account already, and not the ledger's own", hint="it cannot hold"
        )
    if found is None:
        connection.execute(
            insert(schema.accounts).values(
                account_id=parse_account_id(name),
                address=derive_vault(context.secret, name, context.operator, kind="escrow"),
                derived=True,
                created_at=context.clock() if context.clock else time.time_ns() // 1000,
                escrow_of=holder.number,
            )
        )
    return name


def get_account(connection: Connection, token: StoredToken | None, account_id: str) -> Account:
    """Return an account. Raises UnknownAccountError, and for `system` SystemAccountError."""
    parse_account_id(account_id)
    row = connection.execute(
        _select(token).where(schema.accounts.c.account_id == account_id)
    ).first()
    if row is None:
        raise UnknownAccountError(f"no account {account_id!r}", hint="create it first")
    return _account(row, token)


def is_derived(connection: Connection, address: bytes) -> bool:
    """Return whether the vault of some account of this ledger belongs at an address."""
    table = schema.accounts.c
    query = select(table.derived).where(table.address == address)
    return bool(connection.execute(query).scalar())


def get_balance(connection: Connection, token: StoredToken, account_id: str) -> int:
    """Return a balance, less what is owed, in base units; 0 for an account that does not exist."""
    parse_account_id(account_id)
    balances = schema.token_accounts
    row = connection.execute(
        select(balances.c.balance, balances.c.debt)
        .join(schema.accounts, schema.accounts.c.account_no == balances.c.account_no)
        .where(schema.accounts.c.account_id == account_id, balances.c.token_no == token.token_no)
    ).first()
    return 0 if row is None else int(row.balance - row.debt)


def list_accounts(
    connection: Connection,
    token: StoredToken | None,
    *,
    limit: int,
    cursor: str | None,
    in_debt: bool = False,
) -> tuple[list[Account], str | None]:
    """Return a page of accounts, oldest first, and the cursor of the next one or None.

    `in_debt`: only those that owe something.
    """
    after = parse_cursor(cursor) if cursor is not None else schema.SYSTEM_ACCOUNT_NO
    number = schema.accounts.c.account_no
    size = check_limit(limit)
    query = _select(token).where(number > after).order_by(number).limit(size + 1)
    if in_debt:
        query = query.where(schema.token_accounts.c.debt > 0)
    rows = connection.execute(query).all()
    page = rows[:size]
    following = str(page[-1].account_no) if len(rows) > size else None
    return [_account(row, token) for row in page], following


def check_limit(limit: int) -> int:
    """Return a page size. Raises UsageError unless it is 1 to 1,000."""
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise UsageError(f"limit {limit!r:.50} is no whole number", hint=f"1 to {PAGE_MAX}")
    if not 1 <= limit <= PAGE_MAX:
        raise UsageError(f"limit {limit} is out of range", hint=f"1 to {PAGE_MAX}")
    return limit


def parse_cursor(cursor: str) -> int:
    """Return the number that a cursor stands for. Raises UsageError."""
    is_text = isinstance(cursor, str)
    if not (is_text and cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise UsageError(f"not a cursor: {cursor!r:.50}", hint="give back the one you were given")
    return int(cursor)


def _select(token: StoredToken | None) -> Select[tuple[object, ...]]:
    accounts, balances = schema.accounts, schema.token_accounts
    joined = accounts.outerjoin(
        balances,
        (balances.c.account_no == accounts.c.account_no)
        & (balances.c.token_no == literal(0 if token is None else token.token_no)),
    )
    return select(
        accounts,
        *(balances.c[name] for name in _FIGURES),
    ).select_from(joined)


def _account(row: Row[Any], token: StoredToken | None) -> Account:
    return Account(
        account_id=row.account_id,
        address=bytes(row.address),
        derived=bool(row.derived),
        created_at=row.created_at,
        balance=(row.balance or 0) - (row.debt or 0),
        total_earned=row.total_earned or 0,
        total_spent=row.total_spent or 0,
        total_staked=row.total_staked or 0,
        updated_at=row.updated_at,
        decimals=0 if token is None else token.decimals,
        frozen_at=row.frozen_at,
        closed_at=row.closed_at,
        escrow=row.escrow_of is not None,
        debt=row.debt or 0,
        overdraft_max=row.overdraft_max,
        balance_max=row.balance_max,
        spend_max=row.spend_max,
        spend_period=row.spend_period,
    )
