"""RLP, by the library `rlp`: how a chain writes the headers, transactions and receipts it hashes.

Only encoding: what is verified is built from JSON and compared by hash.
Source: Ethereum Yellow Paper, appendix B.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import rlp

Item: TypeAlias = "bytes | Sequence[Item]"
"""Bytes, or a list of items."""


def encode(item: Item) -> bytes:
    """Return the encoding of bytes, or of lists of them in any nesting."""
    # Without looking for a serializer, which every item here has passed already: three times as
    # fast, and this is the hot path of `--verify receipts`.
    encoded: bytes = rlp.encode(item, infer_serializer=False)
    return encoded


def integer(number: int) -> bytes:
    """Return a non-negative integer as RLP has it: big-endian without leading zeros, 0 as none."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
