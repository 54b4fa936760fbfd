"""The tree: the same as OpenZeppelin's, and what a verifier must not be fooled by."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from eth_abi import encode as abi_encode
from hypothesis import given
from hypothesis import strategies as st
from tests import reference
from tests.core.samples import hashes
from tests.reference import unhexed

from token_ledger.core.hashing import keccak
from token_ledger.core.merkle import MerkleTree, path_lengths, root_of

leaf_sets = st.lists(hashes, min_size=1, max_size=70, unique=True)


def _dump(shared_data: Path, name: str) -> dict[str, Any]:
    path = shared_data / "vectors/openzeppelin_merkle_tree" / f"{name}.1_0_6.json"
    dump: dict[str, Any] = json.loads(path.read_text())
    return dump


def _leaf(dump: dict[str, Any], value: Any) -> bytes:
    if dump["format"] == "simple-v1":
        return unhexed(value)
    return keccak(keccak(abi_encode(dump["leafEncoding"], value)))


@pytest.mark.parametrize("name", ["standard-v1.sorted", "simple-v1.sorted"])
def test_openzeppelin_dumps(shared_data: Path, name: str) -> None:
    """A tree that OpenZeppelin's library dumped is rebuilt: its root, and every node on a path."""
    dump = _dump(shared_data, name)
    nodes = [unhexed(node) for node in dump["tree"]]
    leaves = [_leaf(dump, item["value"]) for item in dump["values"]]
    tree = MerkleTree(leaves)
    assert nodes[0] == tree.root
    for leaf, item in zip(leaves, dump["values"], strict=True):
        assert nodes[item["treeIndex"]] == leaf
        assert reference.proof_of(nodes, item["treeIndex"]) == list(tree.path(leaf))


@pytest.mark.parametrize("name", ["standard-v1.unsorted", "simple-v1.unsorted"])
def test_openzeppelin_paths_of_unsorted_trees(shared_data: Path, name: str) -> None:
    """A path leads to its root whatever order the leaves were in: it carries no directions."""
    dump = _dump(shared_data, name)
    nodes = [unhexed(node) for node in dump["tree"]]
    for item in dump["values"]:
        path = reference.proof_of(nodes, item["treeIndex"])
        assert nodes[0] == root_of(_leaf(dump, item["value"]), path)


@pytest.mark.parametrize("name", ["complex_example", "example"])
def test_real_distributor_lists(shared_data: Path, name: str) -> None:
    """Over a real airdrop list the tree is the naive one."""
    path = shared_data / "vectors/uniswap_merkle_distributor" / f"{name}.json"
    claims = json.loads(path.read_text())
    leaves = [
        keccak(keccak(abi_encode(["address", "uint256"], [who.lower(), int(str(amount), 0)])))
        for who, amount in claims.items()
    ]
    assert reference.make_tree(leaves)[0] == MerkleTree(leaves).root


def test_real_distributor_claim(shared_data: Path) -> None:
    """The root of a real one-claim drop is reached from its claim with its empty path."""
    path = shared_data / "vectors/uniswap_merkle_distributor/result.json"
    result = json.loads(path.read_text())
    for who, claim in result["claims"].items():
        packed = claim["index"].to_bytes(32, "big") + unhexed(who.lower())
        leaf = keccak(packed + int(claim["amount"], 0).to_bytes(32, "big"))
        nodes = [unhexed(node) for node in claim["proof"]]
        assert unhexed(result["merkleRoot"]) == root_of(leaf, nodes)


@given(leaf_sets)
def test_tree_is_the_naive_one(leaves: list[bytes]) -> None:
    """Root and every path are those of the library's algorithm, transcribed."""
    expected = reference.make_tree(leaves)
    tree = MerkleTree(leaves)
    assert expected[0] == tree.root
    assert len(leaves) == tree.count
    for leaf in leaves:
        path = tree.path(leaf)
        assert reference.proof_of(expected, expected.index(leaf)) == list(path)
        assert tree.root == root_of(leaf, path)


@given(leaf_sets, st.randoms())
def test_order_of_leaves_does_not_matter(leaves: list[bytes], rng: random.Random) -> None:
    """Leaves are sorted: the root is a function of the set. `seq` inside the leaf binds order."""
    shuffled = leaves.copy()
    rng.shuffle(shuffled)
    assert MerkleTree(leaves).root == MerkleTree(shuffled).root


def test_path_lengths_are_exact() -> None:
    """For every size the shortest and the longest path that occur are the bounds."""
    for count in range(1, 200):
        leaves = [count.to_bytes(2, "big") * 15 + i.to_bytes(2, "big") for i in range(count)]
        tree = MerkleTree(leaves)
        lengths = {len(tree.path(leaf)) for leaf in leaves}
        assert (min(lengths), max(lengths)) == path_lengths(count)


def test_an_inner_node_needs_a_length_that_is_refused() -> None:
    """Given an inner node as leaf the hashes do lead to the root: the length tells it apart."""
    leaves = [keccak(bytes([i])) for i in range(8)]
    tree = MerkleTree(leaves)
    path = tree.path(leaves[0])
    node = root_of(leaves[0], path[:1])
    assert tree.root == root_of(node, path[1:])
    shortest, longest = path_lengths(8)
    assert not shortest <= len(path[1:]) <= longest


def test_the_root_needs_an_empty_path() -> None:
    """The root with an empty path is a tree of one leaf, and of no other size."""
    assert (0, 0) == path_lengths(1)
    assert all(path_lengths(count)[0] > 0 for count in range(2, 300))


@given(leaf_sets, st.integers(0, 10**6), st.integers(0, 255))
def test_an_altered_sibling_leads_elsewhere(leaves: list[bytes], which: int, bit: int) -> None:
    """One flipped bit in a leaf or in a sibling gives another root."""
    tree = MerkleTree(leaves)
    leaf = leaves[which % len(leaves)]
    chain = [leaf, *tree.path(leaf)]
    i = which % len(chain)
    flipped = int.from_bytes(chain[i], "big") ^ (1 << bit)
    chain[i] = flipped.to_bytes(32, "big")
    # The one exception is nature's: the two leaves of a pair may be swapped for each other.
    if chain[0] != leaf and chain[0] in leaves:
        return
    assert tree.root != root_of(chain[0], chain[1:])


def test_a_stranger_has_no_path() -> None:
    """Asking for the path of a leaf that is not in the tree raises KeyError."""
    with pytest.raises(KeyError):
        MerkleTree([b"\x01" * 32, b"\x02" * 32]).path(b"\x03" * 32)


def test_there_is_no_empty_tree() -> None:
    """No leaves, no root: a batch is never empty."""
    with pytest.raises(AssertionError):
        MerkleTree([])
