"""Does `--verify receipts` cost at most twice the hashing and encoding that it needs?

The floor hashes exactly the bytes that a verification hashes, and encodes the receipts and the
nodes over them from values that lie there decoded. Ours reads the node's JSON objects strictly,
checks every place in them, computes blooms, encodes, and builds the root, with caches cold. The
peer does as much as the libraries `rlp` and `trie` offer: encoding and root, nothing checked.
"""

from __future__ import annotations

import random
from typing import Any

import rlp
from trie import HexaryTrie

from benchmarks.figures import Figure, cost, rate, seconds
from token_ledger.core import bloom, receipts, trie
from token_ledger.core.hashing import keccak
from token_ledger.core.rlp import encode
from token_ledger.core.wire import decode_data, decode_quantity

BLOCKS, RECEIPTS, CONTRACTS, HOLDERS = 20, 200, 60, 2_000
BLOCK_HASH = keccak(b"block")
_HASH_TEXT = "0x" + BLOCK_HASH.hex()


def _receipts(seed: int) -> list[dict[str, Any]]:
    """Return a block's receipts, as many logs and as varied as mainnet's: 2.3 a receipt."""
    dice = random.Random(seed)
    answer: list[dict[str, Any]] = []
    log_index = 0
    for index in range(RECEIPTS):
        place: dict[str, Any] = {
            "blockHash": _HASH_TEXT,
            "blockNumber": hex(seed),
            "transactionHash": "0x" + dice.randbytes(32).hex(),
            "transactionIndex": hex(index),
        }
        logs = []
        for _ in range(dice.choice((0, 0, 1, 2, 2, 3, 8))):
            topics = ["0x" + keccak(b"%d" % dice.randrange(8)).hex()]
            topics += ["0x" + f"{dice.randrange(HOLDERS):064x}" for _ in range(dice.randrange(3))]
            address = "0x" + keccak(b"c%d" % dice.randrange(CONTRACTS))[:20].hex()
            log: dict[str, Any] = {"address": address, "topics": topics, "removed": False}
            log["data"] = "0x" + dice.randbytes(32 * dice.randrange(1, 4)).hex()
            logs.append({**log, **place, "logIndex": hex(log_index)})
            log_index += 1
        items = [decode_data(text) for log in logs for text in (log["address"], *log["topics"])]
        answer.append(
            {
                **place,
                "type": "0x2",
                "status": "0x1",
                "cumulativeGasUsed": hex(60_000 * (index + 1)),
                "logs": logs,
                "logsBloom": "0x" + bloom.bloom_of(items).hex(),
            }
        )
    return answer


def _verify(blocks: list[list[dict[str, Any]]]) -> list[bytes]:
    """Return the roots; of the contracts, one is imported."""
    receipts._item.cache_clear()
    wanted = {keccak(b"c1")[:20]}
    return [
        receipts.read_receipts(
            block, block_hash=BLOCK_HASH, block_number=number, addresses=wanted
        ).root
        for number, block in enumerate(blocks)
    ]


def _hashed(blocks: list[list[dict[str, Any]]]) -> list[bytes]:
    """Return whatever a verification hashes, in order."""
    hashed: list[bytes] = []

    def record(data: bytes) -> bytes:
        hashed.append(data)
        return keccak(data)

    bloom.keccak = trie.keccak = record
    try:
        _verify(blocks)
    finally:
        bloom.keccak = trie.keccak = keccak
    return hashed


def _nested(receipt: dict[str, Any]) -> list[Any]:
    gas = decode_quantity(receipt["cumulativeGasUsed"])
    logs = [
        [
            decode_data(log["address"]),
            [decode_data(topic) for topic in log["topics"]],
            decode_data(log["data"]),
        ]
        for log in receipt["logs"]
    ]
    return [b"\x01", gas.to_bytes(4, "big").lstrip(b"\0"), decode_data(receipt["logsBloom"]), logs]


def _with_libraries(block: list[list[Any]]) -> bytes:
    tree = HexaryTrie({}, prune=True)
    for index, receipt in enumerate(block):
        tree[rlp.encode(index)] = b"\x02" + rlp.encode(receipt)
    root: bytes = tree.root_hash
    return root


def measure() -> list[Figure]:
    """Time the verification of 20 blocks of 200 receipts, and one of them with the libraries."""
    blocks = [_receipts(seed) for seed in range(BLOCKS)]
    hashed = _hashed(blocks)
    nested = [[_nested(receipt) for receipt in block] for block in blocks]
    nodes = [rlp.decode(data) for data in hashed if len(data) > 32]
    assert _verify(blocks)[0] == _with_libraries(nested[0])

    def bare() -> None:
        for data in hashed:
            keccak(data)
        for block in nested:
            for receipt in block:
                encode(receipt)
        for node in nodes:
            encode(node)

    # By turns, and of all rounds the middle one: a busy moment of the machine strikes all three.
    rounds = [
        (
            seconds(bare),
            seconds(lambda: _verify(blocks)),
            seconds(lambda: _with_libraries(nested[0])) * BLOCKS,
        )
        for _ in range(15)
    ]
    floor, ours, peer = sorted(rounds, key=lambda times: times[1] / times[0])[len(rounds) // 2]
    count = BLOCKS * RECEIPTS
    return [
        cost(
            f"verify {count:,} receipts: bare hashing and encoding",
            ours=ours,
            floor=floor,
            unit="s",
            at_most=2,
        ),
        rate(
            "the same: `rlp` and `trie`, unchecked",
            ours=count / ours,
            floor=count / peer,
            unit="receipts/s",
            at_least=5,
        ),
    ]
