"""Batches in the database: heads, headers, whole batches read back, and signatures.

Every function takes an open connection and the token. A batch is one header row over a run of
entry numbers; `seq` is the entry's rank in the run, so no entry row is ever touched. What writes
them is `sealing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, insert, select

from token_ledger.core.batch import movements
from token_ledger.core.hashing import keccak
from token_ledger.core.packing import pack
from token_ledger.core.types import ZERO_HASH, Batch, Entry, Header, Texts
from token_ledger.errors import (
    DatabaseError,
    UnknownBatchError,
    UnknownEntryError,
)
from token_ledger.ledger.schema import (
    accounts,
    batch_signatures,
    token_batches,
    token_ledger,
    token_redactions,
)
from token_ledger.ledger.tokens import StoredToken

_SENDER = accounts.alias("sender")
_RECEIVER = accounts.alias("receiver")


@dataclass(frozen=True, slots=True)
class Head:
    """Where the sealed history of a token ends. Number 0 and the zero digest before the first."""

    number: int = 0
    digest: bytes = ZERO_HASH
    next_seq: int = 0
    total_supply: int = 0
    last_entry_no: int = 0


def head(connection: Connection, token: StoredToken) -> Head:
    """Return where the token's sealed history ends."""
    table = token_batches
    row = connection.execute(
        select(table)
        .where(table.c.token_no == token.token_no)
        .order_by(table.c.number.desc())
        .limit(1)
    ).first()
    if row is None:
        return Head()
    return Head(
        number=row.number,
        digest=row.digest,
        next_seq=row.first_seq + row._mapping["count"],
        total_supply=row.total_supply,
        last_entry_no=row.last_entry_no,
    )


def count_unsealed(connection: Connection, token: StoredToken) -> int:
    """Return how many entries of the token no batch holds yet."""
    sealed_up_to = head(connection, token).last_entry_no
    return connection.execute(
        select(func.count())
        .select_from(token_ledger)
        .where(token_ledger.c.token_no == token.token_no, token_ledger.c.entry_no > sealed_up_to)
    ).scalar_one()


def select_entries(token: StoredToken, *, after: int, up_to: int) -> Select[Any]:
    """Select the token's entries with `after < entry_no ≤ up_to`, in order, with addresses."""
    table = token_ledger
    return (
        select(
            table.c.entry_no,
            table.c.id,
            table.c.timestamp,
            _SENDER.c.address.label("from_address"),
            _RECEIVER.c.address.label("to_address"),
            table.c.amount,
            table.c.nonce,
            table.c.ref,
            table.c.balance_after_from,
            table.c.balance_after_to,
        )
        .join(_SENDER, table.c.from_account == _SENDER.c.account_no)
        .join(_RECEIVER, table.c.to_account == _RECEIVER.c.account_no)
        .where(table.c.token_no == token.token_no)
        .where(table.c.entry_no > after, table.c.entry_no <= up_to)
        .order_by(table.c.entry_no)
    )


def to_entry(row: Row[Any], seq: int) -> Entry:
    """Return the entry of a row of `select_entries`."""
    return Entry(
        seq=seq,
        id=row.id,
        timestamp=row.timestamp,
        from_address=row.from_address,
        to_address=row.to_address,
        value=row.amount,
        nonce=row.nonce,
        ref=row.ref,
    )


def _header(row: Row[Any]) -> Header:
    return Header(
        number=row.number,
        parent=row.parent,
        first_seq=row.first_seq,
        count=row._mapping["count"],
        entries_root=row.entries_root,
        rows_hash=row.rows_hash,
        total_supply=row.total_supply,
        sealed_at=row.sealed_at,
    )


def _header_row(connection: Connection, token: StoredToken, number: int) -> Row[Any]:
    table = token_batches
    row = connection.execute(
        select(table).where(table.c.token_no == token.token_no, table.c.number == number)
    ).first()
    if row is None:
        raise UnknownBatchError(
            f"{token.symbol} has no batch {number}", hint="`status` tells how many are sealed"
        )
    return row


def read_batch(connection: Connection, token: StoredToken, number: int) -> Batch:
    """Return a whole batch: header, entries, rows, and the latest signature.

    Raises UnknownBatchError, and DatabaseError where the entries in the database no longer give
    the count and the rows that the header was sealed over.
    """
    row = _header_row(connection, token, number)
    header = _header(row)
    found = connection.execute(
        select_entries(token, after=row.first_entry_no - 1, up_to=row.last_entry_no)
    )
    entries = tuple(to_entry(item, header.first_seq + i) for i, item in enumerate(found))
    rows = pack(movements(entries)) if entries else b""
    if len(entries) != header.count or keccak(rows) != header.rows_hash:
        raise DatabaseError(
            f"batch {number} of {token.symbol} no longer gives its own rows: entries were altered",
            hint="compare the database with an export or a backup",
        )
    signature = latest_signature(connection, token, number)
    return Batch(token.uid, header, row.digest, entries, rows, signature)


def read_header(connection: Connection, token: StoredToken, number: int) -> tuple[Header, bytes]:
    """Return one header with its stored digest. Raises UnknownBatchError."""
    row = _header_row(connection, token, number)
    return _header(row), row.digest


def read_headers(
    connection: Connection, token: StoredToken, *, after: int = 0, limit: int = 10_000
) -> list[tuple[Header, bytes]]:
    """Return headers with their digests, in order of number, from the one after `after`."""
    table = token_batches
    rows = connection.execute(
        select(table)
        .where(table.c.token_no == token.token_no, table.c.number > after)
        .order_by(table.c.number)
        .limit(limit)
    )
    return [(_header(row), row.digest) for row in rows]


def batch_of(connection: Connection, token: StoredToken, entry_id: bytes) -> int:
    """Return the number of the batch that holds an entry.

    Raises UnknownEntryError, or UnknownBatchError while the entry is not sealed.
    """
    entry_no = connection.execute(
        select(token_ledger.c.entry_no).where(
            token_ledger.c.token_no == token.token_no, token_ledger.c.id == entry_id
        )
    ).scalar_one_or_none()
    if entry_no is None:
        raise UnknownEntryError(
            f"{token.symbol} has no entry 0x{entry_id.hex()}", hint="take an id from a statement"
        )
    table = token_batches
    number: int | None = connection.execute(
        select(table.c.number)
        .where(table.c.token_no == token.token_no, table.c.last_entry_no >= entry_no)
        .order_by(table.c.number)
        .limit(1)
    ).scalar_one_or_none()
    if number is None:
        raise UnknownBatchError(f"entry 0x{entry_id.hex()} is not sealed yet", hint="run `seal`")
    return number


def read_texts(connection: Connection, token: StoredToken, entry_id: bytes) -> Texts | None:
    """Return the texts of an entry, or None where one of them was redacted."""
    table, erased = token_ledger, token_redactions.c
    row = connection.execute(
        select(table).where(table.c.token_no == token.token_no, table.c.id == entry_id)
    ).one()
    lost = connection.execute(
        select(erased.field)
        .where(erased.entry_no == row.entry_no, erased.field != "idempotency_key")
        .limit(1)
    ).first()
    if lost is not None:
        return None
    return Texts(row.reason, row.reference_type, row.reference_id, row.memo, row.metadata)


def unsigned_numbers(connection: Connection, token: StoredToken, signer: bytes) -> list[int]:
    """Return the numbers of the batches that `signer` has not signed, in order."""
    batch, signature = token_batches, batch_signatures
    of_signer = and_(
        signature.c.token_no == batch.c.token_no,
        signature.c.number == batch.c.number,
        signature.c.signer == signer,
    )
    found = connection.execute(
        select(batch.c.number)
        .outerjoin(signature, of_signer)
        .where(batch.c.token_no == token.token_no, signature.c.number.is_(None))
        .order_by(batch.c.number)
    )
    return list(found.scalars())


def count_unsigned(connection: Connection, token: StoredToken) -> int:
    """Return how many batches nobody has signed."""
    batch, signature = token_batches, batch_signatures
    return connection.execute(
        select(func.count(batch.c.number.distinct()))
        .outerjoin(
            signature,
            and_(signature.c.token_no == batch.c.token_no, signature.c.number == batch.c.number),
        )
        .where(batch.c.token_no == token.token_no, signature.c.number.is_(None))
    ).scalar_one()


def insert_signatures(
    connection: Connection,
    token: StoredToken,
    signer: bytes,
    signatures: Sequence[tuple[int, bytes]],
    *,
    signed_at: int,
) -> None:
    """Write signatures of one signer, given as (batch number, signature)."""
    connection.execute(
        insert(batch_signatures),
        [
            {
                "token_no": token.token_no,
                "number": number,
                "signer": signer,
                "signature": signature,
                "signed_at": signed_at,
            }
            for number, signature in signatures
        ],
    )


def latest_signature(connection: Connection, token: StoredToken, number: int) -> bytes | None:
    """Return the signature given last to a batch, or None while nobody has signed it."""
    table = batch_signatures
    return connection.execute(
        select(table.c.signature)
        .where(table.c.token_no == token.token_no, table.c.number == number)
        .order_by(table.c.signed_at.desc(), table.c.signer)
        .limit(1)
    ).scalar_one_or_none()


def signature_of(
    connection: Connection, token: StoredToken, number: int, signer: bytes
) -> bytes | None:
    """Return one signer's signature of a batch, or None while it has not signed."""
    table = batch_signatures
    return connection.execute(
        select(table.c.signature).where(
            table.c.token_no == token.token_no, table.c.number == number, table.c.signer == signer
        )
    ).scalar_one_or_none()


def all_signatures(connection: Connection, token: StoredToken, number: int) -> list[bytes]:
    """Return every signature that was ever given to a batch, whoever signed."""
    table = batch_signatures
    found = connection.execute(
        select(table.c.signature).where(
            table.c.token_no == token.token_no, table.c.number == number
        )
    )
    return list(found.scalars())


def known_digest(connection: Connection, token: StoredToken, digest: bytes) -> int | None:
    """Return the number of the batch with this digest, or None: is a head one of our own?"""
    table = token_batches
    return connection.execute(
        select(table.c.number).where(table.c.token_no == token.token_no, table.c.digest == digest)
    ).scalar_one_or_none()
