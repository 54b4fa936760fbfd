"""What a posting became: where a request stands, and what its caller is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from token_ledger.core.parse import format_amount, format_timestamp
from token_ledger.core.types import Record
from token_ledger.errors import KeyConflictError
from token_ledger.ledger.requests import Request
from token_ledger.ledger.tokens import StoredToken


@dataclass(frozen=True, slots=True)
class Posted:
    """What a posting became, or had become when it was `repeated`.

    `value`, the balances and the supply are base units. The balances are those that `get_balance`
    showed right after it: negative where the account owed more than it held. One is None on the
    side of `system`, the supply None unless the entry is a mint or a burn. `timestamp`:
    microseconds.
    """

    id: bytes
    entry_no: int
    timestamp: int
    from_account: str
    to_account: str
    value: int
    decimals: int
    balance_after_from: int | None
    balance_after_to: int | None
    supply_after: int | None
    idempotency_key: str
    repeated: bool

    @property
    def amount(self) -> str:
        """The value in human units."""
        return format_amount(self.value, decimals=self.decimals)


class Outcome(NamedTuple):
    """Where a request stands in the ledger: its entry, and what both sides owed as of it."""

    entry_no: int
    id: bytes
    timestamp: int
    balance_after_from: int | None
    balance_after_to: int | None
    supply_after: int | None
    repeated: bool
    debt_from: int = 0
    debt_to: int = 0


def to_posted(token: StoredToken, record: Record, request: Request, outcome: Outcome) -> Posted:
    """Return what a caller is told of a posting."""
    from_after, to_after = outcome.balance_after_from, outcome.balance_after_to
    return Posted(
        id=outcome.id,
        entry_no=outcome.entry_no,
        timestamp=outcome.timestamp,
        from_account=record.from_account,
        to_account=record.to_account,
        value=record.value,
        decimals=token.decimals,
        balance_after_from=None if from_after is None else from_after - outcome.debt_from,
        balance_after_to=None if to_after is None else to_after - outcome.debt_to,
        supply_after=outcome.supply_after,
        idempotency_key=request.key,
        repeated=outcome.repeated,
    )


def check_repeat(request: Request, prior: Outcome) -> None:
    """Raise KeyConflictError unless the request is the one that made the entry.

    The id commits to from, to, value, key and texts; the time is judged only where one is given.
    """
    if request.id != prior.id:
        raise KeyConflictError(
            f"the key {request.key[:100]!r} belongs to entry 0x{prior.id.hex()}, which moves"
            " something else, between others, or says something else",
            hint="a new posting needs a new key",
        )
    if request.timestamp is not None and request.timestamp != prior.timestamp:
        raise KeyConflictError(
            f"the key {request.key[:100]!r} belongs to entry 0x{prior.id.hex()}, which is dated"
            f" {format_timestamp(prior.timestamp)}, not {format_timestamp(request.timestamp)}",
            hint="a new posting needs a new key",
        )
