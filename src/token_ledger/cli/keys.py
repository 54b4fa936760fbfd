"""Where the sealer's key comes from: never from an argument, and it is never printed.

A keystore that is named, then the environment, then the operator's keystore beside the database.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from token_ledger.cli.app import FILE, App, beside_database
from token_ledger.cli.setup import KEYSTORE_SUFFIX, PASSWORD_SUFFIX
from token_ledger.errors import FileFormatError, SigningKeyError

if TYPE_CHECKING:
    from token_ledger.chain.signer import KeySigner

SEALER_KEY = "TOKEN_LEDGER_SEALER_KEY"
GAS_KEY = "TOKEN_LEDGER_GAS_KEY"
_SIGNATURE_CHARACTERS_MAX = 140_000
_SIGNATURE = re.compile(r"0x(?:[0-9a-fA-F]{2})+", re.ASCII)


def keystore_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --keystore and --password-file."""
    command = click.option(
        "--password-file",
        type=FILE,
        metavar="FILE",
        help="Holds the keystore's password; otherwise it is asked for.",
    )(command)
    return click.option(
        "--keystore",
        type=FILE,
        metavar="FILE",
        help=f"The key, encrypted. Without it {SEALER_KEY} is taken, then the operator's own.",
    )(command)


def open_sealer(app: App, keystore: Path | None, password_file: Path | None) -> KeySigner:
    """Return the sealer's signer. Raises SigningKeyError where there is none or it is locked."""
    from token_ledger.chain.signer import EnvironmentSigner, KeystoreSigner, password_from

    if keystore is None and os.environ.get(SEALER_KEY):
        return EnvironmentSigner(SEALER_KEY)
    if keystore is None:
        keystore = beside_database(app.db, KEYSTORE_SUFFIX)
        if not keystore.exists():
            raise SigningKeyError(
                f"no key to sign with: there is no {keystore}",
                hint=f"give --keystore FILE, or set {SEALER_KEY}",
            )
        beside = beside_database(app.db, PASSWORD_SUFFIX)
        if password_file is None and beside.exists():
            password_file = beside
    source = _asked(keystore) if password_file is None else password_from(password_file)
    return KeystoreSigner(keystore, password=source)


def open_keystore(variable: str, keystore: Path | None, password_file: Path | None) -> KeySigner:
    """Return the signer of a named keystore, or of the key in an environment variable."""
    from token_ledger.chain.signer import EnvironmentSigner, KeystoreSigner, password_from

    if keystore is None:
        return EnvironmentSigner(variable)
    source = _asked(keystore) if password_file is None else password_from(password_file)
    return KeystoreSigner(keystore, password=source)


def open_gas_payer() -> KeySigner | None:
    """Return who pays for gas, or None: then the node's own first account does, on test chains."""
    from token_ledger.chain.signer import EnvironmentSigner

    return EnvironmentSigner(GAS_KEY) if os.environ.get(GAS_KEY) else None


def _asked(keystore: Path) -> Callable[[], str]:
    def ask() -> str:
        if not sys.stdin.isatty():
            raise SigningKeyError(
                f"the password of {keystore.name} is needed, and there is no terminal to ask on",
                hint="give --password-file FILE",
            )
        return str(click.prompt(f"Password of {keystore.name}", hide_input=True, err=True))

    return ask


def write_signature(path: Path, signature: bytes) -> None:
    """Write a signature as 0x-hex to a new file that its owner alone reads. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"0x{signature.hex()}\n")


def read_signature(path: Path) -> bytes:
    """Return the signature that a file holds as 0x-hex. Raises FileFormatError."""
    with path.open(encoding="ascii", errors="replace") as file:
        text = file.read(_SIGNATURE_CHARACTERS_MAX).strip()
    if not _SIGNATURE.fullmatch(text):
        raise FileFormatError(f"{path} holds no signature", hint="0x and hexadecimal digits")
    return bytes.fromhex(text[2:])
