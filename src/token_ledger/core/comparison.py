"""What a reconciliation is asked to compare, what it compared and what differs: plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from token_ledger.core.acknowledgement import Acknowledged
from token_ledger.core.address import to_checksum
from token_ledger.core.findings import finding_id
from token_ledger.core.parse import format_timestamp
from token_ledger.core.strict import to_hex
from token_ledger.core.timeline import Timeline
from token_ledger.core.types import Finding
from token_ledger.errors import UsageError

FINDINGS_MAX = 10_000
"""So many findings are kept; further ones are counted, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which part is compared; all of it by default.

    `from_block`, `to_block`: the blocks, both included, whose replays and transfers are compared
    one to one. `as_of`: the block at which everything is compared, balances and supply too; what
    came later is left out. `incremental`: one to one only what came after the last run that left
    nothing open, if that still stands.
    """

    from_block: int = 0
    to_block: int | None = None
    as_of: int | None = None
    incremental: bool = False

    def __post_init__(self) -> None:
        bounds = [self.from_block, self.to_block, self.as_of]
        given = [bound for bound in bounds if bound is not None]
        if min(given) < 0 or given != sorted(given):
            raise UsageError(
                "the range of blocks is empty or negative", hint="0 ≤ from ≤ to ≤ as of"
            )
        if self.incremental and (self.from_block or len(given) > 1):
            raise UsageError(
                "an incremental run chooses its own range", hint="name no blocks with it"
            )

    @property
    def whole(self) -> bool:
        """Whether nothing is left out that was not compared before."""
        return self.from_block == 0 and self.highest is None

    @property
    def highest(self) -> int | None:
        """The highest block that is named, which the mirror must have reached."""
        return self.to_block if self.as_of is None else self.as_of

    def to_json(self) -> dict[str, object]:
        """Return the scope as one JSON-ready object."""
        return {
            "from_block": self.from_block,
            "to_block": self.to_block,
            "as_of": self.as_of,
            "incremental": self.incremental,
        }


@dataclass(frozen=True, slots=True)
class Point:
    """Where a run ended that left nothing open: what an incremental run goes on from."""

    run_no: int
    created_at: int
    batch_number: int
    next_block: int

    def to_json(self) -> dict[str, object]:
        """Return the point as one JSON-ready object."""
        return {
            "run": self.run_no,
            "at": format_timestamp(self.created_at),
            "batch": self.batch_number,
            "next_block": self.next_block,
        }


@dataclass(frozen=True, slots=True)
class PartlyReplayed:
    """A batch of which `rows` of `count` rows were replayed, in parts, and the others not yet.

    Its replayed rows are compared like all others; that it is under way is no difference.
    """

    number: int
    rows: int
    count: int

    def to_json(self) -> dict[str, object]:
        """Return it as one JSON-ready object."""
        return {"number": self.number, "rows": self.rows, "of": self.count}


@dataclass(slots=True)
class ReconcileResult:
    """What was compared and what differs.

    `matched` of `entries` (those of replayed batches, and the `imported` ones) have exactly their
    own transfer; `bridge_mints` and `bridge_burns` of the imported ones are a bridge's. `pending`:
    transfers that are no entries yet: not final, or not imported. `block`: the
    pinned block; None where only books and mirror were compared. `unreplayed`: entries sealed but,
    as far as the mirror knows, not replayed. `unsealed`: entries not sealed. `findings` are open,
    `acknowledged` ones stand apart. `point`: what an incremental run went on from; `anew`: why one
    compared everything all the same. `each`: is told of every finding and its state, kept or not.
    `kinds`: how many of each kind are open. `timeline`: where a chart was asked for.
    """

    contract: bytes
    chain_id: int
    block: int | None = None
    block_hash: bytes | None = None
    scope: Scope = Scope()
    known: Acknowledged = field(default_factory=Acknowledged)
    point: Point | None = None
    anew: str | None = None
    run_no: int | None = None
    matched: int = 0
    entries: int = 0
    headers: int = 0
    balances: int = 0
    unreplayed: int = 0
    unsealed: int = 0
    imported: int = 0
    pending: int = 0
    bridge_mints: int = 0
    bridge_burns: int = 0
    part: PartlyReplayed | None = None
    findings: list[Finding] = field(default_factory=list)
    findings_total: int = 0
    acknowledged: list[Finding] = field(default_factory=list)
    acknowledged_total: int = 0
    first_seen: dict[bytes, int] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    timeline: Timeline | None = None
    each: Callable[[ReconcileResult, Finding, str], None] | None = None

    @property
    def clean(self) -> bool:
        """Whether nothing differs, acknowledged or not."""
        return self.findings_total == 0 and self.acknowledged_total == 0

    @property
    def settled(self) -> bool:
        """Whether nothing differs but what was acknowledged."""
        return self.findings_total == 0

    def add(self, found: Iterable[Finding]) -> None:
        """Count findings, and keep them while there is room."""
        for finding in found:
            if self.known.by_id and self.known.covers(self.id_of(finding), finding):
                state, kept = "acknowledged", self.acknowledged
                self.acknowledged_total += 1
            else:
                state, kept = "open", self.findings
                self.findings_total += 1
                self.kinds[finding.kind] += 1
            if len(kept) < FINDINGS_MAX:
                kept.append(finding)
            if self.each is not None:
                self.each(self, finding, state)

    def id_of(self, finding: Finding) -> bytes:
        """Return the id of a finding of this comparison."""
        return finding_id(finding, chain_id=self.chain_id, contract=self.contract)

    def finding_to_json(self, finding: Finding, *, texts: bool = True) -> dict[str, object]:
        """Return a finding with its id, its age and what was said of it.

        Without `texts`, nothing that may be personal data.
        """
        name = self.id_of(finding)
        document: dict[str, object] = {"id": to_hex(name), **finding.to_json()}
        if name in self.first_seen:
            document["first_seen"] = format_timestamp(self.first_seen[name])
        if (word := self.known.by_id.get(name)) is not None:
            ended = self.known.ended(name, finding)
            document["acknowledgement"] = {**word.to_json(texts=texts), "ended": ended}
        return document

    def summary(self) -> dict[str, object]:
        """Return everything but the findings, as one JSON-ready object."""
        return {
            "contract": to_checksum(self.contract),
            "chain_id": self.chain_id,
            "compared_with_chain": self.block is not None,
            "block": self.block,
            "block_hash": None if self.block_hash is None else to_hex(self.block_hash),
            "scope": self.scope.to_json(),
            "since": None if self.point is None else self.point.to_json(),
            "run": self.run_no,
            "matched": self.matched,
            "entries": self.entries,
            "headers": self.headers,
            "balances": self.balances,
            "unreplayed": self.unreplayed,
            "unsealed": self.unsealed,
            "imported": self.imported,
            "pending": self.pending,
            "bridge_mints": self.bridge_mints,
            "bridge_burns": self.bridge_burns,
            "partly_replayed": None if self.part is None else self.part.to_json(),
            "findings_total": self.findings_total,
            "acknowledged_total": self.acknowledged_total,
            "kinds": dict(sorted(self.kinds.items())),
        }

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            **self.summary(),
            "findings": [self.finding_to_json(finding) for finding in self.findings],
            "acknowledged": [self.finding_to_json(finding) for finding in self.acknowledged],
        }
