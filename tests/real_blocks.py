"""Real blocks of the shared data, in the JSON form in which a node would answer for them.

What is kept there as RLP is decoded with the library `rlp` and laid out by field name, which is the
inverse of what `core.headers`, `core.transactions` and `core.receipts` do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rlp
from eth_utils import keccak

_HEADER_FIELDS = (
    "parentHash sha3Uncles miner stateRoot transactionsRoot receiptsRoot logsBloom difficulty "
    "number gasLimit gasUsed timestamp extraData mixHash nonce baseFeePerGas withdrawalsRoot "
    "blobGasUsed excessBlobGas parentBeaconBlockRoot requestsHash"
)
_QUANTITIES = (
    "difficulty number gasLimit gasUsed timestamp baseFeePerGas blobGasUsed excessBlobGas "
    "nonce gasPrice gas value v r s chainId maxPriorityFeePerGas maxFeePerGas maxFeePerBlobGas "
    "yParity"
)
HEADER_FIELDS = _HEADER_FIELDS.split()
QUANTITIES = set(_QUANTITIES.split())
_FEES = "chainId nonce maxPriorityFeePerGas maxFeePerGas gas to value input accessList "
TRANSACTION_FIELDS = [
    fields.split()
    for fields in (
        "nonce gasPrice gas to value input v r s",
        "chainId nonce gasPrice gas to value input accessList yParity r s",
        _FEES + "yParity r s",
        _FEES + "maxFeePerBlobGas blobVersionedHashes yParity r s",
        _FEES + "authorizationList yParity r s",
    )
]
EMPTY_BLOOM = "0x" + "00" * 256


@dataclass
class RealBlock:
    """A block as a node answers: `header` in full, `receipts` None where the data has none."""

    name: str
    header: dict[str, Any]
    transactions: list[dict[str, Any]] = field(repr=False)
    receipts: list[dict[str, Any]] | None = field(default=None, repr=False)


def data(raw: bytes) -> str:
    """Return bytes as JSON-RPC data."""
    return "0x" + raw.hex()


def quantity(raw: bytes) -> str:
    """Return a big-endian integer as a JSON-RPC quantity."""
    return hex(int.from_bytes(raw, "big"))


def header_json(fields: list[bytes]) -> dict[str, Any]:
    """Return an RLP header as a node shows it."""
    answer: dict[str, Any] = {}
    for name, raw in zip(HEADER_FIELDS, fields, strict=False):
        is_quantity = name in QUANTITIES and name != "nonce"
        answer[name] = quantity(raw) if is_quantity else data(raw)
    return answer | {"hash": data(keccak(rlp.encode(fields))), "uncles": [], "size": "0x1"}


def transaction_json(item: Any, index: int) -> dict[str, Any]:
    """Return a transaction of an RLP body, bytes when typed and a list when not, as JSON."""
    kind, raw = (item[0], item) if isinstance(item, bytes) else (0, rlp.encode(item))
    values = rlp.decode(raw[1:]) if kind else item
    answer: dict[str, Any] = {"type": hex(kind), "transactionIndex": hex(index)}
    for name, value in zip(TRANSACTION_FIELDS[kind], values, strict=True):
        if name == "accessList":
            answer[name] = [
                {"address": data(address), "storageKeys": list(map(data, keys))}
                for address, keys in value
            ]
        elif name == "authorizationList":
            names = ("chainId", "address", "nonce", "yParity", "r", "s")
            answer[name] = [
                {
                    key: data(part) if key == "address" else quantity(part)
                    for key, part in zip(names, entry, strict=True)
                }
                for entry in value
            ]
        elif name == "blobVersionedHashes":
            answer[name] = list(map(data, value))
        elif name == "to" and not value:
            answer[name] = None
        else:
            answer[name] = quantity(value) if name in QUANTITIES else data(value)
    return answer | {"hash": data(keccak(raw))}


def naive_bloom(items: list[bytes]) -> str:
    """Return the bloom of addresses and topics, transcribed from the Yellow Paper."""
    bits = 0
    for item in items:
        digest = keccak(item)
        for place in (0, 2, 4):
            bits |= 1 << (int.from_bytes(digest[place : place + 2], "big") & 2047)
    return "0x" + bits.to_bytes(256, "big").hex()


def receipts_json(
    items: list[Any], header: dict[str, Any], transactions: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return receipts of the form [type, status or root, gas, logs] as a node shows them."""
    answer: list[dict[str, Any]] = []
    log_index = 0
    for index, (kind, outcome, gas, logs) in enumerate(items):
        place = {
            "blockHash": header["hash"],
            "blockNumber": header["number"],
            "transactionIndex": hex(index),
            "transactionHash": transactions[index]["hash"],
        }
        shown = []
        for address, topics, payload in logs:
            shown.append(
                place
                | {
                    "address": data(address),
                    "topics": list(map(data, topics)),
                    "data": data(payload),
                    "logIndex": hex(log_index),
                    "removed": False,
                }
            )
            log_index += 1
        bloom = naive_bloom([item for address, topics, _ in logs for item in (address, *topics)])
        result = {"root": data(outcome)} if len(outcome) == 32 else {"status": quantity(outcome)}
        answer.append(
            place
            | result
            | {
                "type": quantity(kind),
                "cumulativeGasUsed": quantity(gas),
                "logs": shown,
                "logsBloom": bloom,
            }
        )
    return answer


def portal_blocks(shared_data: Path) -> Iterator[RealBlock]:
    """Yield the 11 mainnet blocks of portal-spec-tests, of every fork from London to Prague."""
    for path in sorted((shared_data / "receipts/portal_spec_tests").glob("*.yaml")):
        texts = dict(line.split(": ", 1) for line in path.read_text().splitlines())
        header, body, receipts = (
            rlp.decode(bytes.fromhex(texts[name][2:])) for name in ("header", "body", "receipts")
        )
        shown = header_json(header)
        transactions = [transaction_json(item, i) for i, item in enumerate(body[0])]
        yield RealBlock(
            path.stem, shown, transactions, receipts_json(receipts, shown, transactions)
        )


def helios_block(shared_data: Path) -> RealBlock:
    """Return mainnet block 21925176 as a node answered it; its transactions are hashes only."""
    folder = shared_data / "receipts/helios_rpc"
    header, receipts = (
        json.loads((folder / name).read_text()) for name in ("block.json", "receipts.json")
    )
    return RealBlock("helios", header, [], receipts)


def testnet_blocks(shared_data: Path) -> list[RealBlock]:
    """Return the 54 blocks of execution-apis: every fork and transaction type, no receipts."""
    raw = (shared_data / "receipts/execution_apis/chain.rlp").read_bytes()
    blocks = []
    while raw:
        block, _, size = rlp.codec.consume_item(raw, 0)
        header = header_json(block[0])
        transactions = [transaction_json(item, i) for i, item in enumerate(block[1])]
        blocks.append(RealBlock(f"test-{int(header['number'], 16)}", header, transactions))
        raw = raw[size:]
    return blocks


def exchanges(shared_data: Path, method: str) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Yield name, request and result of the recorded JSON-RPC exchanges of a method."""
    for path in sorted((shared_data / "receipts/execution_apis" / method).glob("*.io")):
        lines = path.read_text().splitlines()
        asked = next(json.loads(line[3:]) for line in lines if line.startswith(">>"))
        told = next(json.loads(line[3:]) for line in lines if line.startswith("<<"))
        yield path.stem, asked, told.get("result")


def all_with_receipts(shared_data: Path) -> list[RealBlock]:
    """Return every real block of which the data has receipts: 12 of mainnet, some of a testnet."""
    blocks = [*portal_blocks(shared_data), helios_block(shared_data)]
    chain = {block.header["hash"]: block for block in testnet_blocks(shared_data)}
    for name, _, result in exchanges(shared_data, "eth_getBlockReceipts"):
        if result:
            block = chain[result[0]["blockHash"]]
            blocks.append(RealBlock(name, block.header, block.transactions, result))
    return blocks
