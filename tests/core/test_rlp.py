"""RLP: the same bytes as the library `rlp` writes."""

from __future__ import annotations

from typing import Any

import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st

from token_ledger.core.rlp import EMPTY, encode_bytes, encode_integer, encode_list

items = st.recursive(st.binary(max_size=80), lambda inner: st.lists(inner, max_size=6))


def _encode(item: Any) -> bytes:
    return encode_bytes(item) if isinstance(item, bytes) else encode_list(map(_encode, item))


@given(items)
def test_nested_lists(item: Any) -> None:
    """Any nesting of lists and bytes is encoded as the library encodes it."""
    assert rlp.encode(item) == _encode(item)


@pytest.mark.parametrize("size", [0, 1, 2, 54, 55, 56, 57, 255, 256, 257, 65_535, 65_536, 1 << 20])
def test_prefixes_at_their_edges(size: int) -> None:
    """The prefixes of strings and lists are right where their form changes."""
    for byte in (b"\x00", b"\x7f", b"\x80"):
        assert rlp.encode(byte * size) == encode_bytes(byte * size)
    assert rlp.encode([b"\x01"] * size) == encode_list([b"\x01"] * size)


@given(st.integers(min_value=0, max_value=2**256 - 1) | st.sampled_from([0, 1, 127, 128, 255, 256]))
def test_integers(number: int) -> None:
    """Integers are big-endian without leading zeros, zero is the empty string."""
    assert rlp.encode(number) == encode_integer(number)
    assert EMPTY == encode_integer(0) == encode_bytes(b"")
