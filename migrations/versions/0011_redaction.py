"""Redaction by fields: which texts of an entry were erased, when, and by whom.

An entry keeps what it was not asked to forget. A text turns NULL only where `token_redactions`,
which is append-only, says so; nothing else of an entry ever changes.
"""

# ruff: noqa: S608, ISC004 — statements are built of this file's own constants, one a list item

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

from alembic import op
from sqlalchemy import Connection, text

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TEXTS = ("reason", "reference_type", "reference_id", "memo", "metadata", "idempotency_key")
WHOLE = re.compile(r",\s*CHECK \(redacted_at IS NULL OR \([^()]*\)\)")


def first() -> Any:
    """Return the first migration, for its frozen words of both engines."""
    path = Path(__file__).with_name("0001_first.py")
    spec = importlib.util.spec_from_file_location("token_ledger_first", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table(d: Any) -> list[str]:
    """Return the record of redactions, with what entries redacted before had lost: everything."""
    names = ", ".join(f"'{name}'" for name in TEXTS)
    fields = " UNION ALL ".join(f"SELECT '{name}' AS field" for name in TEXTS)
    return [
        f"""CREATE TABLE token_redactions (
            entry_no {d.bigint} NOT NULL REFERENCES token_ledger,
            field TEXT NOT NULL CHECK (field IN ({names})),
            {d.time("redacted_at")},
            actor TEXT NOT NULL,
            PRIMARY KEY (entry_no, field)
        ){d.table_end}""",
        "INSERT INTO token_redactions (entry_no, field, redacted_at, actor)"
        f" SELECT e.entry_no, f.field, e.redacted_at, '' FROM token_ledger e, ({fields}) f"
        " WHERE e.redacted_at IS NOT NULL",
        *d.append_only(
            "token_redactions",
            keys=("t.entry_no = NEW.entry_no AND t.field = NEW.field",),
            update_when="1 = 1",
        ),
    ]


def trigger(d: Any, fixed: tuple[str, ...]) -> list[str]:
    """Return the trigger that lets recorded redactions through, and no other UPDATE."""
    same = [f"NEW.{c} {d.same} OLD.{c}" for c in fixed]
    erased = [
        f"(NEW.{c} {d.same} OLD.{c} OR (NEW.{c} IS NULL AND EXISTS (SELECT 1 FROM token_redactions"
        f" r WHERE r.entry_no = NEW.entry_no AND r.field = '{c}')))"
        for c in TEXTS
    ]
    stamped = f"(OLD.redacted_at IS NULL OR NEW.redacted_at {d.same} OLD.redacted_at)"
    recorded = "EXISTS (SELECT 1 FROM token_redactions r WHERE r.entry_no = NEW.entry_no)"
    redaction = " AND ".join([*same, *erased, stamped, recorded])
    drop = (
        ["DROP TRIGGER token_ledger_no_update"]
        if d.sqlite
        else [
            "DROP TRIGGER token_ledger_no_update ON token_ledger",
            "DROP FUNCTION token_ledger_no_update()",
        ]
    )
    return [
        *drop,
        *d.refusal(
            "token_ledger_no_update", table="token_ledger", on="UPDATE",
            when=f"NEW.redacted_at IS NULL OR NOT ({redaction})",
            message="token_ledger is append-only",
        ),
    ]  # fmt: skip


def drop_check(connection: Connection) -> None:
    """Drop the CHECK that every text of a redacted entry is NULL.

    SQLite has no statement for it; its documentation gives this way, which rewrites no row.
    """
    if connection.dialect.name == "postgresql":
        name = connection.execute(
            text(
                "SELECT conname FROM pg_constraint WHERE contype = 'c'"
                " AND conrelid = CAST('token_ledger' AS regclass)"
                " AND strpos(pg_get_constraintdef(oid), '(redacted_at IS NULL) OR') > 0"
            )
        ).scalar_one()
        connection.exec_driver_sql(f"ALTER TABLE token_ledger DROP CONSTRAINT {name}")
        return
    where = "WHERE type = 'table' AND name = 'token_ledger'"
    made = connection.exec_driver_sql(f"SELECT sql FROM sqlite_master {where}").scalar_one()
    without, count = WHOLE.subn("", made)
    assert count == 1, "the first migration wrote this CHECK once"
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    connection.exec_driver_sql(f"UPDATE sqlite_master SET sql = ? {where}", (without,))
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")


def upgrade() -> None:
    connection = op.get_bind()
    frozen = first()
    d = frozen.Dialect(connection.dialect.name)
    drop_check(connection)
    for statement in [*table(d), *trigger(d, frozen.FIXED)]:
        connection.exec_driver_sql(statement)
