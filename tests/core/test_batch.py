"""Batches: leaves, root, rows, supply and digest, against golden vectors and the naive twin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import reference
from tests.core.samples import addresses, hashes, movements, read_entry, values, vectors
from tests.reference import hexed, unhexed

from token_ledger.core.address import to_checksum
from token_ledger.core.batch import (
    entries_tree,
    header_digest,
    leaf,
    make_batch,
    supply_change,
)
from token_ledger.core.packing import Movement
from token_ledger.core.signature import recover_signer
from token_ledger.core.types import Entry, Header

CHAINS = vectors("batches")["chains"]
uint64s = st.integers(0, 2**64 - 1)


def _header(fields: dict[str, Any]) -> Header:
    return Header(
        number=fields["number"],
        parent=unhexed(fields["parent"]),
        first_seq=fields["firstSeq"],
        count=fields["count"],
        entries_root=unhexed(fields["entriesRoot"]),
        rows_hash=unhexed(fields["rowsHash"]),
        total_supply=int(fields["totalSupply"]),
        sealed_at=int(fields["sealedAt"]),
    )


def test_golden_batches(shared_data: Path) -> None:
    """The design's golden batches give their leaves, roots, paths, digests and signer."""
    golden = json.loads((shared_data / "vectors/design/golden.json").read_text())
    uid = unhexed(golden["token_uid"])
    for vector in golden["batches"]:
        header = _header(vector["header"])
        end = header.first_seq + header.count
        entries = [read_entry(entry) for entry in golden["entries"][header.first_seq : end]]
        leaves = [leaf(entry) for entry in entries]
        tree = entries_tree(entries)
        assert vector["leaves"] == [hexed(made) for made in leaves]
        assert header.entries_root == tree.root
        assert vector["proofs"] == [[hexed(n) for n in tree.path(made)] for made in leaves]
        assert vector["digest"] == hexed(header_digest(uid, header))
        signer = recover_signer(unhexed(vector["digest"]), unhexed(vector["signature"]))
        assert golden["sealer"] == to_checksum(signer or b"")


@pytest.mark.parametrize("name", CHAINS)
def test_batches_of_the_vectors(name: str) -> None:
    """Sealed again from its entries alone, every batch of batches.json comes out byte for byte."""
    chain = CHAINS[name]
    parent, supply = bytes(32), 0
    for vector in chain["batches"]:
        entries = [read_entry(entry) for entry in vector["entries"]]
        batch = make_batch(
            unhexed(chain["tokenUid"]),
            entries,
            number=vector["header"]["number"],
            parent=parent,
            supply_before=supply,
            sealed_at=int(vector["header"]["sealedAt"]),
        )
        assert _header(vector["header"]) == batch.header
        assert (vector["digest"], vector["rows"]) == (hexed(batch.digest), hexed(batch.rows))
        tree = entries_tree(entries)
        assert vector["leaves"] == [hexed(leaf(entry)) for entry in entries]
        for proof in vector["proofs"]:
            path = tree.path(unhexed(vector["leaves"][proof["place"]]))
            assert proof["path"] == [hexed(node) for node in path]
        signer = recover_signer(batch.digest, unhexed(vector["signature"]))
        assert chain["sealer"] == to_checksum(signer or b"")
        parent, supply = batch.digest, batch.header.total_supply
    assert chain["totalSupply"] == str(supply)


@given(hashes, uint64s, uint64s, addresses, addresses, values)
def test_leaf_is_the_naive_one(
    entry_id: bytes, seq: int, timestamp: int, from_address: bytes, to_address: bytes, value: int
) -> None:
    """Any entry's leaf is keccak of keccak of abi.encode."""
    entry = Entry(seq, entry_id, timestamp, from_address, to_address, value, b"", b"")
    fields = {
        "id": hexed(entry_id),
        "seq": seq,
        "timestamp": str(timestamp),
        "from": to_checksum(from_address),
        "to": to_checksum(to_address),
        "value": str(value),
    }
    assert reference.leaf_of(fields) == leaf(entry)


@given(
    hashes,
    st.builds(
        Header,
        number=uint64s,
        parent=hashes,
        first_seq=uint64s,
        count=st.integers(0, 2**32 - 1),
        entries_root=hashes,
        rows_hash=hashes,
        total_supply=st.integers(0, 2**256 - 1),
        sealed_at=uint64s,
    ),
)
def test_header_digest_is_the_naive_one(uid: bytes, header: Header) -> None:
    """Any header's digest is what eth-account would have a wallet sign."""
    fields = {
        "number": header.number,
        "parent": hexed(header.parent),
        "firstSeq": header.first_seq,
        "count": header.count,
        "entriesRoot": hexed(header.entries_root),
        "rowsHash": hexed(header.rows_hash),
        "totalSupply": str(header.total_supply),
        "sealedAt": str(header.sealed_at),
    }
    assert reference.header_digest(uid, fields) == header_digest(uid, header)


@given(movements, st.lists(st.booleans(), min_size=40, max_size=40))
def test_supply_change_is_mints_minus_burns(rows: list[Movement], mints: list[bool]) -> None:
    """Supply changes by what `system` gives and takes, and by nothing else."""
    entries = []
    expected = 0
    for (from_address, to_address, value), mint in zip(rows, mints, strict=False):
        sides = (bytes(20), to_address) if mint else (from_address, to_address)
        expected += value * ((sides[0] == bytes(20)) - (sides[1] == bytes(20)))
        if sides[0] != sides[1]:
            entries.append(Entry(0, b"", 0, *sides, value, b"", b""))
        else:
            expected -= 0
    assert expected == supply_change(entries)
