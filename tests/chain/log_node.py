"""A chain made of given logs: answers what an importer asks, filters as a real node does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
from tests.chain.fake_node import Failure

from token_ledger.core.hashing import keccak

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
Log = dict[str, Any]


def real_logs(shared_data: Path) -> list[Log]:
    """Return the 681 raw logs of two mainnet blocks in JSON-RPC form."""
    lines = (shared_data / "erc20/logs_17173049_17173050.json").read_bytes().splitlines()
    return [
        {
            "address": item["address"],
            "topics": item["topics"],
            "data": item["data"],
            "blockNumber": hex(item["block_number"]),
            "blockHash": item["block_hash"],
            "transactionHash": item["transaction_hash"],
            "transactionIndex": hex(item["transaction_index"]),
            "logIndex": hex(item["log_index"]),
            "removed": False,
        }
        for item in map(orjson.loads, lines)
    ]


def block_of_logs(shared_data: Path) -> list[Log]:
    """Return all raw logs of mainnet block 18,000,000 as a node gave them."""
    answers = orjson.loads((shared_data / "erc20/logs-18000000.json").read_bytes())
    [logs] = [item["result"] for item in answers if isinstance(item["result"], list)]
    return list(logs)


def expected_transfers(shared_data: Path) -> list[dict[str, Any]]:
    """Return the 291 transfers that another indexer decodes from those logs."""
    path = shared_data / "erc20/transfers_17173049_17173050.json"
    return [json.loads(line) for line in path.read_text().splitlines()]  # orjson would round


def make_log(
    block: int, index: int, sender: bytes, receiver: bytes, value: int, *, address: str
) -> Log:
    """Return a Transfer log, one transaction a log, on the chain that `LogChain` makes up."""
    return {
        "address": address,
        "topics": [TRANSFER, "0x" + sender.hex().zfill(64), "0x" + receiver.hex().zfill(64)],
        "data": f"0x{value:064x}",
        "blockNumber": hex(block),
        "blockHash": made_up_hash(block),
        "transactionHash": "0x" + keccak(f"{block} {index}".encode()).hex(),
        "transactionIndex": hex(index),
        "logIndex": hex(index),
        "removed": False,
    }


def made_up_hash(number: int) -> str:
    """Return the hash of a block whose hash no log names."""
    return "0x" + keccak(f"block {number}".encode()).hex()


class LogChain:
    """An answer function for `FakeNode` over a list of logs.

    `blocks_max`, `logs_max`: refuse larger queries, as providers do.
    """

    def __init__(
        self,
        logs: list[Log],
        *,
        head: int,
        chain_id: int = 1,
        blocks_max: int = 10**9,
        logs_max: int = 10**9,
    ) -> None:
        self.logs = logs
        self.head = head
        self.chain_id = chain_id
        self.blocks_max = blocks_max
        self.logs_max = logs_max
        self.hashes = {int(log["blockNumber"], 16): log["blockHash"] for log in logs}

    def hash(self, number: int) -> str:
        """Return a block's hash."""
        return self.hashes.get(number, made_up_hash(number))

    def __call__(self, method: str, params: list[Any]) -> Any:
        """Answer one call."""
        if method == "eth_getLogs":
            return self._get_logs(params[0])
        if method == "eth_getBlockByNumber":
            number = int(params[0], 16)
            if number > self.head:
                return None
            return {
                "number": hex(number),
                "hash": self.hash(number),
                "parentHash": self.hash(number - 1),
                "timestamp": hex(1_600_000_000 + 12 * number),
            }
        simple = {
            "eth_chainId": hex(self.chain_id),
            "eth_blockNumber": hex(self.head),
            "eth_getCode": "0x6001",
        }
        return simple.get(method, Failure(-32601, f"the method {method} does not exist"))

    def _get_logs(self, query: dict[str, Any]) -> Any:
        if "blockHash" in query:
            known = [
                n
                for n in range(max(0, self.head - 200), self.head + 1)
                if self.hash(n) == query["blockHash"]
            ]
            if not known:
                return Failure(-32000, "unknown block")
            first = last = known[0]
        else:
            first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        if last - first + 1 > self.blocks_max:
            return Failure(-32005, f"block range is too wide, at most {self.blocks_max}")
        asked = query["address"]
        addresses = {asked.lower()} if isinstance(asked, str) else {a.lower() for a in asked}
        found = [
            log
            for log in self.logs
            if log["address"].lower() in addresses
            and log["topics"]
            and log["topics"][0] in query["topics"][0]
            and first <= int(log["blockNumber"], 16) <= last
        ]
        if len(found) > self.logs_max:
            return Failure(-32005, f"query returned more than {self.logs_max} results")
        return found
