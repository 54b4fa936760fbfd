"""Headers: every real one hashes to its hash, every altered one does not, chains hold together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import rlp
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st
from tests import real_blocks
from tests.real_blocks import HEADER_FIELDS, header_json

from token_ledger.core.headers import (
    HEADER_CHAIN_BROKEN,
    HEADER_HASH_DIFFERS,
    HEADER_NOT_TRUSTED,
    FullHeader,
    check_header,
    check_header_chain,
    read_header,
)
from token_ledger.errors import ChainError

SIZES = {
    "parentHash": 32,
    "sha3Uncles": 32,
    "miner": 20,
    "stateRoot": 32,
    "transactionsRoot": 32,
    "receiptsRoot": 32,
    "logsBloom": 256,
    "mixHash": 32,
    "nonce": 8,
    "withdrawalsRoot": 32,
    "parentBeaconBlockRoot": 32,
    "requestsHash": 32,
}
FORKS = {"Frontier": 15, "London": 16, "Shanghai": 17, "Cancun": 20, "Prague": 21}


def _field(name: str) -> st.SearchStrategy[bytes]:
    if name in SIZES:
        return st.binary(min_size=SIZES[name], max_size=SIZES[name])
    if name == "extraData":
        return st.binary(max_size=200)
    bits = {"timestamp": 37, "number": 63}.get(name, 256)
    return st.integers(min_value=0, max_value=2**bits - 1).map(rlp.sedes.big_endian_int.serialize)


@pytest.fixture(scope="module")
def testnet(shared_data: Path) -> list[dict[str, Any]]:
    """Return the headers of 54 blocks that cross every fork from Frontier to Osaka."""
    return [block.header for block in real_blocks.testnet_blocks(shared_data)]


@pytest.fixture(scope="module")
def trusted(shared_data: Path) -> bytes:
    """Return the hash of that chain's head, from the data's own fork choice."""
    path = shared_data / "receipts/execution_apis/headfcu.json"
    return bytes.fromhex(json.loads(path.read_text())["params"][0]["headBlockHash"][2:])


def _chain(headers: list[dict[str, Any]]) -> list[FullHeader]:
    return [read_header(header) for header in headers]


def test_every_real_header_hashes_to_its_hash(shared_data: Path) -> None:
    """Headers of mainnet and of a node's own answers, of all forks, are rebuilt."""
    answers = [block.header for block in real_blocks.portal_blocks(shared_data)]
    answers.append(real_blocks.helios_block(shared_data).header)
    answers += [
        result
        for _, _, result in real_blocks.exchanges(shared_data, "eth_getBlockByNumber")
        if result
    ]
    assert 20 <= len(answers)
    for answer in answers:
        header = read_header(answer)
        assert [] == check_header(header)
        assert answer["hash"] == "0x" + header.block.hash.hex()
        assert answer["receiptsRoot"] == "0x" + header.receipts_root.hex()
        assert int(answer["timestamp"], 16) * 1_000_000 == header.block.timestamp
        assert () == header.unknown


@pytest.mark.parametrize("fork", FORKS)
@given(data=st.data())
def test_any_header_has_the_libraries_hash(fork: str, data: st.DataObject) -> None:
    """Headers of each fork's shape, of any values, hash as `rlp` encodes them."""
    fields = [data.draw(_field(name)) for name in HEADER_FIELDS[: FORKS[fork]]]
    header = read_header(header_json(fields))
    assert keccak(rlp.encode(fields)) == header.block.hash
    assert [] == check_header(header)


def test_every_changed_field_is_found_out(testnet: list[dict[str, Any]]) -> None:
    """No field of a header can be altered under its hash."""
    answer = testnet[-1]
    for name in HEADER_FIELDS:
        changed = answer[name][:-1] + ("1" if answer[name][-1] != "1" else "2")
        if name == "extraData":
            changed = answer[name] + "00"
        findings = check_header(read_header(answer | {name: changed}))
        assert [HEADER_HASH_DIFFERS] == [finding.kind for finding in findings], name
        assert answer["hash"] == findings[0].details["expected"]


def test_the_real_chain_holds_together(testnet: list[dict[str, Any]], trusted: bytes) -> None:
    """54 headers lead to the trusted head, at once and in pieces from the top."""
    headers = _chain(testnet)
    assert [] == check_header_chain(headers, trusted)
    for start in range(44, -1, -10):
        piece = headers[start : start + 10]
        assert [] == check_header_chain(piece, trusted)
        trusted = piece[0].block.parent_hash


@pytest.mark.parametrize(
    ("kept", "broken_at"),
    [
        ([*range(20), *range(21, 54)], [20]),
        ([*range(20), 21, 20, *range(22, 54)], [20, 22, 21]),
        ([*range(20), 20, *range(20, 54)], [21]),
    ],
    ids=["gap", "swapped", "twice"],
)
def test_a_broken_chain_is_found(
    testnet: list[dict[str, Any]], trusted: bytes, kept: list[int], broken_at: list[int]
) -> None:
    """A block left out, exchanged or repeated breaks the chain, and the place is named."""
    findings = check_header_chain(_chain([testnet[i] for i in kept]), trusted)
    assert {HEADER_CHAIN_BROKEN} == {finding.kind for finding in findings}
    assert broken_at == [finding.details["block_number"] for finding in findings]


def test_a_replaced_block_is_found_whatever_it_is_called(
    testnet: list[dict[str, Any]], trusted: bytes
) -> None:
    """A made-up block breaks the chain under its own hash, and betrays itself under the old one."""
    fake = testnet[20] | {"receiptsRoot": "0x" + "42" * 32}
    honest = fake | {"hash": "0x" + read_header(fake).block.hash.hex()}
    for block, kinds in ((honest, set()), (fake, {HEADER_HASH_DIFFERS})):
        headers = _chain([*testnet[:20], block, *testnet[21:]])
        findings = check_header_chain(headers, trusted)
        assert {HEADER_CHAIN_BROKEN} | kinds == {finding.kind for finding in findings}


def test_another_head_is_not_trusted(testnet: list[dict[str, Any]], trusted: bytes) -> None:
    """Headers that hold together, but do not end in the trusted block, prove nothing."""
    findings = check_header_chain(_chain(testnet[:-1]), trusted)
    assert [HEADER_NOT_TRUSTED] == [finding.kind for finding in findings]
    assert 53 == findings[0].details["block_number"]


def test_unknown_fields_of_an_honest_header_are_harmless(testnet: list[dict[str, Any]]) -> None:
    """What a node adds beside the header does not enter the hash, and is reported as unknown."""
    header = read_header(testnet[30] | {"l1BlockNumber": "0x1", "author": "0x00"})
    assert [] == check_header(header)
    assert ("author", "l1BlockNumber") == header.unknown


def test_another_chains_headers_are_refused_by_name(testnet: list[dict[str, Any]]) -> None:
    """Fields that enter the hash and are not known here: refused, with their names."""
    reason = "fields that this release does not know: blockGasCost, extDataHash"
    foreign = {"extDataHash": "0x" + "01" * 32, "blockGasCost": "0x1", "hash": "0x" + "02" * 32}
    with pytest.raises(ChainError, match=reason):
        check_header(read_header(testnet[30] | foreign))
    with pytest.raises(ChainError, match=reason):
        read_header({k: v for k, v in testnet[30].items() if k != "mixHash"} | foreign)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hash": None}, "None is not hexadecimal data"),
        ({"number": None}, "the header lacks number"),
        ({"nonce": None, "mixHash": None}, "the header lacks mixHash, nonce"),
        ({"number": "0x8000000000000000"}, "wider than 63 bits"),
        ({"number": 5}, "number: 5 is not a quantity"),
        ({"timestamp": "0xffffffffff"}, "past the year 9999"),
        ({"miner": "0x01"}, "miner: '0x01' is not 20 bytes"),
        ({"logsBloom": "0x"}, "logsBloom: '0x' is not 256 bytes"),
        ({"extraData": "0x" + "00" * (1 << 21)}, "extraData has 2097152 bytes"),
        ({"withdrawalsRoot": None}, "has blobGasUsed, but not withdrawalsRoot"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_malformed_header_is_refused(
    testnet: list[dict[str, Any]], change: dict[str, Any], reason: str
) -> None:
    """A pending block, missing fields, wrong types and hostile sizes: each by name."""
    with pytest.raises(ValueError, match=reason):
        read_header(testnet[-1] | change)


@pytest.mark.parametrize("answer", [None, [], "0x", 5])
def test_what_is_no_block_is_refused(answer: Any) -> None:
    """Null means an unknown block; anything else but an object is no answer."""
    with pytest.raises(ValueError, match=r"unknown there|is no block"):
        read_header(answer)


def test_null_is_absence(testnet: list[dict[str, Any]]) -> None:
    """Nodes that write null for the fields of later forks are understood."""
    later = dict.fromkeys(HEADER_FIELDS[15:])
    assert [] == check_header(read_header(later | testnet[0]))
