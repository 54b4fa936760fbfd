"""The root of an ordered trie: how a block header commits to its transactions and receipts.

A Merkle Patricia trie whose keys are rlp(0), rlp(1), … : built once from the whole list and thrown
away. It makes no proofs, holds no nodes and takes no other keys; the tests compare it with the
library `trie` and with real blocks. Source: Ethereum Yellow Paper, appendix D.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from token_ledger.core.hashing import keccak
from token_ledger.core.rlp import Item, encode, integer

EMPTY_ROOT = keccak(encode(b""))
_NIBBLES = "0123456789abcdef"
_EXTENSION, _LEAF = 0, 2


def ordered_root(values: Sequence[bytes]) -> bytes:
    """Return the root, 32 bytes, of the trie that maps rlp(i) to `values[i]`, none of them empty.

    The empty list has the root EMPTY_ROOT.
    """
    count = len(values)
    if count == 0:
        return EMPTY_ROOT
    # In the order of keys, 0 comes after 127: rlp(0) is 0x80, rlp(128) is 0x8180.
    order = [*range(1, min(count, 128)), 0, *range(128, count)]
    keys = [_key(i) for i in order]
    return keccak(encode(_node(keys, [values[i] for i in order], 0, count, 0)))


@lru_cache(maxsize=1 << 12)
def _key(index: int) -> str:
    return encode(integer(index)).hex()


@lru_cache(maxsize=1 << 12)
def _path(nibbles: str, kind: int) -> bytes:
    """Return a path in hex-prefix encoding (Yellow Paper, appendix C)."""
    odd = len(nibbles) % 2
    return bytes.fromhex(f"{kind + odd}{'' if odd else '0'}{nibbles}")


def _node(keys: list[str], values: list[bytes], low: int, high: int, depth: int) -> list[Item]:
    """Return the node over the sorted keys from `low` to `high`, alike in `depth` nibbles."""
    first = keys[low]
    if high - low == 1:
        return [_path(first[depth:], _LEAF), values[low]]
    last = keys[high - 1]
    fork = depth
    while first[fork] == last[fork]:  # no key begins another: they differ somewhere
        fork += 1
    branch = _branch(keys, values, low, high, fork)
    if fork == depth:
        return branch
    return [_path(first[depth:fork], _EXTENSION), _reference(branch)]


def _branch(keys: list[str], values: list[bytes], low: int, high: int, depth: int) -> list[Item]:
    children: list[Item] = []
    start = low
    for nibble in _NIBBLES:
        end = start
        while end < high and keys[end][depth] == nibble:
            end += 1
        if end == start:
            children.append(b"")
        else:
            children.append(_reference(_node(keys, values, start, end, depth + 1)))
            start = end
    children.append(b"")  # a branch's own value: there is none where no key begins another
    return children


def _reference(node: list[Item]) -> Item:
    """Return how a parent names a node: by its hash, or in full when that is shorter."""
    encoded = encode(node)
    return node if len(encoded) < 32 else keccak(encoded)
