"""A hand in the database: raw SQL past every trigger, CHECK and reference, for tests of checks."""

from __future__ import annotations

import sqlite3

from token_ledger.ledger import Ledger


def is_sqlite(ledger: Ledger) -> bool:
    """Return which engine it is."""
    return ledger.engine.dialect.name == "sqlite"


def blob(ledger: Ledger, data: bytes) -> str:
    """Return a literal of bytes."""
    return f"X'{data.hex()}'" if is_sqlite(ledger) else f"'\\x{data.hex()}'::bytea"


def number(ledger: Ledger, value: int, *, size: int = 32) -> str:
    """Return a literal of a Uint256 (or of a wide figure, of 40 bytes)."""
    return blob(ledger, value.to_bytes(size, "big")) if is_sqlite(ledger) else str(value)


def damage(ledger: Ledger, table: str, statement: str) -> int:
    """Run a statement on a table whose guards are off for it; return how many rows it changed.

    Afterwards triggers and CHECKs are what they were, so that only the rows are wrong.
    """
    if is_sqlite(ledger):
        return _damage_sqlite(ledger, table, statement)
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        changed = connection.exec_driver_sql(statement).rowcount
        connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
    return changed


def _damage_sqlite(ledger: Ledger, table: str, statement: str) -> int:
    connection = sqlite3.connect(str(ledger.engine.url.database), isolation_level=None)
    try:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        triggers = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table,)
        ).fetchall()
        connection.execute("BEGIN IMMEDIATE")
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        changed = connection.execute(statement).rowcount
        for _, sql in triggers:
            connection.execute(sql)
        connection.execute("COMMIT")
    finally:
        connection.close()
    return changed
