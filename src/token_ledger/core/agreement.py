"""Two answers about the same blocks, from two nodes: where they first differ, and in what.

Judges nobody: which of the two is right cannot be seen from here. Fetches nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from token_ledger.core.transfers import BlockHeader, ChainRange


@dataclass(frozen=True, slots=True)
class Difference:
    """The lowest block at which two answers differ.

    `in_hash`: they name different blocks at that height. Otherwise it is the same block with other
    logs, which no reorganisation explains: one of the two nodes leaves logs out or makes some up.
    `in_state`: what they differ in is neither, but what a contract is or says at that block.
    """

    block_number: int
    in_hash: bool
    sides: tuple[str, str]
    in_state: bool = False


def differing_headers(
    one: Sequence[BlockHeader], other: Sequence[BlockHeader]
) -> Difference | None:
    """Return the lowest height at which both have a header, and not the same one."""
    said = {header.number: header for header in other}
    for header in one:
        there = said.get(header.number)
        if there is not None and there != header:
            return Difference(header.number, in_hash=True, sides=(_hash(header), _hash(there)))
    return None


def differing_ranges(one: Sequence[ChainRange], other: Sequence[ChainRange]) -> Difference | None:
    """Return where two readings of the same blocks and contracts differ; None if nowhere."""
    if one == other:
        return None
    for ours, theirs in zip(one, other, strict=True):
        if found := differing_headers(ours.blocks, theirs.blocks):
            return found
    found_logs = [_differing_logs(*pair) for pair in zip(one, other, strict=True)]
    return min(
        (found for found in found_logs if found is not None),
        key=lambda found: found.block_number,
        default=Difference(one[0].from_block, in_hash=False, sides=("other logs", "other logs")),
    )


def _differing_logs(one: ChainRange, other: ChainRange) -> Difference | None:
    logs, others = _logs(one), _logs(other)
    different = logs.items() ^ others.items()
    if different:
        number, index = min(place for place, _ in different)
        return Difference(
            number,
            in_hash=False,
            sides=(
                _told(logs.get((number, index)), index),
                _told(others.get((number, index)), index),
            ),
        )
    if one.skipped != other.skipped:
        sides = (f"{one.skipped} logs of another shape", f"{other.skipped} of them")
        return Difference(one.from_block, in_hash=False, sides=sides)
    return None


def _logs(found: ChainRange) -> dict[tuple[int, int], tuple[object, ...]]:
    """Return everything that is said of each log, by its place."""
    transfers = found.transfers
    columns = (
        transfers.tx_hash,
        transfers.tx_index,
        transfers.from_address,
        transfers.to_address,
        transfers.value,
    )
    places = zip(transfers.block_number, transfers.log_index, strict=True)
    logs: dict[tuple[int, int], tuple[object, ...]] = dict(
        zip(places, zip(*columns, strict=True), strict=True)
    )
    for batch in found.batches:
        logs[(batch.block_number, batch.log_index)] = (batch,)
    for odd in transfers.odd.first:
        logs[(odd.block_number, odd.log_index)] = (odd.tx_hash, odd.reason)
    return logs


def _told(log: tuple[object, ...] | None, index: int) -> str:
    if log is None:
        return f"no log {index}"
    tx_hash = log[0]
    told = f" of transaction 0x{tx_hash.hex()}" if isinstance(tx_hash, bytes) else ""
    return f"a log {index}{told}"


def _hash(header: BlockHeader) -> str:
    return f"0x{header.hash.hex()}"
