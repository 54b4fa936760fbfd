"""What an entry says that is a transfer of a chain, against golden vectors made by eth-abi."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import reference
from tests.core.samples import hashes, vectors
from tests.reference import unhexed

from token_ledger.core.entry import RecordHasher
from token_ledger.core.imports import import_key, import_texts, moves

VECTORS = vectors("imports")


@pytest.mark.parametrize("vector", VECTORS["imports"], ids=lambda vector: vector["reason"])
def test_golden_imports(vector: dict[str, Any]) -> None:
    """Key, texts, nonce, ref and id of each vector are what the ledger makes of the log."""
    secret, tx_hash = unhexed(VECTORS["ledgerSecret"]), unhexed(vector["txHash"])
    sides = [unhexed(vector[side].lower()) for side in ("from", "to")]
    bridge = None if vector["bridge"] is None else unhexed(vector["bridge"].lower())
    texts = import_texts(*sides, tx_hash=tx_hash, log_index=vector["logIndex"], bridge=bridge)
    assert (
        vector["reason"], vector["referenceType"], vector["referenceId"], "", vector["metadata"],
    ) == texts  # fmt: skip
    key = import_key(
        secret, chain_id=int(vector["chainId"]), tx_hash=tx_hash, log_index=vector["logIndex"]
    )
    assert vector["idempotencyKey"] == key
    made = RecordHasher(secret, unhexed(VECTORS["tokenUid"])).hashes(
        sides[0], sides[1], int(vector["value"]), key, texts
    )
    assert [vector[name] for name in ("nonce", "ref", "id")] == [f"0x{h.hex()}" for h in made]


@given(hashes, st.integers(1, 2**63 - 1), hashes, st.integers(0, 2**31 - 1))
def test_keys_are_the_references(secret: bytes, chain: int, tx_hash: bytes, index: int) -> None:
    """Every key is what eth-abi's encoding gives."""
    assert reference.import_key(secret, chain, tx_hash, index) == import_key(
        secret, chain_id=chain, tx_hash=tx_hash, log_index=index
    )


def test_each_log_of_each_chain_has_its_own_key() -> None:
    """Chain, transaction, place and secret: where one differs, the key does."""
    places = [(b"\1" * 32, 1, b"\2" * 32, 3), (b"\1" * 32, 1, b"\2" * 32, 4)]
    places += [(b"\1" * 32, 2, b"\2" * 32, 3), (b"\1" * 32, 1, b"\3" * 32, 3)]
    places += [(b"\2" * 32, 1, b"\2" * 32, 3)]
    keys = {import_key(s, chain_id=c, tx_hash=t, log_index=i) for s, c, t, i in places}
    assert len(places) == len(keys)


def test_what_moves_nothing_is_no_entry() -> None:
    """No value, to oneself, zero to zero: nothing is moved."""
    a, zero = b"\1" * 20, bytes(20)
    said = [moves(a, zero, 1), moves(zero, a, 1), moves(a, zero, 0), moves(a, a, 1)]
    assert [True, True, False, False, False] == [*said, moves(zero, zero, 1)]
