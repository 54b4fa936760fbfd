"""Anchor: the headers of sealed batches into a registry on a chain, and no coin.

For those who want tamper evidence alone: what is anchored can be proved by anybody and changed by
nobody. `verify --rpc --contract` takes the registry as an anchor. Goes on from the registry's
head; sends headers only, never entries.
"""

from __future__ import annotations

from dataclasses import dataclass

from token_ledger.chain import contracts
from token_ledger.chain.creation import (
    REGISTRY,
    anchor_calldata,
    create,
    created_at,
    registry_init_code,
)
from token_ledger.chain.delivery import deliver, open_courier
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.signer import GasPayer
from token_ledger.chain.state import call_contract, read_words
from token_ledger.core.address import to_checksum
from token_ledger.core.progress import Progress, no_progress
from token_ledger.errors import ForeignContractError, SigningKeyError, UnknownBatchError
from token_ledger.ledger import Ledger, batches

HEADERS_MAX = 50
"""So many headers a transaction: some 4M gas."""
_GAS_FIXED, _GAS_HEADER = 150_000, 120_000


@dataclass(frozen=True, slots=True)
class AnchorResult:
    """What this run anchored, and where the registry stands."""

    registry: bytes
    chain_id: int
    headers: int
    head_number: int
    gas_used: int

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "registry": to_checksum(self.registry),
            "chain_id": self.chain_id,
            "headers": self.headers,
            "head": self.head_number,
            "gas_used": self.gas_used,
        }


def anchor(
    ledger: Ledger,
    rpc_url: str,
    *,
    gas_signer: GasPayer | None = None,
    gas_price_max: int | None = None,
    take_over: bool = False,
    progress: Progress = no_progress,
) -> AnchorResult:
    """Create the token's registry if it is missing, and submit the headers that it lacks.

    `gas_price_max`: the most to offer for a unit of gas, in wei. `take_over`: replace what the
    payer has on its way unmined. Two operators at once are fine: each goes on where the registry
    stands.
    Raises UnknownBatchError while nothing is sealed, SigningKeyError where the last header is not
    signed by the registry's sealer, ForeignContractError for a registry with another history.
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
    with Rpc(rpc_url) as rpc:
        chain_id = rpc.quantity("eth_chainId")
        sender = open_courier(
            rpc, gas_signer, chain_id=chain_id, price_max=gas_price_max, take_over=take_over
        )
        made = create(sender, token, init_code, name=REGISTRY)
        gas = 0 if made is None else made.gas_used
        first = number = stands_at(ledger, rpc, address)
        sealer = read_words(rpc, address, [contracts.SEALER_CALL])[0][12:]
        headers = 0
        while number < head.number:
            last = min(number + HEADERS_MAX, head.number)
            receipt = deliver(
                sender,
                address,
                headers_calldata(ledger, number, last, sealer),
                what=f"headers {number + 1} to {last}",
                gas=headers_gas(last - number),
                done=lambda number=number: stands_at(ledger, rpc, address) != number,  # type: ignore[misc]
            )
            if receipt is not None:  # else another operator anchored from there
                headers += last - number
                gas += receipt.gas_used
            number = stands_at(ledger, rpc, address)
            progress("anchor", max(number - first, 0), head.number - first)
    return AnchorResult(address, chain_id, headers, number, gas)


def headers_gas(headers: int) -> int:
    """Return the gas to offer for a transaction of so many headers."""
    return _GAS_FIXED + _GAS_HEADER * headers


def stands_at(ledger: Ledger, rpc: Rpc, address: bytes) -> int:
    """Return the registry's head, which must be one of the ledger's own headers."""
    answer = call_contract(rpc, address, contracts.HEAD_CALL)
    number, digest = int.from_bytes(answer[:32], "big"), answer[32:64]
    if number:
        with ledger.read() as connection:
            known = batches.known_digest(connection, ledger.token, digest)
        if known != number:
            raise ForeignContractError(
                f"the registry {to_checksum(address)} stands at batch {number}, "
                f"0x{digest.hex()}, which is none of this ledger's",
                hint="another copy of this ledger anchored there: only that copy can go on",
            )
    return number


def headers_calldata(ledger: Ledger, number: int, last: int, sealer: bytes) -> bytes:
    """Return the calldata of `anchor` for the headers behind `number`, up to `last`.

    Raises SigningKeyError where the sealer has not signed the last of them.
    """
    with ledger.read() as connection:
        found = batches.read_headers(connection, ledger.token, after=number, limit=last - number)
        signature = batches.signature_of(connection, ledger.token, last, sealer)
    if signature is None:
        raise SigningKeyError(
            f"batch {last} is not signed by the sealer {to_checksum(sealer)}",
            hint="run `sign` with the sealer's key: the registry accepts no other",
        )
    return anchor_calldata([header for header, _ in found], signature)
