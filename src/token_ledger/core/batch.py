"""What a batch seals: leaves, root, rows, header digest, and how much fits (design section 6).

Does no I/O and holds no clock: `seal` gives it entries and a time, and writes what comes back.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from token_ledger.core import packing
from token_ledger.core.hashing import domain_separator, keccak, keccak_twice, typed_digest, word
from token_ledger.core.merkle import MerkleTree
from token_ledger.core.types import ZERO_ADDRESS, Batch, Entry, Header

BATCH_TYPE_HASH = keccak(
    b"Batch(uint64 number,bytes32 parent,uint64 firstSeq,uint32 count,bytes32 entriesRoot,"
    b"bytes32 rowsHash,uint256 totalSupply,uint64 sealedAt)"
)
_PAD = b"\0" * 12
_PLACE = struct.Struct(">24xQ24xQ").pack  # seq and timestamp, a word each


def leaf(entry: Entry) -> bytes:
    """Return the entry's leaf, 32 bytes (OpenZeppelin `standard-v1`).

    keccak256(keccak256(abi.encode(bytes32 id, uint64 seq, uint64 timestamp, address from,
    address to, uint256 value))): hashed twice, so that it is never taken for a node.
    """
    encoded = b"".join(
        (
            entry.id,
            entry.seq.to_bytes(32, "big"),
            entry.timestamp.to_bytes(32, "big"),
            _PAD,
            entry.from_address,
            _PAD,
            entry.to_address,
            entry.value.to_bytes(32, "big"),
        )
    )
    return keccak(keccak(encoded))


def leaves_of_words(
    first_seq: int,
    ids: Sequence[bytes],
    times: Sequence[int],
    moved: tuple[Iterable[bytes], Iterable[bytes], Iterable[bytes]],
) -> list[bytes]:
    """Return the same leaves for a walk over millions, of entries from `first_seq` on.

    `moved`: their from, their to and their value, each as words. Raises OverflowError for a time
    that is no uint64.
    """
    places = map(_PLACE, range(first_seq, first_seq + len(ids)), times)
    try:
        return keccak_twice(map(b"".join, zip(ids, places, *moved, strict=True)))
    except struct.error as error:
        raise OverflowError(str(error)) from None


def entries_tree(entries: Iterable[Entry]) -> MerkleTree:
    """Return the tree over the leaves of a batch's entries."""
    return MerkleTree([leaf(entry) for entry in entries])


def movements(entries: Iterable[Entry]) -> list[packing.Movement]:
    """Return what the rows of a batch say, in the order of `seq`."""
    return [(entry.from_address, entry.to_address, entry.value) for entry in entries]


def header_digest(token_uid: bytes, header: Header) -> bytes:
    """Return the header's EIP-712 digest, 32 bytes: what the sealer signs and a chain stores."""
    struct_hash = keccak(
        b"".join(
            (
                BATCH_TYPE_HASH,
                word(header.number),
                header.parent,
                word(header.first_seq),
                word(header.count),
                header.entries_root,
                header.rows_hash,
                word(header.total_supply),
                word(header.sealed_at),
            )
        )
    )
    return typed_digest(domain_separator(token_uid), struct_hash)


def supply_change(entries: Iterable[Entry]) -> int:
    """Return minted minus burned, in base units."""
    change = 0
    for entry in entries:
        if entry.from_address == ZERO_ADDRESS:
            change += entry.value
        elif entry.to_address == ZERO_ADDRESS:
            change -= entry.value
    return change


def make_batch(
    token_uid: bytes,
    entries: Sequence[Entry],
    *,
    number: int,
    parent: bytes,
    supply_before: int,
    sealed_at: int,
) -> Batch:
    """Return the unsigned batch over `entries`, which are contiguous in `seq` and not empty.

    `parent` is the digest of the header before (zero for the first), `supply_before` its total
    supply in base units, `sealed_at` microseconds since the epoch.
    """
    rows = packing.pack(movements(entries))
    header = Header(
        number=number,
        parent=parent,
        first_seq=entries[0].seq,
        count=len(entries),
        entries_root=entries_tree(entries).root,
        rows_hash=keccak(rows),
        total_supply=supply_before + supply_change(entries),
        sealed_at=sealed_at,
    )
    return Batch(token_uid, header, header_digest(token_uid, header), tuple(entries), rows)
