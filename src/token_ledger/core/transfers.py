"""What the importer takes from a chain in one step: a range of blocks, by the column.

`chain.logs` makes it and `ledger.mirror` stores it; columns, because a row object a log would
cost more than decoding it. Values are 32 big-endian bytes, as the chain says them.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

from token_ledger.core.types import Transfer


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """What is kept of a block; `timestamp` in microseconds since the epoch."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int


@dataclass(frozen=True, slots=True)
class ReplayedBatch:
    """One BatchReplayed log: the chain's word that it executed a batch."""

    block_number: int
    block_hash: bytes
    log_index: int
    tx_hash: bytes
    number: int
    digest: bytes
    entries_root: bytes
    first_seq: int
    count: int


class Cut(Sequence[bytes]):
    """Byte strings of one size within one: the i-th is the `size` bytes at `start + step * i`.

    A column as it was decoded: some who store it take it whole, and nobody pays for its parts.
    """

    __slots__ = ("raw", "size", "start", "step")

    def __init__(self, raw: bytes, *, size: int, start: int, step: int) -> None:
        self.raw, self.size, self.start, self.step = raw, size, start, step

    def __len__(self) -> int:
        return len(self.raw) // self.step

    def __iter__(self) -> Iterator[bytes]:
        return iter(self[:])

    @overload
    def __getitem__(self, place: int) -> bytes: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[bytes]: ...

    def __getitem__(self, place: int | slice) -> bytes | Sequence[bytes]:
        places = range(len(self))[place]
        if isinstance(places, int):
            at = self.start + self.step * places
            return self.raw[at : at + self.size]
        if places.step != 1:
            return [self[i] for i in places]
        # One call of C for all of them, which is thrice as fast as a slice each.
        item = f"{self.start}x{self.size}s{self.step - self.start - self.size}x"
        low, high = self.step * places.start, self.step * (places.start + len(places))
        return struct.unpack(item * len(places), self.raw[low:high])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have none


ODD_KEPT_MAX = 100
"""So many odd logs are told one by one; all are counted."""
NOT_FUNGIBLE = "not_fungible"
UNINDEXED = "unindexed"
WIDE = "wide"
MALFORMED = "malformed"
ODDITIES = {
    NOT_FUNGIBLE: "it has four topics, as ERC-721's: a thing moves, no amount",
    UNINDEXED: "its sides stand in its data, not in topics: balances cannot be followed",
    WIDE: "one of its sides is wider than an address",
    MALFORMED: "neither its topics nor its data are those of an ERC-20's",
}
"""Why a Transfer log is no ERC-20 transfer."""


@dataclass(frozen=True, slots=True)
class OddLog:
    """A Transfer log that is no ERC-20 transfer, and the key of the reason in `ODDITIES`."""

    block_number: int
    block_hash: bytes
    log_index: int
    tx_hash: bytes
    reason: str


@dataclass(slots=True)
class OddLogs:
    """The odd logs of some blocks: how many for each reason, and the first ones themselves."""

    counts: Counter[str] = field(default_factory=Counter)
    first: list[OddLog] = field(default_factory=list)

    def add(self, reason: str, make: Callable[[], OddLog]) -> None:
        """Count one, and keep it while there is room."""
        self.counts[reason] += 1
        if len(self.first) < ODD_KEPT_MAX:
            self.first.append(make())

    def extend(self, later: OddLogs) -> None:
        """Add those of later blocks."""
        self.counts.update(later.counts)
        self.first += later.first[: max(0, ODD_KEPT_MAX - len(self.first))]


@dataclass(slots=True)
class TransferColumns:
    """Transfer logs in chain order, one list a field. `seq` is None where no replay made it.

    `bridges`: the bridge that minted or burned (ERC-7802), by the place of its transfer.
    `odd`: Transfer logs that are none of these.
    """

    block_number: Sequence[int] = ()
    block_hash: Sequence[bytes] = ()
    log_index: Sequence[int] = ()
    tx_hash: Sequence[bytes] = ()
    tx_index: Sequence[int] = ()
    from_address: Sequence[bytes] = ()
    to_address: Sequence[bytes] = ()
    value: Sequence[bytes] = ()
    seq: list[int | None] = field(default_factory=list)
    bridges: dict[int, bytes] = field(default_factory=dict)
    odd: OddLogs = field(default_factory=OddLogs)

    def __len__(self) -> int:
        return len(self.value)

    def rows(self) -> list[Transfer]:
        """Return the transfers as rows, for where speed does not matter."""
        columns = (
            self.block_number,
            self.block_hash,
            self.log_index,
            self.tx_hash,
            self.tx_index,
            self.from_address,
            self.to_address,
            [int.from_bytes(value, "big") for value in self.value],
        )
        return [Transfer(*fields) for fields in zip(*columns, strict=True)]


@dataclass(slots=True)
class ChainRange:
    """Everything a contract said from `from_block` to `to_block`, both included.

    `to_hash` is the hash of the last block: what the next range must be built on. `skipped` counts
    Transfer logs that are no ERC-20 transfers.
    """

    from_block: int
    to_block: int
    to_hash: bytes
    parent_hash: bytes
    transfers: TransferColumns
    batches: list[ReplayedBatch]
    blocks: list[BlockHeader]
    skipped: int = 0
