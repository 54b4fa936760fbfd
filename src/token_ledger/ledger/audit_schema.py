"""The schema and the files themselves: are the tables still what the migrations make?

A dropped trigger or CHECK lets anything in later, so it is a finding by itself. The reference is
made afresh: on SQLite in memory, on PostgreSQL in a schema of a transaction that is rolled back.
What an operator added (an index, a grant) is not looked at.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, Engine, create_engine, text

from token_ledger.core.types import Finding
from token_ledger.ledger import engine as engines
from token_ledger.ledger.mirror_schema import metadata
from token_ledger.ledger.schema import VERSION_TABLE

Parts = Mapping[tuple[str, str], str]
"""What a schema consists of: (kind, name) and its definition."""

_TABLES = (*metadata.tables, VERSION_TABLE)
_PARTS = {
    "column": """
        SELECT c.relname || '.' || a.attname,
               concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                         pg_get_expr(d.adbin, d.adrelid))
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relname = ANY(:tables)
          AND a.attnum > 0 AND NOT a.attisdropped""",
    "constraint": """
        SELECT c.relname || '.' || k.conname,
               pg_get_constraintdef(k.oid) || CASE WHEN k.convalidated THEN '' ELSE ' invalid' END
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relname = ANY(:tables)""",
    "index": """
        SELECT i.relname, pg_get_indexdef(x.indexrelid) || CASE WHEN x.indisvalid THEN ''
               ELSE ' invalid' END
        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
        JOIN pg_class c ON c.oid = x.indrelid
        WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relname = ANY(:tables)""",
    "trigger": """
        SELECT c.relname || '.' || t.tgname, pg_get_triggerdef(t.oid, true)
               || CASE t.tgenabled WHEN 'O' THEN '' WHEN 'A' THEN '' ELSE ' disabled' END
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relname = ANY(:tables)
          AND NOT t.tgisinternal""",
    "function": """
        SELECT DISTINCT p.proname, p.prosrc
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relname = ANY(:tables)
          AND NOT t.tgisinternal""",
}


def check_schema(engine: Engine) -> Iterator[Finding]:
    """Yield every part of the schema that is missing or altered. Leaves nothing behind.

    Raises DatabaseError on PostgreSQL where the role may not make a schema: ask `may_check_schema`.
    """
    if engine.dialect.name == "sqlite":
        with engines.reading(engine) as connection:
            here = _sqlite_parts(connection)
        yield from _compare(_sqlite_reference(), here)
        return
    with engines.translated(), engine.connect() as connection:
        transaction = connection.begin()
        try:
            current = str(connection.scalar(text("SELECT current_schema()")))
            here = _postgres_parts(connection, current)
            scratch = f"token_ledger_check_{uuid.uuid4().hex}"
            connection.execute(text(f"CREATE SCHEMA {scratch}"))
            connection.execute(text(f"SET LOCAL search_path = {scratch}"))
            engines.migrate(connection)
            reference = _postgres_parts(connection, scratch)
            found = list(_compare(reference, here))
            connection.execute(text(f"SET LOCAL search_path = {_quoted(connection, current)}"))
            found += _violations(connection, reference, here)
        finally:
            transaction.rollback()
    yield from found


def may_check_schema(connection: Connection) -> bool:
    """Return whether this role can make the reference to compare with."""
    if connection.dialect.name == "sqlite":
        return True
    allowed = text("SELECT has_database_privilege(current_database(), 'CREATE')")
    return bool(connection.scalar(allowed))


def check_integrity(connection: Connection) -> Iterator[Finding]:
    """Yield what SQLite's own check says of pages, indexes, CHECKs and references."""
    if connection.dialect.name != "sqlite":
        return
    for (said,) in connection.exec_driver_sql("PRAGMA integrity_check(1000)"):
        if said != "ok":
            yield Finding("integrity", f"SQLite's integrity_check: {said}")
    for table, rowid, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield Finding(
            "integrity",
            f"a row of {table} refers to a row of {parent} that is not there",
            {"table": table, "row": rowid},
        )


def _compare(reference: Parts, here: Parts) -> Iterator[Finding]:
    for (kind, name), right in sorted(reference.items()):
        stored = here.get((kind, name))
        if stored == right:
            continue
        what = "is missing" if stored is None else "is not what the migrations make"
        yield Finding(
            "schema_differs",
            f"{kind} {name} {what}: what it kept out may be in by now; restore it, and look at"
            " the other findings",
            {"part": kind, "name": name},
        )


def _sqlite_parts(connection: Connection) -> dict[tuple[str, str], str]:
    rows = connection.exec_driver_sql(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    )
    return {(r[0], r[1]): " ".join(r[3].split()) for r in rows if r[2] in _TABLES}


def _sqlite_reference() -> Parts:
    engine = create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            engines.migrate(connection)
            return _sqlite_parts(connection)
    finally:
        engine.dispose()


def _postgres_parts(connection: Connection, schema: str) -> dict[tuple[str, str], str]:
    parts: dict[tuple[str, str], str] = {}
    quoted = _quoted(connection, schema)
    for kind, query in _PARTS.items():
        for name, definition in connection.execute(
            text(query), {"schema": quoted, "tables": list(_TABLES)}
        ):
            plain = definition.replace(f"{quoted}.", "").replace(f"{schema}.", "")
            parts[kind, name] = " ".join(plain.split())
    return parts


def _quoted(connection: Connection, schema: str) -> str:
    return connection.dialect.identifier_preparer.quote(schema)


def _violations(connection: Connection, reference: Parts, here: Parts) -> Iterator[Finding]:
    """Yield the first row that each missing CHECK would have kept out."""
    for (kind, name), right in reference.items():
        if kind != "constraint" or not right.startswith("CHECK ") or here.get((kind, name)):
            continue
        table = name.partition(".")[0]
        keys = [column.name for column in metadata.tables[table].primary_key.columns]
        row = connection.execute(
            text(f"SELECT {', '.join(keys)} FROM {table} WHERE NOT {right[6:]} LIMIT 1")  # noqa: S608
        ).first()
        if row is not None:
            yield Finding(
                "row_invalid",
                f"a row of {table} breaks the rule {name}",
                {"table": table, **dict(zip(keys, map(str, row), strict=True))},
            )
