"""Who a ledger is: its uid, its secret, its operator, kept in one row (and perhaps a file).

The secret opens every `ref` and every account's vault salt: it is never printed and never logged.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, insert, select

from token_ledger.core.hashing import encode_tuple, keccak
from token_ledger.errors import DatabaseError, FileFormatError, SchemaVersionError, UsageError
from token_ledger.ledger import schema


@dataclass(frozen=True, slots=True)
class Identity:
    """The ledger's uid (32 bytes), secret (32 bytes) and operator (20 bytes)."""

    ledger_uid: bytes
    operator: bytes
    secret: bytes = field(repr=False)


def secret_check(secret: bytes) -> bytes:
    """Return the hash by which a wrong secret file is known, 32 bytes.

    Begins with a string where nonces and salts begin with the secret, so it equals none of them.
    """
    return keccak(encode_tuple("token_ledger secret check", secret))


def create_identity(
    connection: Connection,
    *,
    ledger_uid: bytes | None,
    operator: bytes,
    secret_file: str | Path | None,
    now: int,
) -> Identity:
    """Write the ledger's one row; its uid is random unless given.

    With `secret_file` the secret goes there (mode 0600; an existing file is read instead), and not
    into the database. Raises UsageError if the database holds a ledger already.
    """
    if connection.execute(select(schema.ledger.c.ledger_no)).first():
        raise UsageError("the database holds a ledger already", hint="open it, or use another file")
    uid = secrets.token_bytes(32) if ledger_uid is None else ledger_uid
    if len(uid) != 32:
        raise UsageError(f"a ledger uid has 32 bytes, not {len(uid)}", hint="leave it away")
    if len(operator) != 20 or operator == bytes(20):
        raise UsageError("the operator is an address of 20 bytes, not zero", hint="give --operator")
    secret = secrets.token_bytes(32) if secret_file is None else _make_secret_file(secret_file)
    connection.execute(
        insert(schema.ledger).values(
            ledger_no=1,
            ledger_uid=uid,
            ledger_secret=secret if secret_file is None else None,
            secret_check=secret_check(secret),
            operator=operator,
            created_at=now,
        )
    )
    return Identity(ledger_uid=uid, operator=operator, secret=secret)


def read_identity(connection: Connection, *, secret_file: str | Path | None) -> Identity:
    """Return the ledger's identity. Raises UsageError when its secret is missing or another's."""
    row = connection.execute(select(schema.ledger)).first()
    if row is None:
        raise SchemaVersionError("the database holds no ledger", hint="run `token-ledger init`")
    secret = row.ledger_secret if secret_file is None else _read_secret_file(Path(secret_file))
    if secret is None:
        raise UsageError("the ledger's secret is in a file of its own", hint="give --secret-file")
    if secret_check(secret) != row.secret_check:
        raise UsageError("the secret is another ledger's", hint="check --secret-file")
    return Identity(ledger_uid=row.ledger_uid, operator=row.operator, secret=secret)


def _make_secret_file(given: str | Path) -> bytes:
    path = Path(given)
    if path.exists():
        return _read_secret_file(path)
    secret = secrets.token_bytes(32)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"0x{secret.hex()}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DatabaseError(f"cannot write {path}: {error.strerror}", hint="check it") from None
    return secret


def _read_secret_file(path: Path) -> bytes:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the secret file {path}", hint=type(error).__name__) from None
    try:
        secret = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise FileFormatError(f"{path} holds no secret", hint="0x and 64 hexadecimal digits")
    return secret
