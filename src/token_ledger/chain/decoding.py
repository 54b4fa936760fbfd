"""One answer to `eth_getLogs`, decoded strictly, by the column.

A whole answer is decoded with a handful of C-speed passes: hexadecimal columns are joined, checked
and converted at once. A log of another address, out of range, out of order or of a wrong type means
that the node did not answer the question: ValueError. A Transfer of another shape (ERC-721 has four
topics; a topic may hold more than an address) is counted and skipped: a value that is not where
ERC-20 puts it may as well be the number of a thing. Asks no node: `chain.logs` does.
"""

from __future__ import annotations

import binascii
import gc
import itertools
import operator
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from token_ledger.chain.contracts import (
    BATCH_PART_REPLAYED_TOPIC,
    BATCH_REPLAYED_TOPIC,
    CROSSCHAIN_BURN_TOPIC,
    CROSSCHAIN_MINT_TOPIC,
    TRANSFER_TOPIC,
)
from token_ledger.chain.rpc import decode_data, decode_quantity
from token_ledger.core.transfers import (
    MALFORMED,
    NOT_FUNGIBLE,
    UNINDEXED,
    WIDE,
    Cut,
    OddLog,
    OddLogs,
    ReplayedBatch,
    TransferColumns,
)
from token_ledger.core.types import ZERO_ADDRESS

TRANSFER = "0x" + TRANSFER_TOPIC.hex()
BATCH_REPLAYED = "0x" + BATCH_REPLAYED_TOPIC.hex()
PART_REPLAYED = "0x" + BATCH_PART_REPLAYED_TOPIC.hex()
CROSSCHAIN_MINT = "0x" + CROSSCHAIN_MINT_TOPIC.hex()
CROSSCHAIN_BURN = "0x" + CROSSCHAIN_BURN_TOPIC.hex()
_EVENTS = frozenset({TRANSFER, BATCH_REPLAYED, PART_REPLAYED, CROSSCHAIN_MINT, CROSSCHAIN_BURN})
_UNINDEXED = frozenset({(1, 2 + 2 * 96), (2, 2 + 2 * 64)})  # topics, and the length of the data
_LOG_INDEX_BITS = 32
_INDEX_MAX = 1 << 31
_WORD_TEXT = 66
_PADDING_END = 2 + 2 * 12  # in the text of a word that holds an address

Log = dict[str, Any]
# A field of every log of an answer, at the speed of C.
_ADDRESS, _TOPICS, _DATA = map(operator.itemgetter, ("address", "topics", "data"))
_BLOCK_NUMBER, _BLOCK_HASH, _LOG_INDEX = map(
    operator.itemgetter, ("blockNumber", "blockHash", "logIndex")
)
_TX_HASH, _TX_INDEX = map(operator.itemgetter, ("transactionHash", "transactionIndex"))


class _WideTopicError(ValueError):
    """A topic holds more than an address: no compiler makes that, but a contract may do it."""


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
    if {text.lower() for text in set(map(_ADDRESS, logs))} != {address}:
        raise ValueError("a log is of another address than was asked for")
    if any(log.get("removed") for log in logs):
        raise ValueError("a log is of an orphaned block")
    block_number = _quantities(list(map(_BLOCK_NUMBER, logs)))
    log_index = _quantities(list(map(_LOG_INDEX, logs)))
    keys = [
        number << _LOG_INDEX_BITS | index
        for number, index in zip(block_number, log_index, strict=True)
    ]
    if not all(map(operator.lt, keys, itertools.islice(keys, 1, None))):
        raise ValueError("logs are out of order, or one comes twice")
    if max(log_index) >= _INDEX_MAX:
        raise ValueError("a log index is out of range")
    if block_number[0] < from_block or block_number[-1] > to_block:
        raise ValueError("a log is outside the range that was asked for")
    topics = list(map(_TOPICS, logs))
    plain = set(map(len, topics)) == {3} and set(map(len, map(_DATA, logs))) == {_WORD_TEXT}
    if plain and {first for first, _, _ in topics} == {TRANSFER}:
        with suppress(_WideTopicError):
            return _columns(logs, block_number, log_index), [], 0
    shapes = [(item[0], len(item)) for item in topics]
    return _decode_mixed(logs, shapes, block_number, log_index, keys)


def _decode_mixed(
    logs: list[Log],
    shapes: list[tuple[Any, int]],
    block_number: list[int],
    log_index: list[int],
    keys: list[int],
) -> DecodedLogs:
    if any(topic not in _EVENTS for topic, _ in shapes):
        raise ValueError("a log is of another event than was asked for")
    places = [i for i, shape in enumerate(shapes) if shape == (TRANSFER, 3) and _is_erc20(logs[i])]
    placed = set(places)
    transfers = _columns(
        [logs[i] for i in places], [block_number[i] for i in places], [log_index[i] for i in places]
    )
    transfer_keys = [keys[i] for i in places]
    batches: list[ReplayedBatch] = []
    parts: set[int] = set()
    skipped = 0
    for i, (topic, _) in enumerate(shapes):
        if topic == PART_REPLAYED:
            _assign_seqs(transfers, transfer_keys, _decode_part(logs[i]), keys[i])
            parts.add(keys[i])
        elif topic == BATCH_REPLAYED:
            batch = _decode_batch(logs[i], block_number[i], log_index[i])
            if keys[i] - 1 not in parts:  # else the parts told of all its transfers
                run = _Run(batch.tx_hash, batch.first_seq, batch.count)
                _assign_seqs(transfers, transfer_keys, run, keys[i])
            batches.append(batch)
        elif topic != TRANSFER:
            _assign_bridge(transfers, transfer_keys, logs[i], keys[i])
        elif i not in placed:
            skipped += 1
            _add_odd(transfers.odd, logs[i], block_number[i], log_index[i])
    return transfers, batches, skipped


def _is_erc20(log: Log) -> bool:
    """Tell whether a Transfer log of three topics holds a value and two addresses."""
    return len(log["data"]) == _WORD_TEXT and not any(
        topic[2:_PADDING_END].strip("0") for topic in log["topics"][1:]
    )


def _add_odd(odd: OddLogs, log: Log, block_number: int, log_index: int) -> None:
    """Take note of a Transfer log that is no ERC-20 transfer."""
    shape = (len(log["topics"]), len(log["data"]))
    reason = MALFORMED
    if shape == (3, _WORD_TEXT):
        reason = WIDE
    elif shape in _UNINDEXED:
        reason = UNINDEXED
    elif shape == (4, len("0x")):
        reason = NOT_FUNGIBLE
    hashes = _hash(log["blockHash"]), _hash(log["transactionHash"])
    odd.add(reason, lambda: OddLog(block_number, hashes[0], log_index, hashes[1], reason))


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


def _assign_bridge(transfers: TransferColumns, keys: list[int], log: Log, key: int) -> None:
    """Note which bridge minted or burned: its event stands beside the transfer it tells of.

    An event of another form, or beside nothing that it could tell of, says nothing.
    """
    topics, data = log["topics"], log["data"]
    if len(topics) != 3 or len(data) != _WORD_TEXT:
        return
    party, bridge, value = (decode_data(word, size=32) for word in (*topics[1:], data))
    if any(party[:12]) or any(bridge[:12]):
        return
    zero_side, other_side = (
        (transfers.from_address, transfers.to_address)
        if topics[0] == CROSSCHAIN_MINT
        else (transfers.to_address, transfers.from_address)
    )
    tx_hash = _hash(log["transactionHash"])
    for wanted in (key - 1, key + 1):  # OpenZeppelin's order, then the other one
        i = bisect_left(keys, wanted)
        if i == len(keys) or keys[i] != wanted or i in transfers.bridges:
            continue
        told = (zero_side[i], other_side[i], transfers.value[i], transfers.tx_hash[i])
        if told == (ZERO_ADDRESS, party[12:], value, tx_hash):
            transfers.bridges[i] = bridge[12:]
            return


def _columns(logs: list[Log], block_number: list[int], log_index: list[int]) -> TransferColumns:
    _, senders, receivers = zip(*map(_TOPICS, logs), strict=True) if logs else ((), (), ())
    tx_index = _quantities(list(map(_TX_INDEX, logs)))
    if max(tx_index, default=0) >= _INDEX_MAX:
        raise ValueError("a transaction index is out of range")
    return TransferColumns(
        block_number=block_number,
        block_hash=_repeated(list(map(_BLOCK_HASH, logs)), _hash),
        log_index=log_index,
        tx_hash=_words(list(map(_TX_HASH, logs))),
        tx_index=tx_index,
        from_address=_addresses(senders),
        to_address=_addresses(receivers),
        value=_words(list(map(_DATA, logs))),
        seq=[None] * len(logs),
    )


def _hash(text: Any) -> bytes:
    return decode_data(text, size=32)


def _repeated(texts: list[Any], decode: Callable[[Any], Any]) -> list[Any]:
    """Decode a column in which values repeat: each distinct one once."""
    decoded = {text: decode(text) for text in set(texts)}
    return list(map(decoded.__getitem__, texts))


def _quantities(texts: list[Any]) -> list[int]:
    return _repeated(texts, decode_quantity)


def _joined(texts: Sequence[str]) -> bytes:
    """Return a column of 32-byte words, 33 bytes each: a zero where 0x stood, then the word.

    Raises ValueError for anything that is not 0x and 64 hexadecimal digits.
    """
    n = len(texts)
    if any(length != _WORD_TEXT for length in set(map(len, texts))):
        raise ValueError("a word is not 32 bytes")
    joined = bytearray("".join(texts), "ascii")
    if joined[0::_WORD_TEXT].count(b"0") != n or joined[1::_WORD_TEXT].count(b"x") != n:
        raise ValueError("a word does not begin with 0x")
    joined[1::_WORD_TEXT] = b"0" * n  # any other x is no hexadecimal digit
    return binascii.unhexlify(joined)


def _words(texts: Sequence[str]) -> Cut:
    return Cut(_joined(texts), size=32, start=1, step=33)


def _addresses(texts: Sequence[str]) -> Cut:
    raw = _joined(texts)
    n = len(texts)
    if any(raw[k::33].count(0) != n for k in range(1, 13)):
        raise _WideTopicError("a topic is wider than an address")
    return Cut(raw, size=20, start=13, step=33)


@contextmanager
def without_gc() -> Iterator[None]:
    """Pause the cyclic collector: it would walk a hundred thousand fresh, acyclic objects."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
