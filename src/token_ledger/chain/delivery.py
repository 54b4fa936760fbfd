"""Delivery: a call is sent until the chain has what it is for, whoever brought it there.

The one way in which every command sends a single call: it looks first, tries the call without
sending it, sends it by the gas payer's `Courier`, and looks again where another operator was in
between. Replays go by `replay`, many on their way at once.
"""

from __future__ import annotations

from collections.abc import Callable

from token_ledger.chain import contracts
from token_ledger.chain.courier import Courier, NonceTakenError
from token_ledger.chain.rpc import NodeError, Rpc, hex_data
from token_ledger.chain.sender import Receipt, Sender, node_account
from token_ledger.chain.signer import GasPayer
from token_ledger.errors import RevertedError

COLLISIONS_MAX = 20
"""So often another one with the same key may take our nonce, and bring nothing of ours."""


def open_courier(
    rpc: Rpc,
    payer: GasPayer | None,
    *,
    chain_id: int,
    price_max: int | None = None,
    take_over: bool = False,
) -> Courier:
    """Return a courier whose payer has nothing on its way, or (`take_over`) goes before it.

    `payer`: by default the node's own first account. `price_max`: the most to offer for a unit of
    gas, in wei. Raises SigningKeyError where nobody could pay, ChainError where something of the
    payer's stays unmined.
    """
    courier = Courier(
        rpc,
        payer or node_account(rpc),
        chain_id=chain_id,
        fee_max_wei=price_max,
        take_over=take_over,
    )
    courier.settle()
    return courier


def revert_of(
    rpc: Rpc, payer: bytes, to: bytes, data: bytes, *, called: str | None = None
) -> contracts.Revert | None:
    """Return why a call would fail if it were sent now, or None if it would not.

    `called`: the name of the contract at `to`, where it matters.
    """
    call = {"from": hex_data(payer), "to": hex_data(to), "data": hex_data(data)}
    try:
        rpc.call("eth_call", [call, "latest"])
    except NodeError as error:
        if error.data is None and "revert" not in error.text:
            raise
        return contracts.decode_revert(error.data, called=called)
    return None


def rehearse(sender: Sender, to: bytes, data: bytes, *, what: str) -> None:
    """Run a call without sending it; raise RevertedError with the contract's reason."""
    revert = revert_of(sender.rpc, sender.payer.address, to, data)
    if revert is not None:
        raise RevertedError(f"the contract refuses {what}: {revert}", hint=revert.hint)


def deliver(
    sender: Sender,
    to: bytes,
    data: bytes,
    *,
    what: str,
    gas: int,
    done: Callable[[], bool],
    rehearsed: bool = True,
    hint: str = "run it again",
) -> Receipt | None:
    """Send a call and return its receipt; None where somebody else brought it about.

    `done` looks at the chain. `rehearsed`: what the contract refuses is not sent, and said with the
    contract's reason. Raises RevertedError for what it refuses, then or when it is executed (with
    `hint`); NonceTakenError where another one with the same key takes nonce after nonce.
    """
    collisions = 0
    while not done():
        if rehearsed:
            try:
                rehearse(sender, to, data, what=what)
            except RevertedError:
                if done():
                    break
                raise
        try:
            receipt = sender.send_and_wait(to, data, gas=gas)
        except NonceTakenError:
            collisions += 1
            if collisions > COLLISIONS_MAX:
                raise
            sender.settle()
            continue
        if receipt.succeeded:
            return receipt
        if not done():
            raise RevertedError(
                f"{what} failed in transaction {hex_data(receipt.tx_hash)}", hint=hint
            )
    return None
