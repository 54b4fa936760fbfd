"""Transfer logs of a contract, fetched by adaptive ranges and decoded strictly, by the column.

A whole answer is decoded with a handful of C-speed passes: hexadecimal columns are joined, checked
and converted at once. A log of another address, out of range, out of order or of a wrong type means
that the node did not answer the question: RpcError. A Transfer of another shape (ERC-721 has four
topics) is counted and skipped. Does not store: `ingest` does.
"""

from __future__ import annotations

import binascii
import gc
import itertools
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from token_ledger.chain.contracts import (
    BATCH_PART_REPLAYED_TOPIC,
    BATCH_REPLAYED_TOPIC,
    TRANSFER_TOPIC,
)
from token_ledger.chain.rpc import NodeError, Rpc, TooLargeError, decode_data, decode_quantity
from token_ledger.core.limits import SHRINKS, LimitKind, classify
from token_ledger.core.transfers import BlockHeader, ChainRange, ReplayedBatch, TransferColumns
from token_ledger.errors import ForkedError, RpcError

LOGS_TARGET = 20_000
"""Ranges grow and shrink towards this many logs an answer: about 12 MB of JSON."""
RANGE_START, RANGE_MAX = 8, 100_000
PINNED_MAX = 64
"""Near the head so many blocks are read at once, each one's logs by its hash."""
_GROW_AFTER = 32
_LOG_INDEX_BITS = 32
_INDEX_MAX = 1 << 31
_SECONDS_MAX = 253_402_300_799  # 9999-12-31T23:59:59Z, the last that a database column holds
_METHOD = "eth_getLogs"
_WORD_TEXT = 66
_X_TO_ZERO = bytes.maketrans(b"x", b"0")
_TRANSFER = "0x" + TRANSFER_TOPIC.hex()
_BATCH_REPLAYED = "0x" + BATCH_REPLAYED_TOPIC.hex()
_PART_REPLAYED = "0x" + BATCH_PART_REPLAYED_TOPIC.hex()

Log = dict[str, Any]


class LogReader:
    """Reads one contract's logs range by range; learns from the answers how much to ask for."""

    def __init__(self, rpc: Rpc, address: bytes, *, replayed: bool, window: int = 0) -> None:
        """`replayed`: also read the logs of replays, as a ledger's own contract has them.

        `window`: of so many blocks below the head all headers are read, and the logs of each are
        asked for by its hash: what a reorganisation may still change is never mixed up.
        """
        self._rpc = rpc
        self._address = "0x" + address.hex()
        topics = [_TRANSFER, _BATCH_REPLAYED, _PART_REPLAYED] if replayed else [_TRANSFER]
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
                with _without_gc():
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


# --- decoding


@dataclass(frozen=True, slots=True)
class _Run:
    """The transfers that one log of a replay tells of: the `count` ones right before it."""

    tx_hash: bytes
    first_seq: int
    count: int


DecodedLogs = tuple[TransferColumns, list[ReplayedBatch], int]
"""Transfers, BatchReplayed logs, and how many Transfer logs are of another standard."""


def decode_logs(logs: Any, *, address: str, from_block: int, to_block: int) -> DecodedLogs:
    """Return the transfers and replayed batches of one answer to `eth_getLogs`.

    `address` in lower-case hex. Raises ValueError, TypeError or KeyError unless every log is one
    that was asked for: of this address, within the range, in chain order, none twice.
    """
    if not isinstance(logs, list):
        raise TypeError("not a list of logs")
    if not logs:
        return TransferColumns(), [], 0
    if {log["address"].lower() for log in logs} != {address}:
        raise ValueError("a log is of another address than was asked for")
    if any(log.get("removed") for log in logs):
        raise ValueError("a log is of an orphaned block")
    block_number = _quantities([log["blockNumber"] for log in logs])
    log_index = _quantities([log["logIndex"] for log in logs])
    keys = [
        number << _LOG_INDEX_BITS | index
        for number, index in zip(block_number, log_index, strict=True)
    ]
    if keys != sorted(set(keys)):
        raise ValueError("logs are out of order, or one comes twice")
    if max(log_index) >= _INDEX_MAX:
        raise ValueError("a log index is out of range")
    if block_number[0] < from_block or block_number[-1] > to_block:
        raise ValueError("a log is outside the range that was asked for")
    shapes = [(log["topics"][0], len(log["topics"])) for log in logs]
    if set(shapes) == {(_TRANSFER, 3)} and {len(log["data"]) for log in logs} == {66}:
        return _columns(logs, block_number, log_index), [], 0
    return _decode_mixed(logs, shapes, block_number, log_index, keys)


def _decode_mixed(
    logs: list[Log],
    shapes: list[tuple[Any, int]],
    block_number: list[int],
    log_index: list[int],
    keys: list[int],
) -> DecodedLogs:
    if any(topic not in (_TRANSFER, _BATCH_REPLAYED, _PART_REPLAYED) for topic, _ in shapes):
        raise ValueError("a log is of another event than was asked for")
    places = [
        i
        for i, shape in enumerate(shapes)
        if shape == (_TRANSFER, 3) and len(logs[i]["data"]) == 66
    ]
    transfers = _columns(
        [logs[i] for i in places], [block_number[i] for i in places], [log_index[i] for i in places]
    )
    transfer_keys = [keys[i] for i in places]
    batches: list[ReplayedBatch] = []
    parts: set[int] = set()
    for i, (topic, _) in enumerate(shapes):
        if topic == _PART_REPLAYED:
            _assign_seqs(transfers, transfer_keys, _decode_part(logs[i]), keys[i])
            parts.add(keys[i])
        elif topic == _BATCH_REPLAYED:
            batch = _decode_batch(logs[i], block_number[i], log_index[i])
            if keys[i] - 1 not in parts:  # else the parts told of all its transfers
                run = _Run(batch.tx_hash, batch.first_seq, batch.count)
                _assign_seqs(transfers, transfer_keys, run, keys[i])
            batches.append(batch)
    return transfers, batches, len(logs) - len(places) - len(batches) - len(parts)


def _decode_batch(log: Log, block_number: int, log_index: int) -> ReplayedBatch:
    topics, data = log["topics"], decode_data(log["data"], size=96)
    if len(topics) != 3:
        raise ValueError("a BatchReplayed log has three topics")
    return ReplayedBatch(
        block_number=block_number,
        block_hash=decode_data(log["blockHash"], size=32),
        log_index=log_index,
        tx_hash=decode_data(log["transactionHash"], size=32),
        number=_uint64(decode_data(topics[1], size=32)),
        digest=decode_data(topics[2], size=32),
        entries_root=data[:32],
        first_seq=_uint64(data[32:64]),
        count=_uint64(data[64:]),
    )


def _decode_part(log: Log) -> _Run:
    data = decode_data(log["data"], size=64)
    if len(log["topics"]) != 3:
        raise ValueError("a BatchPartReplayed log has three topics")
    tx_hash = decode_data(log["transactionHash"], size=32)
    return _Run(tx_hash, _uint64(data[:32]), _uint64(data[32:]))


def _uint64(raw: bytes) -> int:
    number = int.from_bytes(raw, "big")
    if number >= 1 << 63:  # what a database's bigint holds; no ledger counts further
        raise ValueError(f"{number} is no number of a batch")
    return number


def _assign_seqs(transfers: TransferColumns, keys: list[int], run: _Run, key: int) -> None:
    """Give the transfers that a replay made their `seq`: the `count` logs right before it."""
    end = bisect_left(keys, key)
    start = end - run.count
    if not 0 <= start < end or keys[start] != key - run.count:
        return  # not as our contract does it: left without `seq`, which `reconcile` reports
    if {transfers.tx_hash[start], transfers.tx_hash[end - 1]} != {run.tx_hash}:
        return
    transfers.seq[start:end] = range(run.first_seq, run.first_seq + run.count)


def _columns(logs: list[Log], block_number: list[int], log_index: list[int]) -> TransferColumns:
    topics = [log["topics"] for log in logs]
    tx_index = _quantities([log["transactionIndex"] for log in logs])
    if max(tx_index, default=0) >= _INDEX_MAX:
        raise ValueError("a transaction index is out of range")
    return TransferColumns(
        block_number=block_number,
        block_hash=_repeated([log["blockHash"] for log in logs], _hash),
        log_index=log_index,
        tx_hash=_repeated([log["transactionHash"] for log in logs], _hash),
        tx_index=tx_index,
        from_address=_addresses([topic[1] for topic in topics]),
        to_address=_addresses([topic[2] for topic in topics]),
        value=_words([log["data"] for log in logs]),
        seq=[None] * len(logs),
    )


def _hash(text: Any) -> bytes:
    return decode_data(text, size=32)


def _repeated(texts: list[Any], decode: Callable[[Any], Any]) -> list[Any]:
    """Decode a column in which values repeat: each distinct one once."""
    decoded = {text: decode(text) for text in set(texts)}
    return [decoded[text] for text in texts]


def _quantities(texts: list[Any]) -> list[int]:
    return _repeated(texts, decode_quantity)


def _joined(texts: Sequence[str]) -> bytes:
    """Return a column of 32-byte words, 33 bytes each: a zero where 0x stood, then the word.

    Raises ValueError for anything that is not 0x and 64 hexadecimal digits.
    """
    n = len(texts)
    if any(length != _WORD_TEXT for length in set(map(len, texts))):
        raise ValueError("a word is not 32 bytes")
    joined = "".join(texts)
    at_its_place = joined[0::_WORD_TEXT].count("0") == n == joined[1::_WORD_TEXT].count("x")
    if not at_its_place or joined.count("x") != n:
        raise ValueError("a word does not begin with 0x")
    return binascii.unhexlify(joined.encode("ascii").translate(_X_TO_ZERO))


def _words(texts: Sequence[str]) -> list[bytes]:
    raw = _joined(texts)
    return [raw[i : i + 32] for i in range(1, len(raw), 33)]


def _addresses(texts: Sequence[str]) -> list[bytes]:
    raw = _joined(texts)
    n = len(texts)
    if any(raw[k::33].count(0) != n for k in range(1, 13)):
        raise ValueError("a topic is wider than an address")
    return [raw[i : i + 20] for i in range(13, len(raw), 33)]


@contextmanager
def _without_gc() -> Iterator[None]:
    """Pause the cyclic collector: it would walk a hundred thousand fresh, acyclic objects."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
