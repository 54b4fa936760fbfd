"""What is answered of checks, recalculation, findings and tokens."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from token_ledger.check import CheckResult
from token_ledger.core.parse import format_amount, format_timestamp
from token_ledger.core.strict import to_hex
from token_ledger.core.types import Finding
from token_ledger.ledger import StoredToken
from token_ledger.ledger.acknowledged import StoredFinding
from token_ledger.ledger.recalculation import Recalculation

FINDINGS_SENT_MAX = 100


class FindingOut(BaseModel):
    """One difference: addresses, hashes and figures of both sides, never an account's id."""

    kind: str
    message: str
    details: dict[str, Any]


class RecalcOut(BaseModel):
    """What was recomputed, and what differed: the first 100 of the findings."""

    dry_run: bool
    compared: int
    drifted: int
    corrected: int
    findings: list[FindingOut]
    findings_total: int


class LevelOut(BaseModel):
    """One of the levels of a check."""

    name: str
    status: Annotated[str, Field(description="ok, failed, or not checked.")]
    detail: str


class CheckOut(BaseModel):
    """Whether every invariant holds, level by level: the first 100 of the findings."""

    clean: bool
    checks: list[LevelOut]
    findings: list[FindingOut]
    findings_total: int


class AcknowledgementOut(BaseModel):
    """The last word on a finding; `ended` says why it covers it no longer."""

    by: str | None
    reason: str | None
    at: str
    until: str | None
    ended: str | None


class StoredFindingOut(FindingOut):
    """A finding as a run of `reconcile` saw it last: open, acknowledged, or gone."""

    id: str
    state: str
    first_seen: str
    last_seen: str
    acknowledgement: AcknowledgementOut | None


class FindingList(BaseModel):
    """Findings, those seen last first."""

    findings: list[StoredFindingOut]


class TokenOut(BaseModel):
    """A token of the ledger; the server serves one of them."""

    symbol: str
    name: str
    decimals: int
    uid: str
    max_supply: str
    canonical_chain_id: int | None


class TokenList(BaseModel):
    """The tokens, oldest first, and the symbol of the one that is served."""

    tokens: list[TokenOut]
    served: str


def recalc_out(result: Recalculation) -> RecalcOut:
    """Return a recalculation as it is sent."""
    return RecalcOut(
        dry_run=result.dry_run,
        compared=result.compared,
        drifted=result.drifted,
        corrected=result.corrected,
        findings=_first(result.findings),
        findings_total=result.findings_total,
    )


def check_out(result: CheckResult) -> CheckOut:
    """Return a check as it is sent."""
    levels = [LevelOut(name=c.name, status=c.status, detail=c.detail) for c in result.checks]
    return CheckOut(
        clean=result.clean,
        checks=levels,
        findings=_first(result.findings),
        findings_total=result.findings_total,
    )


def stored_finding_out(known: StoredFinding, now: int) -> StoredFindingOut:
    """Return a finding with what was said of it as it is sent."""
    word = known.acknowledgement
    said = None
    if word is not None:
        said = AcknowledgementOut(
            by=word.acknowledged_by,
            reason=word.reason,
            at=format_timestamp(word.created_at),
            until=None if word.until is None else format_timestamp(word.until),
            ended=word.ended(known.figures, now=now),
        )
    return StoredFindingOut(
        id=to_hex(known.finding_id),
        state=known.state(now),
        first_seen=format_timestamp(known.first_seen_at),
        last_seen=format_timestamp(known.last_seen_at),
        acknowledgement=said,
        **_words(known.finding),
    )


def token_out(token: StoredToken) -> TokenOut:
    """Return a token as it is sent."""
    return TokenOut(
        symbol=token.symbol,
        name=token.name,
        decimals=token.decimals,
        uid=to_hex(token.uid),
        max_supply=format_amount(token.max_supply, decimals=token.decimals),
        canonical_chain_id=token.canonical_chain_id,
    )


def _first(found: list[Finding]) -> list[FindingOut]:
    return [FindingOut(**_words(finding)) for finding in found[:FINDINGS_SENT_MAX]]


def _words(finding: Finding) -> dict[str, Any]:
    return {"kind": finding.kind, "message": finding.message, "details": finding.details}
