"""The statements of the posting path on SQLite."""

# ruff: noqa: S608 — nothing but column names and placeholders is ever put into a statement

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain

from token_ledger.ledger.schema import UINT256_BYTES, WIDE_BYTES
from token_ledger.ledger.store import (
    ACCOUNT_COLUMNS,
    ENTRY_COLUMNS,
    AccountRow,
    ChangedRow,
    EntryRow,
    PriorRow,
    Store,
    SupplyFigures,
    chunks,
)

_NUMBERS = frozenset({1, 2, 3, 4, 8, 9, 12, 13, 14})  # the places of 256-bit numbers in a row
_LOOKUP_SIZE = 500
_PRIOR = "entry_no, id, timestamp, balance_after_from, balance_after_to, supply_after"


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
                f"SELECT {ACCOUNT_COLUMNS}"
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

    def lock_list_key(self, nonce: bytes) -> None:
        """Do nothing: there is one writer."""

    def find(self, nonces: Sequence[bytes]) -> list[PriorRow]:
        """Return the entries that bear one of these nonces."""
        rows: list[PriorRow] = []
        for part in chunks(nonces, _LOOKUP_SIZE):
            found = self.connection.exec_driver_sql(
                f"SELECT nonce, {_PRIOR} FROM token_ledger"
                f" WHERE token_no = ? AND nonce IN ({_marks(part)})"
                f" UNION ALL SELECT r.nonce, {_PRIOR.replace('entry_no', 'e.entry_no')}"
                " FROM token_requests r JOIN token_ledger e ON e.entry_no = r.entry_no"
                f" WHERE r.token_no = ? AND r.nonce IN ({_marks(part)}) AND e.nonce <> r.nonce",
                (self.token_no, *part, self.token_no, *part),
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
