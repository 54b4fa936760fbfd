"""Replay: sealed batches as transactions, several on their way at once, each one checked.

The contract takes batch after batch in the order of their numbers and nothing twice, so the nonces'
order is all that a pipeline needs; when one fails, those behind it fail as well and change nothing.
Does not choose the batches: `migrate` hands over what the contract's head lacks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from token_ledger.chain import contracts
from token_ledger.chain.rpc import NodeError, Rpc, hex_data
from token_ledger.chain.sender import Receipt, Sender
from token_ledger.core.gas import BatchShape
from token_ledger.core.types import Batch, Header
from token_ledger.errors import RevertedError

IN_FLIGHT_MAX = 8
TRANSACTION_GAS_MAX = 1 << 24
"""EIP-7825: the most gas that one transaction may be given."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One batch that the chain has executed."""

    header: Header
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class _Sent:
    header: Header
    data: bytes
    tx_hash: bytes


def gas_limit(batch: Batch) -> int:
    """Return the gas to offer for a batch: what it takes if every account is new, and a tenth.

    What is not used is not paid.
    """
    accounts, width = int.from_bytes(batch.rows[2:4], "big"), batch.rows[1]
    count = batch.header.count
    planned = BatchShape(
        rows=count,
        new_accounts=accounts,
        first_batch=True,
        width=width,
        nonzero_value_bytes=width * count,
    ).gas
    return min(planned + planned // 10, TRANSACTION_GAS_MAX)


def replay(
    sender: Sender,
    contract: bytes,
    batches: Iterable[Batch],
    *,
    in_flight_max: int = IN_FLIGHT_MAX,
    on_replayed: Callable[[Replayed], None],
) -> None:
    """Send signed batches, in the order of their numbers; call `on_replayed` for each one mined.

    The first is tried without sending, so that what is refused costs nothing. Raises RevertedError
    with the contract's reason when one fails.
    """
    on_the_way: deque[_Sent] = deque()
    tried = False
    for batch in batches:
        data = contracts.replay_calldata(batch)
        if not tried:
            _explain(sender.rpc, sender.payer.address, contract, data, batch.header)
            tried = True
        tx_hash = sender.send(contract, data, gas=gas_limit(batch))
        on_the_way.append(_Sent(batch.header, data, tx_hash))
        if len(on_the_way) >= in_flight_max:
            _await_first(sender, contract, on_the_way, on_replayed)
    while on_the_way:
        _await_first(sender, contract, on_the_way, on_replayed)


def _await_first(
    sender: Sender,
    contract: bytes,
    on_the_way: deque[_Sent],
    on_replayed: Callable[[Replayed], None],
) -> None:
    sent = on_the_way.popleft()
    receipt = sender.wait(sent.tx_hash)
    if receipt.succeeded:
        on_replayed(Replayed(sent.header, receipt))
        return
    for later in on_the_way:  # they fail too; wait, so that the next run meets a settled chain
        sender.wait(later.tx_hash)
    _explain(sender.rpc, sender.payer.address, contract, sent.data, sent.header)
    raise RevertedError(
        f"batch {sent.header.number} failed in transaction 0x{sent.tx_hash.hex()}, "
        "but would succeed now",
        hint="it may have run out of gas, or the chain moved; run it again",
    )


def _explain(rpc: Rpc, payer: bytes, contract: bytes, data: bytes, header: Header) -> None:
    """Run a replay without sending it; raise RevertedError with the reason when it fails."""
    call = {"from": hex_data(payer), "to": hex_data(contract), "data": hex_data(data)}
    try:
        rpc.call("eth_call", [call | {"gas": hex(TRANSACTION_GAS_MAX)}, "latest"])
    except NodeError as error:
        if error.data is None and "revert" not in error.text:
            raise
        revert = contracts.decode_revert(error.data)
        raise RevertedError(
            f"the contract refuses batch {header.number}: {revert}", hint=revert.hint
        ) from None
