"""What the tests of `core` share: the project's vectors, Hypothesis strategies, small exports."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from tests.reference import NaiveLedger, unhexed

from token_ledger.core.files import (
    batch_to_json,
    manifest_to_json,
    proof_to_json,
    read_batch,
    read_manifest,
    read_proof,
)
from token_ledger.core.strict import decode, encode
from token_ledger.core.types import UINT256_MAX, Entry
from token_ledger.core.verification import ExportVerifier, Report

VECTORS = Path(__file__).resolve().parents[1] / "vectors"

hashes = st.binary(min_size=32, max_size=32)
addresses = st.binary(min_size=20, max_size=20)
values = st.one_of(
    st.integers(1, UINT256_MAX),
    st.integers(0, 255).map(lambda k: 1 << k),
    st.integers(1, 256).map(lambda k: (1 << k) - 1),
    st.integers(1, 1000),
)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=80)
movements = st.lists(st.tuples(addresses, addresses, values), min_size=1, max_size=40).map(
    lambda rows: [row for row in rows if row[0] != row[1]] or [(bytes(20), b"\1" * 20, 1)]
)


@functools.cache
def vectors(name: str) -> dict[str, Any]:
    """Return a vector file of the project's own."""
    document: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    return document


def named(items: list[dict[str, Any]]) -> list[Any]:
    """Return vectors as pytest parameters that carry their names."""
    return [pytest.param(item, id=item["name"]) for item in items]


def read_entry(fields: dict[str, Any]) -> Entry:
    """Return the entry of its JSON object, without the strict reader."""
    return Entry(
        seq=fields["seq"],
        id=unhexed(fields["id"]),
        timestamp=int(fields["timestamp"]),
        from_address=unhexed(fields["from"]),
        to_address=unhexed(fields["to"]),
        value=int(fields["value"]),
        nonce=unhexed(fields["nonce"]),
        ref=unhexed(fields["ref"]),
    )


def files_of(manifest: dict[str, Any], batches: list[dict[str, Any]]) -> list[bytes]:
    """Return an export's file bytes: the manifest, then the batches."""
    return [encode(manifest), *map(encode, batches)]


def verify_files(files: list[bytes]) -> Report:
    """Return the report on an export's file bytes. Raises FileFormatError."""
    verifier = ExportVerifier(read_manifest(decode(files[0])))
    for data in files[1:]:
        verifier.add(read_batch(decode(data)))
    return verifier.finish()


def kinds(report: Report) -> list[str]:
    """Return the kinds that a report found, each once."""
    return sorted({finding.kind for finding in report.findings})


def rewritten(data: bytes) -> bytes:
    """Return what the writer makes of what the reader took from a file."""
    document = decode(data)
    match document["format"]:
        case "token-ledger-export-v1":
            return encode(manifest_to_json(read_manifest(document)))
        case "token-ledger-batch-v1":
            return encode(batch_to_json(read_batch(document)))
        case _:
            return encode(proof_to_json(read_proof(document)))


def small_books() -> NaiveLedger:
    """Return a history of two small batches, signed."""
    books = NaiveLedger(b"\x0a" * 32, b"\x0b" * 32, symbol="TÉ", name='N"ew', decimals=2)
    alice, bob = "0x" + "00" * 19 + "01", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
    system = "0x" + "00" * 20
    books.post(system, alice, 100, key="a", timestamp=5)
    books.seal(sealed_at=6)
    books.post(alice, bob, 30, key="b", timestamp=7, reason="pay")
    books.post(bob, system, 10, key="c", timestamp=8)
    books.seal(sealed_at=9)
    return books


def short(value: object) -> str:
    """Return a test id for any value, however long: ASCII and at most 40 characters."""
    shown = hex(value)[:20] if type(value) is int and abs(value) > 10**30 else repr(value)
    return ascii(shown)[1:41] + (f"... ({len(shown)})" if len(shown) > 40 else "")
