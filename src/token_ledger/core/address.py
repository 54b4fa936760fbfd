"""EVM addresses: EIP-55 text, and the vault address that every unregistered account has.

A derived address is where a vault of the account can be deployed, on any chain that has the
deterministic deployment proxy and Ethereum's CREATE2. The factory, the implementation and the
clone's code are frozen: to change one byte of them would strand what was sent to old addresses.
Computed without any chain; `tests/chain/test_vaults.py` deploys the contracts and compares.
"""

from __future__ import annotations

from token_ledger.core.hashing import encode_tuple, keccak
from token_ledger.core.types import ZERO_ADDRESS
from token_ledger.errors import AddressError

DEPLOYMENT_PROXY = bytes.fromhex("4e59b44847b379578588920ca78fbf26c0b4956c")
"""Arachnid's deterministic deployment proxy, at the same address on every chain that has it."""

# Frozen for ever, and written down once more in `contracts/FROZEN.json`: a test compares.
VAULT_FACTORY = bytes.fromhex("889e380f9862939d1f7a95dbfe9336c81ab4ceaa")
"""Deployed by the proxy with salt zero."""
VAULT_IMPLEMENTATION = bytes.fromhex("e871c66a7a137d0ddc91f17da09667a3aa0645db")
"""What every vault is a clone of; the factory's first creation."""
_CLONE_PREFIX = bytes.fromhex("6100413d81600a3d39f3363d3d373d3d3d363d73")
_CLONE_INIT_BYTES = 10
_CLONE_INFIX = bytes.fromhex("5af43d82803e903d91602b57fd5bf3")


def to_checksum(address: bytes) -> str:
    """Return the EIP-55 text of a 20-byte address."""
    text = address.hex()
    digest = keccak(text.encode("ascii")).hex()
    return "0x" + "".join(
        letter.upper() if digit >= "8" else letter
        for letter, digit in zip(text, digest, strict=False)
    )


def parse_address(text: str, *, allow_zero: bool = False) -> bytes:
    """Return the 20 bytes of an address given as text.

    Mixed case must be the right EIP-55 checksum; all lower or all upper case carries none and is
    accepted. Raises AddressError for anything else, and for the zero address unless allowed: it is
    `system` and belongs to no account.
    """
    if not isinstance(text, str) or len(text) != 42 or text[:2] != "0x":
        raise AddressError(
            f"not an address: {text!r}", hint="0x and 40 hexadecimal digits are needed"
        )
    digits = text[2:]
    try:
        address = bytes.fromhex(digits)
    except ValueError:
        address = b""
    if len(address) != 20:  # bytes.fromhex skips white space, which then comes out short
        raise AddressError(f"not an address: {text!r}", hint="only hexadecimal digits after 0x")
    mixed = digits != digits.lower() and digits != digits.upper()
    if mixed and text != to_checksum(address):
        raise AddressError(
            f"wrong EIP-55 checksum: {text}",
            hint=f"check every character; the right spelling would be {to_checksum(address)}",
        )
    if address == ZERO_ADDRESS and not allow_zero:
        raise AddressError("the zero address is `system`", hint="give an address somebody controls")
    return address


def create2(deployer: bytes, salt: bytes, init_code_hash: bytes) -> bytes:
    """Return the CREATE2 address (EIP-1014) of 20 bytes."""
    return keccak(b"\xff" + deployer + salt + init_code_hash)[12:]


def vault_salt(ledger_secret: bytes, account_id: str, *, kind: str = "account") -> bytes:
    """Return the salt of an account's vault: without the secret nobody can guess whose it is."""
    return keccak(encode_tuple(ledger_secret, kind, account_id))


def derive_vault(
    ledger_secret: bytes, account_id: str, operator: bytes, *, kind: str = "account"
) -> bytes:
    """Return the 20-byte address of an account's vault, on every chain (docs/spec.md, "Accounts").

    `operator`, 20 bytes, is the clone's immutable argument: whose signature lets an owner claim it.
    """
    return vault_address(vault_salt(ledger_secret, account_id, kind=kind), operator)


def vault_address(salt: bytes, operator: bytes) -> bytes:
    """Return the 20-byte address of the vault of a salt, as the factory creates it."""
    init_code = _CLONE_PREFIX + VAULT_IMPLEMENTATION + _CLONE_INFIX + operator
    return create2(VAULT_FACTORY, salt, keccak(init_code))


def vault_runtime(operator: bytes) -> bytes:
    """Return the runtime code of every vault of this operator, as a chain shows it."""
    return _CLONE_PREFIX[_CLONE_INIT_BYTES:] + VAULT_IMPLEMENTATION + _CLONE_INFIX + operator
