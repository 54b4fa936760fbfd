"""What a reconciliation compared and what differs: plain data, and how much of it is kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from token_ledger.core.address import to_checksum
from token_ledger.core.strict import to_hex
from token_ledger.core.types import Finding

FINDINGS_MAX = 10_000
"""So many findings are kept; further ones are counted, so that memory stays bounded."""


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

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "contract": to_checksum(self.contract),
            "chain_id": self.chain_id,
            "compared_with_chain": self.block is not None,
            "block": self.block,
            "block_hash": None if self.block_hash is None else to_hex(self.block_hash),
            "matched": self.matched,
            "entries": self.entries,
            "headers": self.headers,
            "balances": self.balances,
            "unreplayed": self.unreplayed,
            "unsealed": self.unsealed,
            "findings": [finding.to_json() for finding in self.findings],
            "findings_total": self.findings_total,
        }
