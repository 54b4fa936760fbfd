"""The sealer's side of the database: the watermark, the next entries, the header row.

Writers are never held up: entries up to the watermark cannot change or be joined by late ones.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, insert, text

from token_ledger.core.types import Batch, Entry
from token_ledger.errors import RetryableError
from token_ledger.ledger import engine as engines
from token_ledger.ledger import watermarks
from token_ledger.ledger.batches import Head, select_entries, to_entry
from token_ledger.ledger.schema import token_batches
from token_ledger.ledger.tokens import StoredToken

ROWS_MAX = 8_000
"""Read at most so many unsealed entries at once: more never fit into one batch."""

WATERMARK_ATTEMPTS_MAX = 50
_PAUSE_S, _PAUSE_MAX_S = 0.0025, 0.2
_SEALER_LOCK = 0x7365616C


@dataclass(frozen=True, slots=True)
class UnsealedEntry:
    """An entry that awaits sealing, with both balances before it (0 on the side of `system`)."""

    entry_no: int
    entry: Entry
    from_balance_before: int
    to_balance_before: int


def watermark(
    engine: Engine, *, beyond: int, whole: bool = False, attempts: int | None = None
) -> int:
    """Return an entry number at or below which nothing can be committed any more.

    PostgreSQL: one above `beyond` where there is any, waiting for the writers of the moment alone
    (see `watermarks`); `whole` waits a while until it covers all that was committed at the call.
    It holds for snapshots that begin after. What was seen is remembered in the process: asked again
    it goes on where the wait ended. Raises RetryableError while a long posting (a `load`) keeps all
    of it, and UnavailableError on a standby.
    """
    if engine.dialect.name == "sqlite":
        with engines.reading(engine) as connection:
            return int(connection.execute(watermarks.HIGHEST).scalar_one())
    found, wanted = watermarks.ask(engine)
    wanted = wanted if whole else min(wanted, beyond + 1)
    for attempt in range(1, attempts or WATERMARK_ATTEMPTS_MAX):
        if found >= wanted:
            return found
        time.sleep(min(_PAUSE_MAX_S, _PAUSE_S * 2**attempt))
        found, _ = watermarks.ask(engine)
    if found >= wanted or found > beyond:
        return found
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
