"""A whole ledger copied row by row into another database, of either engine, resumable.

    tokens, accounts → entries, a chunk a transaction → all the rest and the ledger's own row last

Until that last transaction the target holds no ledger, so nobody can open it half-way. Reads the
source on one snapshot; judges nothing: `move` does.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from itertools import zip_longest
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, insert, select

from token_ledger.core.batch import entries_tree
from token_ledger.core.progress import Progress
from token_ledger.errors import NotReadyError, UsageError
from token_ledger.ledger import batches, mirror_schema, schema
from token_ledger.ledger import engine as engines
from token_ledger.ledger.tokens import list_tokens

CHUNK = 5_000
_FIRST = (schema.tokens, schema.accounts)
_LAST = tuple(
    table
    for table in mirror_schema.metadata.sorted_tables
    if table not in (*_FIRST, schema.token_ledger, schema.ledger)
)


def prepare(engine: Engine, uid: bytes) -> bool:
    """Make the tables where there are none; return whether the ledger is there, whole, already.

    Raises UsageError if the database holds another ledger.
    """
    with engines.writing(engine) as target:
        engines.migrate(target)
        found = target.execute(select(schema.ledger.c.ledger_uid)).scalar()
    if found is not None and bytes(found) != uid:
        raise UsageError("the target holds another ledger", hint="move into an empty database")
    return found is not None


def copy(source: Connection, engine: Engine, progress: Progress) -> int:
    """Copy what the target lacks; return how many entries that were."""
    with engines.writing(engine) as target:
        for table in _FIRST:
            _copy_missing(source, target, table)
    copied = _copy_entries(source, engine, progress)
    with engines.writing(engine) as target:
        for table in (*_LAST, schema.ledger):
            _copy_missing(source, target, table)
        if target.dialect.name == "postgresql":
            for sequence, column in (
                ("token_ledger_entry_no", schema.token_ledger.c.entry_no),
                ("accounts_account_no_seq", schema.accounts.c.account_no),
            ):
                highest = target.execute(select(func.max(column))).scalar() or 0
                target.execute(select(func.setval(sequence, max(highest, 1), highest > 0)))
    return copied


def _copy_entries(source: Connection, engine: Engine, progress: Progress) -> int:
    number = schema.token_ledger.c.entry_no
    total = source.execute(select(func.count()).select_from(schema.token_ledger)).scalar_one()
    with engines.reading(engine) as target:
        after = target.execute(select(func.max(number))).scalar() or 0
        done = target.execute(select(func.count()).select_from(schema.token_ledger)).scalar_one()
    copied = 0
    while True:
        rows = source.execute(
            select(schema.token_ledger).where(number > after).order_by(number).limit(CHUNK)
        ).all()
        if not rows:
            return copied
        with engines.writing(engine) as target:
            target.execute(insert(schema.token_ledger), [dict(row._mapping) for row in rows])
        after = rows[-1].entry_no
        copied += len(rows)
        progress("copy", done + copied, total)


def _copy_missing(source: Connection, target: Connection, table: Table) -> None:
    keys = list(table.primary_key.columns)
    there = {tuple(row) for row in target.execute(select(*keys))}
    found = source.execute(select(table).order_by(*keys))  # of what counts, each follows the last
    while rows := found.fetchmany(CHUNK):
        fresh = [dict(r._mapping) for r in rows if tuple(r._mapping[k] for k in keys) not in there]
        if fresh:
            target.execute(insert(table), fresh)


def compare(source: Connection, engine: Engine, progress: Progress) -> int:
    """Hold every row of every table against its copy; return how many there are.

    Raises NotReadyError naming the first table that differs.
    """
    count = 0
    with engines.reading(engine) as target:
        for table in mirror_schema.metadata.sorted_tables:
            with closing(_rows(source, table)) as here, closing(_rows(target, table)) as there:
                for ours, theirs in zip_longest(here, there):
                    if ours != theirs:
                        raise NotReadyError(
                            f"the table {table.name} differs between source and target",
                            hint="stop what writes to either, and move into an empty database",
                        )
                    count += 1
            progress("compare", count, None)
    return count


def _rows(connection: Connection, table: Table) -> Generator[tuple[Any, ...], None, None]:
    question = select(table).order_by(*table.primary_key.columns)
    with connection.execute(question, execution_options={"yield_per": CHUNK}) as found:
        for row in found:
            yield tuple(bytes(v) if isinstance(v, memoryview) else v for v in row)


def recompute(engine: Engine, uid: bytes, progress: Progress) -> int:
    """Rebuild every batch of the target from its entries; return how many there are.

    Raises DatabaseError where rows do not give the header, NotReadyError where a root differs.
    """
    count = 0
    with engines.reading(engine) as target:
        for token in list_tokens(target, ledger_uid=uid):
            for number in range(1, batches.head(target, token).number + 1):
                batch = batches.read_batch(target, token, number)
                if entries_tree(batch.entries).root != batch.header.entries_root:
                    raise NotReadyError(
                        f"batch {number} of {token.symbol} has another root", hint="do not use it"
                    )
                count += 1
                progress("roots", count, None)
    return count
