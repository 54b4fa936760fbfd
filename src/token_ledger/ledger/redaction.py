"""Redaction: the words of an entry erased, its id and every root kept.

What is erased, when and by whom stands in `token_redactions`; the entry says `redacted_at`. Sides,
amount, nonce and ref stay, so ids, batches and proofs verify as before, and a repeat under an
erased key still finds the first result by its nonce.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Engine, insert, select, update

from token_ledger.core.parse import parse_text
from token_ledger.errors import DatabaseError, UnknownEntryError, UsageError
from token_ledger.ledger import engine as engines
from token_ledger.ledger import rollups, schema
from token_ledger.ledger.composite import Desk
from token_ledger.ledger.due import REFERENCE

FIELDS: dict[str, tuple[str, ...]] = {
    "reason": ("reason",),
    "reference": ("reference_type", "reference_id"),
    "memo": ("memo",),
    "metadata": ("metadata",),
    "key": ("idempotency_key",),
}
"""What can be erased, and the columns that hold it."""
USUAL = ("reference", "memo", "metadata")
"""What is erased unless more is named: reasons count in statistics, keys in others' books."""
ACTOR_BYTES_MAX = 1_000
_ENTRY = schema.token_ledger.c
_ERASED = schema.token_redactions.c


@dataclass(frozen=True, slots=True)
class Redaction:
    """What of an entry is erased by now. `fields`: words of FIELDS; times in microseconds."""

    id: bytes
    entry_no: int
    fields: tuple[str, ...]
    redacted_at: int
    actors: tuple[str, ...]


def redact(
    desk: Desk, entry_id: bytes, *, fields: Collection[str], actor: str, now: int
) -> Redaction:
    """Erase fields of an entry, those that are not erased yet. Runs in a write transaction.

    The reference of an entry that takes from a hold stays: it is the ledger's own and holds nothing
    but the hold's id. Raises UnknownEntryError, UsageError for a field that there is not.
    """
    unknown = sorted(set(fields).difference(FIELDS))
    if unknown or not fields:
        raise UsageError(
            f"no field {unknown[0]!r}" if unknown else "nothing to erase is named",
            hint=f"one or several of {', '.join(FIELDS)}",
        )
    parse_text(actor, what="actor", bytes_max=ACTOR_BYTES_MAX)
    connection = desk.connection
    if connection.dialect.name == "sqlite":  # or the words would stay in free pages
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
    payer = schema.accounts
    row = connection.execute(
        select(_ENTRY.entry_no, _ENTRY.redacted_at, _ENTRY.reference_type, payer.c.escrow_of)
        .join(payer, payer.c.account_no == _ENTRY.from_account)
        .where(_ENTRY.token_no == desk.token.token_no, _ENTRY.id == entry_id)
        .with_for_update(key_share=True, of=schema.token_ledger)
    ).first()
    if row is None:
        raise UnknownEntryError(f"no entry 0x{entry_id.hex()}", hint="check the id and the token")
    wanted = {column for name in fields for column in FIELDS[name]}
    if row.escrow_of is not None and row.reference_type == REFERENCE:
        wanted -= set(FIELDS["reference"])
    erased = connection.execute(select(_ERASED.field).where(_ERASED.entry_no == row.entry_no))
    fresh = sorted(wanted.difference(erased.scalars()))
    if "reason" in fresh:
        rollups.erase_reason(connection, desk.token.token_no, row.entry_no)
    if fresh:
        connection.execute(
            insert(schema.token_redactions),
            [
                {"entry_no": row.entry_no, "field": name, "redacted_at": now, "actor": actor}
                for name in fresh
            ],
        )
        at = now if row.redacted_at is None else row.redacted_at
        connection.execute(
            update(schema.token_ledger)
            .where(_ENTRY.entry_no == row.entry_no)
            .values(redacted_at=at, **dict.fromkeys(fresh))
        )
    found = get_redaction(desk, entry_id)
    if found is None:
        raise UsageError(
            "the reference of an entry of a hold is the ledger's own", hint="name other fields"
        )
    return found


def forget(engine: Engine) -> None:
    """Let SQLite's log, which still holds the pages as they were, go into the file and be emptied.

    As far as no reader needs it: else the next checkpoint does it. PostgreSQL's own VACUUM takes
    dead rows away; backups and logs of either keep what they hold.
    """
    if engine.dialect.name == "sqlite":
        with (
            contextlib.suppress(DatabaseError),
            engines.translated(),
            engine.connect() as connection,
        ):
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()


def get_redaction(desk: Desk, entry_id: bytes) -> Redaction | None:
    """Return what of an entry is erased, or None while nothing is."""
    rows = desk.connection.execute(
        select(_ERASED.entry_no, _ERASED.field, _ERASED.redacted_at, _ERASED.actor)
        .join(schema.token_ledger, _ENTRY.entry_no == _ERASED.entry_no)
        .where(_ENTRY.token_no == desk.token.token_no, _ENTRY.id == entry_id)
        .order_by(_ERASED.redacted_at, _ERASED.field)
    ).all()
    if not rows:
        return None
    columns = {row.field for row in rows}
    return Redaction(
        id=entry_id,
        entry_no=rows[0].entry_no,
        fields=tuple(name for name, parts in FIELDS.items() if columns & set(parts)),
        redacted_at=rows[0].redacted_at,
        actors=tuple(dict.fromkeys(row.actor for row in rows if row.actor)),
    )
