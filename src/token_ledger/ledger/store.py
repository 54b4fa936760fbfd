"""The few statements of the posting path, in each engine's own words: rows in, rows out.

Knows no rule: `posting` decides, this module locks, looks up, inserts and updates. Statements go
to the driver as they are, because a bulk load runs a million rows through them.
"""

# ruff: noqa: S608 — nothing but column names and placeholders is ever put into a statement

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from token_ledger.ledger.schema import UINT256_BYTES, WIDE_BYTES, WRITERS_LOCK

ENTRY_COLUMNS = (
    "entry_no, token_no, id, timestamp, from_account, to_account, amount, reason, reference_type,"
    " reference_id, memo, metadata, idempotency_key, nonce, ref, balance_after_from,"
    " balance_after_to, supply_after, created_at"
)
EntryRow = tuple[Any, ...]
"""One row in the order of ENTRY_COLUMNS, its numbers encoded by `Store.uint256`."""

PriorRow = tuple[bytes, int, bytes, int, int | None, int | None, int | None]
"""nonce, entry_no, id, timestamp, balance_after_from, balance_after_to, supply_after."""


class AccountRow(NamedTuple):
    """A locked account: its figures, and what it may do."""

    number: int
    balance: int = 0
    earned: int = 0
    spent: int = 0
    staked: int = 0
    updated_at: int = 0
    frozen_at: int | None = None
    closed_at: int | None = None
    balance_max: int | None = None
    spend_max: int | None = None
    spend_period: int | None = None
    window_start: int | None = None
    window_spent: int | None = None
    overdraft_max: int | None = None
    debt: int = 0
    latest_at: int = 0


ChangedRow = tuple[int, int, int, int, int, int, int, int | None, int | None, int]
"""account_no, balance, earned, spent, staked, debt, updated_at, window_start, window_spent,
latest_at."""

SupplyFigures = tuple[int, int, int, int]
"""total supply, minted, burned, and the credit that stands out."""

_ACCOUNT = (
    "account_no, balance, total_earned, total_spent, total_staked, updated_at, frozen_at,"
    " closed_at, balance_max, spend_max, spend_period, window_start, window_spent,"
    " overdraft_max, debt, latest_at"
)
_NUMBERS = frozenset({1, 2, 3, 4, 8, 9, 12, 13, 14})  # the places of 256-bit numbers in it

_LOOKUP_SIZE = 500
_PG_CLOCK = "floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
T = TypeVar("T")


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield `items` in runs of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


class Store(ABC):
    """What posting asks of an engine, on one connection inside a write transaction."""

    def __init__(self, connection: Connection, token_no: int) -> None:
        self.connection = connection
        self.token_no = token_no
        self.closing_at: int | None = None  # known once `reserve` has looked
        self.balance_max: int | None = None  # of accounts without their own, as well

    @staticmethod
    @abstractmethod
    def uint256(number: int) -> Any:
        """Return a number as the driver wants it in a row."""

    @abstractmethod
    def lock_accounts(self, numbers: Sequence[int], *, now: int | None) -> list[AccountRow]:
        """Lock the token's rows of these accounts, sorted, making those that are missing.

        `now`: when they are made; None for the database's own time.
        """

    @abstractmethod
    def lock_supply(self) -> SupplyFigures:
        """Lock the supply, after the accounts; return it, minted, burned, and the credit in it."""

    @abstractmethod
    def now(self) -> int:
        """Return the database's time in microseconds, not that of the transaction's begin."""

    @abstractmethod
    def find(self, nonces: Sequence[bytes]) -> list[PriorRow]:
        """Return the entries that bear one of these nonces."""

    @abstractmethod
    def reserve(self, count: int) -> tuple[Sequence[int], int]:
        """Return the next entry numbers, ascending, taken after every lock, and the time.

        Sets `closing_at`: under that lock no cut-over can come in between any more.
        """

    @abstractmethod
    def insert(self, rows: Sequence[EntryRow]) -> None:
        """Insert entries."""

    @abstractmethod
    def update_accounts(self, rows: Sequence[ChangedRow]) -> None:
        """Write balances, cumulative figures and updated_at."""

    @abstractmethod
    def update_supply(self, figures: SupplyFigures, *, now: int) -> None:
        """Write the supply."""


class SqliteStore(Store):
    """SQLite: one writer, which BEGIN IMMEDIATE has made us; nothing else to lock."""

    _ROW = f"({', '.join('?' * 19)})"
    _INSERT = f"INSERT INTO token_ledger ({ENTRY_COLUMNS}) VALUES "
    _ROWS = 1_000  # a statement: triggers make SQLite journal every statement, not every row

    @staticmethod
    def uint256(number: int) -> bytes:
        """Return 32 bytes, big-endian."""
        return number.to_bytes(UINT256_BYTES, "big")

    def lock_accounts(self, numbers: Sequence[int], *, now: int | None) -> list[AccountRow]:
        """Return the rows, making those that are missing."""
        rows: list[AccountRow] = []
        at = _clock() if now is None else now
        zero, wide_zero = bytes(UINT256_BYTES), bytes(WIDE_BYTES)
        for part in chunks(sorted(numbers), _LOOKUP_SIZE):
            found = self.connection.exec_driver_sql(
                f"SELECT {_ACCOUNT}"
                f" FROM token_accounts WHERE token_no = ? AND account_no IN ({_marks(part)})",
                (self.token_no, *part),
            ).all()
            rows += [
                AccountRow._make(_read_blob(v) if i in _NUMBERS else v for i, v in enumerate(row))
                for row in found
            ]
            missing = sorted(set(part).difference(row[0] for row in found))
            if missing:
                self.connection.exec_driver_sql(
                    "INSERT INTO token_accounts (token_no, account_no, balance, total_earned,"
                    " total_spent, total_staked, created_at, updated_at)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [(self.token_no, n, zero, wide_zero, wide_zero, zero, at, at) for n in missing],
                )
                rows += [AccountRow(n) for n in missing]
        return rows

    def lock_supply(self) -> SupplyFigures:
        """Return the supply."""
        row = self.connection.exec_driver_sql(
            "SELECT total_supply, total_minted, total_burned, credit FROM token_supply"
            " WHERE token_no = ?",
            (self.token_no,),
        ).one()
        read = int.from_bytes
        return read(row[0]), read(row[1]), read(row[2]), read(row[3])

    def now(self) -> int:
        """Return this machine's time."""
        return _clock()

    def find(self, nonces: Sequence[bytes]) -> list[PriorRow]:
        """Return the entries that bear one of these nonces."""
        rows: list[PriorRow] = []
        for part in chunks(nonces, _LOOKUP_SIZE):
            found = self.connection.exec_driver_sql(
                "SELECT nonce, entry_no, id, timestamp, balance_after_from, balance_after_to,"
                " supply_after FROM token_ledger"
                f" WHERE token_no = ? AND nonce IN ({_marks(part)})",
                (self.token_no, *part),
            )
            rows += [(*row[:4], *map(_read_blob, row[4:])) for row in found]
        return rows

    def reserve(self, count: int) -> tuple[Sequence[int], int]:
        """Return the numbers after the highest one, and this machine's time."""
        highest, self.closing_at, most = self.connection.exec_driver_sql(
            "SELECT coalesce(max(entry_no), 0),"
            " (SELECT closing_at FROM tokens WHERE token_no = ?),"
            " (SELECT balance_max FROM tokens WHERE token_no = ?) FROM token_ledger",
            (self.token_no, self.token_no),
        ).one()
        self.balance_max = _read_blob(most)
        return range(highest + 1, highest + 1 + count), _clock()

    def insert(self, rows: Sequence[EntryRow]) -> None:
        """Insert entries, many a statement where there are many."""
        whole = len(rows) - len(rows) % self._ROWS
        many = self._INSERT + ", ".join([self._ROW] * self._ROWS)
        for part in chunks(rows[:whole], self._ROWS):
            self.connection.exec_driver_sql(many, tuple(chain.from_iterable(part)))
        if whole < len(rows):
            self.connection.exec_driver_sql(self._INSERT + self._ROW, list(rows[whole:]))

    def update_accounts(self, rows: Sequence[ChangedRow]) -> None:
        """Write balances, one prepared statement for all."""
        if rows:
            self.connection.exec_driver_sql(
                "UPDATE token_accounts SET balance = ?, total_earned = ?, total_spent = ?,"
                " total_staked = ?, debt = ?, updated_at = ?, window_start = ?, window_spent = ?,"
                " latest_at = ? WHERE token_no = ? AND account_no = ?",
                [
                    (
                        *(_blob(row[1]), _wide(row[2]), _wide(row[3]), _blob(row[4])),
                        *(_blob(row[5]), *row[6:8], None if row[8] is None else _blob(row[8])),
                        *(row[9], self.token_no, row[0]),
                    )
                    for row in rows
                ],
            )

    def update_supply(self, figures: SupplyFigures, *, now: int) -> None:
        """Write the supply."""
        self.connection.exec_driver_sql(
            "UPDATE token_supply SET total_supply = ?, total_minted = ?, total_burned = ?,"
            " credit = ?, updated_at = ? WHERE token_no = ?",
            (_blob(figures[0]), *map(_wide, figures[1:]), now, self.token_no),
        )


class PostgresStore(Store):
    """PostgreSQL: row locks in sorted order, supply last, then the writers' advisory lock."""

    _COPY_FROM = 50  # below it, COPY's extra round trips cost more than they save

    @staticmethod
    def uint256(number: int) -> int:
        """Return the number: the driver sends it as NUMERIC."""
        return number

    def lock_accounts(self, numbers: Sequence[int], *, now: int | None) -> list[AccountRow]:
        """Lock in ascending order, so that crossing transfers cannot block each other."""
        wanted = sorted(numbers)
        rows = self._lock(wanted)
        missing = sorted(set(wanted).difference(row[0] for row in rows))
        if missing:
            self.connection.exec_driver_sql(
                "INSERT INTO token_accounts SELECT %s::int, n, 0, 0, 0, 0, at, at"
                f" FROM unnest(%s::bigint[]) AS n, coalesce(%s::bigint, {_PG_CLOCK}) AS at"
                " ORDER BY n ON CONFLICT DO NOTHING",
                (self.token_no, missing, now),
            )
            rows += self._lock(missing)
        return rows

    def _lock(self, numbers: Sequence[int]) -> list[AccountRow]:
        found = self.connection.exec_driver_sql(
            f"SELECT {_ACCOUNT}"
            " FROM token_accounts WHERE token_no = %s AND account_no = ANY(%s::bigint[])"
            " ORDER BY account_no FOR NO KEY UPDATE",
            (self.token_no, list(numbers)),
        )
        return [
            AccountRow._make(_read_decimal(v) if i in _NUMBERS else v for i, v in enumerate(row))
            for row in found
        ]

    def lock_supply(self) -> SupplyFigures:
        """Lock the supply's one row."""
        row = self.connection.exec_driver_sql(
            "SELECT total_supply, total_minted, total_burned, credit FROM token_supply"
            " WHERE token_no = %s FOR NO KEY UPDATE",
            (self.token_no,),
        ).one()
        return int(row[0]), int(row[1]), int(row[2]), int(row[3])

    def now(self) -> int:
        """Return the server's time."""
        return int(self.connection.exec_driver_sql(f"SELECT {_PG_CLOCK}").scalar_one())

    def find(self, nonces: Sequence[bytes]) -> list[PriorRow]:
        """Return the entries that bear one of these nonces."""
        found = self.connection.exec_driver_sql(
            "SELECT nonce, entry_no, id, timestamp, balance_after_from, balance_after_to,"
            " supply_after FROM token_ledger WHERE token_no = %s AND nonce = ANY(%s::bytea[])",
            (self.token_no, list(nonces)),
        )
        return [
            (bytes(row[0]), row[1], bytes(row[2]), row[3], *map(_read_decimal, row[4:]))
            for row in found
        ]

    def reserve(self, count: int) -> tuple[Sequence[int], int]:
        """Take numbers under the lock that tells a sealer of commits to come.

        Taken again each time: ROLLBACK TO drops what was locked after the savepoint.
        """
        self.connection.exec_driver_sql("SELECT pg_advisory_xact_lock_shared(%s)", (WRITERS_LOCK,))
        found = self.connection.exec_driver_sql(
            f"SELECT nextval('token_ledger_entry_no'), {_PG_CLOCK},"
            " (SELECT closing_at FROM tokens WHERE token_no = %s),"
            " (SELECT balance_max FROM tokens WHERE token_no = %s) FROM generate_series(1, %s)",
            (self.token_no, self.token_no, count),
        ).all()
        self.closing_at, self.balance_max = found[-1][2], _read_decimal(found[-1][3])
        return [row[0] for row in found], found[-1][1]

    def insert(self, rows: Sequence[EntryRow]) -> None:
        """Insert entries: by COPY when they are many."""
        if not rows:
            return
        if len(rows) < self._COPY_FROM or self.connection.dialect.is_async:
            marks = ", ".join(["%s"] * 19)
            self.connection.exec_driver_sql(
                f"INSERT INTO token_ledger ({ENTRY_COLUMNS}) VALUES ({marks})",
                rows,
            )
            return
        driver: Any = self.connection.connection.driver_connection
        with (
            driver.cursor() as cursor,
            cursor.copy(f"COPY token_ledger ({ENTRY_COLUMNS}) FROM STDIN") as copy,
        ):
            write_row = copy.write_row
            for row in rows:
                write_row(row)

    def update_accounts(self, rows: Sequence[ChangedRow]) -> None:
        """Write balances, one statement for all."""
        if not rows:
            return
        numbers, *figures, at, starts, spent, latest = zip(*rows, strict=True)
        self.connection.exec_driver_sql(
            "UPDATE token_accounts t SET balance = v.b, total_earned = v.e, total_spent = v.s,"
            " total_staked = v.k, debt = v.d, updated_at = v.u, window_start = v.w,"
            " window_spent = v.x, latest_at = v.l FROM unnest(%s::bigint[], %s::numeric[],"
            " %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::bigint[],"
            " %s::bigint[], %s::numeric[], %s::bigint[]) AS v (n, b, e, s, k, d, u, w, x, l)"
            " WHERE t.token_no = %s AND t.account_no = v.n",
            (
                list(numbers),
                *([Decimal(n) for n in column] for column in figures),
                list(at),
                list(starts),
                [None if n is None else Decimal(n) for n in spent],
                list(latest),
                self.token_no,
            ),
        )

    def update_supply(self, figures: SupplyFigures, *, now: int) -> None:
        """Write the supply."""
        self.connection.exec_driver_sql(
            "UPDATE token_supply SET total_supply = %s, total_minted = %s, total_burned = %s,"
            " credit = %s, updated_at = %s WHERE token_no = %s",
            (*map(Decimal, figures), now, self.token_no),
        )


def open_store(connection: Connection, token_no: int) -> Store:
    """Return the store for a connection's engine."""
    kinds = {"sqlite": SqliteStore, "postgresql": PostgresStore}
    return kinds[connection.dialect.name](connection, token_no)


def _clock() -> int:
    return time.time_ns() // 1000


def _marks(items: Sequence[object]) -> str:
    return ", ".join("?" * len(items))


def _blob(number: int) -> bytes:
    return number.to_bytes(UINT256_BYTES, "big")


def _wide(number: int) -> bytes:
    return number.to_bytes(WIDE_BYTES, "big")


def _read_blob(blob: bytes | None) -> int | None:
    return None if blob is None else int.from_bytes(blob, "big")


def _read_decimal(number: Decimal | None) -> int | None:
    return None if number is None else int(number)
