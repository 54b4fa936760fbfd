"""Balances as they were: after an entry, or at a time. Exact, and without scanning the ledger.

After an entry is a look into an index. At a time is a search by halves among entry numbers for the
place up to which nothing of the account is dated later, and what `dating` keeps beside it; one
statement, so that it sees one state of the books in a caller's transaction too.
"""

# ruff: noqa: S608 — statements are built of this file's own constants

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, text

from token_ledger.core.parse import format_amount, parse_account_id
from token_ledger.errors import UnknownEntryError, UsageError
from token_ledger.ledger import owed, schema
from token_ledger.ledger.dating import LANES, number
from token_ledger.ledger.tokens import StoredToken


@dataclass(frozen=True, slots=True)
class BalanceAt:
    """A balance as it was, in base units, less the `debt` on an overdraft: as it was shown.

    `entry_no`: the account's last entry up to which everything counts, None where nothing does.
    `back_dated`: later entries that are dated up to that time count as well. Only then can the
    value be below zero without a debt: spent at a time at which, by the dates, it had not come in
    yet.
    """

    account_id: str
    value: int
    decimals: int
    entry_no: int | None
    back_dated: bool = False
    debt: int = 0

    @property
    def negative(self) -> bool:
        """Whether the value is below zero."""
        return self.value < 0

    @property
    def amount(self) -> str:
        """The value in human units."""
        return format_amount(self.value, decimals=self.decimals)


_LATEST = """
    coalesce((
        SELECT coalesce(b.latest_at, e.timestamp) FROM token_ledger e
        LEFT JOIN token_backdated b ON b.token_no = e.token_no
            AND b.account_no = e.{side} AND b.entry_no = e.entry_no
        WHERE e.token_no = :token AND e.{side} = :account AND e.entry_no <= place + step
        ORDER BY e.entry_no DESC LIMIT 1
    ), -1) <= :time
"""
_SEARCH = f"""
    WITH RECURSIVE powers (power) AS (
        SELECT CAST(1 AS BIGINT) UNION ALL SELECT power * 2 FROM powers
        WHERE power * 2 <= (SELECT max(entry_no) FROM token_ledger)
    ),
    search (place, step) AS (
        SELECT CAST(0 AS BIGINT), max(power) FROM powers
        UNION ALL
        SELECT CASE WHEN {_LATEST.format(side="from_account")}
            AND {_LATEST.format(side="to_account")} THEN place + step ELSE place END, step / 2
        FROM search WHERE step > 0
    ),
    found (place) AS (SELECT max(place) FROM search)
"""
_AFTER = """
    SELECT * FROM (
        SELECT '{side}' AS kind, entry_no, balance_after_{side} AS value FROM token_ledger
        WHERE token_no = :token AND {side}_account = :account AND entry_no <= {place}
        ORDER BY entry_no DESC LIMIT 1
    ) AS after_{side}
"""
_AT_ENTRY = text(
    " UNION ALL ".join(_AFTER.format(side=side, place=":place") for side in ("from", "to"))
)
_LANES = """
    lanes (lane) AS (
        SELECT 1 UNION ALL SELECT lane + 1 FROM lanes WHERE lane < :lanes - 1
    )
"""
_DATED = """
    SELECT 'dated' AS kind, b.entry_no, b.lane_total AS value
    FROM lanes JOIN token_backdated b ON b.token_no = :token AND b.account_no = :account
    AND b.entry_no = (
        SELECT l.entry_no FROM token_backdated l
        WHERE l.token_no = :token AND l.account_no = :account AND l.lane = lanes.lane
            AND l.timestamp <= :time
        ORDER BY l.timestamp DESC, l.entry_no DESC LIMIT 1
    )
    UNION ALL
    SELECT 'dated', entry_no, lane_total FROM token_backdated
    WHERE token_no = :token AND account_no = :account AND lane = :lanes AND timestamp <= :time
"""
_AT_TIME = text(
    f"{_SEARCH}, {_LANES}"
    + " UNION ALL ".join(
        _AFTER.format(side=side, place="(SELECT place FROM found)") for side in ("from", "to")
    )
    + f"""
    UNION ALL SELECT * FROM (
        SELECT 'counted' AS kind, entry_no, total FROM token_backdated
        WHERE token_no = :token AND account_no = :account
            AND entry_no <= (SELECT place FROM found)
        ORDER BY entry_no DESC LIMIT 1
    ) AS counted
    UNION ALL {_DATED}
    """
)
_PLACE = text(_SEARCH + " SELECT place FROM found")
_REACH = text(
    _SEARCH
    + f""",
    {_LANES}
    SELECT max(entry_no) FROM (
        SELECT place AS entry_no FROM found
        UNION ALL SELECT entry_no FROM ({_DATED}) AS dated
    ) AS reached
    """
)


def at_entry(
    connection: Connection, token: StoredToken, account_id: str, entry: int | bytes
) -> BalanceAt:
    """Return the balance after the account's last entry at or before one: a number or an id.

    A debt that was written off after that entry is owed as of it still.

    Raises UnknownEntryError for an id that the token does not have, UsageError for a number below
    zero.
    """
    place = entry_number(connection, token, entry)
    account_no = find_account(connection, account_id)
    asked = {"token": token.token_no, "account": account_no, "place": place}
    rows = [] if account_no is None else connection.execute(_AT_ENTRY, asked).all()
    entry_no, value = _last(rows)
    if account_no is None or entry_no is None:
        return BalanceAt(account_id, value, token.decimals, entry_no)
    debt = owed.debt_at(connection, token.token_no, account_no, entry_no)
    return BalanceAt(account_id, value - debt, token.decimals, entry_no, debt=debt)


def at_time(connection: Connection, token: StoredToken, account_id: str, moment: int) -> BalanceAt:
    """Return the sum of what is dated up to a moment (microseconds), less what was owed then."""
    account_no = find_account(connection, account_id)
    asked = {"token": token.token_no, "account": account_no, "time": moment, "lanes": LANES}
    rows = [] if account_no is None else connection.execute(_AT_TIME, asked).all()
    entry_no, value = _last(rows)
    dated = sum(number(row.value) for row in rows if row.kind == "dated")
    counted = sum(number(row.value) for row in rows if row.kind == "counted")
    place, debt = entry_no or 0, 0
    later = [row.entry_no for row in rows if row.kind == "dated" and row.entry_no > place]
    if account_no is not None:
        debt = owed.debt_at_time(
            *(connection, token.token_no, account_no, moment),
            place=place,
            reach=max(later, default=None),
        )
    value += dated - counted - debt
    return BalanceAt(account_id, value, token.decimals, entry_no, bool(later), debt)


def place_at(connection: Connection, token: StoredToken, account_no: int, moment: int) -> int:
    """Return the highest entry number up to which no entry of an account is dated after a moment.

    Above it, only back-dated entries are dated up to that moment.
    """
    asked = {"token": token.token_no, "account": account_no, "time": moment}
    return int(connection.execute(_PLACE, asked).scalar_one())


def reach_at(connection: Connection, token: StoredToken, account_no: int, moment: int) -> int:
    """Return an entry number above which no entry of an account is dated up to a moment."""
    asked = {"token": token.token_no, "account": account_no, "time": moment, "lanes": LANES}
    return int(connection.execute(_REACH, asked).scalar_one())


def find_account(connection: Connection, account_id: str) -> int | None:
    """Return the number of an account, None where there is none."""
    parse_account_id(account_id)
    accounts = schema.accounts.c
    found: int | None = connection.execute(
        select(accounts.account_no).where(accounts.account_id == account_id)
    ).scalar()
    return found


def entry_number(connection: Connection, token: StoredToken, entry: int | bytes) -> int:
    """Return the number of an entry given by number or id (32 bytes)."""
    table = schema.token_ledger.c
    if isinstance(entry, int):
        if isinstance(entry, bool) or not 0 <= entry < 2**63:
            raise UsageError(f"entry number {entry!r} is out of range", hint="0 or above")
        return entry
    found: int | None = connection.execute(
        select(table.entry_no).where(table.id == entry, table.token_no == token.token_no)
    ).scalar()
    if found is None:
        raise UnknownEntryError(f"no entry 0x{entry.hex()}", hint="check the id and the token")
    return found


def _last(rows: Sequence[Any]) -> tuple[int | None, int]:
    """Return number and balance of the later of an account's last entries on either side."""
    sides = [(row.entry_no, row.value) for row in rows if row.kind in ("from", "to")]
    if not sides:
        return None, 0
    entry_no, value = max(sides, key=lambda side: side[0])
    return entry_no, number(value)
