"""Keccak and the hand-written encodings, against known answers and other people's code."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from eth_abi import encode as abi_encode
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st
from tests import reference
from tests.core.samples import addresses, hashes, texts
from tests.reference import unhexed

from token_ledger.core import hashing

_KAT = re.compile(r"Len = (\d+)\nMsg = ([0-9A-F]+)\nMD = ([0-9A-F]+)")


@pytest.mark.parametrize("name", ["ShortMsgKAT_256.txt", "LongMsgKAT_256.txt"])
def test_keccak_known_answers(shared_data: Path, name: str) -> None:
    """Every whole-byte known answer of the Keccak team comes out."""
    text = (shared_data / "vectors" / "keccak_kat" / name).read_text()
    whole = [(int(n) // 8, m, d) for n, m, d in _KAT.findall(text) if int(n) % 8 == 0]
    assert len(whole) > 20
    for size, message, digest in whole:
        assert digest == hashing.keccak(bytes.fromhex(message)[:size]).hex().upper()


def test_keccak_agrees_with_ethers(shared_data: Path) -> None:
    """Every hash of ethers' own test suite comes out."""
    vectors = json.loads(
        gzip.decompress((shared_data / "vectors/ethers/hashes.json.gz").read_bytes())
    )
    assert len(vectors) > 500
    for vector in vectors:
        assert vector["keccak256"] == "0x" + hashing.keccak(unhexed(vector["data"])).hex()


def test_keccak_is_not_sha3() -> None:
    """The padding is the original one of Keccak, not that of FIPS 202."""
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert empty == hashing.keccak(b"").hex()


@given(st.lists(st.one_of(hashes, texts), max_size=7))
def test_encode_tuple_is_abi_encode(items: list[bytes | str]) -> None:
    """Words and strings in any mixture are encoded as eth-abi does it."""
    types = ["string" if isinstance(item, str) else "bytes32" for item in items]
    assert abi_encode(types, items) == hashing.encode_tuple(*items)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 63, 64, 65, 4096])
def test_strings_are_padded_to_whole_words(size: int) -> None:
    """Around every multiple of 32 the tail of a string is eth-abi's."""
    assert abi_encode(["string"], ["x" * size])[32:] == hashing.string_tail(b"x" * size)


@given(st.integers(0, 2**256 - 1), addresses)
def test_words_are_abi_words(number: int, address: bytes) -> None:
    """Integers and addresses are left-padded to one word each."""
    assert abi_encode(["uint256"], [number]) == hashing.word(number)
    assert abi_encode(["address"], [address]) == hashing.address_word(address)


@pytest.mark.parametrize("number", [-1, 2**256])
def test_a_word_holds_a_uint256_only(number: int) -> None:
    """A number that is no uint256 raises instead of being cut."""
    with pytest.raises(OverflowError):
        hashing.word(number)


@given(hashes)
def test_domain_separator_is_eip712(uid: bytes) -> None:
    """The separator is that of EIP712Domain(name, version, salt) as eth-account computes it."""
    fields = [{"name": "x", "type": "uint256"}]
    expected = reference.typed_message(uid, "T", fields, {"x": 1}).header
    assert expected == hashing.domain_separator(uid)


def test_typed_digest_agrees_with_ethers(shared_data: Path) -> None:
    """Separator and struct hash are joined as in every EIP-712 vector of ethers."""
    data = gzip.decompress((shared_data / "vectors/ethers/eip712.json.gz").read_bytes())
    types = {"name": "string", "version": "string", "chainId": "uint256"}
    types |= {"verifyingContract": "address", "salt": "bytes32"}
    checked = 0
    for vector in json.loads(data)[:300]:
        domain = vector["domain"]
        fields = [{"name": n, "type": t} for n, t in types.items() if n in domain]
        message = encode_typed_data(
            full_message={
                "types": {"EIP712Domain": fields, "T": [{"name": "x", "type": "uint256"}]},
                "primaryType": "T",
                "domain": domain,
                "message": {"x": 1},
            }
        )
        digest = hashing.typed_digest(message.header, hashing.keccak(unhexed(vector["encoded"])))
        assert vector["digest"] == "0x" + digest.hex()
        checked += 1
    assert 300 == checked
