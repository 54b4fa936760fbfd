"""A real Safe on a test chain: its own contracts as their authors compiled them, owners with keys.

Deploys singleton, fallback handler, proxy factory and MultiSendCallOnly of the npm package
@safe-global/safe-smart-account, makes a proxy, and does what a Safe's interface does: collects
owners' signatures of a message (ERC-1271) or of a transaction, and executes what a Transaction
Builder file holds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eth_abi.abi import decode, encode
from eth_account import Account

from token_ledger.chain.contracts import selector
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.sender import Sender, node_account
from token_ledger.chain.signer import KeySigner
from token_ledger.chain.state import call_contract
from token_ledger.core.address import to_checksum

ZERO = "0x" + "00" * 20
_PACKAGE = "contracts/node_modules/@safe-global/safe-smart-account"
_TRANSACTION = "address,uint256,bytes,uint8,uint256,uint256,uint256,address,address"
_DELEGATECALL = 1
_GAS = 16_000_000


class Safe:
    """A Safe of three owners, two of whom must sign."""

    def __init__(self, project: Path, url: str, *, threshold: int = 2) -> None:
        self._build = project / _PACKAGE / "build" / "artifacts" / "contracts"
        self._url = url
        self.owners = sorted(
            (KeySigner(Account.from_key("0x" + f"{n:02x}" * 32)) for n in (0xA1, 0xA2, 0xA3)),
            key=lambda owner: owner.address,
        )
        with Rpc(url) as rpc:
            sender = Sender(rpc, node_account(rpc), chain_id=rpc.quantity("eth_chainId"))
            singleton = self._deploy(sender, "Safe.sol/Safe")
            handler = self._deploy(
                sender, "handler/CompatibilityFallbackHandler.sol/CompatibilityFallbackHandler"
            )
            factory = self._deploy(sender, "proxies/SafeProxyFactory.sol/SafeProxyFactory")
            self._multi_send = self._deploy(
                sender, "libraries/MultiSendCallOnly.sol/MultiSendCallOnly"
            )
            setup = _call(
                "setup(address[],uint256,address,bytes,address,address,uint256,address)",
                [to_checksum(owner.address) for owner in self.owners],
                threshold,
                ZERO,
                b"",
                to_checksum(handler),
                ZERO,
                0,
                ZERO,
            )
            make = _call(
                "createProxyWithNonce(address,bytes,uint256)", to_checksum(singleton), setup, 7
            )
            self.address = call_contract(rpc, factory, make)[12:]
            assert sender.send_and_wait(factory, make, gas=_GAS).succeeded

    def _deploy(self, sender: Sender, name: str) -> bytes:
        bytecode = json.loads((self._build / f"{name}.json").read_text())["bytecode"]
        rpc = sender.rpc
        sent = rpc.call(
            "eth_sendTransaction",
            [{"from": hex_data(sender.payer.address), "data": bytecode, "gas": hex(_GAS)}],
        )
        sender.wait(bytes.fromhex(sent[2:]))
        return bytes.fromhex(rpc.call("eth_getTransactionReceipt", [sent])["contractAddress"][2:])

    def _ask(self, signature: str, *arguments: Any) -> bytes:
        with Rpc(self._url) as rpc:
            return call_contract(rpc, self.address, _call(signature, *arguments))

    def sign_message(self, digest: bytes, *, by: int = 2) -> bytes:
        """Return what `isValidSignature(digest, …)` takes: owners' signatures of the message."""
        answer = self._ask("getMessageHash(bytes)", encode(["bytes32"], [digest]))
        return self._signatures(answer, by)

    def _signatures(self, digest: bytes, by: int) -> bytes:
        return b"".join(owner.sign_digest(digest) for owner in self.owners[:by])

    def execute(self, document: dict[str, Any]) -> None:
        """Execute a Transaction Builder file as one transaction of the Safe."""
        packed = b""
        for transaction in document["transactions"]:
            data = bytes.fromhex(transaction["data"][2:])
            packed += b"\0" + bytes.fromhex(transaction["to"][2:])
            packed += int(transaction["value"]).to_bytes(32, "big")
            packed += len(data).to_bytes(32, "big") + data
        data = _call("multiSend(bytes)", packed)
        fields = (to_checksum(self._multi_send), 0, data, _DELEGATECALL, 0, 0, 0, ZERO, ZERO)
        [nonce] = decode(["uint256"], self._ask("nonce()"))
        digest = self._ask(f"getTransactionHash({_TRANSACTION},uint256)", *fields, nonce)
        signatures = self._signatures(digest, 2)
        run = _call(f"execTransaction({_TRANSACTION},bytes)", *fields, signatures)
        with Rpc(self._url) as rpc:
            sender = Sender(rpc, node_account(rpc), chain_id=int(document["chainId"]))
            assert sender.send_and_wait(self.address, run, gas=_GAS).succeeded


def _call(signature: str, *arguments: Any) -> bytes:
    """Return calldata: the selector of a signature, and its arguments."""
    kinds = signature[signature.index("(") + 1 : -1]
    return selector(signature) + encode(kinds.split(",") if kinds else [], arguments)
