"""Merkle trees in OpenZeppelin's `standard-v1` layout: sorted leaves, sorted-pair nodes.

A complete binary tree of n leaves as an array of 2n − 1 nodes: the root first, node i over nodes
2i + 1 and 2i + 2, leaves at the end in descending order of hash. `@openzeppelin/merkle-tree` and
Solidity's `MerkleProof` verify the paths as they are. No padding, no duplicated leaf.
Source: @openzeppelin/merkle-tree, `src/core.ts`; the naive twin is `tests/reference.py`.

Leaves are taken as hashes already: `core.batch` makes them by double hashing, so that no
64-byte pair of nodes can pass for a leaf.
"""

from __future__ import annotations

from collections.abc import Sequence

from token_ledger.core.hashing import fill_nodes, keccak


class MerkleTree:
    """A tree over leaf hashes of 32 bytes each, given in any order."""

    __slots__ = ("_index", "_nodes", "count")

    def __init__(self, leaves: Sequence[bytes]) -> None:
        """Build the tree. An empty one does not exist, and neither do two equal leaves."""
        assert leaves, "a batch is never empty"
        count = len(leaves)
        nodes: list[bytes] = [b""] * (count - 1)
        nodes += sorted(leaves, reverse=True)
        fill_nodes(nodes, count)
        self.count = count
        self._nodes = nodes
        self._index: dict[bytes, int] | None = None

    @property
    def root(self) -> bytes:
        """The root, 32 bytes. Of a single leaf, the leaf itself."""
        return self._nodes[0]

    def path(self, leaf: bytes) -> tuple[bytes, ...]:
        """Return the sibling hashes from `leaf` up to the root. Raises KeyError for a stranger."""
        if self._index is None:
            first = self.count - 1
            self._index = {node: first + i for i, node in enumerate(self._nodes[first:])}
        i = self._index[leaf]
        path: list[bytes] = []
        while i > 0:
            path.append(self._nodes[i + 1 if i % 2 else i - 1])
            i = (i - 1) // 2
        return tuple(path)


def root_of(leaf: bytes, path: Sequence[bytes]) -> bytes:
    """Return the root that `leaf` and its `path` of 32-byte siblings lead to."""
    node = leaf
    for sibling in path:
        node = keccak(node + sibling if node < sibling else sibling + node)
    return node


def path_lengths(count: int) -> tuple[int, int]:
    """Return the shortest and the longest path that a tree of `count` leaves can have.

    A verifier that takes the length from the proof alone accepts an inner node for a leaf.
    """
    return count.bit_length() - 1, (count - 1).bit_length()
