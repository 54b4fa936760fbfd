"""Blooms: the bits of the Yellow Paper, and never a "no" to what is there."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests import real_blocks

from token_ledger.core.bloom import bloom_of, may_hold

items = st.lists(st.binary(min_size=20, max_size=32), max_size=20)


@given(items)
def test_bits_are_those_of_the_yellow_paper(things: list[bytes]) -> None:
    """The bloom is the naive transcription's."""
    assert real_blocks.naive_bloom(things) == "0x" + bloom_of(things).hex()


@given(items, st.data())
def test_what_is_there_is_never_denied(things: list[bytes], data: st.DataObject) -> None:
    """Any choice of what a bloom was made of may be in it."""
    chosen = data.draw(st.lists(st.sampled_from(things), max_size=5)) if things else []
    assert may_hold(bloom_of(things), chosen)


def test_real_blocks_deny_what_they_lack(shared_data: Path) -> None:
    """A block's bloom holds each of its contracts with its topics, and denies a stranger."""
    block = next(real_blocks.portal_blocks(shared_data))
    bloom = bytes.fromhex(block.header["logsBloom"][2:])
    for receipt in block.receipts or []:
        for log in receipt["logs"]:
            texts = [log["address"], *log["topics"]]
            assert may_hold(bloom, [bytes.fromhex(text[2:]) for text in texts])
    assert not may_hold(bloom, [b"\x01" * 20])
    assert not may_hold(bytes(256), [b"\x01" * 20])
