"""Deployment of the token's contract, at an address known beforehand, at most once.

The standard deterministic deployment proxy creates it with the token's uid as salt: an interrupted
deployment is found again, not repeated, and a second one is impossible. Chains without the proxy
are refused, and so are contracts that are not this ledger's. Does not replay: `replay` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from token_ledger.chain import contracts
from token_ledger.chain.delivery import deliver
from token_ledger.chain.rpc import NodeError, Rpc, hex_data
from token_ledger.chain.sender import Sender
from token_ledger.chain.state import check_token_contract, get_code
from token_ledger.core.address import DEPLOYMENT_PROXY, to_checksum
from token_ledger.core.types import Token
from token_ledger.errors import ChainError

_DEPLOYMENT_GAS_MAX = 12_000_000
DEPLOY_AGAIN = "is the payer out of gas money? Running it again deploys nothing twice"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A token's contract on a chain; `tx_hash` is None where it was found, not made."""

    address: bytes
    code_hash: bytes
    block_number: int | None
    tx_hash: bytes | None
    gas_used: int


def check_can_deploy(sender: Sender) -> None:
    """Raise ChainError where a deployment is bound to fail: no proxy there, or no gas money."""
    if not get_code(sender.rpc, DEPLOYMENT_PROXY):
        raise ChainError(
            f"this chain lacks the deterministic deployment proxy {to_checksum(DEPLOYMENT_PROXY)}",
            hint="derived account addresses would be nobody's there: use a chain that has it",
        )
    payer = sender.payer.address
    if sender.rpc.quantity("eth_getBalance", [hex_data(payer), "latest"]) == 0:
        raise ChainError(
            f"{to_checksum(payer)} has nothing to pay gas with", hint="fund it, or use another key"
        )


def deployment_block(rpc: Rpc, address: bytes) -> int:
    """Return the first block that has code at `address`; 0 where the node no longer knows.

    A binary search by `eth_getCode`, which nodes without old states refuse.
    """
    low, high = 0, rpc.quantity("eth_blockNumber")
    try:
        while low < high:
            middle = (low + high) // 2
            if get_code(rpc, address, block=hex(middle)):
                high = middle
            else:
                low = middle + 1
    except NodeError:
        return 0
    return low


def deploy(sender: Sender, token: Token, operator: bytes) -> Deployment:
    """Deploy the token's contract, or find it where it would be.

    `check_can_deploy` comes first. Raises RevertedError when the transaction fails.
    """
    rpc = sender.rpc
    address = contracts.token_address(token, operator)
    if get_code(rpc, address):
        return Deployment(address, check_token_contract(rpc, address, token), None, None, 0)
    data = contracts.deployment_calldata(token, operator)
    receipt = deliver(
        sender,
        DEPLOYMENT_PROXY,
        data,
        what="the deployment",
        gas=_DEPLOYMENT_GAS_MAX,
        done=lambda: bool(get_code(rpc, address)),
        rehearsed=False,
        hint=DEPLOY_AGAIN,
    )
    code_hash = check_token_contract(rpc, address, token)
    if receipt is None:  # another operator was faster
        return Deployment(address, code_hash, None, None, 0)
    return Deployment(address, code_hash, receipt.block_number, receipt.tx_hash, receipt.gas_used)
