"""Which store is an engine's."""

from __future__ import annotations

from sqlalchemy import Connection

from token_ledger.ledger.store import Store
from token_ledger.ledger.store_postgres import PostgresStore
from token_ledger.ledger.store_sqlite import SqliteStore

_KINDS: dict[str, type[Store]] = {"sqlite": SqliteStore, "postgresql": PostgresStore}


def open_store(connection: Connection, token_no: int) -> Store:
    """Return the store for a connection's engine."""
    return _KINDS[connection.dialect.name](connection, token_no)
