"""What was acknowledged of the findings: rows that are only added, of which the last one counts.

Reason and name may be personal data; they stay in the database and may be erased there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select

from token_ledger.core.acknowledgement import Acknowledged, Acknowledgement
from token_ledger.core.comparison import FINDINGS_MAX
from token_ledger.core.parse import format_timestamp, parse_text
from token_ledger.core.strict import to_hex
from token_ledger.core.types import Finding
from token_ledger.errors import UnknownFindingError, UsageError
from token_ledger.ledger.accounts import check_limit
from token_ledger.ledger.mirror_schema import (
    reconcile_acknowledgements,
    reconcile_findings,
    reconcile_runs,
)
from token_ledger.ledger.reconciled import lock_records, read_document
from token_ledger.ledger.tokens import StoredToken

PREFIX_DIGITS_MIN = 8
_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """A finding as the last run saw it that saw it at all.

    `present`: whether the last whole run still saw it. `acknowledgement`: the last word on it.
    """

    finding_id: bytes
    finding: Finding
    figures: bytes
    first_seen_at: int
    last_seen_at: int
    present: bool
    acknowledgement: Acknowledgement | None = None

    def state(self, now: int) -> str:
        """Return open, acknowledged, or gone."""
        if not self.present:
            return "gone"
        word = self.acknowledgement
        covered = word is not None and word.ended(self.figures, now=now) is None
        return "acknowledged" if covered else "open"

    def to_json(self, now: int) -> dict[str, object]:
        """Return it as one JSON-ready object, with what may be personal data."""
        word = self.acknowledgement
        ended = word and word.ended(self.figures, now=now)
        return {
            "id": to_hex(self.finding_id),
            "state": self.state(now),
            **self.finding.to_json(),
            "first_seen": format_timestamp(self.first_seen_at),
            "last_seen": format_timestamp(self.last_seen_at),
            "acknowledgement": word and {**word.to_json(), "ended": ended},
        }


# --- reading


def read_acknowledged(connection: Connection, token: StoredToken, *, now: int) -> Acknowledged:
    """Return the last word on every finding of a token, withdrawals left out."""
    table = reconcile_acknowledgements.c
    last_no = connection.execute(
        select(func.max(table.acknowledgement_no)).where(table.token_no == token.token_no)
    ).scalar()
    words = [_word(row) for row in connection.execute(_last_words(token))]
    in_force = {word.finding_id: word for word in words if word.figures is not None}
    return Acknowledged(now, last_no or 0, in_force)


def _last_words(token: StoredToken) -> Select[tuple[object, ...]]:
    table = reconcile_acknowledgements.c
    last = (
        select(func.max(table.acknowledgement_no))
        .where(table.token_no == token.token_no)
        .group_by(table.finding_id)
    )
    return select(reconcile_acknowledgements).where(table.acknowledgement_no.in_(last))


def _word(row: Row[tuple[object, ...]]) -> Acknowledgement:
    return Acknowledgement(**{name: getattr(row, name) for name in Acknowledgement.__slots__})


def list_findings(connection: Connection, token: StoredToken, *, limit: int) -> list[StoredFinding]:
    """Return the findings of a token, those seen last first."""
    table = reconcile_findings.c
    rows = connection.execute(
        select(reconcile_findings)
        .where(table.token_no == token.token_no)
        .order_by(table.last_seen_at.desc(), table.first_seen_at, table.finding_id)
        .limit(check_limit(limit))
    ).all()
    words = {word.finding_id: word for word in map(_word, connection.execute(_last_words(token)))}
    since = _last_whole_run(connection, token)
    return [_stored(row, words.get(row.finding_id), since) for row in rows]


def _last_whole_run(connection: Connection, token: StoredToken) -> int:
    """Return the last run that looked everywhere, at the chain too; 0 before the first.

    One that found more than is kept says nothing of what it did not keep. An incremental one goes
    on from a run since which nothing was found (`reconciled.find_point`), so that what lies below
    it was gone then; what that run saw acknowledged, it lists again.
    """
    runs = reconcile_runs.c
    found = connection.execute(
        select(func.max(runs.run_no)).where(
            runs.token_no == token.token_no,
            runs.whole.is_(True),
            runs.block_number.is_not(None),
            runs.open_findings <= FINDINGS_MAX,
            runs.acknowledged_findings <= FINDINGS_MAX,
        )
    ).scalar()
    return found or 0


def _stored(
    row: Row[tuple[object, ...]], word: Acknowledgement | None, since: int
) -> StoredFinding:
    return StoredFinding(
        finding_id=row.finding_id,
        finding=read_document(row.kind, row.document),
        figures=row.figures,
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        present=row.run_no >= since,
        acknowledgement=word,
    )


def get_finding(connection: Connection, token: StoredToken, finding: str | bytes) -> StoredFinding:
    """Return the finding of an id, or of the first digits of one, if they are one finding's.

    Raises UnknownFindingError, and UsageError for too few digits or those of several.
    """
    low, high = _bounds(finding)
    table = reconcile_findings.c
    rows = connection.execute(
        select(reconcile_findings)
        .where(table.token_no == token.token_no, table.finding_id.between(low, high))
        .limit(2)
    ).all()
    shown = finding if isinstance(finding, str) else to_hex(finding)
    if not rows:
        raise UnknownFindingError(
            f"no run has seen a finding {shown:.80}", hint="`finding list` names them"
        )
    if len(rows) > 1:
        raise UsageError(f"several findings begin with {shown:.80}", hint="give more digits")
    words = {word.finding_id: word for word in map(_word, connection.execute(_last_words(token)))}
    return _stored(rows[0], words.get(rows[0].finding_id), _last_whole_run(connection, token))


def _bounds(finding: str | bytes) -> tuple[bytes, bytes]:
    """Return the lowest and the highest id that begin with some digits."""
    digits = finding.hex() if isinstance(finding, bytes) else finding.lower().removeprefix("0x")
    if not PREFIX_DIGITS_MIN <= len(digits) <= 64 or not set(digits) <= _DIGITS:
        raise UsageError(
            f"not the id of a finding: {finding!r:.80}",
            hint=f"its {PREFIX_DIGITS_MIN} to 64 hexadecimal digits, as `reconcile` shows them",
        )
    return bytes.fromhex(digits.ljust(64, "0")), bytes.fromhex(digits.ljust(64, "f"))


# --- writing


def acknowledge(
    connection: Connection,
    token: StoredToken,
    finding: str | bytes,
    *,
    reason: str,
    by: str,
    until: int,
    now: int,
) -> None:
    """Acknowledge a finding with the figures that it was last seen with, until a time.

    Raises UsageError for a time that is past and for an empty reason or name.
    """
    if until <= now:
        raise UsageError(
            f"the acknowledgement would be over already: until {format_timestamp(until)}",
            hint="name a later time",
        )
    known = get_finding(connection, token, finding)
    said = {"reason": reason, "acknowledged_by": by, "until": until, "created_at": now}
    _add(connection, token, {"finding_id": known.finding_id, "figures": known.figures, **said})


def withdraw(
    connection: Connection,
    token: StoredToken,
    finding: str | bytes,
    *,
    reason: str,
    by: str,
    now: int,
) -> None:
    """Take an acknowledgement back. Raises UsageError where there is none."""
    known = get_finding(connection, token, finding)
    if known.acknowledgement is None or known.acknowledgement.figures is None:
        raise UsageError(
            f"the finding {to_hex(known.finding_id)} is not acknowledged",
            hint="`finding list` shows which are",
        )
    said = {"reason": reason, "acknowledged_by": by, "created_at": now}
    _add(connection, token, {"finding_id": known.finding_id, **said})


def _add(connection: Connection, token: StoredToken, said: dict[str, Any]) -> None:
    for what in ("reason", "acknowledged_by"):
        if not parse_text(said[what], what=what).strip():
            raise UsageError(f"{what} is empty", hint="say why, and who says so")
    lock_records(connection)
    table = reconcile_acknowledgements
    highest = connection.execute(select(func.max(table.c.acknowledgement_no))).scalar()
    connection.execute(
        insert(table).values(acknowledgement_no=(highest or 0) + 1, token_no=token.token_no, **said)
    )


__all__ = [
    "StoredFinding",
    "acknowledge",
    "get_finding",
    "list_findings",
    "read_acknowledged",
    "withdraw",
]
