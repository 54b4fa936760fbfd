"""Dates: the latest of each account, and the entries dated before an earlier one of it.

They give a balance as of a time without a scan; `ledger/dating.py` tells how. Computed here for
the entries that are there already, in the order of their numbers. And entries added up by day for
statistics, empty here: `ledger/rollups.py` fills it as it is asked. Both are figures that entries
explain, as balances are: they may be computed again, so these rows are not append-only.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from alembic import op
from sqlalchemy import Connection, text

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LANES = 16
ZERO = 2**319
WIDTH = 40
PAGE = 10_000


def first() -> Any:
    """Return the first migration, for its frozen words of both engines."""
    path = Path(__file__).with_name("0001_first.py")
    spec = importlib.util.spec_from_file_location("token_ledger_first", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def net(d: Any, name: str) -> str:
    """Return a column of a whole number with a sign, below 2**319 either way."""
    if d.sqlite:
        return f"{name} BLOB NOT NULL CHECK (length({name}) = {WIDTH})"
    return (
        f"{name} NUMERIC NOT NULL CHECK ({name} >= -{ZERO} AND {name} < {ZERO}"
        f" AND scale({name}) = 0)"
    )


def tables(d: Any) -> list[str]:
    """Return the column, the table and its index."""
    latest = d.time("latest_at").replace("NOT NULL", "NOT NULL DEFAULT 0")
    end = " STRICT, WITHOUT ROWID" if d.sqlite else ""
    return [
        f"ALTER TABLE token_accounts ADD COLUMN {latest}",
        f"""CREATE TABLE token_backdated (
            token_no INTEGER NOT NULL REFERENCES tokens,
            account_no {d.bigint} NOT NULL REFERENCES accounts,
            entry_no {d.bigint} NOT NULL REFERENCES token_ledger,
            lane INTEGER NOT NULL CHECK (lane BETWEEN 1 AND {LANES}),
            {d.time("timestamp")},
            {d.time("latest_at")},
            {net(d, "lane_total")},
            {net(d, "total")},
            PRIMARY KEY (token_no, account_no, entry_no),
            CHECK (timestamp < latest_at)
        ){end}""",
        """CREATE INDEX token_backdated_by_lane
            ON token_backdated (token_no, account_no, lane, timestamp, entry_no)""",
        f"""CREATE TABLE token_days (
            token_no INTEGER NOT NULL REFERENCES tokens,
            day {d.bigint} NOT NULL CHECK (day >= -1),
            kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 7),
            reason TEXT NOT NULL,
            {d.count("entries", least=1)},
            {d.unsigned("value", bits=320)},
            PRIMARY KEY (token_no, day, kind, reason)
        ){end}""",
        f"""CREATE TABLE token_rollups (
            token_no INTEGER PRIMARY KEY REFERENCES tokens,
            {d.count("entry_no")},
            {d.time("updated_at")}
        ){d.table_end}""",
    ]


def entries(connection: Connection) -> Iterator[Any]:
    """Yield token, number, date, sides and amount of every entry, in order."""
    after = 0
    while True:
        rows = connection.execute(
            text(
                "SELECT token_no, entry_no, timestamp, from_account, to_account, amount"
                " FROM token_ledger WHERE entry_no > :after ORDER BY entry_no LIMIT :page"
            ),
            {"after": after, "page": PAGE},
        ).all()
        yield from rows
        if not rows:
            return
        after = rows[-1].entry_no


def fill(connection: Connection) -> None:
    """Compute column and table from the entries."""
    latest: dict[tuple[int, int], int] = {}
    ends: dict[tuple[int, int], dict[int, tuple[int, int]]] = {}
    totals: dict[tuple[int, int], int] = {}
    written: list[dict[str, Any]] = []

    def stored(value: int) -> Any:
        if connection.dialect.name == "sqlite":
            return (value + ZERO).to_bytes(WIDTH, "big")
        return Decimal(value)

    for token_no, entry_no, at, payer, payee, amount in entries(connection):
        for number, sign in ((payer, -1), (payee, 1)):
            key = (token_no, number)
            if number == 0:
                continue
            if at >= latest.get(key, 0):
                latest[key] = at
                continue
            value = int.from_bytes(amount, "big") if isinstance(amount, bytes) else int(amount)
            change, lanes = sign * value, ends.setdefault(key, {})
            fitting = [(end, -lane) for lane, (end, _) in lanes.items() if end <= at]
            lane = -max(fitting)[1] if fitting else min(len(lanes) + 1, LANES)
            lane_total = change
            if lane < LANES:
                lane_total += lanes.get(lane, (0, 0))[1]
                lanes[lane] = (at, lane_total)
            totals[key] = totals.get(key, 0) + change
            written.append(
                {
                    "token_no": token_no, "account_no": number, "entry_no": entry_no,
                    "lane": lane, "timestamp": at, "latest_at": latest[key],
                    "lane_total": stored(lane_total), "total": stored(totals[key]),
                }
            )  # fmt: skip
    for (token_no, number), at in latest.items():
        connection.execute(
            text(
                "UPDATE token_accounts SET latest_at = :at"
                " WHERE token_no = :token AND account_no = :account"
            ),
            {"at": at, "token": token_no, "account": number},
        )
    if written:
        connection.execute(
            text(
                "INSERT INTO token_backdated VALUES (:token_no, :account_no, :entry_no, :lane,"
                " :timestamp, :latest_at, :lane_total, :total)"
            ),
            written,
        )


def upgrade() -> None:
    connection = op.get_bind()
    for statement in tables(first().Dialect(connection.dialect.name)):
        connection.exec_driver_sql(statement)
    fill(connection)
