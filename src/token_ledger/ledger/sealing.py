"""The sealer's side of the database: the watermark, the next entries, the header row.

Writers are held up for the instant in which the watermark is read, and never by the sealing
itself: entries up to the watermark cannot change or be joined by late ones.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func, insert, select, text

from token_ledger.core.types import Batch, Entry
from token_ledger.errors import RetryableError, UnavailableError
from token_ledger.ledger import engine as engines
from token_ledger.ledger.batches import Head, select_entries, to_entry
from token_ledger.ledger.schema import WRITERS_LOCK, token_batches, token_ledger
from token_ledger.ledger.tokens import StoredToken

ROWS_MAX = 8_000
"""Read at most so many unsealed entries at once: more never fit into one batch."""

WATERMARK_ATTEMPTS_MAX = 40
_LOCK_TIMEOUT_MS = 50
_BACKOFF_S = 0.25
_SEALER_LOCK = 0x7365616C


@dataclass(frozen=True, slots=True)
class UnsealedEntry:
    """An entry that awaits sealing, with both balances before it (0 on the side of `system`)."""

    entry_no: int
    entry: Entry
    from_balance_before: int
    to_balance_before: int


def watermark(engine: Engine, *, attempts: int = WATERMARK_ATTEMPTS_MAX) -> int:
    """Return an entry number at or below which nothing can be committed any more.

    On PostgreSQL writers share a lock from before they take an entry number to their commit; here
    it is held alone for an instant, in READ COMMITTED, so that what was waited for is seen. The
    wait is short and is given up rather than stall new writers behind it. Raises RetryableError
    while one long posting (a `load`) keeps the lock, and UnavailableError on a standby: what its
    primary may still commit, only the primary knows.
    """
    highest = select(func.coalesce(func.max(token_ledger.c.entry_no), 0))
    if engine.dialect.name == "sqlite":
        with engines.reading(engine) as connection:
            return int(connection.execute(highest).scalar_one())
    with engines.reading(engine) as connection:
        if connection.scalar(text("SELECT pg_is_in_recovery()")):
            raise UnavailableError(
                "a standby cannot tell what its primary may still commit", hint="ask the primary"
            )
    for attempt in range(1, attempts + 1):
        try:
            with engines.writing(engine) as connection:
                connection.execute(text(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}"))
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": WRITERS_LOCK}
                )
                return int(connection.execute(highest).scalar_one())
        except RetryableError:
            if attempt < attempts:
                time.sleep(random.uniform(0, _BACKOFF_S))  # noqa: S311 - jitter, not a secret
    raise RetryableError(
        "a long posting is under way, and what it will commit must not be sealed over",
        hint="wait until the load has ended, then seal again",
    )


def lock_sealer(connection: Connection, token: StoredToken) -> None:
    """Let one sealer of a token work at a time, until the transaction ends.

    SQLite's one writer needs no lock; on PostgreSQL it is a transaction-level advisory lock.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:space, :token_no)"),
            {"space": _SEALER_LOCK, "token_no": token.token_no},
        )


def read_unsealed(
    connection: Connection, token: StoredToken, after: Head, watermark: int
) -> list[UnsealedEntry]:
    """Return the next entries after a head, up to the watermark, at most `ROWS_MAX` of them."""
    rows = connection.execute(
        select_entries(token, after=after.last_entry_no, up_to=watermark).limit(ROWS_MAX)
    )
    return [
        UnsealedEntry(
            entry_no=row.entry_no,
            entry=to_entry(row, after.next_seq + i),
            from_balance_before=(
                0 if row.balance_after_from is None else row.balance_after_from + row.amount
            ),
            to_balance_before=(
                0 if row.balance_after_to is None else row.balance_after_to - row.amount
            ),
        )
        for i, row in enumerate(rows)
    ]


def insert_header(
    connection: Connection,
    token: StoredToken,
    batch: Batch,
    *,
    first_entry_no: int,
    last_entry_no: int,
) -> None:
    """Write a batch: its one header row."""
    header = batch.header
    connection.execute(
        insert(token_batches).values(
            token_no=token.token_no,
            number=header.number,
            first_entry_no=first_entry_no,
            last_entry_no=last_entry_no,
            first_seq=header.first_seq,
            count=header.count,
            parent=header.parent,
            entries_root=header.entries_root,
            rows_hash=header.rows_hash,
            total_supply=header.total_supply,
            sealed_at=header.sealed_at,
            digest=batch.digest,
        )
    )
