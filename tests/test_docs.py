"""The specification's examples are true: every value in them is recomputed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from eth_abi import encode as abi_encode
from eth_account import Account
from eth_utils import keccak as eth_keccak

from token_ledger.core import (
    address,
    batch,
    entry,
    files,
    gas,
    hashing,
    imports,
    loadrow,
    packing,
    parse,
)
from token_ledger.core.signature import recover_signer
from token_ledger.core.strict import decode, encode
from token_ledger.core.types import Header, Texts
from token_ledger.core.verification import ExportVerifier, verify_batch, verify_proof
from token_ledger.ledger.requests import derived_key
from token_ledger.verify import verify

KEY = b"\x33" * 32  # whose address the examples' operator is


def _value(text: str) -> Any:
    """Return an example's value: bytes of hex, an address too, or what JSON makes of it."""
    return bytes.fromhex(text[2:]) if text.startswith("0x") else json.loads(text)


@pytest.fixture(scope="module")
def spec(project: Path) -> str:
    """Return the specification."""
    return (project / "docs" / "spec.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def example(spec: str) -> dict[str, Any]:
    """Return every `name = value` of the example blocks; a name stands in one of them only."""
    blocks = re.findall(r"```example\n(.*?)```", spec, re.DOTALL)
    pairs = [
        (match[1], _value(match[2]))
        for block in blocks
        for match in re.finditer(r"^ *(\w+) += (.+)$", block, re.MULTILINE)
    ]
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


@pytest.fixture(scope="module")
def documents(spec: str) -> dict[str, dict[str, Any]]:
    """Return the files that the specification shows, by kind."""
    found = re.findall(r"```json (\w+)\n(.*?)```", spec, re.DOTALL)
    return {kind: json.loads(text) for kind, text in found}


def test_token_and_accounts(example: dict[str, Any]) -> None:
    """Token uid, domain separator and derived address follow from the example's inputs."""
    uid = entry.token_uid(
        example["ledger_uid"],
        symbol=example["symbol"],
        name=example["name"],
        decimals=example["decimals"],
    )
    assert example["token_uid"] == uid
    assert example["domain_separator"] == hashing.domain_separator(uid)
    assert example["operator"] == bytes.fromhex(Account.from_key(KEY).address[2:])
    secret, account_id = example["ledger_secret"], example["alice_id"]
    assert example["alice_salt"] == address.vault_salt(secret, account_id)
    assert example["alice"] == address.derive_vault(secret, account_id, example["operator"])
    assert example["deployment_proxy"] == address.DEPLOYMENT_PROXY
    assert example["factory"] == address.VAULT_FACTORY
    assert example["implementation"] == address.VAULT_IMPLEMENTATION


def test_amount_example(spec: str) -> None:
    """The amount of section 1 is the value that it says."""
    found = re.search(r'decimals (\d+), amount "([0-9.]+)"  →  value (\d+)', spec)
    assert found is not None
    assert int(found[3]) == parse.parse_amount(found[2], decimals=int(found[1]))


def test_entry(example: dict[str, Any]) -> None:
    """Nonce, salt, metadata hash, ref and id follow from key, texts, sides and value."""
    nonce = entry.entry_nonce(example["ledger_secret"], example["key"])
    salt = entry.ref_salt(example["ledger_secret"], nonce)
    assert (example["nonce"], example["salt"]) == (nonce, salt)
    assert example["metadata"] == parse.parse_metadata(example["metadata"])
    assert example["metadata_hash"] == entry.metadata_hash(example["metadata"])
    names = ("reason", "reference_type", "reference_id", "memo", "metadata")
    ref = entry.entry_ref(salt, Texts(*(example[name] for name in names)))
    assert example["ref"] == ref
    made = entry.EntryHasher(example["token_uid"]).id(
        from_address=example["alice"],
        to_address=example["bob"],
        value=example["value"],
        nonce=nonce,
        ref=ref,
    )
    assert example["id"] == made


def test_load_key(example: dict[str, Any], spec: str) -> None:
    """The key of the row in section 5 is the one that `load` gives it."""
    shown = re.search(r"The row `([^`]+)`", spec)
    assert shown is not None
    when, payer, payee, amount, reason = shown[1].split(",")
    parser = loadrow.RowParser(decimals=example["decimals"])
    row = parser.parse(2, (when, payer, payee, amount, reason, "", "", "", "", "", ""))
    content = row[-1]
    assert example["load_content"] == content
    assert content is not None
    assert example["load_key"] == loadrow.ContentKeys(parser.fingerprints).key(content)


def test_import_key(example: dict[str, Any]) -> None:
    """The key and the reference of an imported transfer are those that an import gives it."""
    place = {name: example[name] for name in ("tx_hash", "log_index")}
    made = imports.import_key(example["ledger_secret"], chain_id=example["chain_id"], **place)
    assert example["import_key"] == made
    texts = imports.import_texts(b"\1" * 20, b"\2" * 20, bridge=None, **place)
    assert ("chain:transfer", "tx", example["import_reference"], "", None) == texts


def test_derived_keys(example: dict[str, Any]) -> None:
    """The keys of entries that another brings along are those that the ledger gives them."""
    secret = example["ledger_secret"]
    for name, what in (
        ("draw_key", "overdraft:draw"),
        ("repay_key", "overdraft:repay"),
        ("expired_key", "hold:expired"),
    ):
        assert example[name] == derived_key(secret, example["id"], what)
        text = abi_encode(["bytes32", "bytes32", "string"], [secret, example["id"], what])
        assert example[name] == f"{what}:{eth_keccak(text).hex()}"


def test_tree_rows_and_header(
    example: dict[str, Any], documents: dict[str, dict[str, Any]], spec: str
) -> None:
    """Leaves, root, rows, their hash, the digest and the signer follow from the two entries."""
    shown = files.read_batch(documents["batch"])
    leaves = [batch.leaf(made) for made in shown.entries]
    assert [example["sibling"], example["leaf"]] == leaves
    assert (example["seq"], example["timestamp"]) == (
        shown.entries[1].seq,
        shown.entries[1].timestamp,
    )
    assert example["root"] == batch.entries_tree(shown.entries).root
    rows = packing.pack(batch.movements(shown.entries))
    assert example["rows"] == rows
    table = re.search(r"```text\n(01 +version 1\n.*?)```", spec, re.DOTALL)
    assert table is not None
    assert rows.hex() == "".join(line.split()[0] for line in table[1].splitlines())
    header = Header(
        **{
            name: example[name]
            for name in (
                *("number", "parent", "first_seq", "count", "entries_root"),
                *("rows_hash", "total_supply", "sealed_at"),
            )
        }
    )
    assert shown.header == header
    assert example["rows_hash"] == hashing.keccak(rows)
    assert example["digest"] == batch.header_digest(example["token_uid"], header)
    assert example["sealer"] == recover_signer(example["digest"], example["signature"])


def test_type_strings_are_the_hashed_ones(spec: str) -> None:
    """The EIP-712 types and the event are spelled as they are hashed."""
    for name, type_hash in (
        ("EIP712Domain", hashing.DOMAIN_TYPE_HASH),
        ("Entry", entry.ENTRY_TYPE_HASH),
        ("Batch", batch.BATCH_TYPE_HASH),
    ):
        shown = {hashing.keccak(text.encode()) for text in re.findall(rf"\b{name}\([^)]*\)", spec)}
        assert type_hash in shown


def test_files(documents: dict[str, dict[str, Any]], example: dict[str, Any]) -> None:
    """Manifest, batch and opened proof are read strictly, agree, and have no findings."""
    read = {kind: decode(encode(document)) for kind, document in documents.items()}
    verifier = ExportVerifier(files.read_manifest(read["manifest"]))
    shown = files.read_batch(read["batch"])
    verifier.add(shown)
    assert [] == verifier.finish().findings
    assert [] == verify_batch(shown).findings
    proof = files.read_proof(read["proof"])
    assert [] == verify_proof(proof).findings
    assert (example["id"], example["digest"]) == (proof.entry.id, proof.digest)
    assert proof.opening is not None
    assert example["memo"] == proof.opening.texts.memo


def test_files_verify_from_disk(documents: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """Written as section 9 says, the shown export is one that `verify` accepts."""
    (tmp_path / "batches").mkdir()
    (tmp_path / "manifest.json").write_bytes(encode(documents["manifest"]))
    (tmp_path / "batches" / "00000001.json").write_bytes(encode(documents["batch"]))
    assert verify(tmp_path).consistent


def _signature(item: dict[str, Any]) -> str:
    """Return a function's or event's declaration as Solidity spells it."""
    inputs = [
        " ".join(
            [
                re.sub(r"^struct \w+\.", "", part["internalType"]),
                *(["indexed"] if part.get("indexed") else []),
                part["name"],
            ]
        )
        for part in item["inputs"]
    ]
    return f"{item['name']}({', '.join(inputs)})"


def test_the_contract_is_the_specs(project: Path, spec: str) -> None:
    """Function and event of section 11 are the compiled contract's, the struct is section 8's."""
    path = project / "src/token_ledger/chain/artifacts/LedgerToken.json"
    abi = {item["name"]: item for item in json.loads(path.read_text())["abi"] if "name" in item}
    assert _signature(abi["replay"]) in spec
    assert _signature(abi["BatchReplayed"]) in spec
    fields = [f"{part['type']} {part['name']}" for part in abi["replay"]["inputs"][0]["components"]]
    assert f"Batch({','.join(fields)})" in spec


def test_every_anchor_finding_is_listed(project: Path, spec: str) -> None:
    """Each kind that a failed anchor gives is named in section 10."""
    source = (project / "src" / "token_ledger" / "verify.py").read_text(encoding="utf-8")
    kinds = set(re.findall(r'"(anchor_\w+)"', source))
    assert kinds
    assert kinds == set(re.findall(r"`(anchor_\w+)`", spec))


def test_limits_are_the_codes(spec: str) -> None:
    """Numbers that the text names are the code's."""
    for number in (gas.GAS_MAX, gas.CALLDATA_MAX, files.SIGNATURE_BYTES_MAX, packing.ACCOUNTS_MAX):
        assert f"{number:,}" in spec
    for number in (parse.ACCOUNT_ID_BYTES_MAX, parse.REASON_BYTES_MAX, parse.TEXT_BYTES_MAX):
        assert f"{number:,}" in spec
    assert str(parse.TIMESTAMP_MAX) in spec


def test_links_lead_somewhere(project: Path, spec: str) -> None:
    """Every relative link of the specification leads to a file of the project."""
    for target in re.findall(r"\]\((?!http)([^)#]+)", spec):
        assert (project / "docs" / target).exists(), target
