"""What an auditor checks, level by level, with no database and no network.

Values in, a `Report` out. Every statement that a file makes about itself is recomputed; what
cannot be known from the file alone is listed as not checked. Self-consistency is not truth:
anybody can build a consistent file, so a report also says what it is *anchored* to.
Reading files and asking nodes is the work of `verify`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from token_ledger.core import packing
from token_ledger.core.batch import header_digest, leaf, movements
from token_ledger.core.counting import counted, filled
from token_ledger.core.entry import EntryHasher, entry_ref, token_uid
from token_ledger.core.files import Manifest
from token_ledger.core.hashing import keccak
from token_ledger.core.merkle import MerkleTree, path_lengths, root_of
from token_ledger.core.strict import address_text, to_hex
from token_ledger.core.types import (
    UINT256_MAX,
    ZERO_ADDRESS,
    ZERO_HASH,
    Batch,
    Entry,
    Finding,
    Header,
    Proof,
)
from token_ledger.errors import FileFormatError

Status = Literal["ok", "failed", "not checked"]


@dataclass(frozen=True, slots=True)
class Check:
    """One level of a report: what was checked, how it came out, and over how much."""

    name: str
    status: Status
    detail: str = ""


@dataclass(slots=True)
class Report:
    """What was checked, level by level. `findings` holds the differences, `anchors` what held."""

    kind: str
    checks: list[Check] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    anchors: list[str] = field(default_factory=list)

    @property
    def consistent(self) -> bool:
        """Whether everything that the file says about itself holds."""
        return not self.findings

    @property
    def anchored(self) -> bool:
        """Whether something outside the file vouches for it."""
        return bool(self.anchors)

    def level(self, name: str, found: list[Finding], detail: str = "") -> bool:
        """Record one level: ok without findings, failed with them. Returns whether it held."""
        self.findings += found
        self.checks.append(Check(name, "failed" if found else "ok", detail))
        return not found

    def skip(self, name: str, why: str) -> None:
        """Record a level that this file alone cannot answer."""
        self.checks.append(Check(name, "not checked", why))

    def anchor(self, name: str, finding: Finding | None, detail: str = "") -> None:
        """Record an anchor that was asked for: it holds, or it is a finding."""
        self.level(f"anchor: {name}", [] if finding is None else [finding], detail)
        if finding is None:
            self.anchors.append(name)


def _difference(kind: str, message: str, *, claimed: object, computed: object) -> Finding:
    def show(value: object) -> object:
        return to_hex(value) if isinstance(value, bytes) else str(value)

    return Finding(kind, message, {"claimed": show(claimed), "computed": show(computed)})


def _compare(
    kind: str, what: str, *, claimed: object, computed: object, where: str = ""
) -> list[Finding]:
    if claimed == computed:
        return []
    message = f"{where}the {what} is not what it should be: something was altered"
    return [_difference(kind, message, claimed=claimed, computed=computed)]


# A proof


def verify_proof(proof: Proof) -> Report:
    """Return the report on one proof file: opening, id, position, path, root, digest."""
    report = Report("proof")
    entry, header = proof.entry, proof.header
    if proof.opening is None:
        report.skip("ref", "the texts are not opened in this proof")
    else:
        computed = entry_ref(proof.opening.salt, proof.opening.texts)
        found = _compare("ref_differs", "opened ref", claimed=entry.ref, computed=computed)
        report.level("ref", found, "salt and texts open the entry's ref")
    report.level("id", _check_id(EntryHasher(proof.token_uid), entry), "EIP-712 digest recomputed")
    report.level("position", _check_position(entry, header), "firstSeq ≤ seq < firstSeq + count")
    shortest, longest = path_lengths(header.count)
    length = len(proof.path)
    found = []
    if not shortest <= length <= longest:
        message = f"a path of {length} nodes cannot be one of a tree of {header.count} leaves"
        found = [
            _difference("path_length", message, claimed=length, computed=f"{shortest} to {longest}")
        ]
    report.level("path length", found, f"{length} nodes for {header.count} leaves")
    root = root_of(leaf(entry), proof.path)
    report.level(
        "root",
        _compare("root_differs", "entries root", claimed=header.entries_root, computed=root),
        "leaf and path lead to entriesRoot",
    )
    _check_digest(report, proof.token_uid, header, proof.digest)
    report.skip("other entries", "a proof speaks of one entry; verify the export for the rest")
    return report


def _check_id(hasher: EntryHasher, entry: Entry, where: str = "") -> list[Finding]:
    return _compare(
        "id_differs",
        f"id of entry {entry.seq}",
        claimed=entry.id,
        computed=hasher.recompute(entry),
        where=where,
    )


def _check_position(entry: Entry, header: Header) -> list[Finding]:
    if header.first_seq <= entry.seq < header.first_seq + header.count:
        return []
    span = f"{header.first_seq} to {header.first_seq + header.count - 1}"
    message = f"entry {entry.seq} is outside batch {header.number}"
    return [_difference("position_differs", message, claimed=entry.seq, computed=span)]


def _check_digest(report: Report, uid: bytes, header: Header, digest: bytes) -> None:
    computed = header_digest(uid, header)
    what = f"digest of header {header.number}"
    found = _compare("digest_differs", what, claimed=digest, computed=computed)
    report.level("digest", found, "EIP-712 digest of the header recomputed")


# A batch


def check_batch(batch: Batch, hasher: EntryHasher, where: str = "") -> dict[str, list[Finding]]:
    """Return what is wrong inside one batch, by level; every level is present, empty when ok."""
    header, entries = batch.header, batch.entries
    ids = [finding for entry in entries for finding in _check_id(hasher, entry, where)]
    return {
        "ids": ids,
        "positions": _check_positions(batch, where),
        "sides and values": _check_movements(entries, where),
        "root": _check_root(batch, where),
        "rows": _check_rows(batch, where),
        "digest": _compare(
            "digest_differs",
            f"digest of header {header.number}",
            claimed=batch.digest,
            computed=header_digest(batch.token_uid, header),
            where=where,
        ),
    }


def _check_positions(batch: Batch, where: str) -> list[Finding]:
    first, count = batch.header.first_seq, batch.header.count
    strays = [entry.seq for i, entry in enumerate(batch.entries, first) if entry.seq != i]
    if len(batch.entries) == count and not strays:
        return []
    claimed = f"{len(batch.entries)} entries" + (f", {strays[0]} out of place" if strays else "")
    message = f"{where}entries are not {count} in a row from {first}"
    return [_difference("position_differs", message, claimed=claimed, computed=f"{count} entries")]


def _check_movements(entries: tuple[Entry, ...], where: str) -> list[Finding]:
    return [
        Finding(
            "movement_invalid",
            f"{where}entry {entry.seq} moves nothing, or moves it to itself",
            {"from": address_text(entry.from_address), "value": str(entry.value)},
        )
        for entry in entries
        if entry.value == 0 or entry.from_address == entry.to_address
    ]


def _check_root(batch: Batch, where: str) -> list[Finding]:
    leaves = [leaf(entry) for entry in batch.entries]
    if not leaves or len(set(leaves)) != len(leaves):
        message = f"{where}batch {batch.header.number} is empty or repeats an entry"
        return [Finding("root_differs", message, {"count": len(leaves)})]
    return _compare(
        "root_differs",
        f"entries root of batch {batch.header.number}",
        claimed=batch.header.entries_root,
        computed=MerkleTree(leaves).root,
        where=where,
    )


def _check_rows(batch: Batch, where: str) -> list[Finding]:
    number = batch.header.number
    found = _compare(
        "rows_hash_differs",
        f"rowsHash of batch {number}",
        claimed=batch.header.rows_hash,
        computed=keccak(batch.rows),
        where=where,
    )
    try:
        unpacked = packing.unpack(batch.rows, count=batch.header.count)
    except FileFormatError as error:
        return [*found, Finding("rows_differ", f"{where}rows of batch {number}: {error}")]
    if unpacked != movements(batch.entries):
        message = f"{where}the rows of batch {number} move something else than its entries"
        found.append(Finding("rows_differ", message))
    return found


def verify_batch(batch: Batch) -> Report:
    """Return the report on one batch file."""
    report = Report("batch")
    for name, found in check_batch(batch, EntryHasher(batch.token_uid)).items():
        report.level(name, found, counted(len(batch.entries), "entry"))
    report.skip("balances and supply", "they need the batches before: verify the export")
    report.skip("header chain", "it needs the headers before: verify the export")
    return report


# An export


class ExportVerifier:
    """Checks an export batch by batch, in memory that grows with accounts and entries' nonces.

    Feed every batch in order, then `finish`. Beyond what each batch says of itself: the token's
    uid, the chain of headers from zero, contiguous seq, nonces (hence ids) used once, no balance
    ever negative, and the supply after each batch.
    """

    _LEVELS = ("ids", "positions", "sides and values", "root", "rows", "digest")

    def __init__(self, manifest: Manifest) -> None:
        token = manifest.token
        self.manifest = manifest
        self.report = Report("export")
        self.headers: list[tuple[Header, bytes]] = []
        self.signatures: list[bytes | None] = []
        self._hasher = EntryHasher(token.uid)
        self._balances: dict[bytes, int] = {}
        self._nonces: set[bytes] = set()
        self._found: dict[str, list[Finding]] = {
            name: [] for name in (*self._LEVELS, "header chain", "uniqueness", "balances", "supply")
        }
        self._next_seq = 0
        computed = token_uid(
            token.ledger_uid, symbol=token.symbol, name=token.name, decimals=token.decimals
        )
        self.report.level(
            "token",
            _compare("token_uid_differs", "token uid", claimed=token.uid, computed=computed),
            "uid recomputed from ledger, symbol, name and decimals",
        )

    def add(self, batch: Batch) -> None:
        """Check the next batch."""
        where = f"batch {batch.header.number}: "
        found = self._found
        if batch.token_uid != self.manifest.token.uid:
            found["header chain"].append(Finding("foreign_batch", f"{where}is another token's"))
        for name, findings in check_batch(batch, self._hasher, where).items():
            found[name] += findings
        self._check_chain(batch, where)
        self._check_uniqueness(batch, where)
        self._check_balances(batch, where)
        self.headers.append((batch.header, batch.digest))
        self.signatures.append(batch.signature)
        self._next_seq = batch.header.first_seq + batch.header.count

    def _check_chain(self, batch: Batch, where: str) -> None:
        number, parent = len(self.headers) + 1, ZERO_HASH
        if self.headers:
            parent = self.headers[-1][1]
        header = batch.header
        expected = (number, parent, self._next_seq)
        claimed = (header.number, header.parent, header.first_seq)
        if claimed != expected:
            message = f"{where}number, parent or firstSeq does not follow the header before"
            self._found["header chain"].append(
                _difference(
                    "header_chain_broken",
                    message,
                    claimed=f"{claimed[0]} {to_hex(claimed[1])} {claimed[2]}",
                    computed=f"{expected[0]} {to_hex(expected[1])} {expected[2]}",
                )
            )

    def _check_uniqueness(self, batch: Batch, where: str) -> None:
        for entry in batch.entries:
            if entry.nonce in self._nonces:
                message = f"{where}entry {entry.seq} repeats an earlier entry's nonce"
                self._found["uniqueness"].append(
                    Finding("nonce_repeated", message, {"id": to_hex(entry.id)})
                )
            self._nonces.add(entry.nonce)

    def _check_balances(self, batch: Batch, where: str) -> None:
        balances = self._balances
        for entry in batch.entries:
            sender, receiver = entry.from_address, entry.to_address
            after = balances.get(sender, 0) - entry.value
            balances[sender] = after
            balances[receiver] = balances.get(receiver, 0) + entry.value
            if after < 0:
                self._check_debt(entry, after, where)
        self._found["supply"] += _compare(
            "supply_differs",
            f"total supply after batch {batch.header.number}",
            claimed=batch.header.total_supply,
            computed=-balances.get(ZERO_ADDRESS, 0),
            where=where,
        )

    def _check_debt(self, entry: Entry, balance: int, where: str) -> None:
        """Only the zero address may owe: what is issued, which a uint256 must be able to count."""
        kind, level, message = "balance_negative", "balances", "overdraws its sender"
        if entry.from_address == ZERO_ADDRESS:
            if balance >= -UINT256_MAX:
                return
            kind, level, message = "supply_overflow", "supply", "issues more than a uint256 counts"
        details: dict[str, object] = {
            "account": address_text(entry.from_address),
            "balance": str(balance),
        }
        self._found[level].append(Finding(kind, f"{where}entry {entry.seq} {message}", details))

    def finish(self) -> Report:
        """Return the report, once every batch that the manifest lists was added."""
        head = self.headers[-1][1] if self.headers else ZERO_HASH
        self._found["header chain"] += _compare(
            "head_differs", "manifest's head", claimed=self.manifest.head_digest, computed=head
        )
        batches, entries = len(self.headers), self._next_seq
        for name, found in self._found.items():
            self.report.level(name, found, filled(entries, batches))
        self.report.skip("texts", "an export holds commitments only: `prove --open` opens one")
        return self.report
