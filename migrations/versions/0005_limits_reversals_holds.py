"""Limits, freezing and closing; reversals; holds through escrow accounts; composite requests.

Limits stand in the row that every posting locks, so that a posting reads them as of its lock.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MIRRORED = (
    "NOT EXISTS (SELECT 1 FROM token_ledger r, token_ledger o WHERE r.entry_no = NEW.entry_no"
    " AND o.entry_no = NEW.reversed_entry_no AND r.token_no = NEW.token_no"
    " AND o.token_no = NEW.token_no AND o.entry_no < r.entry_no"
    " AND r.from_account = o.to_account AND r.to_account = o.from_account"
    " AND r.amount <= o.amount)"
)


def first() -> Any:
    """Return the first migration, for its frozen words of both engines."""
    path = Path(__file__).with_name("0001_first.py")
    spec = importlib.util.spec_from_file_location("token_ledger_first", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def columns(d: Any) -> list[str]:
    """Return what is added to tables that were there."""
    added = [
        d.time("frozen_at", null=True),
        d.time("closed_at", null=True),
        d.unsigned("balance_max", null=True),
        d.unsigned("spend_max", null=True),
        d.count("spend_period", least=1, null=True),
        d.time("window_start", null=True),
        d.unsigned("window_spent", null=True),
    ]
    return [
        *(f"ALTER TABLE token_accounts ADD COLUMN {column}" for column in added),
        f"ALTER TABLE tokens ADD COLUMN {d.unsigned('balance_max', null=True)}",
        f"ALTER TABLE accounts ADD COLUMN escrow_of {d.bigint} REFERENCES accounts",
        "CREATE UNIQUE INDEX accounts_escrow_of ON accounts (escrow_of)",
    ]


def tables(d: Any) -> list[str]:
    """Return requests, reversals and holds."""
    entry = f"{d.bigint} NOT NULL REFERENCES token_ledger"
    return [
        f"""CREATE TABLE token_requests (
            token_no INTEGER NOT NULL REFERENCES tokens,
            {d.hash32("nonce")},
            {d.hash32("digest")},
            entry_no {entry},
            PRIMARY KEY (token_no, nonce)
        ){d.table_end}""",
        f"""CREATE TABLE token_reversals (
            entry_no {d.bigint} PRIMARY KEY REFERENCES token_ledger,
            token_no INTEGER NOT NULL REFERENCES tokens,
            reversed_entry_no {entry} UNIQUE
        ){d.table_end}""",
        f"""CREATE TABLE token_holds (
            entry_no {d.bigint} PRIMARY KEY REFERENCES token_ledger,
            token_no INTEGER NOT NULL REFERENCES tokens,
            holder_no {d.bigint} NOT NULL REFERENCES accounts,
            {d.unsigned("value", least=1)},
            {d.unsigned("remaining")},
            {d.unsigned("captured")},
            {d.time("expires_at", null=True)},
            {d.time("released_at", null=True)},
            {d.time("updated_at")},
            CHECK (remaining <= value),
            CHECK (captured <= value)
        ){d.table_end}""",
        "CREATE INDEX token_holds_by_holder ON token_holds (token_no, holder_no, entry_no)",
        """CREATE INDEX token_holds_by_expiry ON token_holds (token_no, expires_at)
            WHERE released_at IS NULL AND expires_at IS NOT NULL""",
    ]


def triggers(d: Any, changed: Any) -> list[str]:
    """Return what keeps history: nothing is taken back, nothing reversed or released twice."""
    holds = (
        changed(d, "entry_no", "token_no", "holder_no", "value", "expires_at")
        + " OR NEW.remaining > OLD.remaining OR NEW.captured < OLD.captured"
        + " OR OLD.released_at IS NOT NULL"
    )
    return [
        *d.append_only(
            "token_requests",
            keys=("t.token_no = NEW.token_no AND t.nonce = NEW.nonce",),
            update_when="1 = 1",
        ),
        *d.append_only(
            "token_reversals",
            keys=("t.entry_no = NEW.entry_no", "t.reversed_entry_no = NEW.reversed_entry_no"),
            update_when="1 = 1",
        ),
        *d.append_only(
            "token_holds", keys=("t.entry_no = NEW.entry_no",), update_when=holds
        ),
        *d.refusal(
            "token_reversals_mirror", table="token_reversals", on="INSERT", when=MIRRORED,
            message="a reversal goes the other way and is no more than what it reverses",
        ),
        *d.refusal(
            "token_accounts_closed", table="token_accounts", on="UPDATE",
            when="OLD.closed_at IS NOT NULL AND " + changed(d, "closed_at"),
            message="a closed account stays closed",
        ),
        *d.refusal(
            "accounts_escrow_kept", table="accounts", on="UPDATE",
            when=changed(d, "escrow_of"),
            message="accounts is append-only",
        ),
    ]  # fmt: skip


def upgrade() -> None:
    connection = op.get_bind()
    frozen = first()
    d = frozen.Dialect(connection.dialect.name)
    for statement in [*columns(d), *tables(d), *triggers(d, frozen.changed)]:
        connection.exec_driver_sql(statement)
