"""A finding that somebody has acknowledged: reason, who, until when; and when that ends. Pure.

It covers the finding while its figures stay as they were, its time is not over, and nobody has
withdrawn it. Reason and name may be personal data: files leave them out unless they are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from token_ledger.core.findings import figures_digest
from token_ledger.core.parse import format_timestamp
from token_ledger.core.types import Finding

FIGURES_CHANGED = "its figures changed"
TIME_OVER = "its time is over"
WITHDRAWN = "it was withdrawn"


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The last word on a finding. `figures` and `until` are None for a withdrawal.

    `reason` and `acknowledged_by` are None where they were erased.
    """

    acknowledgement_no: int
    finding_id: bytes
    figures: bytes | None
    reason: str | None
    acknowledged_by: str | None
    until: int | None
    created_at: int

    def ended(self, figures: bytes, *, now: int) -> str | None:
        """Return why it no longer covers a finding of these figures, or None while it does."""
        if self.figures is None or self.until is None:
            return WITHDRAWN
        if now >= self.until:
            return TIME_OVER
        return None if figures == self.figures else FIGURES_CHANGED

    def to_json(self, *, texts: bool = True) -> dict[str, object]:
        """Return it as one JSON-ready object; without `texts`, nothing that may be personal."""
        until = None if self.until is None else format_timestamp(self.until)
        words = {"reason": self.reason, "by": self.acknowledged_by} if texts else {}
        return {**words, "at": format_timestamp(self.created_at), "until": until}


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Whether findings are acknowledged, at one moment. `last_no`: of all that were regarded."""

    now: int = 0
    last_no: int = 0
    by_id: Mapping[bytes, Acknowledgement] = field(default_factory=dict)

    def ended(self, finding_id: bytes, finding: Finding) -> str | None:
        """Return why an acknowledgement of the finding ended; None if there is one or was none."""
        known = self.by_id.get(finding_id)
        return None if known is None else known.ended(figures_digest(finding), now=self.now)

    def covers(self, finding_id: bytes, finding: Finding) -> bool:
        """Return whether a finding is acknowledged, with these figures and now."""
        return finding_id in self.by_id and self.ended(finding_id, finding) is None
