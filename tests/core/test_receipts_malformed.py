"""Receipts of any shape: the same as the libraries', whatever is malformed refused by name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import rlp
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.real_blocks import data, naive_bloom, receipts_json
from trie import HexaryTrie

from token_ledger.core.receipts import BlockReceipts, read_receipts
from token_ledger.errors import ChainError

Answer = list[dict[str, Any]]
HASH = b"\x11" * 32
HEADER = {"hash": data(HASH), "number": "0x7"}


def _read_small(answer: Any) -> BlockReceipts:
    return read_receipts(answer, block_hash=HASH, block_number=7)


logs = st.lists(
    st.tuples(
        st.binary(min_size=20, max_size=20),
        st.lists(st.binary(min_size=32, max_size=32), max_size=4),
        st.binary(max_size=100),
    ),
    max_size=4,
)
receipt_lists = st.lists(
    st.tuples(
        st.sampled_from([b"", b"\x01", b"\x02", b"\x03", b"\x04"]),
        st.sampled_from([b"", b"\x01"]) | st.binary(min_size=32, max_size=32),
        st.integers(min_value=0, max_value=2**64 - 1).map(
            lambda gas: gas.to_bytes(8, "big").lstrip(b"\0")
        ),
        logs,
    ),
    max_size=20,
)


def _as_json(items: list[Any]) -> Answer:
    transactions = [{"hash": data(keccak(b"%d" % i))} for i in range(len(items))]
    return receipts_json(items, HEADER, transactions)


@settings(max_examples=80)
@given(receipt_lists)
def test_any_receipts_have_the_libraries_root(items: list[Any]) -> None:
    """Receipts of every type and of any logs have the root that `rlp` and `trie` find."""
    tree = HexaryTrie({})
    bits = 0
    for index, (kind, outcome, gas, entries) in enumerate(items):
        bloom = naive_bloom([item for entry in entries for item in (entry[0], *entry[1])])
        bits |= int(bloom, 16)
        body = rlp.encode([outcome, gas, bytes.fromhex(bloom[2:]), list(map(list, entries))])
        tree[rlp.encode(index)] = kind + body
    receipts = _read_small(_as_json(items))
    assert tree.root_hash == receipts.root
    assert bits == int.from_bytes(receipts.bloom, "big")
    assert () == receipts.wrong_blooms


@settings(max_examples=60)
@given(receipt_lists)
def test_spelling_does_not_matter(items: list[Any]) -> None:
    """Upper case and leading zeros, which some nodes write, change nothing."""
    answer = _as_json(items)
    expected = _read_small(copy.deepcopy(answer))
    for item in [*answer, *(log for receipt in answer for log in receipt["logs"])]:
        for name in ("blockHash", "transactionHash", "logsBloom", "address", "data", "root"):
            if name in item:
                item[name] = "0x" + item[name][2:].upper()
        for name in ("transactionIndex", "blockNumber", "logIndex", "type", "status"):
            if name in item:
                item[name] = "0x0" + item[name][2:].upper()
    assert expected == _read_small(answer)


# --- malformed answers


def _one() -> Answer:
    log = (b"\x01" * 20, [b"\x02" * 32], b"\x03" * 32)
    return _as_json([(b"\x02", b"\x01", b"\x10", [log, log]), (b"", b"\x01", b"\x20", [log])])


def _set(*path: Any) -> Callable[[Answer], None]:
    """Return a change of one value: the path to it, then what is put there."""

    def change(answer: Any) -> None:
        for step in path[:-2]:
            answer = answer[step]
        answer[path[-2]] = path[-1]

    return change


def _delete(*path: Any) -> Callable[[Answer], None]:
    def change(answer: Any) -> None:
        for step in path[:-1]:
            answer = answer[step]
        del answer[path[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set(0, None), "receipt 0: None is no receipt"),
        (_set(1, "0x"), "receipt 1: '0x' is no receipt"),
        (_delete(1, "logs"), "receipt 1 lacks 'logs'"),
        (_delete(0, "logs", 1, "topics"), "receipt 0 lacks 'topics'"),
        (_set(0, "logs", None), "logs is not a list"),
        (_set(0, "logs", 0, None), "None is no log"),
        (_set(0, "logs", 0, "topics", None), "the topics of log 0 are None"),
        (_set(0, "logs", 0, "topics", 0, None), "None is not hexadecimal data"),
        (_set(0, "logs", 0, "topics", 0, ["0x00"]), "receipt 0: unhashable"),
        (_set(0, "logs", 0, "topics", 0, data(b"\x01" * 31)), "is not 32 bytes"),
        (_set(0, "logs", 0, "topics", [data(b"\x01" * 32)] * 5), "the topics of log 0 are"),
        (_set(0, "logs", 0, "address", data(b"\x01" * 19)), "is not 20 bytes"),
        (_set(0, "logs", 0, "address", 1), "1 is not hexadecimal data"),
        (_set(0, "logs", 1, "data", "0x000"), "is not hexadecimal data"),
        (_set(0, "logs", 1, "data", None), "None is not hexadecimal data"),
        (_set(0, "logs", 1, "removed", True), "log 1 is of an orphaned block"),
        (_set(0, "logs", 1, "logIndex", "0x0"), "logIndex is '0x0', in place 0x1"),
        (_set(0, "logs", 1, "logIndex", None), "logIndex is None"),
        (_set(1, "logs", 0, "logIndex", "0x0"), "logIndex is '0x0', in place 0x2"),
        (_set(0, "logs", 0, "blockHash", data(b"\x12" * 32)), "of block '0x1212"),
        (_set(0, "logs", 0, "blockNumber", "0x8"), "of block number '0x8', not of 0x7"),
        (_set(0, "logs", 0, "transactionIndex", "0x1"), "transactionIndex is '0x1'"),
        (_set(0, "logs", 0, "transactionHash", data(b"\x12" * 32)), "of another transaction"),
        (_set(0, "blockHash", data(b"\x12" * 32)), "of block '0x1212"),
        (_set(0, "blockHash", None), "of block None"),
        (_set(0, "blockNumber", "0x70"), "of block number"),
        (_set(1, "transactionIndex", "0x0"), "transactionIndex is '0x0', in place 0x1"),
        (_set(1, "transactionIndex", 1), "transactionIndex is 1"),
        (_set(0, "transactionHash", "0x12"), "is not 32 bytes"),
        (_set(0, "logsBloom", "0x00"), "is not 256 bytes"),
        (_set(0, "logsBloom", None), "None is not hexadecimal data"),
        (_set(0, "status", "0x2"), "the status is '0x2'"),
        (_set(0, "status", 1), "1 is not a quantity"),
        (_set(0, "status", None), "either a status or"),
        (_set(0, "root", data(b"\x01" * 32)), "either a status or"),
        (_set(0, "cumulativeGasUsed", None), "None is not a quantity"),
        (_set(0, "cumulativeGasUsed", hex(2**64)), "wider than 64 bits"),
        (_set(0, "cumulativeGasUsed", "0x" + "f" * 100_000), "is not a quantity"),
        (_set(0, "type", "0x100"), "wider than 8 bits"),
        (_set(0, "type", [2]), "receipt 0: unhashable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_malformed_answer_is_refused(change: Callable[[Answer], None], reason: str) -> None:
    """Null, wrong types, wrong order, another block's logs and hostile sizes: each by name."""
    answer = _one()
    change(answer)
    with pytest.raises(ValueError, match="receipt") as caught:
        _read_small(answer)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "block 7 is unknown there"),
        ({}, "not a list of receipts"),
        ("0x", "not a list of receipts"),
        ([[]], "is no receipt"),
    ],
)
def test_what_is_no_list_of_receipts_is_refused(answer: Any, reason: str) -> None:
    """Null means an unknown block; anything else but a list is no answer."""
    with pytest.raises(ValueError, match=reason):
        _read_small(answer)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("0x7e", "OP Stack or Scroll deposit"),
        ("0x64", "Arbitrum deposit"),
        ("0x6a", "Arbitrum internal"),
        ("0x71", "ZKsync EIP-712"),
        ("0xff", "ZKsync priority"),
        ("0x5", "unknown"),
    ],
)
def test_other_chains_receipts_are_refused_by_name(kind: str, name: str) -> None:
    """A type that Ethereum has not is no malformed answer: this release cannot verify it."""
    answer = _one()
    answer[0]["type"] = kind
    with pytest.raises(ChainError, match=f"0x{int(kind, 16):02x} .{name}"):
        _read_small(answer)


def test_old_receipts_name_no_type() -> None:
    """Absent or null, the type is legacy; before Byzantium a state root stands for the status."""
    root = b"\x05" * 32
    expected = _read_small(_as_json([(b"", root, b"\x10", [])]))
    for kind in ({}, {"type": None}):
        answer = _as_json([(b"", root, b"\x10", [])])
        del answer[0]["type"]
        assert expected == _read_small([answer[0] | kind | {"status": None}])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("0x1"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@settings(max_examples=200)
@given(st.data())
def test_no_value_anywhere_makes_it_fail_otherwise(draws: st.DataObject) -> None:
    """Any JSON in the place of any value is read or refused, never another exception."""
    answer: Any = _one()
    place, name = answer, draws.draw(st.sampled_from([0, 1]))
    while draws.draw(st.booleans()) and isinstance(place[name], dict | list) and place[name]:
        place = place[name]
        name = draws.draw(st.sampled_from(list(place) if isinstance(place, dict) else [0]))
    place[name] = draws.draw(json_values)
    try:
        receipts = _read_small(answer)
    except (ValueError, ChainError):
        return
    assert 32 == len(receipts.root)
