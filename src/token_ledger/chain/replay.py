"""Replay: sealed batches as transactions, several on their way at once, each one checked.

The contract takes batch after batch in the order of their numbers and nothing twice, so the nonces'
order is all that a pipeline needs; when one fails, those behind it fail as well and change nothing.
A batch that fits no transaction goes in parts. Does not choose the batches: `migrate` hands over
what the contract's head lacks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from token_ledger.chain import contracts
from token_ledger.chain.contracts import Revert
from token_ledger.chain.parts import (
    TRANSACTION_GAS_MAX,
    estimate,
    gas_cap,
    lacks_gas,
    replay_in_parts,
    try_call,
)
from token_ledger.chain.rpc import NodeError
from token_ledger.chain.sender import Receipt, Sender
from token_ledger.core.gas import GAS_MAX, BatchShape
from token_ledger.core.types import Batch, Header
from token_ledger.errors import RevertedError

IN_FLIGHT_MAX = 8
PROMISED_GAS = GAS_MAX + GAS_MAX // 10
"""What is enough for any batch as long as gas costs what it did when it was sealed."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One transaction that the chain has executed: a batch, or `rows` of it.

    `ended`: with it the batch is complete.
    """

    header: Header
    receipt: Receipt
    rows: int
    ended: bool


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
    rows_max: int | None = None,
    careful: bool = False,
    on_replayed: Callable[[Replayed], None],
) -> None:
    """Send signed batches, in the order of their numbers; `on_replayed` hears of each transaction.

    The first is tried without sending, so that what is refused costs nothing. `careful`: ask the
    node what each batch takes, one after the other, as after a repricing; one that takes more than
    a transaction can hold goes in parts, and so does one of more than `rows_max` rows. Raises
    RevertedError with the contract's reason when one fails, ChainError for a batch too large.
    """
    pipeline = _Pipeline(sender, contract, in_flight_max, rows_max, on_replayed)
    pipeline.careful = careful
    for batch in batches:
        pipeline.take(batch)
    pipeline.drain()


class _Pipeline:
    """Batches on their way; whatever must see the chain as they leave it, waits for them."""

    def __init__(
        self,
        sender: Sender,
        contract: bytes,
        in_flight_max: int,
        rows_max: int | None,
        on_replayed: Callable[[Replayed], None],
    ) -> None:
        self.careful = False
        self._sender = sender
        self._payer = sender.payer.address
        self._contract = contract
        self._in_flight_max = in_flight_max
        self._rows_max = rows_max
        self._on_replayed = on_replayed
        self._on_the_way: deque[_Sent] = deque()
        self._cap = gas_cap(sender.rpc)
        self._tried = False

    def take(self, batch: Batch) -> None:
        data = contracts.replay_calldata(batch)
        gas = self._gas_for(batch, data)
        if gas is None:
            self._go_in_parts(batch)
            return
        try:
            tx_hash = self._sender.send(self._contract, data, gas=gas)
        except NodeError as error:
            if self.careful or not lacks_gas(error):
                raise
            self.careful = True
            self.take(batch)
            return
        self._on_the_way.append(_Sent(batch.header, data, tx_hash))
        if len(self._on_the_way) >= self._in_flight_max:
            self._await_first()

    def drain(self) -> None:
        """Wait until everything that was sent is mined."""
        while self._on_the_way:
            self._await_first()

    def _gas_for(self, batch: Batch, data: bytes) -> int | None:
        """Return the gas to offer, None if the batch goes in parts."""
        if self._rows_max is not None and batch.header.count > self._rows_max:
            return None
        usual = gas_limit(batch)
        offered = min(usual, self._cap)
        if offered < min(usual, PROMISED_GAS):
            self.careful = True  # this chain holds less than a batch may take
        if not self._tried and not self.careful:
            self._tried = True
            why = try_call(self._sender.rpc, self._payer, self._contract, data, gas=offered)
            if isinstance(why, Revert):
                raise _refused(batch.header, why)
            self.careful = why is not None  # gas was repriced: from here on each one is asked
        if not self.careful:
            return offered
        self.drain()
        told = estimate(self._sender.rpc, self._payer, self._contract, data, cap=self._cap)
        if isinstance(told, Revert):
            raise _refused(batch.header, told)
        return told

    def _go_in_parts(self, batch: Batch) -> None:
        self.drain()

        def count(rows: int, last: bool, receipt: Receipt) -> None:
            self._on_replayed(Replayed(batch.header, receipt, rows, ended=last))

        replay_in_parts(
            self._sender,
            self._contract,
            batch,
            cap=self._cap,
            rows_max=self._rows_max,
            on_part=count,
        )

    def _await_first(self) -> None:
        sent = self._on_the_way.popleft()
        receipt = self._sender.wait(sent.tx_hash)
        if receipt.succeeded:
            self._on_replayed(Replayed(sent.header, receipt, sent.header.count, ended=True))
            return
        for later in self._on_the_way:  # they fail too; the next run shall meet a settled chain
            self._sender.wait(later.tx_hash)
        why = try_call(self._sender.rpc, self._payer, self._contract, sent.data, gas=self._cap)
        if isinstance(why, Revert):
            raise _refused(sent.header, why)
        raise RevertedError(
            f"batch {sent.header.number} failed in transaction 0x{sent.tx_hash.hex()}, "
            "but would succeed now",
            hint="it may have run out of gas, or the chain moved; run it again",
        )


def _refused(header: Header, revert: Revert) -> RevertedError:
    return RevertedError(f"the contract refuses batch {header.number}: {revert}", hint=revert.hint)
