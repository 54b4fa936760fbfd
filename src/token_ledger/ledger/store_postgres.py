"""The statements of the posting path on PostgreSQL."""

# ruff: noqa: S608 — nothing but column names and placeholders is ever put into a statement

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from token_ledger.ledger.schema import KEYS_LOCK, WRITERS_LOCK
from token_ledger.ledger.store import (
    ACCOUNT_COLUMNS,
    ENTRY_COLUMNS,
    AccountRow,
    ChangedRow,
    EntryRow,
    Prepared,
    PriorRow,
    Store,
    SupplyFigures,
    chunks,
)

_PG_CLOCK = "floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


_WIDE = (
    *("balance", "total_earned", "total_spent", "total_staked", "debt"),
    *("balance_max", "spend_max", "window_spent", "overdraft_max"),
)
# As text: Python reads an int from it in a fraction of the time that it takes by way of Decimal.
_AS_TEXT = ", ".join(
    f"{name}::text" if name in _WIDE else name for name in ACCOUNT_COLUMNS.split(", ")
)
_LOCK = (
    f"SELECT {_AS_TEXT}"
    " FROM token_accounts WHERE token_no = %s AND account_no = ANY(%s::bigint[])"
    " ORDER BY account_no FOR NO KEY UPDATE"
)
_SUPPLY = (
    "SELECT total_supply, total_minted, total_burned, credit FROM token_supply"
    " WHERE token_no = %s FOR NO KEY UPDATE"
)
_PRIOR = "entry_no, id, timestamp, balance_after_from, balance_after_to, supply_after"
_FIND = (
    f"SELECT nonce, {_PRIOR} FROM token_ledger WHERE token_no = %s AND nonce = ANY(%s::bytea[])"
    f" UNION ALL SELECT r.nonce, {_PRIOR.replace('entry_no', 'e.entry_no')}"
    " FROM token_requests r JOIN token_ledger e ON e.entry_no = r.entry_no"
    " WHERE r.token_no = %s AND r.nonce = ANY(%s::bytea[]) AND e.nonce <> r.nonce"
)
# A statement before the look-up, whose snapshot must be taken after the wait.
_SHARE_KEYS = (
    f"SELECT pg_advisory_xact_lock_shared({KEYS_LOCK}, place) FROM unnest(%s::int[]) AS place"
)
_LOCK_LIST_KEY = f"SELECT pg_advisory_xact_lock({KEYS_LOCK}, %s)"
_WRITER = f"SELECT pg_advisory_xact_lock_shared({WRITERS_LOCK})"
_RESERVE = (
    f"SELECT array_agg(nextval('token_ledger_entry_no')), {_PG_CLOCK},"
    " (SELECT closing_at FROM tokens WHERE token_no = %s),"
    " (SELECT balance_max FROM tokens WHERE token_no = %s) FROM generate_series(1, %s)"
)
_INSERT_ONE = f"INSERT INTO token_ledger ({ENTRY_COLUMNS}) VALUES ({', '.join(['%s'] * 19)})"
# Hashes come in one piece, because arrays of them take longer to read than to insert.
_HASH = "substring(%b::bytea FROM place FOR 32)"
_INSERT_MANY = (
    f"INSERT INTO token_ledger ({ENTRY_COLUMNS})"
    f" SELECT n, %s::int, {_HASH}, t, f, p, a, r, rt, ri, m, md, k, {_HASH}, {_HASH}, bf, bt, s, c"
    " FROM ROWS FROM (generate_series(1, %s::int, 32), unnest(%s::bigint[]), unnest(%s::bigint[]),"
    " unnest(%s::bigint[]), unnest(%s::bigint[]), unnest(%s::numeric[]), unnest(%s::text[]),"
    " unnest(%s::text[]), unnest(%s::text[]), unnest(%s::text[]), unnest(%s::text[]),"
    " unnest(%s::text[]), unnest(%s::numeric[]), unnest(%s::numeric[]), unnest(%s::numeric[]),"
    " unnest(%s::bigint[])) AS v (place, n, t, f, p, a, r, rt, ri, m, md, k, bf, bt, s, c)"
)
_UPDATE_ACCOUNTS = (
    "UPDATE token_accounts t SET balance = v.b, total_earned = v.e, total_spent = v.s,"
    " total_staked = v.k, debt = v.d, updated_at = v.u, window_start = v.w,"
    " window_spent = v.x, latest_at = v.l FROM unnest(%s::bigint[], %s::numeric[],"
    " %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::bigint[],"
    " %s::bigint[], %s::numeric[], %s::bigint[]) AS v (n, b, e, s, k, d, u, w, x, l)"
    " WHERE t.token_no = %s AND t.account_no = v.n"
)
_UPDATE_SUPPLY = (
    "UPDATE token_supply SET total_supply = %s, total_minted = %s, total_burned = %s,"
    " credit = %s, updated_at = %s WHERE token_no = %s"
)


class PostgresStore(Store):
    """PostgreSQL: row locks in sorted order, supply last, then the writers' advisory lock."""

    _ROWS_MAX = 200  # a statement: beyond it COPY is faster, though it takes round trips of its own

    @staticmethod
    def uint256(number: int) -> int:
        """Return the number: the driver sends it as NUMERIC."""
        return number

    def prepare(
        self, numbers: Sequence[int], nonces: Sequence[bytes], *, now: int | None, supply: bool
    ) -> Prepared:
        """Lock the accounts; then supply, look-up and numbers in one round trip (a pipeline)."""
        if self.connection.dialect.is_async:
            return super().prepare(numbers, nonces, now=now, supply=supply)
        driver: Any = self.connection.connection.driver_connection
        with driver.pipeline():
            found = _accounts(driver.execute(_LOCK, self._locking(numbers)).fetchall())
            # Who may draw may need the supply, which is locked before any number is taken.
            on_credit = any(row.debt or row.overdraft_max is not None for row in found)
            if len(found) == len(numbers) and not on_credit:
                figures = driver.execute(_SUPPLY, (self.token_no,)) if supply else None
                if not self.keys_derived:
                    driver.execute(_SHARE_KEYS, (_places(nonces),))
                prior = driver.execute(_FIND, self._finding(nonces))
                driver.execute(_WRITER)
                reserved = driver.execute(_RESERVE, (self.token_no, self.token_no, len(nonces)))
                return Prepared(
                    found,
                    None if figures is None else _figures(figures.fetchone()),
                    _priors(prior.fetchall()),
                    self._reserved(reserved.fetchone()),
                )
        return super().prepare(numbers, nonces, now=now, supply=supply)

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
        return _accounts(self.connection.exec_driver_sql(_LOCK, self._locking(numbers)).all())

    def _locking(self, numbers: Sequence[int]) -> tuple[int, str]:
        return self.token_no, _array(sorted(numbers))

    def lock_supply(self) -> SupplyFigures:
        """Lock the supply's one row."""
        return _figures(self.connection.exec_driver_sql(_SUPPLY, (self.token_no,)).one())

    def now(self) -> int:
        """Return the server's time."""
        return int(self.connection.exec_driver_sql(f"SELECT {_PG_CLOCK}").scalar_one())

    def lock_list_key(self, nonce: bytes) -> None:
        """Take the lock of the nonce's place, alone."""
        self.connection.exec_driver_sql(_LOCK_LIST_KEY, (nonce[0],))

    def find(self, nonces: Sequence[bytes]) -> list[PriorRow]:
        """Return the entries that bear one of these nonces."""
        if not self.keys_derived:
            self.connection.exec_driver_sql(_SHARE_KEYS, (_places(nonces),))
        return _priors(self.connection.exec_driver_sql(_FIND, self._finding(nonces)).all())

    def _finding(self, nonces: Sequence[bytes]) -> tuple[int, str, int, str]:
        quoted = "{" + ",".join([f'"\\\\x{nonce.hex()}"' for nonce in nonces]) + "}"
        return self.token_no, quoted, self.token_no, quoted

    def reserve(self, count: int) -> tuple[Sequence[int], int]:
        """Take numbers under the lock that tells a sealer of commits to come.

        Taken again each time: ROLLBACK TO drops what was locked after the savepoint.
        """
        self.connection.exec_driver_sql(_WRITER)
        found = self.connection.exec_driver_sql(_RESERVE, (self.token_no, self.token_no, count))
        return self._reserved(found.one())

    def _reserved(self, found: Any) -> tuple[Sequence[int], int]:
        numbers, now, self.closing_at, most = found
        self.balance_max = _read_decimal(most)
        return numbers, now

    def write(
        self,
        entries: Sequence[EntryRow],
        accounts: Sequence[ChangedRow],
        supply: SupplyFigures | None,
        *,
        now: int,
    ) -> None:
        """Write it in one round trip (a pipeline), unless the entries are many."""
        if self.connection.dialect.is_async or len(entries) > self._ROWS_MAX:
            super().write(entries, accounts, supply, now=now)
            return
        driver: Any = self.connection.connection.driver_connection
        with driver.pipeline():
            super().write(entries, accounts, supply, now=now)

    def _send(self, statement: str, parameters: Sequence[Any]) -> None:
        """Run a statement that returns nothing, without a word of SQLAlchemy's where possible."""
        if self.connection.dialect.is_async:
            self.connection.exec_driver_sql(statement, tuple(parameters))
        else:
            driver: Any = self.connection.connection.driver_connection
            driver.execute(statement, parameters)

    def insert(self, rows: Sequence[EntryRow]) -> None:
        """Insert entries: by COPY when they are many."""
        if len(rows) == 1:
            self._send(_INSERT_ONE, rows[0])
        elif self.connection.dialect.is_async or len(rows) <= self._ROWS_MAX:
            for part in chunks(rows, self._ROWS_MAX):
                self._send(_INSERT_MANY, self._columns(part))
        else:
            self._copy(rows)

    def _columns(self, rows: Sequence[EntryRow]) -> list[Any]:
        """Return the parameters of _INSERT_MANY."""
        columns = list(zip(*rows, strict=True))
        return [
            self.token_no,
            *[b"".join(columns[i]) for i in (2, 13, 14)],
            32 * len(rows),
            *[_array(columns[i]) for i in (0, 3, 4, 5, 6)],
            *[_text_array(columns[i]) for i in range(7, 13)],
            *[_array(columns[i]) for i in range(15, 19)],
        ]

    def _copy(self, rows: Sequence[EntryRow]) -> None:
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
        if rows:
            columns = map(_array, zip(*rows, strict=True))
            self._send(_UPDATE_ACCOUNTS, (*columns, self.token_no))

    def update_supply(self, figures: SupplyFigures, *, now: int) -> None:
        """Write the supply."""
        self._send(_UPDATE_SUPPLY, (*map(Decimal, figures), now, self.token_no))


def _read_decimal(number: Decimal | None) -> int | None:
    return None if number is None else int(number)


def _places(nonces: Iterable[bytes]) -> str:
    """Return the places of the locks of nonces, in order: few, however many the nonces are."""
    return _array(sorted({nonce[0] for nonce in nonces}))


def _array(numbers: Iterable[int | None]) -> str:
    """Return an array's literal, which the driver takes as it is: one text instead of many."""
    return "{" + ",".join(["NULL" if n is None else str(n) for n in numbers]) + "}"


def _text_array(texts: Iterable[str | None]) -> str:
    """Return an array's literal, every text in quotes."""
    quoted = [
        "NULL" if t is None else '"' + t.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for t in texts
    ]
    return "{" + ",".join(quoted) + "}"


def _accounts(rows: Iterable[Any]) -> list[AccountRow]:
    return [
        AccountRow(
            number, int(balance), int(earned), int(spent), int(staked), at, frozen_at, closed_at,
            None if balance_max is None else int(balance_max),
            None if spend_max is None else int(spend_max),
            spend_period, window_start,
            None if window_spent is None else int(window_spent),
            None if overdraft_max is None else int(overdraft_max),
            int(debt), latest_at,
        )
        for number, balance, earned, spent, staked, at, frozen_at, closed_at, balance_max,
        spend_max, spend_period, window_start, window_spent, overdraft_max, debt, latest_at in rows
    ]  # fmt: skip


def _figures(row: Any) -> SupplyFigures:
    return int(row[0]), int(row[1]), int(row[2]), int(row[3])


def _priors(rows: Iterable[Any]) -> list[PriorRow]:
    return [
        (bytes(row[0]), row[1], bytes(row[2]), row[3], *map(_read_decimal, row[4:])) for row in rows
    ]
