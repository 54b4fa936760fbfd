"""snapshot and anchor through the command, on a real Anvil."""

from __future__ import annotations

import json
from pathlib import Path

from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.signer import KeystoreSigner, create_keystore, password_from


def test_balances_are_claimed(book, fresh_anvil: str) -> None:
    """Take writes proofs, publish opens, claim pays; a repeat sends nothing; the books close."""
    book("seal", "--sign")
    deadline = ("--deadline", 4_000_000_000)
    taken = book("snapshot", "take", "snap", *deadline, "--json").document
    assert (1, "10000") == (taken["accounts"], taken["totalSupply"])
    proof = next(Path("snap/proofs").iterdir())
    words = ("--rpc", fresh_anvil)
    publish = ("snapshot", "publish", *deadline, *words, "--record", "snapshot.json", "--json")
    done = book(*publish).document
    record = json.loads(Path("snapshot.json").read_text())
    assert ("SnapshotToken", done["contract"], True) == (
        record["contract"],
        record["address"],
        record["codeIsThisReleases"],
    )
    assert "src/SnapshotToken.sol" in json.loads(Path("snapshot.input.json").read_text())["sources"]
    claim = ("snapshot", "claim", proof, "--contract", done["contract"], *words)
    assert book(*claim, "--json").document["transaction"]
    assert "already" in book(*claim).out
    ended = book("snapshot", "sweep", "--contract", done["contract"], *words, "--json")
    assert (0, None) == (ended.status, ended.document["transaction"])  # all is claimed
    ended = book("mint", "alice", "1", "--reason", "late", "--json")
    assert (1, "token_finalized") == (ended.status, ended.error["code"])


def test_headers_are_anchored(book, fresh_anvil: str) -> None:
    """The first run anchors what is sealed, the next one nothing."""
    words = ("anchor", "--rpc", fresh_anvil)
    ended = book(*words, "--json")
    assert (1, "unknown_batch") == (ended.status, ended.error["code"])
    book("seal", "--sign")
    done = book(*words, "--record", "registry.json", "--json").document
    assert 1 == done["headers"]
    record = json.loads(Path("registry.json").read_text())
    assert ("HeaderRegistry", done["registry"], True) == (
        record["contract"],
        record["address"],
        record["codeIsThisReleases"],
    )
    assert "stands at 1 already" in book(*words).out


DEADLINE = ("--deadline", 4_000_000_000)


def test_a_publish_for_a_safe_and_given_up(book, fresh_anvil: str) -> None:
    """The file is written, the books close and open again; nothing was sent."""
    book("seal", "--sign")
    words = ("--rpc", fresh_anvil)
    told = book("snapshot", "publish", *DEADLINE, *words, "--safe-json", "s.json", "--json")
    assert (0, 2, ["s.json"]) == (
        told.status,
        told.document["transactions"],
        told.document["files"],
    )
    assert 2 == len(json.loads(Path("s.json").read_text())["transactions"])
    ended = book("mint", "alice", "1", "--reason", "late", "--json")
    assert (1, "token_finalized") == (ended.status, ended.error["code"])
    unknown = book("snapshot", "reopen", *words)
    assert "who was to send the snapshot?" in unknown.err
    assert "reopened" in book("snapshot", "reopen", *words, "--payer", "0x" + "5a" * 20).out
    assert 0 == book("mint", "alice", "1", "--reason", "in time").status
    with Rpc(fresh_anvil) as rpc:
        assert "0x" == rpc.call("eth_getCode", [told.document["contract"], "latest"])


def test_a_signature_is_written_only_where_it_is_asked_for(book, fresh_anvil: str) -> None:
    """Take tells no digest without a chain; --sign writes a new private file, outside of DIR."""
    book("seal", "--sign")
    take = ("snapshot", "take", "snap", *DEADLINE)
    assert None is book(*take, "--json").document["digest"]
    assert "--chain-id" in book(*take).out
    assert "signature" not in Path("snap/snapshot.json").read_text()
    assert 2 == book(*take, "--sign", "open.sig", "--json").status
    assert "can open these claims" in book(*take, "--sign", "open.sig", "--chain-id", 31337).out
    assert 0o600 == Path("open.sig").stat().st_mode & 0o777
    assert 0 != book(*take, "--sign", "open.sig", "--chain-id", 31337, "--json").status
    words = ("--rpc", fresh_anvil, "--signature", "open.sig", "--json")
    assert book("snapshot", "publish", *DEADLINE, *words).document["transaction"]


def test_signed_elsewhere_and_sent_by_an_offline_key(book, fresh_anvil: str) -> None:
    """The digest that `take` tells is signed elsewhere, the transactions by a key offline."""
    payer = hex_data(create_keystore("payer.json", "payer.password"))
    key = ("--keystore", "payer.json", "--password-file", "payer.password")
    words = ("--rpc", fresh_anvil)
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_setBalance", [payer, hex(10**20)])
    book("seal", "--sign")
    taken = book("snapshot", "take", "snap", *DEADLINE, "--chain-id", 31337, "--json")
    digest = taken.document["digest"]
    operator = KeystoreSigner(
        "token_ledger.db.operator.json", password=password_from("token_ledger.db.operator.password")
    )
    Path("signature").write_text(hex_data(operator.sign_digest(bytes.fromhex(digest[2:]))))
    publish = ("snapshot", "publish", *DEADLINE, *words, "--signature", "signature")
    told = book(*publish, "--unsigned", "out.json", "--payer", payer, "--json").document
    signed = book("sign-offline", "out.json", "-o", "signed.json", *key, "--json")
    assert (0, [0, 1]) == (signed.status, signed.document["nonces"])
    assert 2 == book("broadcast", "signed.json", *words, "--json").document["sent"]
    assert "already" in book(*publish).out
    proof = next(Path("snap/proofs").iterdir())
    claim = ("snapshot", "claim", proof, "--contract", told["contract"], *words)
    assert 0 == book(*claim, "--safe-json", "claim.json").status
    assert book(*claim, "--json").document["transaction"]


def test_anchor_as_files(book, fresh_anvil: str) -> None:
    """Registry and headers for a Safe; contradictions are wrong usage."""
    book("seal", "--sign")
    words = ("anchor", "--rpc", fresh_anvil)
    assert 2 == book(*words, "--safe-json", "s.json", "--json").document["transactions"]
    assert 2 == book(*words, "--unsigned", "u.json", "--json").status
    assert 1 == book(*words, "--json").document["headers"]
    ended = book(*words, "--safe-json", "s.json", "--json")
    assert (1, "not_ready") == (ended.status, ended.error["code"])
