"""Run by `token_ledger.ledger.engine.migrate`, which hands over an open connection."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("run `token-ledger upgrade`: it chooses the database and its driver")

context.configure(
    connection=connection,
    target_metadata=None,
    version_table="token_ledger_version",
    transactional_ddl=True,  # SQLite's DDL is transactional too; the caller commits once
)
with context.begin_transaction():
    context.run_migrations()
