"""Ids, nonces, refs and token uids, against golden vectors, eth-abi and eth-account."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from tests import reference
from tests.core.samples import addresses, hashes, named, texts, values, vectors
from tests.reference import hexed, unhexed

from token_ledger.core.address import to_checksum
from token_ledger.core.entry import (
    EntryHasher,
    RecordHasher,
    entry_nonce,
    entry_ref,
    metadata_hash,
    ref_salt,
    token_uid,
)
from token_ledger.core.parse import parse_metadata
from token_ledger.core.types import Entry, Texts

VECTORS = vectors("entries")
SECRET = unhexed(VECTORS["ledgerSecret"])


def _check(vector: dict[str, Any], *, secret: bytes, uid: bytes, texts: Texts, key: str) -> None:
    nonce = entry_nonce(secret, key)
    salt = ref_salt(secret, nonce)
    ref = entry_ref(salt, texts)
    made = EntryHasher(uid).id(
        from_address=unhexed(vector["from"].lower()),
        to_address=unhexed(vector["to"].lower()),
        value=int(vector["value"]),
        nonce=nonce,
        ref=ref,
    )
    expected = (vector["nonce"], vector["salt"], vector["ref"], vector["id"])
    assert expected == (hexed(nonce), hexed(salt), hexed(ref), hexed(made))


_FEW = st.sampled_from(["", "tip", "Ünicode", "x" * 32, "y" * 33]) | texts


@given(
    addresses, addresses, values, st.text(min_size=1, max_size=80),
    st.builds(Texts, _FEW, _FEW, _FEW, _FEW, st.none() | st.just('{"a":1}')),
)  # fmt: skip
def test_records_hashed_in_one_go(
    from_address: bytes, to_address: bytes, value: int, key: str, words: Texts
) -> None:
    """Nonce, ref and id are those of the plain functions, for whichever texts are empty."""
    secret, uid = b"\5" * 32, b"\6" * 32
    nonce = entry_nonce(secret, key)
    ref = entry_ref(ref_salt(secret, nonce), words)
    made = EntryHasher(uid).id(
        from_address=from_address, to_address=to_address, value=value, nonce=nonce, ref=ref
    )
    assert (nonce, ref, made) == RecordHasher(secret, uid).hashes(
        from_address,
        to_address,
        value,
        key,
        (words.reason, words.reference_type, words.reference_id, words.memo, words.metadata),
    )


def test_golden_entries(shared_data: Path) -> None:
    """Every entry of the design's golden vectors gives its nonce, salt, ref and id."""
    golden = json.loads((shared_data / "vectors/design/golden.json").read_text())
    secret = unhexed(golden["ledger_secret"])
    uid = token_uid(
        unhexed(golden["ledger_uid"]),
        symbol=golden["symbol"],
        name=golden["name"],
        decimals=golden["decimals"],
    )
    assert golden["token_uid"] == hexed(uid)
    assert golden["entries"]
    for vector in golden["entries"]:
        metadata = vector["metadata_jcs"]
        if metadata is not None:
            assert metadata == rfc8785.dumps(vector["metadata"]).decode()
        assert vector["metadata_hash"] == hexed(metadata_hash(metadata))
        words = Texts(
            vector["reason"],
            vector["reference_type"],
            vector["reference_id"],
            vector["memo"],
            metadata,
        )
        _check(vector, secret=secret, uid=uid, texts=words, key=vector["idempotency_key"])


def test_token_uid_of_the_vectors() -> None:
    """The token's uid commits to ledger, symbol, name and decimals."""
    uid = token_uid(
        unhexed(VECTORS["ledgerUid"]),
        symbol=VECTORS["symbol"],
        name=VECTORS["name"],
        decimals=VECTORS["decimals"],
    )
    assert VECTORS["tokenUid"] == hexed(uid)


@pytest.mark.parametrize("vector", named(VECTORS["entries"]))
def test_entries_of_the_vectors(vector: dict[str, Any]) -> None:
    """Every entry of entries.json gives its metadata text, nonce, salt, ref and id."""
    metadata = None if vector["metadata"] is None else parse_metadata(vector["metadata"])
    assert vector["metadataText"] == metadata
    words = Texts(
        vector["reason"],
        vector["referenceType"],
        vector["referenceId"],
        vector["memo"],
        metadata,
    )
    uid = unhexed(VECTORS["tokenUid"])
    _check(vector, secret=SECRET, uid=uid, texts=words, key=vector["idempotencyKey"])


@given(hashes, texts, texts, st.integers(0, 255))
def test_token_uid_is_the_naive_one(
    ledger_uid: bytes, symbol: str, name: str, decimals: int
) -> None:
    """Any token's uid is keccak over abi.encode."""
    expected = reference.token_uid(ledger_uid, symbol, name, decimals)
    assert expected == token_uid(ledger_uid, symbol=symbol, name=name, decimals=decimals)


@given(hashes, texts, st.lists(texts, min_size=4, max_size=4), st.none() | texts)
def test_nonce_salt_and_ref_are_the_naive_ones(
    secret: bytes, key: str, words: list[str], metadata: str | None
) -> None:
    """Any key and texts give nonce, salt and ref as keccak over abi.encode."""
    nonce = entry_nonce(secret, key)
    assert reference.entry_nonce(secret, key) == nonce
    salt = ref_salt(secret, nonce)
    assert reference.ref_salt(secret, nonce) == salt
    expected = reference.entry_ref(salt, *words, metadata)
    assert expected == entry_ref(salt, Texts(*words, metadata))


@given(hashes, addresses, addresses, values, hashes, hashes)
def test_id_is_the_naive_one(
    uid: bytes, from_address: bytes, to_address: bytes, value: int, nonce: bytes, ref: bytes
) -> None:
    """Any entry's id is the digest that eth-account computes for a wallet."""
    sides = to_checksum(from_address), to_checksum(to_address)
    entry = Entry(0, b"", 0, from_address, to_address, value, nonce, ref)
    expected = reference.entry_id(uid, *sides, value, nonce, ref)
    assert expected == EntryHasher(uid).recompute(entry)


def test_every_field_changes_the_id_but_seq_and_timestamp_do_not() -> None:
    """The id commits to sides, value, nonce and ref; position and time are the batch's."""
    one = b"\x01"
    entry = Entry(0, b"", 0, one * 20, b"\x02" * 20, 5, one * 32, b"\x02" * 32)
    hasher = EntryHasher(bytes(32))
    changes: list[dict[str, Any]] = [
        {"from_address": b"\x03" * 20},
        {"to_address": b"\x03" * 20},
        {"from_address": entry.to_address, "to_address": entry.from_address},
        {"value": 6},
        {"nonce": b"\x03" * 32},
        {"ref": b"\x03" * 32},
        {"nonce": entry.ref, "ref": entry.nonce},
    ]
    ids = {hasher.recompute(dataclasses.replace(entry, **change)) for change in changes}
    assert len(changes) == len(ids - {hasher.recompute(entry)})
    moved = dataclasses.replace(entry, seq=9, timestamp=9, id=one * 32)
    assert hasher.recompute(entry) == hasher.recompute(moved)
    assert hasher.recompute(entry) != EntryHasher(one * 32).recompute(entry)


@given(st.lists(st.text("a|:\x1f,", max_size=4), min_size=5, max_size=5))
def test_texts_cannot_be_shifted_between_fields(words: list[str]) -> None:
    """No separator lets the same characters, divided otherwise, give the same ref."""
    *fields, extra = words
    moved = [fields[0] + extra, *fields[1:]]
    other = [fields[0], extra + fields[1], *fields[2:]]
    same = moved == other
    refs = [entry_ref(bytes(32), Texts(*version)) for version in (moved, other)]
    assert same == (refs[0] == refs[1])


def test_no_metadata_is_not_null_metadata() -> None:
    """Absent metadata is committed to as zero, the JSON text null as its hash."""
    assert bytes(32) == metadata_hash(None)
    assert bytes(32) != metadata_hash("null")
