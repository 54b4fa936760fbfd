"""Who signs: an encrypted keystore file, the environment, or an account that a node holds.

A `Signer` signs digests (batch headers) and transactions (gas); nothing else of the program sees a
key. Keys and passwords never stand in a repr, a log line or an error. Hardware and remote signers
need only implement `Signer`. Does not decide who may sign: the contract and the auditor do.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import orjson
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import Hash32

from token_ledger.core.address import to_checksum
from token_ledger.errors import SigningKeyError

KEY_VARIABLE = "TOKEN_LEDGER_SIGNER_KEY"
# The password is 256 random bits: nobody guesses it, so stretching it would only cost time.
_KDF: Final = "pbkdf2"
_KDF_ITERATIONS = 1_000


@runtime_checkable
class Signer(Protocol):
    """Something that signs as `address`, 20 bytes."""

    @property
    def address(self) -> bytes:
        """The address that the signatures recover to."""
        ...

    def sign_digest(self, digest: bytes) -> bytes:
        """Return the signature of a 32-byte digest: r, s, v of 65 bytes, low s, v 27 or 28."""
        ...

    def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        """Return the raw signed bytes of a transaction with every field given."""
        ...


class NodeAccount:
    """An account that the node itself holds and signs for: Anvil's own. It pays gas, no more."""

    def __init__(self, address: bytes) -> None:
        self.address = address

    def __repr__(self) -> str:
        return f"NodeAccount({to_checksum(self.address)})"


GasPayer = Signer | NodeAccount
"""Who pays for a transaction: a stolen gas key can change nothing, the sealer's signature rules."""


class KeySigner:
    """A signer whose private key is in this process's memory."""

    __slots__ = ("__account",)

    def __init__(self, account: LocalAccount) -> None:
        self.__account = account

    @property
    def address(self) -> bytes:
        """The address of the key."""
        return bytes.fromhex(self.__account.address[2:])

    def sign_digest(self, digest: bytes) -> bytes:
        """Return the 65-byte signature of a digest."""
        assert len(digest) == 32
        return bytes(self.__account.unsafe_sign_hash(Hash32(digest)).signature)

    def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        """Return the raw signed transaction."""
        return bytes(self.__account.sign_transaction(dict(transaction)).raw_transaction)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({to_checksum(self.address)})"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("a signer holds a private key and is never serialized")


class KeystoreSigner(KeySigner):
    """A signer from an encrypted keystore file (Web3 Secret Storage, version 3)."""

    __slots__ = ()

    def __init__(self, path: Path | str, *, password: Callable[[], str]) -> None:
        """Open a keystore; `password` is asked once, as `password_from(file)` or a prompt does.

        Raises SigningKeyError when the file is missing or no keystore, or the password is wrong.
        """
        document = _read_keystore(Path(path))
        try:
            key = Account.decrypt(document, password())
        except (ValueError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
            wrong = isinstance(error, ValueError) and "MAC mismatch" in str(error)
            what = "does not open with this password" if wrong else "is not a keystore"
            raise SigningKeyError(f"{Path(path).name} {what}") from None
        super().__init__(Account.from_key(key))


class EnvironmentSigner(KeySigner):
    """A signer whose private key is in an environment variable, as 32 bytes of hexadecimal."""

    __slots__ = ()

    def __init__(
        self, variable: str = KEY_VARIABLE, environ: Mapping[str, str] = os.environ
    ) -> None:
        """Read the key. Raises SigningKeyError, which never names the value."""
        text = environ.get(variable, "")
        if not text:
            raise SigningKeyError(f"{variable} is not set", hint="or give --keystore FILE")
        try:
            key = bytes.fromhex(text.removeprefix("0x"))
            if len(key) != 32:
                raise ValueError  # noqa: TRY301
            account = Account.from_key(key)
        except Exception:  # whatever it says, it may name the key
            raise SigningKeyError(
                f"{variable} does not hold a private key", hint="0x and 64 hexadecimal digits"
            ) from None
        super().__init__(account)


def password_from(path: Path | str) -> Callable[[], str]:
    """Return a password source that reads the first line of a file."""

    def read() -> str:
        try:
            return Path(path).read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise SigningKeyError(
                f"the password file {Path(path).name} cannot be read ({type(error).__name__})"
            ) from None

    return read


def keystore_address(path: Path | str) -> bytes:
    """Return the address that a keystore file names, without opening it."""
    address = _read_keystore(Path(path)).get("address")
    try:
        raw = bytes.fromhex(str(address).removeprefix("0x"))
    except ValueError:
        raw = b""
    if len(raw) != 20:
        raise SigningKeyError(f"{Path(path).name} names no address")
    return raw


def create_keystore(path: Path | str, password_path: Path | str) -> bytes:
    """Make a new key; write its keystore and, in a second file, a random password. Both mode 0600.

    Returns the address, 20 bytes. Raises SigningKeyError if either file is there already: a key is
    never overwritten.
    """
    path, password_path = Path(path), Path(password_path)
    for target in (path, password_path):
        if target.exists():
            raise SigningKeyError(
                f"{target.name} is there already", hint="it may be the only key: move it away"
            )
    password = secrets.token_hex(32)
    account = Account.from_key(secrets.token_bytes(32))
    document = Account.encrypt(account.key, password, kdf=_KDF, iterations=_KDF_ITERATIONS)
    # The password first: a keystore that nobody can open must never be all there is.
    _write_private(password_path, password.encode("ascii") + b"\n")
    try:
        _write_private(path, orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))
    except SigningKeyError:
        password_path.unlink()
        raise
    return bytes.fromhex(account.address[2:])


def _write_private(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SigningKeyError(f"{path.name} cannot be written ({error.strerror})") from None


def _read_keystore(path: Path) -> dict[str, Any]:
    try:
        document = orjson.loads(path.read_bytes())
    except OSError as error:
        raise SigningKeyError(
            f"the keystore {path.name} cannot be read ({error.strerror})"
        ) from None
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict) or "crypto" not in {key.lower() for key in document}:
        raise SigningKeyError(f"{path.name} is not a keystore")
    return document
