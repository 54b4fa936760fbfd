"""The other contracts of a ledger: header registry and snapshot token, found or created.

Like the token's own contract they stand at addresses known beforehand, through the deterministic
deployment proxy with the token's uid as salt. Knows their calls; decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from eth_abi.abi import encode as abi_encode

from token_ledger.chain import contracts
from token_ledger.chain.delivery import deliver
from token_ledger.chain.deploy import DEPLOY_AGAIN, check_can_deploy
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.sender import Receipt, Sender
from token_ledger.chain.state import get_code
from token_ledger.core.address import DEPLOYMENT_PROXY, create2, to_checksum
from token_ledger.core.hashing import keccak
from token_ledger.core.types import Header, Token
from token_ledger.errors import ForeignContractError

REGISTRY = "HeaderRegistry"
SNAPSHOT_TOKEN = "SnapshotToken"  # noqa: S105 - no password
_BATCH = "(uint64,bytes32,uint64,uint32,bytes32,bytes32,uint256,uint64)"
_DEPLOYMENT_GAS_MAX = 12_000_000

ANCHOR_SELECTOR = contracts.selector(f"anchor({_BATCH}[],bytes)")
OPEN_SELECTOR = contracts.selector(f"open({_BATCH},bytes32,uint64,bytes)")
CLAIM_SELECTOR = contracts.selector("claim(address,uint256,bytes32[])")
UNCLAIMED_CALL = contracts.selector("unclaimed()")
CLAIMED = contracts.selector("claimed(address)")
SWEEP_CALL = contracts.selector("sweep()")


def registry_init_code(token: Token, operator: bytes) -> bytes:
    """Return the registry's creation code with its arguments."""
    arguments = abi_encode(["bytes32", "address"], [token.uid, to_checksum(operator)])
    return contracts.artifact(REGISTRY).bytecode + arguments


def snapshot_init_code(token: Token, operator: bytes) -> bytes:
    """Return the snapshot token's creation code with its arguments: those of the token."""
    bytecode = contracts.artifact(contracts.TOKEN_CONTRACT).bytecode
    arguments = contracts.init_code(token, operator)[len(bytecode) :]
    return contracts.artifact(SNAPSHOT_TOKEN).bytecode + arguments


def created_at(token: Token, init_code: bytes) -> bytes:
    """Return where a creation code ends up, on every chain that has the proxy."""
    return create2(DEPLOYMENT_PROXY, token.uid, keccak(init_code))


def create(sender: Sender, token: Token, init_code: bytes, *, name: str) -> Receipt | None:
    """Create a contract where it is missing; None where it is there, whoever made it.

    Raises ChainError on a chain without the proxy, ForeignContractError where other code stands
    there, RevertedError.
    """
    address = created_at(token, init_code)
    receipt = None
    if not get_code(sender.rpc, address):
        check_can_deploy(sender)
        receipt = deliver(
            sender,
            DEPLOYMENT_PROXY,
            token.uid + init_code,
            what=f"the deployment of {name}",
            gas=_DEPLOYMENT_GAS_MAX,
            done=lambda: bool(get_code(sender.rpc, address)),
            rehearsed=False,
            hint=DEPLOY_AGAIN,
        )
    check_code(sender.rpc, address, name=name)
    return receipt


def check_code(rpc: Rpc, address: bytes, *, name: str) -> None:
    """Raise ForeignContractError unless a contract `name` of a release of ours stands there."""
    code = get_code(rpc, address)
    if not code or not contracts.is_our_code(code, name):
        what = "is no contract" if not code else f"stands other code than {name}'s"
        raise ForeignContractError(
            f"at {to_checksum(address)} {what}", hint="check chain and address"
        )


def _header(header: Header) -> tuple[object, ...]:
    return (
        header.number,
        header.parent,
        header.first_seq,
        header.count,
        header.entries_root,
        header.rows_hash,
        header.total_supply,
        header.sealed_at,
    )


def anchor_calldata(headers: Sequence[Header], signature: bytes) -> bytes:
    """Return the calldata of the registry's `anchor`."""
    return ANCHOR_SELECTOR + abi_encode(
        [f"{_BATCH}[]", "bytes"], [[_header(header) for header in headers], signature]
    )


def open_calldata(header: Header, root: bytes, deadline: int, signature: bytes) -> bytes:
    """Return the calldata of the snapshot token's `open`."""
    return OPEN_SELECTOR + abi_encode(
        [_BATCH, "bytes32", "uint64", "bytes"], [_header(header), root, deadline, signature]
    )


def claim_calldata(account: bytes, amount: int, proof: Sequence[bytes]) -> bytes:
    """Return the calldata of the snapshot token's `claim`."""
    return CLAIM_SELECTOR + abi_encode(
        ["address", "uint256", "bytes32[]"], [to_checksum(account), amount, list(proof)]
    )


def destination_calldata(destination: bytes) -> bytes:
    """Return the calldata of `setSweepDestination`."""
    return contracts.selector("setSweepDestination(address)") + abi_encode(
        ["address"], [to_checksum(destination)]
    )
