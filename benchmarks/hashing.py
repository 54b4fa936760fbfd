"""Does sealing hash at most twice what its trees need? Ours against the bare keccak calls."""

from __future__ import annotations

from sha3 import keccak_256

from benchmarks.figures import Figure, cost, seconds
from token_ledger.core.batch import entries_tree, make_batch
from token_ledger.core.types import ZERO_HASH, Entry

ENTRIES = 100_000
BATCH = 4_000


def _entries() -> list[Entry]:
    return [
        Entry(
            seq=i,
            id=keccak_256(b"id%d" % i).digest(),
            timestamp=1_700_000_000_000_000 + i,
            from_address=(1 + i % 97).to_bytes(20, "big"),
            to_address=(200 + i % 89).to_bytes(20, "big"),
            value=10**18 + i,
            nonce=ZERO_HASH,
            ref=ZERO_HASH,
        )
        for i in range(ENTRIES)
    ]


def _bare(leaves: int) -> None:
    """Do the keccak calls of the trees and nothing else: two a leaf, one a node."""
    leaf, node = bytes(192), bytes(64)
    for _ in range(leaves):
        keccak_256(keccak_256(leaf).digest()).digest()
        keccak_256(node).digest()


def measure() -> list[Figure]:
    """Time the trees, and whole batches with rows and header, of 100,000 entries."""
    entries = _entries()
    chunks = [entries[i : i + BATCH] for i in range(0, ENTRIES, BATCH)]
    floor = seconds(lambda: _bare(ENTRIES), runs=3)
    trees = seconds(lambda: [entries_tree(chunk).root for chunk in chunks], runs=3)
    batches = seconds(
        lambda: [
            make_batch(
                ZERO_HASH,
                chunk,
                number=1,
                parent=ZERO_HASH,
                supply_before=0,
                sealed_at=0,
            )
            for chunk in chunks
        ],
        runs=3,
    )
    return [
        cost("leaves and trees of 100,000 entries", ours=trees, floor=floor, unit="s", at_most=2),
        cost("whole batches of them, rows packed", ours=batches, floor=floor, unit="s", at_most=2),
    ]
