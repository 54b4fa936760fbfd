"""What is encoded and decoded by hand agrees with the ABI and with eth-abi."""

from __future__ import annotations

import importlib.resources
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_abi.packed import encode_packed
from hypothesis import given
from hypothesis import strategies as st

from token_ledger.chain import contracts
from token_ledger.core.hashing import keccak
from token_ledger.core.types import Batch, Header, Token

ABI = contracts.artifact(contracts.TOKEN_CONTRACT).abi
HEADER_TYPE = "(uint64,bytes32,uint64,uint32,bytes32,bytes32,uint256,uint64)"
TOKEN = Token(b"\1" * 32, b"\2" * 32, "TKN", "Token", 18)

uint64, uint32, uint256 = (st.integers(0, 2**n - 1) for n in (64, 32, 256))
hash32 = st.binary(min_size=32, max_size=32)
headers = st.builds(Header, uint64, hash32, uint64, uint32, hash32, hash32, uint256, uint64)


def signature_of(item: dict[str, Any]) -> str:
    """Return the canonical signature of an ABI item, tuples spelled out."""

    def kind(part: dict[str, Any]) -> str:
        if not part["type"].startswith("tuple"):
            return str(part["type"])
        return f"({','.join(kind(c) for c in part['components'])})" + part["type"][5:]

    return f"{item['name']}({','.join(kind(part) for part in item['inputs'])})"


@pytest.mark.parametrize(
    ("name", "selector"),
    [
        ("replay", contracts.REPLAY_SELECTOR),
        ("replayPart", contracts.REPLAY_PART_SELECTOR),
        ("openBatch", contracts.OPEN_BATCH_CALL),
        ("head", contracts.HEAD_CALL),
        ("tokenUid", contracts.TOKEN_UID_CALL),
        ("sealer", contracts.SEALER_CALL),
        ("finalized", contracts.FINALIZED_CALL),
        ("totalSupply", contracts.TOTAL_SUPPLY_CALL),
        ("digestOf", contracts.digest_of_calldata(0)[:4]),
        ("balanceOf", contracts.balance_of_calldata(bytes(20))[:4]),
    ],
)
def test_selectors_are_those_of_the_abi(name: str, selector: bytes) -> None:
    """Every function that is called by hand is in the compiled contract under that selector."""
    [item] = [i for i in ABI if i["type"] == "function" and i["name"] == name]
    assert keccak(signature_of(item).encode())[:4] == selector


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("Transfer", contracts.TRANSFER_TOPIC),
        ("BatchReplayed", contracts.BATCH_REPLAYED_TOPIC),
        ("BatchPartReplayed", contracts.BATCH_PART_REPLAYED_TOPIC),
    ],
)
def test_topics_are_those_of_the_abi(name: str, topic: bytes) -> None:
    """Every event that is decoded by hand is in the compiled contract under that topic."""
    [item] = [i for i in ABI if i["type"] == "event" and i["name"] == name]
    assert keccak(signature_of(item).encode()) == topic


@given(headers, st.binary(max_size=200), st.binary(max_size=200))
def test_replay_calldata_is_eth_abis(header: Header, rows: bytes, signature: bytes) -> None:
    """The calldata of `replay` is byte for byte what eth-abi encodes."""
    batch = Batch(bytes(32), header, bytes(32), (), rows, signature)
    fields = tuple(getattr(header, name) for name in Header.__slots__)
    expected = encode([HEADER_TYPE, "bytes", "bytes"], [fields, rows, signature])
    assert contracts.REPLAY_SELECTOR + expected == contracts.replay_calldata(batch)


@given(headers, st.binary(max_size=200), st.binary(max_size=200), uint32)
def test_part_calldata_is_eth_abis(
    header: Header, rows: bytes, signature: bytes, rows_max: int
) -> None:
    """The calldata of `replayPart` is byte for byte what eth-abi encodes."""
    batch = Batch(bytes(32), header, bytes(32), (), rows, signature)
    fields = tuple(getattr(header, name) for name in Header.__slots__)
    expected = encode(
        [HEADER_TYPE, "bytes", "bytes", "uint32"], [fields, rows, signature, rows_max]
    )
    assert contracts.REPLAY_PART_SELECTOR + expected == contracts.replay_part_calldata(
        batch, rows_max
    )


ERRORS = [
    (name, item)
    for name in contracts.CONTRACTS
    for item in contracts.artifact(name).abi
    if item["type"] == "error"
]


@pytest.mark.parametrize(
    ("name", "item"), ERRORS, ids=lambda i: i if isinstance(i, str) else i["name"]
)
def test_every_error_of_every_contract_is_named(name: str, item: dict[str, Any]) -> None:
    """A revert with any typed error of any contract of ours is told by name, with its arguments."""
    samples = {"address": "0x" + "ab" * 20, "bytes32": b"\7" * 32, "string": "x", "bool": True}
    values = [samples.get(part["type"], 5) for part in item["inputs"]]
    data = keccak(signature_of(item).encode())[:4] + encode(
        [part["type"] for part in item["inputs"]], values
    )
    assert item["name"] == contracts.decode_revert(data).name
    revert = contracts.decode_revert(data, called=name)
    assert item["name"] == revert.name
    assert [part["name"] for part in item["inputs"]] == list(revert.arguments)


def test_all_our_contracts_are_told() -> None:
    """Whatever contract a release ships, its errors are among those told, and none is ambiguous."""
    folder = importlib.resources.files("token_ledger.chain") / "artifacts"
    shipped = {path.name.removesuffix(".json") for path in folder.iterdir()} - {
        "sources",
        "releases",
    }
    assert shipped == set(contracts.CONTRACTS)
    by_selector: dict[bytes, set[str]] = {}
    for _, item in ERRORS:
        signature = signature_of(item)
        by_selector.setdefault(keccak(signature.encode())[:4], set()).add(signature)
    assert all(1 == len(signatures) for signatures in by_selector.values())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "Reverted(data=none)"),
        (b"", "Reverted(data=none)"),
        (b"\1\2\3\4", "Reverted(data=0x01020304)"),
        (b"\1", "Reverted(data=0x01)"),
        (bytes.fromhex("08c379a0") + encode(["string"], ["out"]), "Error(message=out)"),
        (bytes.fromhex("4e487b71") + encode(["uint256"], [17]), "Panic(code=0x11)"),
        (bytes.fromhex("08c379a0"), "Reverted(data=0x08c379a0)"),
    ],
)
def test_any_revert_data_is_told(data: bytes | None, words: str) -> None:
    """Standard errors are read, unknown or cut ones shown, none raises."""
    assert words == str(contracts.decode_revert(data))


def test_the_address_commits_to_token_and_operator() -> None:
    """Another operator, uid, name, symbol or decimals is another address."""
    one = contracts.token_address(TOKEN, b"\3" * 20)
    others = [
        contracts.token_address(TOKEN, b"\4" * 20),
        contracts.token_address(Token(b"\5" * 32, b"\2" * 32, "TKN", "Token", 18), b"\3" * 20),
        contracts.token_address(Token(b"\1" * 32, b"\2" * 32, "TKM", "Token", 18), b"\3" * 20),
        contracts.token_address(Token(b"\1" * 32, b"\2" * 32, "TKN", "Token", 6), b"\3" * 20),
    ]
    assert 5 == len({one, *others})
    init_code = contracts.init_code(TOKEN, b"\3" * 20)
    packed = encode_packed(
        ["bytes1", "address", "bytes32", "bytes32"],
        [b"\xff", "0x4e59b44847b379578588920cA78FbF26c0B4956C", TOKEN.uid, keccak(init_code)],
    )
    assert keccak(packed)[12:] == one


def test_code_is_ours_whatever_its_immutables_hold() -> None:
    """Immutables are masked; one other byte, one byte more or none at all is foreign code."""
    ours = contracts.artifact(contracts.TOKEN_CONTRACT)
    filled = bytearray(ours.runtime)
    for start, length in ours.immutables:
        filled[start : start + length] = b"\xee" * length
    assert ours.immutables
    assert contracts.is_our_code(bytes(filled))
    assert contracts.is_this_releases_code(bytes(filled))
    altered = bytearray(filled)
    altered[0] ^= 1
    for foreign in (bytes(altered), bytes(filled) + b"\0", b""):
        assert not contracts.is_our_code(foreign)
        assert not contracts.is_this_releases_code(foreign)
