"""The files that need no database: manifest, batch and proof (design section 7; docs/spec.md).

A file is the RFC 8785 form of one JSON object and one newline. Reading accepts exactly those
bytes: an unknown, missing or duplicate key, white space, another order, a float or an upper-case
hash is a FileFormatError. What a well-formed file *claims* is judged by `core.verification`.
Pure: bytes in, values out, and back; `export` and `prove` do the writing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from token_ledger.core.hashing import DOMAIN_NAME, DOMAIN_VERSION
from token_ledger.core.parse import TIMESTAMP_MAX
from token_ledger.core.strict import (
    address_text,
    read_address,
    read_blob,
    read_bytes,
    read_decimal,
    read_fields,
    read_integer,
    read_list,
    read_text,
    refuse,
    to_hex,
)
from token_ledger.core.types import (
    UINT256_MAX,
    Batch,
    Entry,
    Header,
    Opening,
    Proof,
    Texts,
    Token,
)
from token_ledger.errors import FileFormatError

EXPORT_FORMAT = "token-ledger-export-v1"
BATCH_FORMAT = "token-ledger-batch-v1"
PROOF_FORMAT = "token-ledger-proof-v1"
MANIFEST_NAME = "manifest.json"
BATCHES_DIR = "batches"
SIGNATURE_BYTES_MAX = 65_536

_BATCH_NAME = re.compile(r"[0-9]{8}\.json", re.ASCII)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export says of itself. `head` is the last header's (number, digest), or (0, zero)."""

    token: Token
    head_number: int
    head_digest: bytes
    batch_names: tuple[str, ...]


def batch_name(number: int) -> str:
    """Return the file name of a batch: eight digits and `.json`."""
    return f"{number:08d}.json"


# Domain, header, entry: the parts that several files share.

_DOMAIN_KEYS = frozenset({"name", "version", "salt"})
_HEADER_KEYS = frozenset(
    ["number", "parent", "firstSeq", "count", "entriesRoot", "rowsHash", "totalSupply", "sealedAt"]
)
_ENTRY_KEYS = frozenset(["seq", "id", "timestamp", "from", "to", "value", "nonce", "ref"])


def domain_to_json(token_uid: bytes) -> dict[str, Any]:
    """Return the EIP-712 domain as in every file."""
    return {"name": DOMAIN_NAME, "version": DOMAIN_VERSION, "salt": to_hex(token_uid)}


def _domain(value: object) -> bytes:
    fields = read_fields(value, "domain", _DOMAIN_KEYS)
    if fields["name"] != DOMAIN_NAME or fields["version"] != DOMAIN_VERSION:
        raise FileFormatError(
            f"domain is {fields['name']!r:.80} version {fields['version']!r:.80}",
            hint=f"it must be {DOMAIN_NAME!r} version {DOMAIN_VERSION!r}",
        )
    return read_bytes(fields["salt"], "domain.salt")


def header_to_json(header: Header) -> dict[str, Any]:
    """Return a header's JSON object, with the camelCase names of the struct."""
    return {
        "number": header.number,
        "parent": to_hex(header.parent),
        "firstSeq": header.first_seq,
        "count": header.count,
        "entriesRoot": to_hex(header.entries_root),
        "rowsHash": to_hex(header.rows_hash),
        "totalSupply": str(header.total_supply),
        "sealedAt": str(header.sealed_at),
    }


def _header(value: object) -> Header:
    fields = read_fields(value, "header", _HEADER_KEYS)
    return Header(
        number=read_integer(fields["number"], "header.number", low=1),
        parent=read_bytes(fields["parent"], "header.parent"),
        first_seq=read_integer(fields["firstSeq"], "header.firstSeq"),
        count=read_integer(fields["count"], "header.count", low=1, high=2**32 - 1),
        entries_root=read_bytes(fields["entriesRoot"], "header.entriesRoot"),
        rows_hash=read_bytes(fields["rowsHash"], "header.rowsHash"),
        total_supply=read_decimal(fields["totalSupply"], "header.totalSupply", UINT256_MAX),
        sealed_at=read_decimal(fields["sealedAt"], "header.sealedAt", TIMESTAMP_MAX),
    )


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """Return an entry's JSON object as exports and proofs carry it."""
    return {
        "seq": entry.seq,
        "id": to_hex(entry.id),
        "timestamp": str(entry.timestamp),
        "from": address_text(entry.from_address),
        "to": address_text(entry.to_address),
        "value": str(entry.value),
        "nonce": to_hex(entry.nonce),
        "ref": to_hex(entry.ref),
    }


def _entry(value: object) -> Entry:
    fields = read_fields(value, "entry", _ENTRY_KEYS)
    return Entry(
        seq=read_integer(fields["seq"], "entry.seq"),
        id=read_bytes(fields["id"], "entry.id"),
        timestamp=read_decimal(fields["timestamp"], "entry.timestamp", TIMESTAMP_MAX),
        from_address=read_address(fields["from"], "entry.from"),
        to_address=read_address(fields["to"], "entry.to"),
        value=read_decimal(fields["value"], "entry.value", UINT256_MAX),
        nonce=read_bytes(fields["nonce"], "entry.nonce"),
        ref=read_bytes(fields["ref"], "entry.ref"),
    )


def _signature(value: object) -> bytes | None:
    if value is None:
        return None
    signature = read_blob(value, "signature")
    if not 1 <= len(signature) <= SIGNATURE_BYTES_MAX:
        raise FileFormatError(f"signature of {len(signature)} bytes", hint="65, or a contract's")
    return signature


# Files.


def _read_file(
    document: dict[str, Any], what: str, keys: frozenset[str], file_format: str
) -> dict[str, Any]:
    fields = read_fields(document, what, keys)
    if fields["format"] != file_format:
        raise refuse(f"format of the {what}", fields["format"], file_format)
    return fields


def batch_to_json(batch: Batch) -> dict[str, Any]:
    """Return a batch file's document."""
    return {
        "format": BATCH_FORMAT,
        "domain": domain_to_json(batch.token_uid),
        "header": header_to_json(batch.header),
        "digest": to_hex(batch.digest),
        "entries": [entry_to_json(entry) for entry in batch.entries],
        "rows": to_hex(batch.rows),
        "signature": None if batch.signature is None else to_hex(batch.signature),
    }


_BATCH_KEYS = frozenset(["format", "domain", "header", "digest", "entries", "rows", "signature"])


def read_batch(document: dict[str, Any]) -> Batch:
    """Return the batch that a decoded batch file holds. Raises FileFormatError."""
    fields = _read_file(document, "batch file", _BATCH_KEYS, BATCH_FORMAT)
    return Batch(
        token_uid=_domain(fields["domain"]),
        header=_header(fields["header"]),
        digest=read_bytes(fields["digest"], "digest"),
        entries=read_list(fields["entries"], "entries", _entry),
        rows=read_blob(fields["rows"], "rows"),
        signature=_signature(fields["signature"]),
    )


def manifest_to_json(manifest: Manifest) -> dict[str, Any]:
    """Return a manifest's document."""
    token = manifest.token
    return {
        "format": EXPORT_FORMAT,
        "domain": domain_to_json(token.uid),
        "ledgerUid": to_hex(token.ledger_uid),
        "token": {
            "symbol": token.symbol,
            "name": token.name,
            "decimals": token.decimals,
            "uid": to_hex(token.uid),
        },
        "head": {"number": manifest.head_number, "digest": to_hex(manifest.head_digest)},
        "batches": list(manifest.batch_names),
    }


_MANIFEST_KEYS = frozenset(["format", "domain", "ledgerUid", "token", "head", "batches"])
_TOKEN_KEYS = frozenset(["symbol", "name", "decimals", "uid"])
_HEAD_KEYS = frozenset(["number", "digest"])


def read_manifest(document: dict[str, Any]) -> Manifest:
    """Return what a decoded manifest says. Raises FileFormatError."""
    fields = _read_file(document, "manifest", _MANIFEST_KEYS, EXPORT_FORMAT)
    token_fields = read_fields(fields["token"], "token", _TOKEN_KEYS)
    token = Token(
        uid=read_bytes(token_fields["uid"], "token.uid"),
        ledger_uid=read_bytes(fields["ledgerUid"], "ledgerUid"),
        symbol=read_text(token_fields["symbol"], "token.symbol"),
        name=read_text(token_fields["name"], "token.name"),
        decimals=read_integer(token_fields["decimals"], "token.decimals", high=255),
    )
    if _domain(fields["domain"]) != token.uid:
        raise FileFormatError("domain.salt is not token.uid", hint="the manifest was altered")
    head = read_fields(fields["head"], "head", _HEAD_KEYS)
    names = read_list(fields["batches"], "batches", lambda name: read_text(name, "batch name"))
    for i, name in enumerate(names, start=1):
        if not _BATCH_NAME.fullmatch(name) or name != batch_name(i):
            raise FileFormatError(
                f"batch file {i} is named {name!r:.80}", hint=f"it must be {batch_name(i)}"
            )
    number = read_integer(head["number"], "head.number")
    if number != len(names):
        raise FileFormatError(
            f"head.number is {number} and {len(names)} batches are listed",
            hint="the manifest was altered",
        )
    return Manifest(token, number, read_bytes(head["digest"], "head.digest"), names)


def proof_to_json(proof: Proof) -> dict[str, Any]:
    """Return a proof file's document; with an opening, `opening` holds salt and texts."""
    document: dict[str, Any] = {
        "format": PROOF_FORMAT,
        "domain": domain_to_json(proof.token_uid),
        "header": header_to_json(proof.header),
        "digest": to_hex(proof.digest),
        "signature": None if proof.signature is None else to_hex(proof.signature),
        "entry": entry_to_json(proof.entry),
        "proof": [to_hex(node) for node in proof.path],
    }
    if proof.opening is not None:
        texts = proof.opening.texts
        document["opening"] = {
            "salt": to_hex(proof.opening.salt),
            "reason": texts.reason,
            "referenceType": texts.reference_type,
            "referenceId": texts.reference_id,
            "memo": texts.memo,
            "metadata": texts.metadata,
        }
    return document


_PROOF_KEYS = frozenset(["format", "domain", "header", "digest", "signature", "entry", "proof"])
_OPENING_KEYS = frozenset(["salt", "reason", "referenceType", "referenceId", "memo", "metadata"])


def read_proof(document: dict[str, Any]) -> Proof:
    """Return the proof that a decoded proof file holds. Raises FileFormatError."""
    keys = _PROOF_KEYS | {"opening"} if "opening" in document else _PROOF_KEYS
    fields = _read_file(document, "proof file", keys, PROOF_FORMAT)
    return Proof(
        token_uid=_domain(fields["domain"]),
        header=_header(fields["header"]),
        digest=read_bytes(fields["digest"], "digest"),
        signature=_signature(fields["signature"]),
        entry=_entry(fields["entry"]),
        path=read_list(fields["proof"], "proof", lambda node: read_bytes(node, "proof node")),
        opening=_opening(fields["opening"]) if "opening" in fields else None,
    )


def _opening(value: object) -> Opening:
    fields = read_fields(value, "opening", _OPENING_KEYS)
    metadata = fields["metadata"]
    return Opening(
        salt=read_bytes(fields["salt"], "opening.salt"),
        texts=Texts(
            reason=read_text(fields["reason"], "opening.reason"),
            reference_type=read_text(fields["referenceType"], "opening.referenceType"),
            reference_id=read_text(fields["referenceId"], "opening.referenceId"),
            memo=read_text(fields["memo"], "opening.memo"),
            metadata=None if metadata is None else read_text(metadata, "opening.metadata"),
        ),
    )
