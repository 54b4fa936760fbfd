"""Outgoing: what `snapshot`, `anchor` and `account claim` would send, written down instead.

As `compose` does for a migration: for a Safe's owners, for a key that never meets a network, for
any broadcaster. Each verb's own checks are made first; nothing is sent. What the files become on
the chain, the verb run again finds there.
"""

from __future__ import annotations

from dataclasses import replace

from token_ledger.anchor import HEADERS_MAX, headers_calldata, headers_gas, stands_at
from token_ledger.chain import contracts, vaults
from token_ledger.chain.contracts import Revert
from token_ledger.chain.creation import (
    REGISTRY,
    SNAPSHOT_TOKEN,
    SWEEP_CALL,
    check_code,
    claim_calldata,
    created_at,
    destination_calldata,
    open_calldata,
    registry_init_code,
    snapshot_init_code,
)
from token_ledger.chain.delivery import revert_of
from token_ledger.chain.identity import read_identity
from token_ledger.chain.parts import estimate, gas_cap
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.signer import Signer
from token_ledger.chain.state import get_code, read_state, read_words
from token_ledger.claim import authorised, is_owned
from token_ledger.compose import Composition
from token_ledger.core.address import DEPLOYMENT_PROXY, VAULT_FACTORY, to_checksum
from token_ledger.core.outbox import Call
from token_ledger.core.snapshot import Snapshot
from token_ledger.crossing import set_aside_replay
from token_ledger.errors import (
    ChainError,
    NotReadyError,
    RevertedError,
    UnknownBatchError,
)
from token_ledger.ledger import Ledger, batches, cutover
from token_ledger.node import meet
from token_ledger.snapshot import OPEN_GAS, check_publishable, check_same, signed_for
from token_ledger.snapshot_claims import (
    CLAIM_GAS,
    SWEEP_GAS,
    check_destination,
    is_claimed,
    is_swept,
    leads_to,
    read_proof,
)


def compose_anchor(ledger: Ledger, rpc_url: str) -> Composition:
    """Return the calls that create the registry and submit the headers that it lacks.

    Raises as `anchor` does, and NotReadyError where it lacks nothing.
    """
    token = ledger.token
    with ledger.read() as connection:
        head = batches.head(connection, token)
    if head.number == 0:
        raise UnknownBatchError(
            f"nothing of {token.symbol} is sealed", hint="run `seal --sign` first"
        )
    init_code = registry_init_code(token, ledger.operator)
    address = created_at(token, init_code)
    calls: list[Call] = []
    with Rpc(rpc_url) as rpc:
        chain_id = rpc.quantity("eth_chainId")
        number, sealer = 0, ledger.operator
        if get_code(rpc, address):
            check_code(rpc, address, name=REGISTRY)
            number = stands_at(ledger, rpc, address)
            sealer = read_words(rpc, address, [contracts.SEALER_CALL])[0][12:]
        else:
            calls.append(_creation(rpc, ledger.operator, token.uid + init_code, REGISTRY))
    while number < head.number:
        last = min(number + HEADERS_MAX, head.number)
        data = headers_calldata(ledger, number, last, sealer)
        what = f"anchor headers {number + 1} to {last}"
        calls.append(Call(address, data, headers_gas(last - number), what))
        number = last
    return _composition(chain_id, address, calls)


def compose_publish(
    ledger: Ledger, rpc_url: str, made: Snapshot, *, sealer: Signer | None = None
) -> Composition:
    """Return the calls that create the snapshot token and open its claims; close the books.

    The books are closed because the call is then somebody else's to send: `publish` records it
    afterwards, `snapshot.reopen` gives it up before. `sealer` signs as in `publish`.
    Raises as `publish` does; NotReadyError where claims are open already.
    """
    token = ledger.token
    init_code = snapshot_init_code(token, ledger.operator)
    address = created_at(token, init_code)
    calls: list[Call] = []
    with meet(ledger, rpc_url) as (rpc, chain):
        check_publishable(ledger, rpc, chain, made)
        signature = signed_for(ledger, rpc, made, chain_id=chain.chain_id, sealer=sealer)
        data = open_calldata(made.header, made.root, made.deadline, signature)
        if get_code(rpc, address):
            check_code(rpc, address, name=SNAPSHOT_TOKEN)
            if read_state(rpc, address).finalized:
                check_same(rpc, address, made)
                return _composition(chain.chain_id, address, [])
            _refuse(revert_of(rpc, ledger.operator, address, data), "the snapshot")
        else:
            calls.append(_creation(rpc, ledger.operator, token.uid + init_code, SNAPSHOT_TOKEN))
        calls.append(Call(address, data, OPEN_GAS, f"open claims of batch {made.header.number}"))
    if not chain.is_test_chain:  # before it is written down: it cannot be opened on two chains
        ledger.set_canonical_chain(chain.chain_id)
    begun = set_aside_replay(ledger, rpc, chain.chain_id)
    ledger.run(lambda c: cutover.close_books(c, token, now=ledger.now()))
    return replace(_composition(chain.chain_id, address, calls), replay_begun=begun)


def compose_snapshot_claim(rpc_url: str, contract: bytes, document: object) -> Composition:
    """Return the call that gives one account its balance. Needs no ledger.

    Raises as `snapshot.claim` does; NotReadyError for a balance that was claimed.
    """
    account, amount, proof = read_proof(document)
    data = claim_calldata(account, amount, proof)
    with Rpc(rpc_url) as rpc:
        check_code(rpc, contract, name=SNAPSHOT_TOKEN)
        chain_id = rpc.quantity("eth_chainId")
        if is_claimed(rpc, contract, account):
            return _composition(chain_id, contract, [])
        _refuse(revert_of(rpc, account, contract, data), "the claim")
    call = Call(contract, data, CLAIM_GAS, f"claim for {to_checksum(account)}")
    return _composition(chain_id, contract, [call])


def compose_sweep(
    rpc_url: str, contract: bytes, *, destination: bytes | None, payer: bytes | None = None
) -> Composition:
    """Return the calls that name a destination, which only the admin may send, and sweep.

    `payer`: who will send them one by one; the naming is rehearsed as his. None for a Safe, whose
    calls happen all or not at all. Needs no ledger; what the contract will say of the sweep, it
    says when it is sent. Raises NotReadyError where nothing is left to sweep, RevertedError for a
    payer who may not name the destination, UsageError for the token itself as the destination.
    """
    check_destination(contract, destination)
    with Rpc(rpc_url) as rpc:
        check_code(rpc, contract, name=SNAPSHOT_TOKEN)
        chain_id = rpc.quantity("eth_chainId")
        if is_swept(rpc, contract):
            return _composition(chain_id, contract, [])
        named = destination is None or leads_to(rpc, contract, destination)
        naming = b"" if destination is None else destination_calldata(destination)
        if payer is not None and not named:
            _refuse(revert_of(rpc, payer, contract, naming), "the destination")
    calls = [Call(contract, SWEEP_CALL, SWEEP_GAS, "sweep what nobody claimed")]
    if destination is not None and not named:
        what = f"name the destination {to_checksum(destination)}"
        calls.insert(0, Call(contract, naming, SWEEP_GAS, what))
    return _composition(chain_id, contract, calls)


def compose_vault_claim(
    ledger: Ledger,
    rpc_url: str,
    account_id: str,
    *,
    owner: bytes,
    operator: Signer | None = None,
    signature: bytes | None = None,
    expiry: int | None = None,
    contract_owner: bool = False,
) -> Composition:
    """Return the calls that deploy the factory where it is missing, and the vault to its owner.

    The operator's permission is signed first, with a longer expiry than for a claim that is sent at
    once. Raises as `claim` does; NotReadyError where the owner has the vault.
    """
    with Rpc(rpc_url) as rpc:
        chain_id = read_identity(rpc).chain_id
        wanted, signed = authorised(
            ledger,
            rpc,
            account_id,
            owner=owner,
            operator=operator,
            signature=signature,
            expiry=expiry,
            at_once=False,
            contract_owner=contract_owner,
        )
        if is_owned(rpc, wanted):
            return _composition(chain_id, wanted.vault, [])
        data, calls = vaults.claim_calldata(wanted, signed), []
        if get_code(rpc, VAULT_FACTORY):
            revert = revert_of(rpc, owner, VAULT_FACTORY, data, called=vaults.FACTORY_CONTRACT)
            _refuse(revert, "the claim")
        else:
            creation = bytes(32) + contracts.artifact(vaults.FACTORY_CONTRACT).bytecode
            calls.append(_creation(rpc, ledger.operator, creation, vaults.FACTORY_CONTRACT))
    what = f"claim vault {to_checksum(wanted.vault)} for {to_checksum(owner)}"
    calls.append(Call(VAULT_FACTORY, data, vaults.CLAIM_GAS_MAX, what))
    return _composition(chain_id, VAULT_FACTORY, calls)


def _creation(rpc: Rpc, caller: bytes, data: bytes, name: str) -> Call:
    """Return the call of the deployment proxy; raises ChainError on a chain that lacks it."""
    if not get_code(rpc, DEPLOYMENT_PROXY):
        raise ChainError(
            f"this chain lacks the deterministic deployment proxy {to_checksum(DEPLOYMENT_PROXY)}",
            hint="derived account addresses would be nobody's there: use a chain that has it",
        )
    cap = gas_cap(rpc)
    told = estimate(rpc, caller, DEPLOYMENT_PROXY, data, cap=cap)
    gas = min(told + told // 10, cap) if isinstance(told, int) else cap
    return Call(DEPLOYMENT_PROXY, data, gas, f"deploy {name}")


def _refuse(revert: Revert | None, what: str) -> None:
    if revert is not None:
        raise RevertedError(f"the contract refuses {what}: {revert}", hint=revert.hint)


def _composition(chain_id: int, contract: bytes, calls: list[Call]) -> Composition:
    if not calls:
        raise NotReadyError(
            f"nothing is left to send to {to_checksum(contract)}", hint="it is done already"
        )
    return Composition(chain_id, contract, tuple(calls))
