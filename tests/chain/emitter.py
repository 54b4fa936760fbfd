"""A contract that says whatever it is told to: Transfer logs without any balances behind them.

For tests that need many logs quickly, in blocks of their choosing, and no token.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from token_ledger.chain.contracts import TRANSFER_TOPIC
from token_ledger.chain.rpc import Rpc

# For every 64 bytes of calldata, a `to` and a `value`: LOG3(value; Transfer, caller, to).
_RUNTIME = "".join(
    [
        "5f5b",  # i = 0; loop:
        "3681101560",  # unless i < calldatasize,
        "3e57",  # go to the end
        "80602001355f52",  # memory[0] = calldata[i + 32]
        f"8035337f{TRANSFER_TOPIC.hex()}60205fa3",  # log(memory[0:32], topic, caller, calldata[i])
        "604001600156",  # i += 64; go on
        "5b00",  # the end
    ]
)
_INIT = "60408060095f395ff3"
_GAS = 10_000_000
_MINED_TIMEOUT_S = 10.0


class Emitter:
    """The contract on an Anvil; `address` is its own, 20 bytes."""

    def __init__(self, rpc: Rpc) -> None:
        """Deploy it from the node's first account."""
        self._rpc = rpc
        self._from = rpc.call("eth_accounts")[0]
        receipt = self._send({"data": "0x" + _INIT + _RUNTIME})
        self.address = bytes.fromhex(receipt["contractAddress"][2:])

    def emit(self, *pairs: tuple[int, int]) -> int:
        """Emit a Transfer to `to` of `value` for each pair, in one block; return its number."""
        words = [word.to_bytes(32, "big").hex() for pair in pairs for word in pair]
        call = {"to": "0x" + self.address.hex(), "data": "0x" + "".join(words)}
        return int(self._send(call)["blockNumber"], 16)

    def logs(self, rpc: Rpc, low: int, high: int) -> list[dict[str, str]]:
        """Return what a node answers to `eth_getLogs` for the contract and a block range."""
        return rpc.call("eth_getLogs", [self.query(low, high)])

    def query(self, low: int, high: int) -> dict[str, object]:
        """Return the filter of that question."""
        return {
            "address": "0x" + self.address.hex(),
            "topics": ["0x" + TRANSFER_TOPIC.hex()],
            "fromBlock": hex(low),
            "toBlock": hex(high),
        }

    def _send(self, call: dict[str, str]) -> dict[str, str]:
        tx = {"from": self._from, "gas": hex(_GAS), **call}
        tx_hash = self._rpc.call("eth_sendTransaction", [tx])
        deadline = time.monotonic() + _MINED_TIMEOUT_S
        while (receipt := self._rpc.call("eth_getTransactionReceipt", [tx_hash])) is None:
            assert time.monotonic() < deadline, "Anvil mines at once"
            time.sleep(0.005)
        assert receipt["status"] == "0x1"
        return dict(receipt)


def values(logs: Sequence[dict[str, str]]) -> list[int]:
    """Return the values that logs carry, in their order."""
    return [int(log["data"], 16) for log in logs]
