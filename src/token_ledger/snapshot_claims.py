"""Claims of a snapshot: what holders get of it, and what becomes of the rest.

    claim     one holder's balance, by the proof in its file; anybody may submit it
    sweep     what nobody claimed until the deadline, to where the admin said

Needs no ledger: a proof file and a node are enough. `snapshot` takes and publishes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from token_ledger.chain import contracts
from token_ledger.chain.creation import (
    CLAIMED,
    SNAPSHOT_TOKEN,
    SWEEP_CALL,
    UNCLAIMED_CALL,
    check_code,
    claim_calldata,
    destination_calldata,
)
from token_ledger.chain.delivery import deliver, open_courier
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.sender import Receipt
from token_ledger.chain.signer import GasPayer, Signer
from token_ledger.chain.state import read_state, read_words
from token_ledger.core.address import to_checksum
from token_ledger.core.hashing import address_word
from token_ledger.core.snapshot import BALANCE_PROOF_FORMAT
from token_ledger.core.strict import (
    read_address,
    read_bytes,
    read_decimal,
    read_fields,
    read_list,
    refuse,
)
from token_ledger.core.types import UINT256_MAX
from token_ledger.errors import SigningKeyError, UsageError

_DESTINATION_CALL = contracts.selector("sweepDestination()")
CLAIM_GAS, SWEEP_GAS = 400_000, 200_000


@dataclass(frozen=True, slots=True)
class SnapshotResult:
    """What one step did on the chain. `tx_hash` is None where nothing was left to do.

    `replay_begun`: a replay into another contract was prepared there, or its transactions written
    down, before the snapshot took its place: nobody must send those any more. `stranded`: entries
    that are not in the snapshot, and never will be on the chain; 0 unless it was opened past
    `publish`.
    """

    contract: bytes
    chain_id: int
    tx_hash: bytes | None
    gas_used: int
    replay_begun: bool = False
    stranded: int = 0

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "contract": to_checksum(self.contract),
            "chain_id": self.chain_id,
            "transaction": None if self.tx_hash is None else f"0x{self.tx_hash.hex()}",
            "gas_used": self.gas_used,
        }


def claim(
    rpc_url: str,
    contract: bytes,
    document: object,
    *,
    gas_signer: GasPayer | None = None,
    gas_price_max: int | None = None,
    take_over: bool = False,
) -> SnapshotResult:
    """Give one account its balance, from the document of its proof file. Needs no ledger.

    `gas_price_max` and `take_over` as in `publish`. Again it sends nothing. Raises FileFormatError
    for another document, RevertedError with the contract's reason.
    """
    account, amount, proof = read_proof(document)
    with Rpc(rpc_url) as rpc:
        check_code(rpc, contract, name=SNAPSHOT_TOKEN)
        chain_id = rpc.quantity("eth_chainId")
        if is_claimed(rpc, contract, account):
            return SnapshotResult(contract, chain_id, None, 0)
        data = claim_calldata(account, amount, proof)
        sender = open_courier(
            rpc, gas_signer, chain_id=chain_id, price_max=gas_price_max, take_over=take_over
        )
        receipt = deliver(
            sender,
            contract,
            data,
            what="the claim",
            gas=CLAIM_GAS,
            done=lambda: is_claimed(rpc, contract, account),
        )
        return result_of(contract, chain_id, receipt)


def is_claimed(rpc: Rpc, contract: bytes, account: bytes) -> bool:
    """Return whether an account has its balance of a snapshot."""
    return any(read_words(rpc, contract, [CLAIMED + address_word(account)])[0])


def sweep(
    rpc_url: str,
    contract: bytes,
    *,
    destination: bytes | None = None,
    admin: Signer | None = None,
    gas_signer: GasPayer | None = None,
    gas_price_max: int | None = None,
    take_over: bool = False,
) -> SnapshotResult:
    """Mint what nobody claimed, after the deadline. Needs no ledger. Again it sends nothing.

    `destination` is named first, by `admin`; once named it may be left away. `gas_price_max` and
    `take_over` as in `publish`, for both. Raises RevertedError with the contract's reason
    (ClaimsOpen, NoSweepDestination, …), UsageError for the token itself as the destination.
    """
    check_destination(contract, destination)
    with Rpc(rpc_url) as rpc:
        check_code(rpc, contract, name=SNAPSHOT_TOKEN)
        chain_id = rpc.quantity("eth_chainId")
        terms: dict[str, Any] = {
            "chain_id": chain_id,
            "price_max": gas_price_max,
            "take_over": take_over,
        }
        if is_swept(rpc, contract):
            return SnapshotResult(contract, chain_id, None, 0)
        named = None
        if destination is not None and not leads_to(rpc, contract, destination):
            if admin is None:
                raise SigningKeyError(
                    "only the admin names a destination", hint="give the operator's keystore"
                )
            named = deliver(
                open_courier(rpc, admin, **terms),
                contract,
                destination_calldata(destination),
                what="the destination",
                gas=SWEEP_GAS,
                done=lambda: leads_to(rpc, contract, destination),
            )
        swept = deliver(
            open_courier(rpc, gas_signer, **terms),
            contract,
            SWEEP_CALL,
            what="the sweep",
            gas=SWEEP_GAS,
            done=lambda: is_swept(rpc, contract),
        )
        return result_of(contract, chain_id, swept, named)


def check_destination(contract: bytes, destination: bytes | None) -> None:
    """Raise UsageError for the token's own address: what is swept there is nobody's for ever."""
    if destination == contract:
        raise UsageError(
            f"{to_checksum(contract)} is the token itself: nobody could move what is swept there",
            hint="name an address that somebody controls",
        )


def is_swept(rpc: Rpc, contract: bytes) -> bool:
    """Return whether claims were open there and nothing of them is left, claimed or swept."""
    if not read_state(rpc, contract).finalized:
        return False
    return not any(read_words(rpc, contract, [UNCLAIMED_CALL])[0])


def leads_to(rpc: Rpc, contract: bytes, destination: bytes) -> bool:
    """Return whether a sweep would mint to `destination`."""
    return read_words(rpc, contract, [_DESTINATION_CALL])[0][12:] == destination


def result_of(
    contract: bytes, chain_id: int, last: Receipt | None, *others: Receipt | None
) -> SnapshotResult:
    """Return what was done, told by the last call; the gas is that of all that we sent."""
    gas = sum(receipt.gas_used for receipt in (last, *others) if receipt is not None)
    return SnapshotResult(contract, chain_id, None if last is None else last.tx_hash, gas)


_PROOF_KEYS = frozenset({"format", "balancesRoot", "account", "amount", "proof"})


def read_proof(document: Any) -> tuple[bytes, int, tuple[bytes, ...]]:
    """Return account, amount and path of a proof file's document. Raises FileFormatError."""
    fields = read_fields(document, "the proof", _PROOF_KEYS)
    if fields["format"] != BALANCE_PROOF_FORMAT:
        raise refuse("format", fields["format"], BALANCE_PROOF_FORMAT)
    read_bytes(fields["balancesRoot"], "balancesRoot")
    return (
        read_address(fields["account"], "account"),
        read_decimal(fields["amount"], "amount", UINT256_MAX),
        read_list(fields["proof"], "proof", lambda node: read_bytes(node, "proof")),
    )
