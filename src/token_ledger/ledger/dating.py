"""Dates against arrival: what a balance as of a time needs beside the balances after entries.

An entry is *back-dated* for an account if an earlier entry of it (by `entry_no`) bears a later
date; so are ordinary entries that come after a post-dated one. All others have dates that never
go back, hence up to the last of them dated T or before everything is dated so, and the balance
after it is the sum of that. What is missing are back-dated entries that came after it:

    balance at T = balance after n                       n: as far as nothing is dated after T
                 + back-dated ones dated up to T         the sums of the lanes, up to T
                 - back-dated ones that n counts already their running sum at n

A *lane* is a run of an account's back-dated entries whose own dates never go back, with a running
sum, so that its part up to T is one look into an index. The last lane takes what fits nowhere and
is added up entry by entry. Rows are written under the lock of the account's row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, insert, select, text

from token_ledger.ledger.schema import (
    NET_ZERO,
    SYSTEM_ACCOUNT_NO,
    WIDE_BYTES,
    token_accounts,
    token_backdated,
    token_ledger,
)

LANES = 16
"""The number of the last lane, which has no order."""

_PAGE = 10_000


class Backdated(NamedTuple):
    """A row of `token_backdated`: one entry, for one of its accounts."""

    account_no: int
    entry_no: int
    lane: int
    timestamp: int
    latest_at: int
    lane_total: int
    total: int


@dataclass(slots=True)
class Lanes:
    """Where the lanes of one account end: the date and the running sum of each, and of them all."""

    ends: dict[int, tuple[int, int]] = field(default_factory=dict)
    total: int = 0

    def add(
        self, account_no: int, entry_no: int, *, timestamp: int, change: int, latest_at: int
    ) -> Backdated:
        """Return the row of an entry dated before `latest_at`, in the lane that it fits best."""
        fitting = [(at, -lane) for lane, (at, _) in self.ends.items() if at <= timestamp]
        lane = -max(fitting)[1] if fitting else min(len(self.ends) + 1, LANES)
        lane_total = change
        if lane < LANES:
            lane_total += self.ends.get(lane, (0, 0))[1]
            self.ends[lane] = (timestamp, lane_total)
        self.total += change
        return Backdated(account_no, entry_no, lane, timestamp, latest_at, lane_total, self.total)


_ENDS = text(
    """
    WITH RECURSIVE lanes (lane) AS (
        SELECT 1 UNION ALL SELECT lane + 1 FROM lanes WHERE lane < :lanes - 1
    )
    SELECT b.lane, b.timestamp, b.lane_total, b.total, b.entry_no
    FROM lanes JOIN token_backdated b ON b.token_no = :token AND b.account_no = :account
    AND b.entry_no = (
        SELECT entry_no FROM token_backdated l
        WHERE l.token_no = :token AND l.account_no = :account AND l.lane = lanes.lane
        ORDER BY l.timestamp DESC, l.entry_no DESC LIMIT 1
    )
    UNION ALL
    SELECT * FROM (
        SELECT 0, timestamp, lane_total, total, entry_no FROM token_backdated
        WHERE token_no = :token AND account_no = :account ORDER BY entry_no DESC LIMIT 1
    ) AS last
    """
)


def read_lanes(connection: Connection, token_no: int, account_no: int) -> Lanes:
    """Return where an account's lanes end: a look into an index for each lane."""
    rows = connection.execute(
        _ENDS, {"token": token_no, "account": account_no, "lanes": LANES}
    ).all()
    lanes = Lanes()
    for row in rows:
        if row.lane == 0:
            lanes.total = number(row.total)
        else:
            lanes.ends[row.lane] = (row.timestamp, number(row.lane_total))
    return lanes


def insert_backdated(connection: Connection, token_no: int, rows: Iterable[Backdated]) -> None:
    """Write rows, after their entries."""
    values = [{"token_no": token_no, **row._asdict()} for row in rows]
    if values:
        connection.execute(insert(token_backdated), values)


class Moved(Protocol):
    """What is asked of a request."""

    @property
    def from_no(self) -> int:
        """Who pays."""

    @property
    def to_no(self) -> int:
        """Who is paid."""

    @property
    def value(self) -> int:
        """How much."""


class Dated(Protocol):
    """What is asked of an entry."""

    @property
    def entry_no(self) -> int:
        """Its number."""

    @property
    def timestamp(self) -> int:
        """Its date."""


class Account(Protocol):
    """What is asked of a locked account."""

    latest_at: int
    lanes: Lanes | None


class Dates:
    """The dates of entries while they are posted."""

    def __init__(self, connection: Connection, token_no: int) -> None:
        self._connection = connection
        self._token_no = token_no
        self._rows: list[Backdated] = []

    @property
    def noted(self) -> bool:
        """Whether anything is there to be written."""
        return bool(self._rows)

    def note(self, accounts: Mapping[int, Account], moved: Moved, entry: Dated) -> None:
        """Note an entry's date for both of its accounts; `system` has no balance as of a time."""
        timestamp, value = entry.timestamp, moved.value
        for account_no, change in ((moved.from_no, -value), (moved.to_no, value)):
            account = accounts.get(account_no)
            if account is None:
                continue
            if timestamp >= account.latest_at:
                account.latest_at = timestamp
                continue
            if account.lanes is None:
                account.lanes = read_lanes(self._connection, self._token_no, account_no)
            self._rows.append(
                account.lanes.add(
                    account_no,
                    entry.entry_no,
                    timestamp=timestamp,
                    change=change,
                    latest_at=account.latest_at,
                )
            )

    def write(self) -> None:
        """Write what was noted as back-dated, after its entries."""
        insert_backdated(self._connection, self._token_no, self._rows)
        self._rows = []


# --- all of it from the entries -------------------------------------------------------------


@dataclass(slots=True)
class Dating:
    """What is kept of a token's dates: the latest of each account, and what is back-dated."""

    latest: dict[int, int] = field(default_factory=dict)
    backdated: list[Backdated] = field(default_factory=list)


def compute_dating(connection: Connection, token_no: int) -> Dating:
    """Return what the entries say, read once in their order."""
    entry, found = token_ledger.c, Dating()
    lanes: dict[int, Lanes] = {}
    rows = connection.execute(
        select(entry.entry_no, entry.timestamp, entry.from_account, entry.to_account, entry.amount)
        .where(entry.token_no == token_no)
        .order_by(entry.entry_no),
        execution_options={"yield_per": _PAGE},
    )
    for entry_no, timestamp, payer, payee, value in rows:
        for account_no, change in ((payer, -value), (payee, value)):
            if account_no == SYSTEM_ACCOUNT_NO:
                continue
            latest_at = found.latest.get(account_no, 0)
            if timestamp >= latest_at:
                found.latest[account_no] = timestamp
                continue
            found.backdated.append(
                lanes.setdefault(account_no, Lanes()).add(
                    account_no, entry_no, timestamp=timestamp, change=change, latest_at=latest_at
                )
            )
    found.latest = {account_no: at for account_no, at in found.latest.items() if at}
    found.backdated.sort(key=lambda row: (row.entry_no, row.account_no))
    return found


def stored_dating(connection: Connection, token_no: int) -> Dating:
    """Return what is kept, in the same form."""
    account, table = token_accounts.c, token_backdated
    latest = connection.execute(
        select(account.account_no, account.latest_at).where(
            account.token_no == token_no, account.latest_at > 0
        )
    )
    rows = connection.execute(
        select(*(table.c[name] for name in Backdated._fields))
        .where(table.c.token_no == token_no)
        .order_by(table.c.entry_no, table.c.account_no)
    )
    return Dating(
        {row.account_no: row.latest_at for row in latest}, [Backdated(*row) for row in rows]
    )


def number(stored: Any) -> int:
    """Return what a statement of ours read: an unsigned number, or one with a sign."""
    if not isinstance(stored, bytes):
        return int(stored)
    return int.from_bytes(stored, "big") - (NET_ZERO if len(stored) == WIDE_BYTES else 0)
