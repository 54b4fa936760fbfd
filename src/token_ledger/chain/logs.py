"""Transfer logs of contracts, fetched by adaptive ranges that learn a node's limits.

What an answer must be, `chain.decoding` judges; one that is not means that the node did not answer
the question: RpcError. Several contracts share one question, and the headers of its blocks. Does
not store: `ingest` does.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from token_ledger.chain.decoding import (
    BATCH_REPLAYED,
    CROSSCHAIN_BURN,
    CROSSCHAIN_MINT,
    PART_REPLAYED,
    TRANSFER,
    DecodedLogs,
    Log,
    decode_logs,
    without_gc,
)
from token_ledger.chain.exchange import TooLargeError
from token_ledger.chain.pace import Pace
from token_ledger.chain.rpc import (
    NodeError,
    Rpc,
    UnknownBlockError,
    decode_data,
    decode_quantity,
)
from token_ledger.core.agreement import differing_ranges
from token_ledger.core.limits import LimitKind, classify
from token_ledger.core.transfers import BlockHeader, ChainRange
from token_ledger.errors import ForkedError, RpcError

if TYPE_CHECKING:
    from token_ledger.chain.endpoints import Nodes

LOGS_TARGET = 20_000
"""So many logs are wanted at once, of all the answers under way: about 12 MB of JSON."""
PINNED_MAX = 64
"""Near the head so many blocks are read at once, each one's logs by its hash."""
_SECONDS_MAX = 253_402_300_799  # 9999-12-31T23:59:59Z, the last that a database column holds
_METHOD = "eth_getLogs"
_BLOCK_METHOD = "eth_getBlockByNumber"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A contract whose logs are wanted; `replayed`: those of replays too, as a ledger's own has."""

    address: bytes
    replayed: bool

    @property
    def topics(self) -> list[str]:
        """The events that are wanted of it."""
        topics = [TRANSFER, CROSSCHAIN_MINT, CROSSCHAIN_BURN]
        return topics + [BATCH_REPLAYED, PART_REPLAYED] * self.replayed


class LogReader:
    """Reads contracts' logs range by range; learns from the answers how much to ask for.

    Thread-safe: several ranges may be read at once.
    """

    def __init__(self, nodes: Nodes, *, window: int = 0, concurrency: int = 1) -> None:
        """`window`: of so many blocks below the head all headers are read, and the logs of each
        are asked for by its hash: what a reorganisation may still change is never mixed up.

        `concurrency`: how many ranges are read at once; together they hold LOGS_TARGET logs.
        """
        self._nodes = nodes
        self._window = window
        self._pace = Pace(max(1, LOGS_TARGET // concurrency))

    def plan(self, low: int, high: int, *, head: int) -> int:
        """Return how far, up to `high`, the range from `low` should reach."""
        settled = head - self._window
        if low > settled:
            return min(low + min(self._pace.size, PINNED_MAX) - 1, high)
        return min(low + self._pace.size - 1, high, settled)

    def read(self, wanted: Sequence[Wanted], low: int, high: int, *, head: int) -> list[ChainRange]:
        """Return what each contract said from block `low` on, up to `high` or less far.

        All ranges are over the same blocks; the headers are with the first. Raises RpcError when
        even one block cannot be had, ForkedError when the chain changed, DisagreementError.
        """
        near = low > head - self._window
        while True:

            def ask(rpc: Rpc, high: int = high) -> list[ChainRange]:
                return (self._pinned if near else self._ranged)(rpc, wanted, low, high)

            try:
                with without_gc():
                    found = self._nodes.agree(
                        ask,
                        differing_ranges,
                        reach=high,
                        settled=not near,
                        shrinkable=high > low,
                    )
            except (NodeError, TooLargeError) as error:
                if high == low:
                    raise
                self._pace.refused(error, high - low + 1)
                high = min(low + self._pace.size, high) - 1
            else:
                logs = sum(len(part.transfers) + len(part.batches) for part in found)
                self._pace.answered(high - low + 1, logs)
                return found

    def _ranged(self, rpc: Rpc, wanted: Sequence[Wanted], low: int, high: int) -> list[ChainRange]:
        """Read settled blocks: logs by number, then headers of the blocks that matter."""
        span = {"fromBlock": hex(low), "toBlock": hex(high)}
        logs = rpc.call(_METHOD, [query_of(wanted) | span])
        found = decode_split(rpc, wanted, logs, low, high)
        numbers = {low, high}
        for transfers, batches, _ in found:
            numbers |= {*transfers.block_number, *(batch.block_number for batch in batches)}
        return joined(rpc, found, read_headers(rpc, sorted(numbers)))

    def _pinned(self, rpc: Rpc, wanted: Sequence[Wanted], low: int, high: int) -> list[ChainRange]:
        """Read blocks that may still change: all headers first, then the logs of each hash."""
        headers = read_headers(rpc, range(low, high + 1))
        for below, above in itertools.pairwise(headers):
            if above.parent_hash != below.hash:
                raise ForkedError(f"block {above.number} does not follow the one before it")
        asked = query_of(wanted)
        queries = [asked | {"blockHash": "0x" + header.hash.hex()} for header in headers]
        try:
            answers = rpc.batch([(_METHOD, [query]) for query in queries])
        except NodeError as error:
            limit = classify(error.text, code=error.rpc_code, status=error.status)
            if limit.kind is LimitKind.UNKNOWN_BLOCK:
                raise ForkedError(f"{rpc.shown} no longer has a block just named") from None
            raise
        if not all(isinstance(answer, list) for answer in answers):
            raise RpcError(f"{_METHOD} at {rpc.shown}: not a list of logs")
        logs = [log for answer in answers for log in answer]
        return joined(rpc, decode_split(rpc, wanted, logs, low, high), headers)


def query_of(wanted: Sequence[Wanted]) -> dict[str, Any]:
    """Return the filter that asks for the contracts' events, without its blocks."""
    addresses = ["0x" + one.address.hex() for one in wanted]
    topics = dict.fromkeys(topic for one in wanted for topic in one.topics)
    return {"address": addresses if len(wanted) > 1 else addresses[0], "topics": [[*topics]]}


def decode_split(
    rpc: Rpc, wanted: Sequence[Wanted], logs: Any, low: int, high: int
) -> list[DecodedLogs]:
    """Return what each contract said, decoded. Raises RpcError for what was not asked for."""
    with rpc.decoding(_METHOD):
        return [
            decode_logs(part, address="0x" + one.address.hex(), from_block=low, to_block=high)
            for one, part in zip(wanted, _split(wanted, logs), strict=True)
        ]


def _split(wanted: Sequence[Wanted], logs: Any) -> list[Any]:
    """Return the logs of each contract, without events that were asked for of another one."""
    if len(wanted) == 1:
        return [logs]
    if not isinstance(logs, list):
        raise TypeError("not a list of logs")
    parts: dict[str, list[Log]] = {"0x" + one.address.hex(): [] for one in wanted}
    for log in logs:
        part = parts.get(log["address"].lower())
        if part is None:
            raise ValueError("a log is of another address than was asked for")
        part.append(log)
    topics = {topic for one in wanted for topic in one.topics}
    return [
        part
        if len(one.topics) == len(topics)
        else [log for log in part if log["topics"][0] not in topics.difference(one.topics)]
        for one, part in zip(wanted, parts.values(), strict=True)
    ]


def joined(
    rpc: Rpc, decoded: Sequence[DecodedLogs], headers: list[BlockHeader]
) -> list[ChainRange]:
    """Join logs and headers; each log must name the block that its header is of.

    The headers go with the first contract. Raises ForkedError.
    """
    known = {(header.number, header.hash) for header in headers}
    ranges: list[ChainRange] = []
    for transfers, batches, skipped in decoded:
        named = set(zip(transfers.block_number, transfers.block_hash, strict=True))
        named |= {(batch.block_number, batch.block_hash) for batch in batches}
        if strange := named - known:
            raise ForkedError(
                f"block {min(strange)[0]} changed while its logs were read at {rpc.shown}",
                hint="the chain reorganised; run it again",
            )
        ranges.append(
            ChainRange(
                from_block=headers[0].number,
                to_block=headers[-1].number,
                to_hash=headers[-1].hash,
                parent_hash=headers[0].parent_hash,
                transfers=transfers,
                batches=batches,
                blocks=headers if not ranges else [],
                skipped=skipped,
            )
        )
    return ranges


def read_headers(rpc: Rpc, numbers: Sequence[int]) -> list[BlockHeader]:
    """Return block headers by number, in the same order. Raises UnknownBlockError, RpcError."""
    answers = read_blocks(rpc, numbers)
    with rpc.decoding(_BLOCK_METHOD):
        return [
            decode_header(answer, number) for answer, number in zip(answers, numbers, strict=True)
        ]


def read_blocks(
    rpc: Rpc, numbers: Sequence[int], *, whole: bool = False, size: int = 100
) -> list[Any]:
    """Return a node's blocks by number, as it answers; `whole`: with all of their transactions.

    `size`: how many are asked for at once. Raises UnknownBlockError, RpcError.
    """
    answers = rpc.batch([(_BLOCK_METHOD, [hex(n), whole]) for n in numbers], size=size)
    for number, answer in zip(numbers, answers, strict=True):
        if answer is None:
            raise UnknownBlockError(f"block {number} is unknown to {rpc.shown}")
    return answers


def decode_header(answer: Any, number: int) -> BlockHeader:
    """Return a block's header; raises ValueError, TypeError or KeyError for anything else."""
    if decode_quantity(answer["number"]) != number:
        raise ValueError(f"another block than {number}")
    seconds = decode_quantity(answer["timestamp"])
    if seconds > _SECONDS_MAX:
        raise ValueError(f"the timestamp of block {number} is out of range")
    return BlockHeader(
        number=number,
        hash=decode_data(answer["hash"], size=32),
        parent_hash=decode_data(answer["parentHash"], size=32),
        timestamp=seconds * 1_000_000,
    )
