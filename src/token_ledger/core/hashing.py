"""Keccak-256 and the few ABI and EIP-712 encodings that the ledger hashes. All hashing is here.

Hashes are `bytes`; hex belongs to the edges. The encodings are written out by hand because they
are the hot path: `tests/core/test_hashing.py` holds each against eth-abi and eth-account.
Does not know what is being hashed: `entry`, `batch` and `address` do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sha3 import keccak_256

_ZERO_PADDING = tuple(bytes(-n % 32) for n in range(32))
_WORDS_COUNT = 1024  # small offsets and lengths, encoded once
_WORDS = tuple(n.to_bytes(32, "big") for n in range(_WORDS_COUNT))


def keccak(data: bytes) -> bytes:
    """Return the Keccak-256 of `data`, 32 bytes (the one of Ethereum, not FIPS 202's SHA3-256)."""
    return keccak_256(data).digest()  # type: ignore[no-any-return]


def keccak_twice(data: Iterable[bytes]) -> list[bytes]:
    """Return the Keccak-256 of each one's Keccak-256: in one loop, for millions."""
    return [keccak_256(keccak_256(each).digest()).digest() for each in data]


def fill_nodes(nodes: list[bytes], count: int) -> None:
    """Fill in the inner nodes of a tree of `count` leaves, which are the last ones of `nodes`."""
    for i in range(count - 2, -1, -1):
        left, right = nodes[2 * i + 1], nodes[2 * i + 2]
        nodes[i] = keccak_256(left + right if left < right else right + left).digest()


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 of `data`, 32 bytes: for what browsers check, never for the books."""
    return hashlib.sha256(data).digest()


def word(number: int) -> bytes:
    """Return `number`, 0 ≤ number < 2**256, as one big-endian ABI word."""
    return _WORDS[number] if 0 <= number < _WORDS_COUNT else number.to_bytes(32, "big")


def address_word(address: bytes) -> bytes:
    """Return a 20-byte address as one ABI word, left-padded."""
    return b"\0\0\0\0\0\0\0\0\0\0\0\0" + address


def string_tail(data: bytes) -> bytes:
    """Return the tail part of a dynamic ABI `string` or `bytes`: its length, then padded data."""
    size = len(data)
    return word(size) + data + _ZERO_PADDING[size & 31]


def encode_tuple(*items: bytes | str) -> bytes:
    """Return `abi.encode` of 32-byte words (given as `bytes`) and strings (given as `str`).

    Source: Solidity ABI specification, "Formal specification of the encoding".
    """
    place = 32 * len(items)
    head: list[bytes] = []
    tail: list[bytes] = []
    for item in items:
        if isinstance(item, str):
            encoded = string_tail(item.encode("utf-8"))
            head.append(word(place))
            tail.append(encoded)
            place += len(encoded)
        else:
            assert len(item) == 32, "static items are single words"
            head.append(item)
    return b"".join(head + tail)


DOMAIN_TYPE_HASH = keccak(b"EIP712Domain(string name,string version,bytes32 salt)")
DOMAIN_NAME = "token_ledger"
DOMAIN_VERSION = "1"
_DOMAIN_HEAD = (
    DOMAIN_TYPE_HASH + keccak(DOMAIN_NAME.encode("ascii")) + keccak(DOMAIN_VERSION.encode("ascii"))
)


def domain_separator(token_uid: bytes) -> bytes:
    """Return the EIP-712 domain separator of the token whose uid is the domain's salt."""
    return keccak(_DOMAIN_HEAD + token_uid)


def typed_digest(separator: bytes, struct_hash: bytes) -> bytes:
    """Return the EIP-712 digest `keccak256(0x1901 ‖ domain separator ‖ struct hash)`."""
    return keccak(b"\x19\x01" + separator + struct_hash)
