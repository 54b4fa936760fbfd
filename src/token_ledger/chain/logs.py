"""Transfer logs of a contract, fetched by adaptive ranges that learn a node's limits.

What an answer must be, `chain.decoding` judges; one that is not means that the node did not answer
the question: RpcError. Does not store: `ingest` does.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from token_ledger.chain.decoding import (
    BATCH_REPLAYED,
    CROSSCHAIN_BURN,
    CROSSCHAIN_MINT,
    PART_REPLAYED,
    TRANSFER,
    DecodedLogs,
    decode_logs,
    without_gc,
)
from token_ledger.chain.rpc import NodeError, Rpc, TooLargeError, decode_data, decode_quantity
from token_ledger.core.limits import SHRINKS, LimitKind, classify
from token_ledger.core.transfers import BlockHeader, ChainRange
from token_ledger.errors import ForkedError, RpcError

LOGS_TARGET = 20_000
"""Ranges grow and shrink towards this many logs an answer: about 12 MB of JSON."""
RANGE_START, RANGE_MAX = 8, 100_000
PINNED_MAX = 64
"""Near the head so many blocks are read at once, each one's logs by its hash."""
_GROW_AFTER = 32
_SECONDS_MAX = 253_402_300_799  # 9999-12-31T23:59:59Z, the last that a database column holds
_METHOD = "eth_getLogs"


class LogReader:
    """Reads one contract's logs range by range; learns from the answers how much to ask for."""

    def __init__(self, rpc: Rpc, address: bytes, *, replayed: bool, window: int = 0) -> None:
        """`replayed`: also read the logs of replays, as a ledger's own contract has them.

        `window`: of so many blocks below the head all headers are read, and the logs of each are
        asked for by its hash: what a reorganisation may still change is never mixed up.
        """
        self._rpc = rpc
        self._address = "0x" + address.hex()
        topics = [TRANSFER, CROSSCHAIN_MINT, CROSSCHAIN_BURN]
        topics += [BATCH_REPLAYED, PART_REPLAYED] if replayed else []
        self._filter = {"address": self._address, "topics": [topics]}
        self._window = window
        self._size = RANGE_START
        self._ceiling = RANGE_MAX
        self._successes = 0

    def read(self, from_block: int, head: int) -> ChainRange:
        """Return the next range from `from_block`, at most up to `head`.

        Raises RpcError when even one block cannot be had, ForkedError when the chain changed.
        """
        settled = head - self._window
        near = from_block > settled
        while True:
            size = min(self._size, PINNED_MAX) if near else self._size
            to_block = min(from_block + size - 1, head if near else settled)
            try:
                with without_gc():
                    return (self._pinned if near else self._ranged)(from_block, to_block)
            except (NodeError, TooLargeError) as error:
                if to_block == from_block:
                    raise
                self._shrink(error, to_block - from_block + 1)

    def _ranged(self, from_block: int, to_block: int) -> ChainRange:
        """Read settled blocks: logs by number, then headers of the blocks that matter."""
        span = {"fromBlock": hex(from_block), "toBlock": hex(to_block)}
        logs = self._rpc.call(_METHOD, [self._filter | span])
        found = self._decode(logs, from_block, to_block)
        numbers = {from_block, to_block, *found[0].block_number}
        numbers |= {batch.block_number for batch in found[1]}
        return self._joined(found, read_headers(self._rpc, sorted(numbers)))

    def _pinned(self, from_block: int, to_block: int) -> ChainRange:
        """Read blocks that may still change: all headers first, then the logs of each hash."""
        headers = read_headers(self._rpc, range(from_block, to_block + 1))
        for below, above in itertools.pairwise(headers):
            if above.parent_hash != below.hash:
                raise ForkedError(f"block {above.number} does not follow the one before it")
        queries = [self._filter | {"blockHash": "0x" + header.hash.hex()} for header in headers]
        try:
            answers = self._rpc.batch([(_METHOD, [query]) for query in queries])
        except NodeError as error:
            limit = classify(error.text, code=error.rpc_code, status=error.status)
            if limit.kind is LimitKind.UNKNOWN_BLOCK:
                raise ForkedError(f"{self._rpc.shown} no longer has a block just named") from None
            raise
        if not all(isinstance(answer, list) for answer in answers):
            raise RpcError(f"{_METHOD} at {self._rpc.shown}: not a list of logs")
        logs = [log for answer in answers for log in answer]
        return self._joined(self._decode(logs, from_block, to_block), headers)

    def _decode(self, logs: Any, from_block: int, to_block: int) -> DecodedLogs:
        with self._rpc.decoding(_METHOD):
            found = decode_logs(
                logs, address=self._address, from_block=from_block, to_block=to_block
            )
        self._adapt(len(logs))
        return found

    def _shrink(self, error: NodeError | TooLargeError, asked: int) -> None:
        """Ask for fewer blocks after `asked` were refused: as few as the text says, or half."""
        size = asked // 2
        if isinstance(error, NodeError):
            limit = classify(error.text, code=error.rpc_code, status=error.status)
            if limit.kind in SHRINKS:
                size = limit.next_size(asked)
        self._size = max(1, size)
        self._ceiling, self._successes = self._size, 0

    def _adapt(self, logs: int) -> None:
        self._successes += 1
        if self._successes % _GROW_AFTER == 0:  # the node may have been busy: try more again
            self._ceiling = min(2 * self._ceiling, RANGE_MAX)
        if logs > LOGS_TARGET:
            self._size = max(1, self._size // 2)
        elif logs * 2 <= LOGS_TARGET:
            self._size = min(2 * self._size, self._ceiling)

    def _joined(self, found: DecodedLogs, headers: list[BlockHeader]) -> ChainRange:
        """Join logs and headers; each log must name the block that its header is of."""
        transfers, batches, skipped = found
        named = set(zip(transfers.block_number, transfers.block_hash, strict=True))
        named |= {(batch.block_number, batch.block_hash) for batch in batches}
        if strange := named - {(header.number, header.hash) for header in headers}:
            raise ForkedError(
                f"block {min(strange)[0]} changed while its logs were read at {self._rpc.shown}",
                hint="the chain reorganised; run it again",
            )
        return ChainRange(
            from_block=headers[0].number,
            to_block=headers[-1].number,
            to_hash=headers[-1].hash,
            parent_hash=headers[0].parent_hash,
            transfers=transfers,
            batches=batches,
            blocks=headers,
            skipped=skipped,
        )


def read_headers(rpc: Rpc, numbers: Sequence[int]) -> list[BlockHeader]:
    """Return block headers by number, in the same order. Raises RpcError for an unknown block."""
    method = "eth_getBlockByNumber"
    answers = rpc.batch([(method, [hex(number), False]) for number in numbers])
    with rpc.decoding(method):
        return [
            decode_header(answer, number) for answer, number in zip(answers, numbers, strict=True)
        ]


def decode_header(answer: Any, number: int) -> BlockHeader:
    """Return a block's header; raises ValueError, TypeError or KeyError for anything else."""
    if answer is None:
        raise ValueError(f"block {number} is unknown there")
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
