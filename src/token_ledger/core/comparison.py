"""What a reconciliation is asked to compare, what it compared and what differs: plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from token_ledger.core.address import to_checksum
from token_ledger.core.findings import finding_id
from token_ledger.core.strict import to_hex
from token_ledger.core.types import Finding
from token_ledger.errors import UsageError

FINDINGS_MAX = 10_000
"""So many findings are kept; further ones are counted, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which part is compared; all of it by default.

    `from_block`, `to_block`: the blocks, both included, whose replays and transfers are compared
    one to one. `as_of`: the block at which everything is compared, balances and supply too; what
    came later is left out.
    """

    from_block: int = 0
    to_block: int | None = None
    as_of: int | None = None

    def __post_init__(self) -> None:
        bounds = [self.from_block, self.to_block, self.as_of]
        given = [bound for bound in bounds if bound is not None]
        if min(given) < 0 or given != sorted(given):
            raise UsageError(
                "the range of blocks is empty or negative", hint="0 ≤ from ≤ to ≤ as of"
            )

    @property
    def highest(self) -> int | None:
        """The highest block that is named, which the mirror must have reached."""
        return self.to_block if self.as_of is None else self.as_of

    def to_json(self) -> dict[str, object]:
        """Return the scope as one JSON-ready object."""
        return {"from_block": self.from_block, "to_block": self.to_block, "as_of": self.as_of}


@dataclass(slots=True)
class ReconcileResult:
    """What was compared and what differs.

    `matched` of `entries` (those of replayed batches) have exactly their own transfer. `block`: the
    pinned block; None where only books and mirror were compared. `unreplayed`: entries sealed but,
    as far as the mirror knows, not replayed. `unsealed`: entries not sealed.
    """

    contract: bytes
    chain_id: int
    block: int | None = None
    block_hash: bytes | None = None
    scope: Scope = Scope()
    matched: int = 0
    entries: int = 0
    headers: int = 0
    balances: int = 0
    unreplayed: int = 0
    unsealed: int = 0
    findings: list[Finding] = field(default_factory=list)
    findings_total: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing differs."""
        return self.findings_total == 0

    def add(self, found: Iterable[Finding]) -> None:
        """Count findings, and keep them while there is room."""
        for finding in found:
            self.findings_total += 1
            if len(self.findings) < FINDINGS_MAX:
                self.findings.append(finding)

    def id_of(self, finding: Finding) -> bytes:
        """Return the id of a finding of this comparison."""
        return finding_id(finding, chain_id=self.chain_id, contract=self.contract)

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "contract": to_checksum(self.contract),
            "chain_id": self.chain_id,
            "compared_with_chain": self.block is not None,
            "block": self.block,
            "block_hash": None if self.block_hash is None else to_hex(self.block_hash),
            "scope": self.scope.to_json(),
            "matched": self.matched,
            "entries": self.entries,
            "headers": self.headers,
            "balances": self.balances,
            "unreplayed": self.unreplayed,
            "unsealed": self.unsealed,
            "findings": [
                {"id": to_hex(self.id_of(finding)), **finding.to_json()}
                for finding in self.findings
            ],
            "findings_total": self.findings_total,
        }
