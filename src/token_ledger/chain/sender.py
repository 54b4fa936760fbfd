"""Transactions of one gas payer: explicit nonces, EIP-1559 fees, receipts read raw.

Sends without waiting, so that many transactions are on their way together, and waits for receipts
without web3.py's formatters, which slow a replay thirty-fold. Does not replace a stuck transaction:
it says that one is stuck.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from token_ledger.chain.rpc import (
    NodeError,
    Rpc,
    decode_data,
    decode_quantity,
    hex_data,
)
from token_ledger.chain.signer import GasPayer, NodeAccount
from token_ledger.core.address import to_checksum
from token_ledger.core.hashing import keccak
from token_ledger.errors import ChainError, RpcError, SigningKeyError

WAIT_TIMEOUT_S = 600.0
_POLL_MIN_S, _POLL_MAX_S = 0.002, 1.0
_FEES_EVERY = 16
_TIP_WEI = 1_000_000_000
_KNOWN = re.compile(r"already known|already imported|known transaction", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a transaction. `gas_used` in gas, not in money."""

    tx_hash: bytes
    block_number: int
    block_hash: bytes
    succeeded: bool
    gas_used: int


def decode_receipt(answer: Any) -> Receipt:
    """Return a receipt; raises ValueError, KeyError or TypeError for what is none."""
    status = decode_quantity(answer["status"])
    if status not in (0, 1):
        raise ValueError(f"status is {status}")
    return Receipt(
        tx_hash=decode_data(answer["transactionHash"], size=32),
        block_number=decode_quantity(answer["blockNumber"]),
        block_hash=decode_data(answer["blockHash"], size=32),
        succeeded=status == 1,
        gas_used=decode_quantity(answer["gasUsed"]),
    )


class Sender:
    """Sends as one gas payer, in the order of its nonces. One at a time per payer."""

    def __init__(
        self,
        rpc: Rpc,
        payer: GasPayer,
        *,
        chain_id: int,
        timeout_s: float = WAIT_TIMEOUT_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rpc = rpc
        self.payer = payer
        self._from = hex_data(payer.address)
        self._chain_id = chain_id
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._nonce: int | None = None
        self._fees: dict[str, int] = {}
        self._sent = 0

    def settle(self) -> None:
        """Wait until nothing of this payer is on its way, as after an interrupted run.

        Raises ChainError when a transaction stays unmined: it would come before ours.
        """
        deadline = time.monotonic() + self._timeout_s
        pause_s = _POLL_MIN_S
        while True:
            mined, pending = (
                self.rpc.quantity("eth_getTransactionCount", [self._from, tag])
                for tag in ("latest", "pending")
            )
            if pending <= mined:
                self._nonce = mined
                return
            if time.monotonic() > deadline:
                raise ChainError(
                    f"{pending - mined} transactions of {to_checksum(self.payer.address)} "
                    f"stay unmined after {self._timeout_s:g} s",
                    hint="--take-over replaces them; or wait, or cancel nonce "
                    f"{mined} in a wallet, then run it again",
                )
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, _POLL_MAX_S)

    def send(self, to: bytes, data: bytes, *, gas: int) -> bytes:
        """Send a transaction with the next nonce; return its hash without waiting."""
        if self._nonce is None:
            self.settle()
        if self._sent % _FEES_EVERY == 0:
            self._fees = self._current_fees()
        assert self._nonce is not None
        transaction: dict[str, Any] = {
            "chainId": self._chain_id,
            "nonce": self._nonce,
            "value": 0,
            "gas": gas,
            **self._fees,
        }
        tx_hash = self._dispatch(to, data, transaction)
        self._nonce += 1
        self._sent += 1
        return tx_hash

    def _dispatch(self, to: bytes, data: bytes, transaction: dict[str, Any]) -> bytes:
        if isinstance(self.payer, NodeAccount):
            return self._send_by_node(to, data, transaction)
        return self._send_raw(to, data, transaction)

    def _send_by_node(self, to: bytes, data: bytes, transaction: dict[str, Any]) -> bytes:
        fields = {name: hex(value) for name, value in transaction.items()}
        fields |= {"from": self._from, "to": hex_data(to), "data": hex_data(data)}
        return self.rpc.data("eth_sendTransaction", [fields], size=32)

    def _send_raw(self, to: bytes, data: bytes, transaction: dict[str, Any]) -> bytes:
        assert not isinstance(self.payer, NodeAccount)
        transaction |= {"to": to_checksum(to), "data": data}
        raw = self.payer.sign_transaction(transaction)
        tx_hash = keccak(raw)
        self._signed(tx_hash)
        try:
            answer = self.rpc.data("eth_sendRawTransaction", [hex_data(raw)], size=32)
        except NodeError as error:
            if _KNOWN.search(error.text):
                return tx_hash
            raise
        if answer != tx_hash:
            raise RpcError(
                f"eth_sendRawTransaction at {self.rpc.shown}: the node names another hash",
                hint="it may have altered the transaction: do not trust it",
            )
        return tx_hash

    def _signed(self, tx_hash: bytes) -> None:
        """Hear of a transaction before the node does."""

    def _current_fees(self) -> dict[str, int]:
        """Return twice the base fee as the most to pay, or the gas price where there is no base."""
        block = self.rpc.call("eth_getBlockByNumber", ["latest", False])
        with self.rpc.decoding("eth_getBlockByNumber"):
            base = block.get("baseFeePerGas")
            if base is None:
                return {"gasPrice": self.rpc.quantity("eth_gasPrice")}
            base_wei = decode_quantity(base)
        try:
            tip_wei = self.rpc.quantity("eth_maxPriorityFeePerGas")
        except NodeError:
            tip_wei = _TIP_WEI
        return {"maxFeePerGas": 2 * base_wei + tip_wei, "maxPriorityFeePerGas": tip_wei}

    # --- receipts

    def receipts(self, tx_hashes: Sequence[bytes]) -> list[Receipt | None]:
        """Return the receipts of transactions, None for those that are not mined yet."""
        method = "eth_getTransactionReceipt"
        answers = self.rpc.batch([(method, [hex_data(tx_hash)]) for tx_hash in tx_hashes])
        with self.rpc.decoding(method):
            return [None if answer is None else decode_receipt(answer) for answer in answers]

    def wait(self, tx_hash: bytes) -> Receipt:
        """Return a transaction's receipt once it is mined; raises ChainError if it never is."""
        deadline = time.monotonic() + self._timeout_s
        pause_s = _POLL_MIN_S
        while True:
            receipt = self.receipts([tx_hash])[0]
            if receipt is not None:
                return receipt
            if time.monotonic() > deadline:
                raise ChainError(
                    f"transaction 0x{tx_hash.hex()} is not mined after {self._timeout_s:g} s",
                    hint="run it again later: what is mined is not sent twice",
                )
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, _POLL_MAX_S)

    def send_and_wait(self, to: bytes, data: bytes, *, gas: int) -> Receipt:
        """Send a transaction and return its receipt once it is mined."""
        return self.wait(self.send(to, data, gas=gas))


def node_account(rpc: Rpc) -> NodeAccount:
    """Return the first account that the node itself holds and signs for, as Anvil does.

    Raises SigningKeyError where it holds none, as every real node does.
    """
    try:
        answer = rpc.call("eth_accounts")
    except NodeError:
        answer = []
    if not answer:
        raise SigningKeyError(
            f"{rpc.shown} holds no account that could pay for gas",
            hint="set TOKEN_LEDGER_GAS_KEY to the key that pays, 0x and 64 hexadecimal digits",
        )
    with rpc.decoding("eth_accounts"):
        return NodeAccount(decode_data(answer[0], size=20))
