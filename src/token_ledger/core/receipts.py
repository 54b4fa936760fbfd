"""The receipts of a block: read strictly from JSON-RPC, encoded as the chain encodes them, hashed.

A node can omit logs, invent them or alter them under an unchanged block hash: only the receipts
root tells. `read_receipts` rebuilds it from `eth_getBlockReceipts`, `check_receipts` compares it
with a header that `core.headers` has verified, `compare_logs` then holds `eth_getLogs` against it.
What a receipt does not commit to, its transaction's hash, is `core.transactions`' to prove.

An answer that is no answer raises ValueError (see `core.wire`), another chain's receipt ChainError;
a difference is a Finding. Source: Yellow Paper 4.3.1, EIP-658 (status), EIP-2718 (types).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import Any

from token_ledger.core.bloom import BLOOM_BYTES, mask_of
from token_ledger.core.rlp import Item, encode, integer
from token_ledger.core.transactions import TYPE_MAX, BlockTransactions, decode_type
from token_ledger.core.trie import ordered_root
from token_ledger.core.types import Finding
from token_ledger.core.wire import decode_data, decode_quantity, refuse

RECEIPTS_ROOT_DIFFERS = "receipts_root_differs"
"""The receipts that the node gives are not those that the block's header commits to."""
BLOOM_DIFFERS = "bloom_differs"
"""A receipt's bloom is not that of its own logs."""
TRANSACTION_HASH_DIFFERS = "transaction_hash_differs"
"""A receipt names another transaction than stands at its place in the block."""

RECEIPTS_MAX = 1 << 20
"""More receipts than a block can hold: 21,000 gas each."""
_TOPICS_MAX = 4
_STATUSES: dict[object, bytes] = {"0x0": integer(0), "0x1": integer(1)}
_TYPES: dict[object, int] = {hex(kind): kind for kind in range(TYPE_MAX + 1)}
_TYPE_PREFIXES = (b"", *(bytes((kind,)) for kind in range(1, TYPE_MAX + 1)))

_PLACE_OF_RECEIPT = itemgetter("blockHash", "blockNumber", "transactionIndex")
_PLACE_OF_LOG = itemgetter(
    "blockHash", "blockNumber", "transactionIndex", "transactionHash", "logIndex"
)

Log = dict[str, Any]
"""One log in the form of `eth_getLogs`, its hexadecimal in lower case."""


@dataclass(frozen=True, slots=True)
class BlockReceipts:
    """What the receipts of one block come to.

    `root` and `bloom` are rebuilt from the receipts. `tx_hashes` are the node's word: no receipt
    commits to them. `logs` are those of the contracts that were asked for. `wrong_blooms` are the
    places of receipts whose own bloom is not that of their logs.
    """

    block_number: int
    block_hash: bytes
    root: bytes
    bloom: bytes
    tx_hashes: tuple[bytes, ...]
    logs: list[Log] = field(repr=False)
    wrong_blooms: tuple[int, ...] = ()

    def logs_of(self, address: bytes, first_topics: Collection[bytes]) -> list[Log]:
        """Return a contract's logs of some events, as `eth_getLogs` would have to answer them."""
        wanted, events = "0x" + address.hex(), {"0x" + topic.hex() for topic in first_topics}
        return [
            log
            for log in self.logs
            if log["address"] == wanted and log["topics"] and log["topics"][0] in events
        ]


def read_receipts(
    answer: object,
    *,
    block_hash: bytes,
    block_number: int,
    addresses: Collection[bytes] | None = None,
) -> BlockReceipts:
    """Return what an answer to `eth_getBlockReceipts` comes to.

    `addresses`: the contracts whose logs are kept; all by default. Raises ValueError for anything
    but the receipts of this block in their order, logs numbered from 0 without a gap; ChainError
    for a receipt of another chain's type, which cannot be encoded here.
    """
    if answer is None:
        raise ValueError(f"block {block_number} is unknown there")
    if not isinstance(answer, list) or len(answer) > RECEIPTS_MAX:
        raise ValueError("not a list of receipts")
    block = _Reader(block_number, block_hash, addresses)
    encoded = [block.read(index, receipt) for index, receipt in enumerate(answer)]
    return BlockReceipts(
        block_number=block_number,
        block_hash=block_hash,
        root=ordered_root(encoded),
        bloom=block.bits.to_bytes(BLOOM_BYTES, "big"),
        tx_hashes=tuple(block.tx_hashes),
        logs=block.logs,
        wrong_blooms=tuple(block.wrong_blooms),
    )


def check_receipts(
    receipts: BlockReceipts, *, root: bytes, transactions: BlockTransactions | None = None
) -> list[Finding]:
    """Return how the receipts of a block differ from the root that its verified header names.

    `transactions`: the block's, verified; with them the receipts' transaction hashes are proven.
    """
    where: dict[str, object] = {
        "block_number": receipts.block_number,
        "block_hash": "0x" + receipts.block_hash.hex(),
    }
    findings = []
    if receipts.root != root:
        findings.append(
            Finding(
                RECEIPTS_ROOT_DIFFERS,
                "the node's receipts are not those of the block: logs were omitted, invented or "
                "altered, or the node keeps no full receipts; take them from another node",
                {**where, "expected": "0x" + root.hex(), "actual": "0x" + receipts.root.hex()},
            )
        )
    if receipts.wrong_blooms:
        findings.append(
            Finding(
                BLOOM_DIFFERS,
                "a receipt's bloom is not that of its logs: the node's index is damaged, and its "
                "answers to log queries may be incomplete",
                {**where, "transaction_indexes": list(receipts.wrong_blooms)},
            )
        )
    if transactions is not None and transactions.hashes != receipts.tx_hashes:
        findings.append(
            Finding(
                TRANSACTION_HASH_DIFFERS,
                "the receipts name other transactions than the block holds; take them from "
                "another node",
                {**where, "transaction_indexes": _unequal(transactions.hashes, receipts.tx_hashes)},
            )
        )
    return findings


def _unequal(left: tuple[bytes, ...], right: tuple[bytes, ...]) -> list[int]:
    size, both = max(len(left), len(right)), min(len(left), len(right))
    return [i for i in range(size) if i >= both or left[i] != right[i]]


# --- reading: the hot path. Texts that are as expected are compared, not decoded.


class _Reader:
    """Reads the receipts of one block in their order, and keeps what they have in common."""

    def __init__(
        self, block_number: int, block_hash: bytes, addresses: Collection[bytes] | None
    ) -> None:
        self.bits = 0
        self.tx_hashes: list[bytes] = []
        self.logs: list[Log] = []
        self.wrong_blooms: list[int] = []
        self._number, self._hash = hex(block_number), "0x" + block_hash.hex()
        self._wanted = None if addresses is None else {"0x" + item.hex() for item in addresses}
        self._log_index = 0

    def read(self, index: int, receipt: object) -> bytes:
        """Return the consensus encoding of the next receipt."""
        try:
            if not isinstance(receipt, dict):
                refuse(f"{receipt!r:.80} is no receipt")
            return self._read(index, receipt)
        except KeyError as error:
            raise ValueError(f"receipt {index} lacks {error}") from None
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"receipt {index}: {error!s:.200}") from None

    def _read(self, index: int, receipt: dict[str, Any]) -> bytes:
        kind = _TYPES.get(receipt.get("type"))
        if kind is None:
            kind = decode_type(receipt.get("type"), "receipt")
        place = hex(index)
        if _PLACE_OF_RECEIPT(receipt) != (self._hash, self._number, place):
            self._check_place(receipt, place)
        tx_text = receipt["transactionHash"]
        self.tx_hashes.append(decode_data(tx_text, size=32))
        logs, bits = self._read_logs(receipt["logs"], place, tx_text)
        self.bits |= bits
        bloom = bits.to_bytes(BLOOM_BYTES, "big")
        self._compare_bloom(index, receipt["logsBloom"], bloom)
        gas = integer(decode_quantity(receipt["cumulativeGasUsed"], bits=64))
        return _TYPE_PREFIXES[kind] + encode([_outcome(receipt), gas, bloom, logs])

    def _check_place(self, item: dict[str, Any], tx_place: str) -> None:
        """Refuse a receipt or log of another block, or out of its order."""
        if not _same(item["blockHash"], self._hash):
            refuse(f"of block {item['blockHash']!r:.80}, not of {self._hash}")
        if not _same(item["blockNumber"], self._number):
            refuse(f"of block number {item['blockNumber']!r:.80}, not of {self._number}")
        if not _same(item["transactionIndex"], tx_place):
            refuse(f"transactionIndex is {item['transactionIndex']!r:.80}, in place {tx_place}")

    def _compare_bloom(self, index: int, claimed: object, bloom: bytes) -> None:
        text = "0x" + bloom.hex()
        if claimed != text and decode_data(claimed, size=BLOOM_BYTES) != bloom:
            self.wrong_blooms.append(index)

    def _read_logs(self, logs: object, tx_place: str, tx_text: str) -> tuple[list[Item], int]:
        """Return a receipt's logs as RLP items and the bits of its bloom."""
        if not isinstance(logs, list):
            refuse("logs is not a list")
        items: list[Item] = []
        bits = 0
        for log in logs:
            if not isinstance(log, dict):
                refuse(f"{log!r:.80} is no log")
            place = hex(self._log_index)
            if _PLACE_OF_LOG(log) != (self._hash, self._number, tx_place, tx_text, place):
                self._check_log(log, tx_place, tx_text, place)
            if log.get("removed"):
                refuse(f"log {self._log_index} is of an orphaned block")
            topics = log["topics"]
            if not isinstance(topics, list) or len(topics) > _TOPICS_MAX:
                refuse(f"the topics of log {self._log_index} are {topics!r:.80}")
            address, mask = _item(log["address"], 20)
            bits |= mask
            hashes = []
            for text in topics:
                topic, mask = _item(text, 32)
                bits |= mask
                hashes.append(topic)
            items.append([address, hashes, decode_data(log["data"])])
            if self._wanted is None or log["address"].lower() in self._wanted:
                self.logs.append(self._keep(log, tx_place))
            self._log_index += 1
        return items, bits

    def _check_log(self, log: dict[str, Any], tx_place: str, tx_text: str, place: str) -> None:
        """Refuse a log of another block or transaction, or out of its order in the block."""
        self._check_place(log, tx_place)
        if not _same(log["logIndex"], place):
            refuse(f"logIndex is {log['logIndex']!r:.80}, in place {place}")
        if not _same(log["transactionHash"], tx_text):
            refuse(f"log {self._log_index} is of another transaction")

    def _keep(self, log: dict[str, Any], tx_place: str) -> Log:
        return {
            "address": log["address"].lower(),
            "topics": [topic.lower() for topic in log["topics"]],
            "data": log["data"].lower(),
            "blockNumber": self._number,
            "blockHash": self._hash,
            "transactionHash": log["transactionHash"].lower(),
            "transactionIndex": tx_place,
            "logIndex": hex(self._log_index),
            "removed": False,
        }


@lru_cache(maxsize=1 << 14)
def _item(text: str, size: int) -> tuple[bytes, int]:
    """Return an address or topic, and its bits of the bloom. They repeat a lot."""
    data = decode_data(text, size=size)
    return data, mask_of(data)


def _outcome(receipt: dict[str, Any]) -> bytes:
    """Return the status, or the state root that stood there before Byzantium."""
    status, root = receipt.get("status"), receipt.get("root")
    if root is None and (known := _STATUSES.get(status)) is not None:
        return known
    if (status is None) == (root is None):
        refuse("a receipt has either a status or, before Byzantium, a state root")
    if status is None:
        return decode_data(root, size=32)
    number = decode_quantity(status)
    if number > 1:
        refuse(f"the status is {status!r:.80}, neither 0 nor 1")
    return integer(number)


def _same(value: object, expected: str) -> bool:
    """Return whether a text is `expected`, be it in upper case or with leading zeros."""
    if value == expected:
        return True
    if type(value) is not str or value[:2] != "0x":
        return False
    if len(expected) == 66:
        return value.lower() == expected.lower()
    return decode_quantity(value) == int(expected, 16)
