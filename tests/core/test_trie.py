"""The ordered trie: the same root as the library `trie` finds, and as real blocks have."""

from __future__ import annotations

from pathlib import Path

import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import real_blocks
from trie import HexaryTrie

from token_ledger.core.trie import EMPTY_ROOT, ordered_root


def _naive_root(values: list[bytes]) -> bytes:
    tree = HexaryTrie({})
    for index, value in enumerate(values):
        tree[rlp.encode(index)] = value
    root: bytes = tree.root_hash
    return root


def test_no_values() -> None:
    """An empty list has the root that every block without transactions has."""
    expected = "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
    assert expected == EMPTY_ROOT.hex() == ordered_root([]).hex()


@settings(max_examples=60)
@given(st.lists(st.binary(min_size=1, max_size=70), max_size=40))
def test_any_values(values: list[bytes]) -> None:
    """Values of any size have the library's root: nodes under 32 bytes stand in their parents."""
    assert _naive_root(values) == ordered_root(values)


@pytest.mark.parametrize(
    "count", [1, 2, 15, 16, 17, 127, 128, 129, 130, 255, 256, 257, 272, 273, 512, 700]
)
def test_counts_at_their_edges(count: int) -> None:
    """The root is right where keys grow by a byte, and where they come to share a first one."""
    for value in (b"\x01", b"\x05" * 40):
        values = [value + index.to_bytes(2, "big") for index in range(count)]
        assert _naive_root(values) == ordered_root(values)


def test_more_than_two_bytes_of_key() -> None:
    """70,000 values, whose last keys have four bytes, have another root than one fewer."""
    values = [index.to_bytes(4, "big") * 10 for index in range(70_000)]
    assert _naive_root(values[65_530:65_600]) == ordered_root(values[65_530:65_600])
    assert ordered_root(values[:-1]) != ordered_root(values)


def test_order_matters() -> None:
    """Two values exchanged are another list."""
    values = [bytes((index,)) * 40 for index in range(200)]
    swapped = [*values[:126], values[127], values[126], *values[128:]]
    assert ordered_root(values) != ordered_root(swapped)


def test_raw_receipts_of_a_node(shared_data: Path) -> None:
    """Receipts as a node encodes them itself have the root of their block's header."""
    blocks = {block.header["number"]: block for block in real_blocks.testnet_blocks(shared_data)}
    for _, asked, result in real_blocks.exchanges(shared_data, "debug_getRawReceipts"):
        if result:
            header = blocks[asked["params"][0]].header
            root = ordered_root([bytes.fromhex(text[2:]) for text in result])
            assert header["receiptsRoot"] == "0x" + root.hex()
