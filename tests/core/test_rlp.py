"""RLP: the vectors of its definition, and integers as the library's own serializer has them."""

from __future__ import annotations

import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st
from rlp.sedes import big_endian_int

from token_ledger.core.rlp import Item, encode, integer

items = st.recursive(st.binary(max_size=80), lambda inner: st.lists(inner, max_size=6))


@pytest.mark.parametrize(
    ("expected", "item"),
    [
        (b"\x83dog", b"dog"),
        (b"\xc8\x83cat\x83dog", [b"cat", b"dog"]),
        (b"\x80", b""),
        (b"\xc0", []),
        (b"\x0f", integer(15)),
        (b"\x82\x04\x00", integer(1024)),
        (b"\xc7\xc0\xc1\xc0\xc3\xc0\xc1\xc0", [[], [[]], [[], [[]]]]),
        (b"\xb8\x38" + b"x" * 56, b"x" * 56),
    ],
)
def test_known_encodings(expected: bytes, item: Item) -> None:
    """The examples of the definition come out as written there."""
    assert expected == encode(item)


@given(items)
def test_what_was_encoded_is_read_back(item: Item) -> None:
    """Any nesting of lists and bytes is decoded to itself."""
    assert item == rlp.decode(encode(item), strict=True)


@given(st.integers(min_value=0, max_value=2**256 - 1) | st.sampled_from([0, 1, 127, 128, 255, 256]))
def test_integers(number: int) -> None:
    """Integers are big-endian without leading zeros, zero is the empty string."""
    assert big_endian_int.serialize(number) == integer(number)
