"""Claim: an account's owner takes the vault that stands at the account's derived address.

The operator signs (EIP-712), anybody may submit: the vault is deployed at exactly the address that
the books always named, and from then on obeys its owner alone. Posts nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from token_ledger.chain import contracts, vaults
from token_ledger.chain.creation import created_at, registry_init_code, snapshot_init_code
from token_ledger.chain.delivery import deliver, open_courier, revert_of
from token_ledger.chain.identity import ChainIdentity, read_identity
from token_ledger.chain.rpc import Rpc, decode_quantity, hex_data
from token_ledger.chain.signer import GasPayer, Signer
from token_ledger.chain.state import get_code
from token_ledger.core.address import (
    DEPLOYMENT_PROXY,
    VAULT_FACTORY,
    VAULT_IMPLEMENTATION,
    derive_vault,
    to_checksum,
    vault_salt,
)
from token_ledger.core.claims import EXPIRY_MAX, Claim
from token_ledger.core.signature import recover_signer
from token_ledger.errors import ClaimError, SigningKeyError
from token_ledger.ledger import Ledger, accounts

VALID_S = 3600
"""So long a permission that is submitted at once stays good, in seconds."""
VALID_LONG_S = 30 * 24 * 3600
"""The same where somebody else signs or submits it later."""
AHEAD_MAX_S = 3600
"""So far a chain's time may be ahead of this machine's, in seconds."""
_PRECOMPILES_END = 1 << 16
_DELEGATION = bytes.fromhex("ef0100")
ACCOUNT, ESCROW = "account", "escrow"


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """A vault and its owner. `tx_hash` is None where the owner had it already."""

    claim: Claim
    tx_hash: bytes | None
    factory_deployed: bool
    gas_used: int

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "vault": to_checksum(self.claim.vault),
            "owner": to_checksum(self.claim.owner),
            "operator": to_checksum(self.claim.operator),
            "chain_id": self.claim.chain_id,
            "transaction": None if self.tx_hash is None else hex_data(self.tx_hash),
            "factory": to_checksum(VAULT_FACTORY),
            "factory_deployed": self.factory_deployed,
            "gas_used": self.gas_used,
        }


def prepare(ledger: Ledger, account_id: str, *, owner: bytes, chain_id: int, expiry: int) -> Claim:
    """Return the claim of an account's vault for `owner`, unsigned. Asks no node.

    Raises UnknownAccountError, and ClaimError for a registered address (nobody's vault stands
    there), for an escrow account and an owner other than the operator, and for an owner that could
    never act: a precompile, one of our contracts, a derived address.
    """
    account = ledger.get_account(account_id)
    operator, secret = ledger.operator, ledger.secret
    kinds = {
        derive_vault(secret, account_id, operator, kind=kind): kind for kind in (ACCOUNT, ESCROW)
    }
    kind = kinds.get(account.address)
    if kind is None:
        raise ClaimError(
            f"the address {to_checksum(account.address)} was registered, not derived",
            hint="no vault belongs there: whoever holds its key controls it already",
        )
    if kind == ESCROW and owner != operator:
        raise ClaimError(
            f"the vault {to_checksum(account.address)} holds escrow: it obeys the operator only",
            hint=f"its owner can be none but {to_checksum(operator)}",
        )
    if owner == account.address or _never_acts(ledger, owner):
        raise ClaimError(
            f"{to_checksum(owner)} cannot own the vault: nobody could act for it",
            hint="give the owner's own address, of a wallet",
        )
    if not 0 < expiry <= EXPIRY_MAX:
        raise ClaimError(f"the expiry {expiry} is no time", hint="seconds since 1970")
    return Claim(
        chain_id=chain_id,
        operator=operator,
        salt=vault_salt(secret, account_id, kind=kind),
        vault=account.address,
        owner=owner,
        expiry=expiry,
    )


def _never_acts(ledger: Ledger, owner: bytes) -> bool:
    """Return whether nobody could send from `owner`, as far as is known without a node."""
    if len(owner) != 20 or int.from_bytes(owner, "big") < _PRECOMPILES_END:
        return True
    ours = {DEPLOYMENT_PROXY, VAULT_FACTORY, VAULT_IMPLEMENTATION}
    for token in ledger.tokens():
        ours.add(contracts.token_address(token, ledger.operator))
        for init_code in (registry_init_code, snapshot_init_code):
            ours.add(created_at(token, init_code(token, ledger.operator)))
    if owner in ours:
        return True
    with ledger.read() as connection:
        return accounts.is_derived(connection, owner)


def unsigned(
    ledger: Ledger,
    rpc_url: str,
    account_id: str,
    *,
    owner: bytes,
    expiry: int | None = None,
    contract_owner: bool = False,
) -> Claim:
    """Return the claim for somebody else to sign, good for 30 days on the node's chain.

    `contract_owner`: as in `claim`. Raises as `prepare` does. Sends nothing.
    """
    with Rpc(rpc_url) as rpc:
        chain = read_identity(rpc)
        until = _time_s(rpc, chain) + VALID_LONG_S if expiry is None else expiry
        made = prepare(ledger, account_id, owner=owner, chain_id=chain.chain_id, expiry=until)
        _check_wallet(rpc, made, contract_owner=contract_owner)
    return made


def claim(
    ledger: Ledger,
    rpc_url: str,
    account_id: str,
    *,
    owner: bytes,
    operator: Signer | None = None,
    signature: bytes | None = None,
    expiry: int | None = None,
    gas_signer: GasPayer | None = None,
    gas_price_max: int | None = None,
    take_over: bool = False,
    contract_owner: bool = False,
) -> ClaimResult:
    """Hand the vault of an account to `owner`, and return once the chain says so.

    `operator` signs; or `signature` was made elsewhere (a Safe's, by ERC-1271) over the claim with
    this very `expiry`. The factory is deployed if it is missing. `gas_signer` pays; by default the
    node's own first account, and at most `gas_price_max` wei for a unit of gas. `take_over`:
    replace what the payer has on its way unmined. `contract_owner`: the owner may be a contract, a
    Safe perhaps. Raises ClaimError as `prepare` does, for a contract as the owner that was not
    allowed, for a vault that is somebody else's already and for a signature that the factory
    refuses; SigningKeyError, RevertedError.
    """
    with Rpc(rpc_url) as rpc:
        wanted, signed = authorised(
            ledger,
            rpc,
            account_id,
            owner=owner,
            operator=operator,
            signature=signature,
            expiry=expiry,
            contract_owner=contract_owner,
        )
        if is_owned(rpc, wanted):
            return ClaimResult(wanted, None, factory_deployed=False, gas_used=0)
        sender = open_courier(
            rpc,
            gas_signer,
            chain_id=wanted.chain_id,
            price_max=gas_price_max,
            take_over=take_over,
        )
        deployed = vaults.deploy_factory(sender)
        data = vaults.claim_calldata(wanted, signed)
        revert = revert_of(
            rpc, sender.payer.address, VAULT_FACTORY, data, called=vaults.FACTORY_CONTRACT
        )
        if revert is not None and not is_owned(rpc, wanted):
            raise ClaimError(f"the factory refuses the claim: {revert}", hint=revert.hint)
        receipt = deliver(
            sender,
            VAULT_FACTORY,
            data,
            what="the claim",
            gas=vaults.CLAIM_GAS_MAX,
            done=lambda: is_owned(rpc, wanted),
        )
        gas = sum(sent.gas_used for sent in (deployed, receipt) if sent is not None)
        tx_hash = None if receipt is None else receipt.tx_hash
        return ClaimResult(wanted, tx_hash, deployed is not None, gas)


def authorised(
    ledger: Ledger,
    rpc: Rpc,
    account_id: str,
    *,
    owner: bytes,
    operator: Signer | None,
    signature: bytes | None,
    expiry: int | None,
    at_once: bool = True,
    contract_owner: bool = False,
) -> tuple[Claim, bytes]:
    """Return the claim and the operator's signature of it; empty where the owner has the vault.

    `at_once`: it is submitted now, so that a short expiry does. Raises as `claim` does.
    """
    chain = read_identity(rpc)
    if expiry is None:
        if signature is not None:
            raise ClaimError("a signature needs its expiry", hint="give --expiry as signed")
        expiry = _time_s(rpc, chain) + (VALID_S if at_once else VALID_LONG_S)
    wanted = prepare(ledger, account_id, owner=owner, chain_id=chain.chain_id, expiry=expiry)
    if is_owned(rpc, wanted):
        return wanted, b""
    _check_wallet(rpc, wanted, contract_owner=contract_owner)
    signed = _signed(wanted, operator) if signature is None else signature
    _check_signature(rpc, wanted, signed)
    return wanted, signed


def is_owned(rpc: Rpc, wanted: Claim) -> bool:
    """Return whether the owner has the vault; raises ClaimError if somebody else has."""
    found = vaults.vault_owner(rpc, wanted.vault, wanted.operator)
    if found is not None and found != wanted.owner:
        raise ClaimError(
            f"the vault {to_checksum(wanted.vault)} belongs to {to_checksum(found)} already",
            hint="its owner may hand it on with transferOwnership",
        )
    return found is not None


def _signed(wanted: Claim, operator: Signer | None) -> bytes:
    if operator is None or operator.address != wanted.operator:
        shown = "no key" if operator is None else to_checksum(operator.address)
        raise SigningKeyError(
            f"{shown} cannot sign for the operator {to_checksum(wanted.operator)}",
            hint="give the operator's keystore, or --signature FILE as a Safe made it",
        )
    return operator.sign_digest(wanted.digest)


def _check_signature(rpc: Rpc, wanted: Claim, signature: bytes) -> None:
    """Refuse before anything is deployed what no factory could accept."""
    if get_code(rpc, wanted.operator):
        return  # a contract: the factory asks it, and the rehearsal tells
    if recover_signer(wanted.digest, signature) != wanted.operator:
        raise ClaimError(
            f"the signature is not that of the operator {to_checksum(wanted.operator)}",
            hint="is it over this owner, expiry and chain? A Safe must exist on this chain",
        )


def _check_wallet(rpc: Rpc, wanted: Claim, *, contract_owner: bool) -> None:
    """Raise ClaimError for code at the owner's address, unless it was allowed or is the operator.

    A wallet that delegates to code (EIP-7702) is still its key's.
    """
    if contract_owner or wanted.owner == wanted.operator:
        return
    code = get_code(rpc, wanted.owner)
    if code and not code.startswith(_DELEGATION):
        raise ClaimError(
            f"the owner {to_checksum(wanted.owner)} is a contract on chain {wanted.chain_id}",
            hint="can it call the vault, as a Safe can? Then say --contract-owner",
        )


def _time_s(rpc: Rpc, chain: ChainIdentity) -> int:
    """Return the chain's time. Raises ClaimError where it is far ahead of this machine's.

    What is signed counts until a time that follows from it: a lying node must not stretch that.
    """
    block = rpc.call("eth_getBlockByNumber", ["latest", False])
    with rpc.decoding("eth_getBlockByNumber"):
        there = decode_quantity(block["timestamp"])
    here = int(time.time())
    if there > here + AHEAD_MAX_S and not chain.is_test_chain:  # whose clock is set at will
        raise ClaimError(
            f"the node says that it is {there}, this machine {here}: the claim would count too "
            "long",
            hint="ask another node, mend the clock, or give --expiry yourself",
        )
    return there
