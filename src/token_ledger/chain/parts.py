"""What one transaction can hold, asked of the node; and a batch in several transactions.

A sealed batch was planned to fit one transaction by the prices of its day. After a repricing it may
not: then `replayPart` executes as many of its rows at a time as fit. The contract knows how many
rows were done, so that an interrupted run goes on where it stood, whoever sent the parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from token_ledger.chain import contracts
from token_ledger.chain.contracts import Revert
from token_ledger.chain.rpc import NodeError, Rpc, decode_data, decode_quantity, hex_data
from token_ledger.chain.sender import Receipt, Sender
from token_ledger.chain.state import Block
from token_ledger.core.types import ZERO_HASH, Batch
from token_ledger.errors import ChainError, RevertedError

TRANSACTION_GAS_MAX = 1 << 24
"""EIP-7825: the most gas that one transaction may be given."""
_LACKS_GAS = re.compile(
    r"out ?of ?gas|exceeds allowance|intrinsic gas|gas limit|floor data|gas too (?:low|high)",
    re.IGNORECASE,
)
_BISECTIONS = 3


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch of which `rows_done` rows were executed, and the others not yet."""

    digest: bytes
    rows_done: int


def read_open_batch(rpc: Rpc, contract: bytes, *, block: Block = "latest") -> OpenBatch | None:
    """Return the batch of which only a part was replayed, None if there is none."""
    method = "eth_call"
    call = {"to": hex_data(contract), "data": hex_data(contracts.OPEN_BATCH_CALL)}
    try:
        answer = rpc.call(method, [call, block])
    except NodeError as error:
        if isinstance(_why(error), Revert):
            return None  # a contract that knows no parts
        raise
    with rpc.decoding(method):
        words = decode_data(answer, size=64)
    digest, rows = words[:32], int.from_bytes(words[32:], "big")
    return None if digest == ZERO_HASH else OpenBatch(digest, rows)


def gas_cap(rpc: Rpc) -> int:
    """Return the most gas that a transaction can be given here: EIP-7825's, or a whole block."""
    method = "eth_getBlockByNumber"
    block = rpc.call(method, ["latest", False])
    with rpc.decoding(method):
        return min(TRANSACTION_GAS_MAX, decode_quantity(block["gasLimit"]))


def try_call(
    rpc: Rpc, payer: bytes, to: bytes, data: bytes, *, gas: int
) -> Revert | ChainError | None:
    """Run a call without sending it: None if it succeeds with `gas`, else why it does not.

    A ChainError, not raised, where it is gas that it lacks.
    """
    call = {"from": hex_data(payer), "to": hex_data(to), "data": hex_data(data), "gas": hex(gas)}
    try:
        rpc.call("eth_call", [call, "latest"])
    except NodeError as error:
        return _why(error)
    return None


def estimate(rpc: Rpc, payer: bytes, to: bytes, data: bytes, *, cap: int) -> int | Revert | None:
    """Return the gas that a call takes, as the node has it; None where it is more than `cap`."""
    call = {"from": hex_data(payer), "to": hex_data(to), "data": hex_data(data), "gas": hex(cap)}
    try:
        gas = rpc.quantity("eth_estimateGas", [call])
    except NodeError as error:
        why = _why(error)
        return None if isinstance(why, ChainError) else why
    # Nodes stop looking a little above the least that suffices; state may move until it is mined.
    return None if gas > cap else min(gas + gas // 16, cap)


def lacks_gas(error: NodeError) -> bool:
    """Return whether a node refuses a transaction for the gas that it was given."""
    return error.data is None and _LACKS_GAS.search(error.text) is not None


def _why(error: NodeError) -> Revert | ChainError:
    if error.data is not None or "revert" in error.text:
        return contracts.decode_revert(error.data)
    if lacks_gas(error):
        return ChainError(error.text[:200])
    raise error


def replay_in_parts(
    sender: Sender,
    contract: bytes,
    batch: Batch,
    *,
    cap: int,
    rows_max: int | None,
    on_part: Callable[[int, bool, Receipt], None],
) -> None:
    """Replay a batch, or what is left of it, in parts of the most rows that fit `cap`.

    `rows_max`: take no more rows at once. `on_part` hears of each part mined: how many rows,
    whether they were the last, its receipt. Raises RevertedError with the contract's reason,
    ChainError where not even one row fits.
    """
    number, count = batch.header.number, batch.header.count
    while True:
        opened = read_open_batch(sender.rpc, contract)
        done = opened.rows_done if opened and opened.digest == batch.digest else 0
        rest = count - done
        rows, gas = _fitting(sender, contract, batch, rows=min(rest, rows_max or rest), cap=cap)
        data = contracts.replay_part_calldata(batch, rows)
        receipt = sender.send_and_wait(contract, data, gas=gas)
        if not receipt.succeeded:
            raise RevertedError(
                f"a part of batch {number} failed in transaction 0x{receipt.tx_hash.hex()}",
                hint="somebody else may have replayed meanwhile; run it again",
            )
        on_part(rows, rows >= rest, receipt)
        if rows >= rest:
            return


def _fitting(
    sender: Sender, contract: bytes, batch: Batch, *, rows: int, cap: int
) -> tuple[int, int]:
    """Return how many rows go into the next part, at most `rows`, and its gas."""

    def ask(rows: int) -> int | None:
        data = contracts.replay_part_calldata(batch, rows)
        told = estimate(sender.rpc, sender.payer.address, contract, data, cap=cap)
        if isinstance(told, Revert):
            raise RevertedError(
                f"the contract refuses a part of batch {batch.header.number}: {told}",
                hint=told.hint,
            )
        return told

    too_many, gas = rows + 1, ask(rows)
    while gas is None:
        if rows == 1:
            raise ChainError(
                f"not even one row of batch {batch.header.number} fits {cap:,} gas",
                hint="every part carries all rows as calldata; this chain takes no batch so large",
            )
        too_many, rows = rows, rows // 2
        gas = ask(rows)
    for _ in range(_BISECTIONS):
        middle = (rows + too_many) // 2
        if middle == rows:
            break
        more = ask(middle)
        if more is None:
            too_many = middle
        else:
            rows, gas = middle, more
    return rows, gas
