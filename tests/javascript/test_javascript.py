"""What the project says, said again by ethers and OpenZeppelin's JavaScript library."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.samples import addresses, files_of, hashes, texts, values

from token_ledger.core.address import to_checksum
from token_ledger.core.batch import entries_tree, leaf, make_batch
from token_ledger.core.entry import EntryHasher, entry_nonce, entry_ref, ref_salt, token_uid
from token_ledger.core.files import (
    Manifest,
    batch_name,
    batch_to_json,
    manifest_to_json,
    proof_to_json,
)
from token_ledger.core.types import UINT256_MAX, Batch, Entry, Opening, Proof, Texts, Token

KEY = b"\x0c" * 32


@pytest.fixture(scope="session")
def check(project: Path) -> Any:
    """Return a function that runs the JavaScript check; skip without Node or its packages."""
    node = shutil.which("node")
    if node is None or not (project / "contracts/node_modules/ethers").is_dir():
        pytest.skip("node or contracts/node_modules is missing: run `make setup`")

    def run(mode: str, folder: Path) -> dict[str, Any]:
        command = [node, str(project / "tests/javascript/check.mjs"), mode, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return run


def test_every_vector_holds_in_javascript(check: Any, project: Path) -> None:
    """Ids, refs, leaves, roots, paths, digests, signers, rows, vaults: ethers agrees with all."""
    counts = check("vectors", project / "tests" / "vectors")
    assert {
        *("batches", "entries", "exports", "proofs", "rows", "signatures", "vaults"),
    } == set(counts)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Token, list[Batch], list[Proof]]:
    """Draw a lawful random history, sealed by the code under test."""
    ledger_uid, secret = draw(hashes), draw(hashes)
    symbol, name, decimals = draw(texts), draw(texts), draw(st.integers(0, 255))
    uid = token_uid(ledger_uid, symbol=symbol, name=name, decimals=decimals)
    hasher = EntryHasher(uid)
    accounts = draw(st.lists(addresses.filter(any), min_size=2, max_size=6, unique=True))
    balances = dict.fromkeys(accounts, 0)
    batches: list[Batch] = []
    proofs: list[Proof] = []
    seq = 0
    for number in range(1, draw(st.integers(1, 3)) + 1):
        entries = []
        opening = None
        for _ in range(draw(st.integers(1, 9))):
            room = UINT256_MAX - sum(balances.values())
            sources = [a for a in accounts if balances[a]] + ([bytes(20)] if room else [])
            source = draw(st.sampled_from(sources))
            target = draw(st.sampled_from([a for a in [*accounts, bytes(20)] if a != source]))
            value = min(draw(values), balances.get(source, room))
            for side, change in ((source, -value), (target, value)):
                if any(side):
                    balances[side] += change
            nonce = entry_nonce(secret, str(seq))
            words = Texts(*draw(st.lists(texts, min_size=4, max_size=4)), draw(st.none() | texts))
            opening = Opening(ref_salt(secret, nonce), words)
            ref = entry_ref(opening.salt, words)
            made = hasher.id(
                from_address=source, to_address=target, value=value, nonce=nonce, ref=ref
            )
            entries.append(
                Entry(seq, made, draw(st.integers(0, 2**57)), source, target, value, nonce, ref)
            )
            seq += 1
        last = batches[-1] if batches else None
        batch = make_batch(
            uid,
            entries,
            number=number,
            parent=last.digest if last else bytes(32),
            supply_before=last.header.total_supply if last else 0,
            sealed_at=draw(st.integers(0, 2**57)),
        )
        signature = bytes(Account.unsafe_sign_hash(batch.digest, KEY).signature)
        batches.append(Batch(uid, batch.header, batch.digest, batch.entries, batch.rows, signature))
        path = entries_tree(entries).path(leaf(entries[-1]))
        proofs.append(Proof(uid, batch.header, batch.digest, signature, entries[-1], path, opening))
    return Token(uid, ledger_uid, symbol, name, decimals), batches, proofs


@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(histories())
def test_random_exports_hold_in_javascript(
    check: Any, tmp_path: Path, history: tuple[Token, list[Batch], list[Proof]]
) -> None:
    """An export and proofs made by the code, of any lawful history, are found good by ethers."""
    token, batches, proofs = history
    names = tuple(batch_name(batch.header.number) for batch in batches)
    manifest = Manifest(token, len(batches), batches[-1].digest, names)
    files = files_of(manifest_to_json(manifest), [batch_to_json(batch) for batch in batches])
    (tmp_path / "batches").mkdir(exist_ok=True)
    (tmp_path / "manifest.json").write_bytes(files[0])
    for name, data in zip(names, files[1:], strict=True):
        (tmp_path / "batches" / name).write_bytes(data)
    (tmp_path / "proofs.json").write_text(json.dumps([proof_to_json(proof) for proof in proofs]))
    assert {
        "findings": [],
        "entries": sum(batch.header.count for batch in batches),
        "signers": [to_checksum(bytes.fromhex(Account.from_key(KEY).address[2:]))],
        "proofs": len(proofs),
    } == check("export", tmp_path)
