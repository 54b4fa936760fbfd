"""A list of postings under a key of its own.

The list's words are remembered under its key with its first entry, so that another list under it
is refused. Its postings bear keys derived from the list's key and their places, which nobody can
take before. A single posting under a list's key is refused where repeats are looked up
(`Store.find`). Runs in its callers' transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from token_ledger.core.entry import entry_nonce
from token_ledger.core.hashing import encode_tuple, keccak
from token_ledger.core.parse import canonical_metadata, parse_key
from token_ledger.core.types import Record
from token_ledger.errors import KeyConflictError, TokenLedgerError, UsageError
from token_ledger.ledger import posting, schema
from token_ledger.ledger.composite import Desk
from token_ledger.ledger.posted import Posted
from token_ledger.ledger.requests import check_key, check_record, derived_key
from token_ledger.ledger.stores import open_store

KEY_PREFIX = "list:"
_DIGITS_MAX = 18
_PLACES_TRIED = 10_000  # more postings before the first that landed nobody sends


def post(desk: Desk, records: Sequence[Record], *, atomic: bool, key: str) -> list[Posted]:
    """Post a list as `Ledger.post_many` does, once under its key; return what each one became.

    Where it is not `atomic`, the error of each refused posting is in its place. Raises
    KeyConflictError for a key of which another list, or another request, has posted something.
    """
    if any(record.idempotency_key is not None for record in records):
        raise UsageError(
            "a list with a key holds postings with keys of their own",
            hint="give the list a key, or its postings",
        )
    check_key(parse_key(key), payer="", payee="")
    nonce = entry_nonce(desk.context.secret, key)
    keyed = [
        replace(r, idempotency_key=item_key(desk.context.secret, nonce, place))
        for place, r in enumerate(records)
    ]
    if atomic:
        for record in records:
            check_record(record)
    digest = _digest(desk, records, atomic=atomic)
    is_known = _check(desk, nonce, digest, key)
    store = open_store(desk.connection, desk.token.token_no)
    store.keys_derived = True  # looked up once more below, under the lock
    if not is_known and store.find([nonce]):
        raise _conflict(key)
    context = replace(desk.context, keys_derived=True)
    results: list[Posted | TokenLedgerError]
    if atomic:
        results = [*posting.post(desk.connection, context, desk.token, keyed)]
    else:
        results = posting.post_each(desk.connection, context, desk.token, keyed, known={})
    landed = [result for result in results if isinstance(result, Posted)]
    if landed and not is_known:
        store.lock_list_key(nonce)
        # What came at once may have been first: another list, or a single posting under the key.
        if not _check(desk, nonce, digest, key) and store.find([nonce]):
            raise _conflict(key)
        _remember(desk, nonce, digest, entry_no=landed[0].entry_no)
    return results  # type: ignore[return-value]  # errors are there only if not atomic


def item_key(secret: bytes, nonce: bytes, place: int) -> str:
    """Return the key of a list's posting, from the nonce of the list's key."""
    return derived_key(secret, nonce, f"{KEY_PREFIX}{place}")


def is_item(secret: bytes, nonce: bytes, *, entry_key: str | None, nonce_of_entry: bytes) -> bool:
    """Return whether an entry is one of the list whose key has a nonce.

    `entry_key`: its own, None where it was erased: then by its nonce, among the first places.
    """
    if entry_key is not None:
        place = entry_key.removeprefix(KEY_PREFIX).partition(":")[0]
        is_place = place.isascii() and place.isdigit() and len(place) <= _DIGITS_MAX
        return is_place and entry_key == item_key(secret, nonce, int(place))
    return any(
        nonce_of_entry == entry_nonce(secret, item_key(secret, nonce, place))
        for place in range(_PLACES_TRIED)
    )


def _digest(desk: Desk, records: Sequence[Record], *, atomic: bool) -> bytes:
    # As text by `repr`, not RFC 8785: a list of which some are refused may hold anything.
    words = [
        (
            (r.from_account, r.to_account, r.value, r.timestamp),
            (r.texts.reason, r.texts.reference_type, r.texts.reference_id),
            (r.texts.memo, r.texts.metadata),
        )
        for r in records
    ]
    said = canonical_metadata(["post_many", atomic, ascii(words)])
    return keccak(encode_tuple(desk.context.secret, said))


def _check(desk: Desk, nonce: bytes, digest: bytes, key: str) -> bool:
    """Return whether the list is remembered. Raises KeyConflictError for other words."""
    table = schema.token_requests.c
    found = desk.connection.execute(
        select(table.digest).where(table.token_no == desk.token.token_no, table.nonce == nonce)
    ).scalar()
    if found is not None and bytes(found) != digest:
        raise _conflict(key)
    return found is not None


def _remember(desk: Desk, nonce: bytes, digest: bytes, *, entry_no: int) -> None:
    """Remember the list's words, unless they are; waits for one that is being remembered."""
    dialect = postgresql if desk.connection.dialect.name == "postgresql" else sqlite
    desk.connection.execute(
        dialect.insert(schema.token_requests)
        .values(token_no=desk.token.token_no, nonce=nonce, digest=digest, entry_no=entry_no)
        .on_conflict_do_nothing()
    )


def _conflict(key: str) -> KeyConflictError:
    return KeyConflictError(
        f"the key {key[:100]!r} belongs to another list or request",
        hint="a new list needs a new key",
    )
