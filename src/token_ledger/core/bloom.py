"""Log blooms: 2,048 bits that say which addresses and topics a block certainly does not hold.

A header's bloom is covered by its hash. So once a header is trusted, a block whose bloom does not
hold a contract needs no receipts: nothing can have been omitted from it.
Source: Ethereum Yellow Paper, section 4.3.1, "Transaction Receipt", M3:2048.
"""

from __future__ import annotations

from collections.abc import Iterable

from token_ledger.core.hashing import keccak

BLOOM_BYTES = 256
_BIT = tuple(1 << n for n in range(8 * BLOOM_BYTES))


def mask_of(item: bytes) -> int:
    """Return the three bits (two or one, where they meet) of an address or topic."""
    digest = keccak(item)
    return (
        _BIT[(digest[0] & 7) << 8 | digest[1]]
        | _BIT[(digest[2] & 7) << 8 | digest[3]]
        | _BIT[(digest[4] & 7) << 8 | digest[5]]
    )


def bloom_of(items: Iterable[bytes]) -> bytes:
    """Return the bloom, 256 bytes, of addresses and topics."""
    bits = 0
    for item in items:
        bits |= mask_of(item)
    return bits.to_bytes(BLOOM_BYTES, "big")


def may_hold(bloom: bytes, items: Iterable[bytes]) -> bool:
    """Return False when a log with all of `items` certainly does not stand under `bloom`."""
    bits, wanted = int.from_bytes(bloom, "big"), 0
    for item in items:
        wanted |= mask_of(item)
    return bits & wanted == wanted
