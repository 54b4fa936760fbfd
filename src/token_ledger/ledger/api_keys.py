"""Keys of the HTTP API: made, found and revoked. The database holds only their hashes.

A key is `tl_ID_SECRET`; the secret has 256 random bits, so one keccak of it is enough. A key is
looked up by its id and its hash compared in constant time.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from token_ledger.core.hashing import keccak
from token_ledger.errors import UsageError
from token_ledger.ledger import schema

SCOPES = ("read", "write", "mint", "admin")
"""`read` asks, `write` makes accounts and transfers, `mint` mints and burns, `admin` does all."""

_KEY = re.compile(r"tl_([0-9a-f]{16})_([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret. Times in microseconds; `revoked_at` None while it opens."""

    key_id: str
    scopes: tuple[str, ...]
    created_at: int
    revoked_at: int | None

    def allows(self, scope: str) -> bool:
        """Return whether the key opens what needs this scope."""
        return scope in self.scopes or "admin" in self.scopes


def create_key(connection: Connection, scopes: Iterable[str], *, now: int) -> str:
    """Make a key and return its text, which is shown this once and can never be read again."""
    chosen = sorted(set(scopes), key=lambda s: SCOPES.index(s) if s in SCOPES else -1)
    if not chosen or set(chosen).difference(SCOPES):
        raise UsageError(f"not scopes: {', '.join(chosen) or 'none'}", hint=", ".join(SCOPES))
    key_id, secret = secrets.token_hex(8), secrets.token_bytes(32)
    connection.execute(
        insert(schema.api_keys).values(
            key_id=key_id, key_hash=keccak(secret), scopes=" ".join(chosen), created_at=now
        )
    )
    return f"tl_{key_id}_{secret.hex()}"


def find_key(connection: Connection, text: str) -> ApiKey | None:
    """Return the key of this text, or None if there is none or it was revoked."""
    match = _KEY.fullmatch(text)
    table = schema.api_keys
    key_id = match.group(1) if match else ""
    row = connection.execute(select(table).where(table.c.key_id == key_id)).first()
    # The same work, whether or not there is such a key.
    stored = bytes(32) if row is None else bytes(row.key_hash)
    offered = keccak(bytes.fromhex(match.group(2) if match else ""))
    good = hmac.compare_digest(stored, offered)
    if row is None or not good or row.revoked_at is not None:
        return None
    return ApiKey(row.key_id, tuple(row.scopes.split()), row.created_at, None)


def list_keys(connection: Connection) -> list[ApiKey]:
    """Return all keys, oldest first, revoked ones among them."""
    table = schema.api_keys
    rows = connection.execute(select(table).order_by(table.c.created_at, table.c.key_id))
    return [ApiKey(r.key_id, tuple(r.scopes.split()), r.created_at, r.revoked_at) for r in rows]


def revoke_key(connection: Connection, key_id: str, *, now: int) -> None:
    """Make a key open nothing from now on. Raises UsageError for one unknown or revoked."""
    table = schema.api_keys
    done = connection.execute(
        update(table)
        .where(table.c.key_id == key_id, table.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    if done.rowcount != 1:
        raise UsageError(f"no key {key_id[:80]!r} that opens anything", hint="see `key list`")
