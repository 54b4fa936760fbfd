"""Vaults on a chain: the factory, deployed where every address was computed from; claims; owners.

Factory and vaults are frozen: what is found at their addresses is compared byte by byte.
"""

from __future__ import annotations

from token_ledger.chain import contracts
from token_ledger.chain.delivery import deliver
from token_ledger.chain.deploy import DEPLOY_AGAIN, check_can_deploy
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.sender import Receipt, Sender
from token_ledger.chain.state import get_code, read_words
from token_ledger.core.address import (
    DEPLOYMENT_PROXY,
    VAULT_FACTORY,
    create2,
    to_checksum,
    vault_runtime,
)
from token_ledger.core.claims import Claim
from token_ledger.core.hashing import address_word, keccak, string_tail, word
from token_ledger.errors import ForeignContractError

FACTORY_CONTRACT = "VaultFactory"
OWNER_CALL = contracts.selector("owner()")
CLAIM_SELECTOR = contracts.selector("claim(address,bytes32,address,uint256,bytes)")
_FACTORY_GAS_MAX = 3_000_000
CLAIM_GAS_MAX = 400_000


def deploy_factory(sender: Sender) -> Receipt | None:
    """Deploy the factory where it is missing; None where it is there, whoever made it.

    Raises ChainError on a chain without the deployment proxy, ForeignContractError where other code
    stands at its address, RevertedError.
    """
    artifact = contracts.artifact(FACTORY_CONTRACT)
    foretold = create2(DEPLOYMENT_PROXY, bytes(32), keccak(artifact.bytecode))
    assert foretold == VAULT_FACTORY, "the factory is frozen"
    receipt = None
    if not get_code(sender.rpc, VAULT_FACTORY):
        check_can_deploy(sender)
        data = bytes(32) + artifact.bytecode
        receipt = deliver(
            sender,
            DEPLOYMENT_PROXY,
            data,
            what="the deployment of the vault factory",
            gas=_FACTORY_GAS_MAX,
            done=lambda: bool(get_code(sender.rpc, VAULT_FACTORY)),
            rehearsed=False,
            hint=DEPLOY_AGAIN,
        )
    code = get_code(sender.rpc, VAULT_FACTORY)
    if not contracts.is_our_code(code, FACTORY_CONTRACT):
        raise ForeignContractError(
            f"other code stands at the factory's address {to_checksum(VAULT_FACTORY)}",
            hint="this chain does not create contracts as Ethereum does: use another",
        )
    return receipt


def claim_calldata(claim: Claim, signature: bytes) -> bytes:
    """Return the calldata of the factory's `claim`."""
    return b"".join(
        (
            CLAIM_SELECTOR,
            address_word(claim.operator),
            claim.salt,
            address_word(claim.owner),
            word(claim.expiry),
            word(5 * 32),
            string_tail(signature),
        )
    )


def vault_owner(rpc: Rpc, vault: bytes, operator: bytes) -> bytes | None:
    """Return who controls a vault, or None while it is not deployed.

    Raises ForeignContractError where something else than the vault stands at its address.
    """
    code = get_code(rpc, vault)
    if not code:
        return None
    if code != vault_runtime(operator):
        raise ForeignContractError(
            f"what stands at {to_checksum(vault)} is not the vault that belongs there",
            hint="this chain does not create contracts as Ethereum does: use another",
        )
    return read_words(rpc, vault, [OWNER_CALL])[0][12:]
