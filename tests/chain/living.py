"""A token that lives on a chain of a test's making: its logs, and what it answers when asked.

`LivingToken` is a `LogChain` that knows finality, and whose contract answers `balanceOf`,
`totalSupply` and its own name at any block, by naive sums over the logs.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

from eth_abi import encode
from tests.chain.fake_node import Failure
from tests.chain.log_node import Log, LogChain, made_up_hash, make_log

from token_ledger.chain.contracts import selector
from token_ledger.core.hashing import keccak

ADDRESS = "0x" + "c0" * 20
TOKEN = bytes.fromhex(ADDRESS[2:])
NOBODY = bytes(20)
TRANSFER = "0x" + keccak(b"Transfer(address,address,uint256)").hex()
SLOT = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"  # of EIP-1967
BEACON_SLOT = "0xa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50"
PROXIABLE_SLOT = "0xc5f16f0fcc639fa48a6947836d9850f504798523bf8c9a3a87d5876cf622bcf7"
OLD_SLOT = "0x7050c9e0f4ca769c69bd3a8ef740bc37934f8e2c036e5a723fd8ee048ed3f8c3"  # of USDC's proxy
BEACON = b"\xbe" * 20


def log(block: int, index: int, sender: bytes, receiver: bytes, value: int, **other: Any) -> Log:
    """Return a Transfer log of the test's token."""
    return make_log(block, index, sender, receiver, value, address=ADDRESS) | other


def real_history(shared_data: Path) -> list[Log]:
    """Return the complete life of a real ERC-20, in the order in which it happened."""
    logs: list[Log] = []
    places: Counter[int] = Counter()
    with (shared_data / "erc20/balancer_bpt_full_history.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            block = int(row["block"])
            sender, receiver = (bytes.fromhex(row[side][2:]) for side in ("from", "to"))
            made = log(block, places[block], sender, receiver, int(row["value"]))
            logs.append(made | {"transactionHash": row["tx_hash"]})
            places[block] += 1
    return logs


def sums(logs: list[Log], last_block: int) -> Counter[bytes]:
    """Return what transfers leave, address by address; at the zero address minus the supply."""
    left: Counter[bytes] = Counter()
    for item in logs:
        if int(item["blockNumber"], 16) > last_block or len(item["topics"]) != 3:
            continue
        if item["topics"][0] != TRANSFER:
            continue
        value = int(item["data"], 16)
        left[bytes.fromhex(item["topics"][1][-40:])] -= value
        left[bytes.fromhex(item["topics"][2][-40:])] += value
    return left


class LivingToken(LogChain):
    """A token's logs, final `depth` blocks below the head, and its contract's answers.

    `extra`: what `balanceOf` says beyond the logs, by address; at the zero address less supply.
    """

    def __init__(self, logs: list[Log], *, head: int, depth: int = 2, chain_id: int = 1) -> None:
        super().__init__(logs, head=head, chain_id=chain_id)
        self.depth = depth
        self.extra: Counter[bytes] = Counter()
        self.slots: dict[str, bytes] = {}  # of the contract's storage, by their place
        self.beacon = bytes(32)  # what the contract at BEACON says that proxies run
        self.code = "0x6001"

    def __call__(self, method: str, params: list[Any]) -> Any:
        """Answer one call."""
        if method == "eth_getBlockByNumber" and params[0] == "finalized":
            return super().__call__(method, [hex(max(0, self.head - self.depth)), False])
        if method == "eth_getBlockByNumber" and params[0] == "latest":
            return super().__call__(method, [hex(self.head), False])
        if method == "eth_getCode":
            return self.code if params[0].lower() == ADDRESS else "0x"
        if method == "eth_getStorageAt":
            return "0x" + self.slots.get(params[1], bytes(32)).hex()
        if method == "eth_call":
            return self._call(params[0], params[1])
        return super().__call__(method, params)

    def _call(self, call: dict[str, str], block: Any) -> Any:
        data = bytes.fromhex(call["data"][2:])
        if call["to"] == "0x" + BEACON.hex():
            return "0x" + self.beacon.hex()
        left = sums(self.logs, self._number(block))
        left.update(self.extra)
        answers = {
            selector("symbol()"): encode(["string"], ["LIV"]),
            selector("name()"): encode(["string"], ["Living Token"]),
            selector("decimals()"): (18).to_bytes(32, "big"),
            selector("totalSupply()"): (-left[NOBODY]).to_bytes(32, "big", signed=True),
        }
        if data[:4] == selector("balanceOf(address)"):
            return "0x" + left[data[-20:]].to_bytes(32, "big").hex()
        answer = answers.get(data[:4])
        return Failure(3, "execution reverted") if answer is None else "0x" + answer.hex()

    def _number(self, block: Any) -> int:
        if isinstance(block, dict):
            return next(n for n in range(self.head, -1, -1) if self.hash(n) == block["blockHash"])
        return self.head if block == "latest" else int(block, 16)


__all__ = ["ADDRESS", "NOBODY", "TOKEN", "LivingToken", "log", "made_up_hash", "real_history"]
