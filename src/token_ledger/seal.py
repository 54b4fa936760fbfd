"""Seal: turn what was posted since the last batch into batches, each fit for one replay.

Sealing fixes order, position and root. No entry row is touched, writers are not held up, and a
killed sealer is continued by the next one: a batch is one header row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from token_ledger.core.batch import make_batch
from token_ledger.core.gas import CALLDATA_MAX, GAS_MAX, BatchPlan
from token_ledger.core.progress import Progress, no_progress
from token_ledger.core.strict import to_hex
from token_ledger.core.types import ZERO_ADDRESS, Batch
from token_ledger.ledger import Connection, Ledger, batches, sealing
from token_ledger.ledger.batches import Head
from token_ledger.ledger.sealing import UnsealedEntry


@dataclass(frozen=True, slots=True)
class SealResult:
    """What a sealing run added, and the head it left."""

    batches: int
    entries: int
    head_number: int
    head_digest: bytes

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "batches": self.batches,
            "entries": self.entries,
            "head": {"number": self.head_number, "digest": to_hex(self.head_digest)},
        }


def seal(
    ledger: Ledger,
    *,
    gas_max: int = GAS_MAX,
    calldata_max: int = CALLDATA_MAX,
    progress: Progress = no_progress,
) -> SealResult:
    """Seal every entry of the selected token that can no longer be preceded by a late one.

    `gas_max` and `calldata_max` bound one batch's replay transaction, in gas and bytes; they may
    be lowered, never raised over the defaults. Sealing nothing is fine. Two sealers at once wait
    for each other.
    """
    gas_max, calldata_max = min(gas_max, GAS_MAX), min(calldata_max, CALLDATA_MAX)
    with ledger.read() as connection:
        sealed_up_to = batches.head(connection, ledger.token).last_entry_no
    watermark = sealing.watermark(ledger.engine, beyond=sealed_up_to, whole=True)
    sealed = entries = 0
    while True:
        batch = ledger.run(
            lambda connection: _seal_next(
                ledger, connection, watermark, gas_max=gas_max, calldata_max=calldata_max
            )
        )
        if batch is None:
            break
        sealed += 1
        entries += batch.header.count
        progress("seal", entries, None)
    with ledger.read() as connection:
        head = batches.head(connection, ledger.token)
    return SealResult(sealed, entries, head.number, head.digest)


def _seal_next(
    ledger: Ledger, connection: Connection, watermark: int, *, gas_max: int, calldata_max: int
) -> Batch | None:
    """Seal one batch in one transaction; None when nothing is left up to the watermark."""
    token = ledger.token
    sealing.lock_sealer(connection, token)
    head = batches.head(connection, token)
    unsealed = sealing.read_unsealed(connection, token, head, watermark)
    count = plan_batch(unsealed, head, gas_max=gas_max, calldata_max=calldata_max)
    if count == 0:
        return None
    batch = make_batch(
        token.uid,
        [row.entry for row in unsealed[:count]],
        number=head.number + 1,
        parent=head.digest,
        supply_before=head.total_supply,
        sealed_at=ledger.now(),
    )
    sealing.insert_header(
        connection,
        token,
        batch,
        first_entry_no=unsealed[0].entry_no,
        last_entry_no=unsealed[count - 1].entry_no,
    )
    return batch


def plan_batch(
    unsealed: Sequence[UnsealedEntry], head: Head, *, gas_max: int, calldata_max: int
) -> int:
    """Return how many of the next entries fit into one replay transaction."""
    plan = BatchPlan(first_batch=head.number == 0, gas_max=gas_max, calldata_max=calldata_max)
    supply = head.total_supply
    for row in unsealed:
        entry = row.entry
        minted, burned = entry.from_address == ZERO_ADDRESS, entry.to_address == ZERO_ADDRESS
        fits = plan.try_add(
            entry.from_address,
            entry.to_address,
            entry.value,
            from_balance=supply if minted else row.from_balance_before,
            to_balance=supply if burned else row.to_balance_before,
        )
        if not fits:
            break
        supply += entry.value if minted else -entry.value if burned else 0
    return plan.rows
