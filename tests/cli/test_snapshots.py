"""snapshot and anchor through the command, on a real Anvil."""

from __future__ import annotations

from pathlib import Path


def test_balances_are_claimed(book, fresh_anvil: str) -> None:
    """Take writes proofs, publish opens, claim pays; a repeat sends nothing; the books close."""
    book("seal", "--sign")
    deadline = ("--deadline", 4_000_000_000)
    taken = book("snapshot", "take", "snap", *deadline, "--json").document
    assert (1, "10000") == (taken["accounts"], taken["totalSupply"])
    proof = next(Path("snap/proofs").iterdir())
    words = ("--rpc", fresh_anvil)
    done = book("snapshot", "publish", *deadline, *words, "--json").document
    claim = ("snapshot", "claim", proof, "--contract", done["contract"], *words)
    assert book(*claim, "--json").document["transaction"]
    assert "before" in book(*claim).out
    ended = book("snapshot", "sweep", "--contract", done["contract"], *words, "--json")
    assert (2, "reverted") == (ended.status, ended.error["code"])
    ended = book("mint", "alice", "1", "--reason", "late", "--json")
    assert (1, "token_finalized") == (ended.status, ended.error["code"])


def test_headers_are_anchored(book, fresh_anvil: str) -> None:
    """The first run anchors what is sealed, the next one nothing."""
    words = ("anchor", "--rpc", fresh_anvil)
    ended = book(*words, "--json")
    assert (1, "unknown_batch") == (ended.status, ended.error["code"])
    book("seal", "--sign")
    assert 1 == book(*words, "--json").document["headers"]
    assert "0 headers, up to 1" in book(*words).out
