"""Who signed: the signer's address, or None."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st
from tests.core.samples import hashes, named, vectors
from tests.reference import unhexed

from token_ledger.core.address import to_checksum
from token_ledger.core.signature import recover_signer

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = b"\x07" * 32
SIGNER = bytes.fromhex(Account.from_key(KEY).address[2:])


@pytest.mark.parametrize("vector", named(vectors("signatures")["signatures"]))
def test_signatures_of_the_vectors(vector: dict[str, Any]) -> None:
    """Good signatures give their signer; malformed, high-s and impossible ones give None."""
    signer = recover_signer(unhexed(vector["digest"]), unhexed(vector["signature"]))
    assert vector["signer"] == (None if signer is None else to_checksum(signer))


@given(hashes)
def test_what_a_key_signs_is_its_own(digest: bytes) -> None:
    """A signature of eth-account's gives that account; its high-s twin gives nobody."""
    signature = bytes(Account.unsafe_sign_hash(digest, KEY).signature)
    assert SIGNER == recover_signer(digest, signature)
    s = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    twin = signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])
    assert recover_signer(digest, twin) is None


@given(hashes, st.integers(0, 519))
def test_a_flipped_bit_is_not_the_signer(digest: bytes, bit: int) -> None:
    """With any one bit flipped the signer is another or none."""
    signature = int.from_bytes(bytes(Account.unsafe_sign_hash(digest, KEY).signature), "big")
    flipped = (signature ^ (1 << bit)).to_bytes(65, "big")
    assert SIGNER != recover_signer(digest, flipped)


@given(hashes, st.binary(max_size=80) | st.binary(min_size=65, max_size=65))
def test_any_bytes_are_answered(digest: bytes, signature: bytes) -> None:
    """No bytes make recovery raise."""
    signer = recover_signer(digest, signature)
    assert signer is None or 20 == len(signer)
