"""What differs between a batch's entries and its transfers, said as findings. Pure.

The transfer of `seq` n must move what the entry of `seq` n moves. Where they differ, a transfer
that is right for another entry of the same batch stands in the wrong place; otherwise it is wrong
in itself. Where entries are gone, or were added, those that are left are first put where they
belong by what they move. Only called for batches that the database found to differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from token_ledger.core import findings as kinds
from token_ledger.core.address import to_checksum
from token_ledger.core.align import align
from token_ledger.core.counting import counted
from token_ledger.core.strict import to_hex
from token_ledger.core.transfers import ReplayedBatch
from token_ledger.core.types import Finding, Transfer

_Movement = tuple[bytes, bytes, int]


@dataclass(frozen=True, slots=True)
class Line:
    """One entry as the comparison needs it; `seq` is None where it has none."""

    seq: int | None
    entry_id: bytes
    from_address: bytes
    to_address: bytes
    value: int

    @property
    def movement(self) -> _Movement:
        """From, to, value."""
        return self.from_address, self.to_address, self.value


@dataclass(frozen=True, slots=True)
class MirroredTransfer:
    """A transfer of the mirror with the `seq` of the entry that it replays, if any.

    `bridge`: which one minted or burned (ERC-7802), if one did.
    """

    transfer: Transfer
    seq: int | None
    bridge: bytes | None = None

    @property
    def movement(self) -> _Movement:
        """From, to, value."""
        return self.transfer.from_address, self.transfer.to_address, self.transfer.value


@dataclass(frozen=True, slots=True)
class OrphanedReplay:
    """Transfers of one transaction that a reorganisation took back, and nothing put back."""

    block_number: int
    block_hash: bytes
    tx_hash: bytes
    first_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """A transfer of the mirror, or all of a block, that the rest of it contradicts, and in what."""

    aspect: str
    block_number: int
    block_hash: bytes
    log_index: int
    tx_hash: bytes | None = None
    seq: int | None = None
    rows: int = 1


def entry_details(line: Line) -> dict[str, object]:
    """Return the ledger's side of a finding."""
    return {"entry_id": to_hex(line.entry_id), "seq": line.seq, "ledger": _sides(line.movement)}


def transfer_details(mirrored: MirroredTransfer) -> dict[str, object]:
    """Return the chain's side of a finding."""
    transfer = mirrored.transfer
    return {
        "chain": _sides(mirrored.movement),
        "block": transfer.block_number,
        "block_hash": to_hex(transfer.block_hash),
        "tx": to_hex(transfer.tx_hash),
        "log_index": transfer.log_index,
    }


def _sides(movement: _Movement) -> dict[str, object]:
    sender, receiver, value = movement
    return {"from": to_checksum(sender), "to": to_checksum(receiver), "value": str(value)}


def match_batch(
    number: int,
    lines: Sequence[Line],
    transfers: Sequence[MirroredTransfer],
    replay: ReplayedBatch | None = None,
    *,
    sealed: range | None = None,
) -> tuple[int, list[Finding]]:
    """Return how many entries of a batch match, and a finding for each that does not.

    `lines` are numbered by their rows. `transfers` are those that replay the batch's `seq` numbers,
    in the order of these, and of the chain within each; `replay` is the log of the replay that
    should have made them, if the mirror has it. `sealed`: the numbers that the batch was sealed
    with; by default those of the lines.
    """
    result = _match(number, lines, transfers, replay)
    if sealed is None or (len(lines) == len(sealed) and len(result[1]) < 2):
        return result
    placed = _placed(lines, transfers, sealed)
    matched, found = _match(number, placed, transfers, replay)
    known = {line.seq for line in placed} | {mirrored.seq for mirrored in transfers}
    found += [_lost(number, seq, replay) for seq in sealed if seq not in known]
    better = len(found) - len(result[1]) - (len(lines) != len(sealed))
    return (matched, found) if better < 0 else result


def _placed(
    lines: Sequence[Line], transfers: Sequence[MirroredTransfer], sealed: range
) -> list[Line]:
    """Return entries with the `seq` of the transfers that move the same, in the same order."""
    by_seq: dict[int | None, MirroredTransfer] = {}
    for mirrored in transfers:
        by_seq.setdefault(mirrored.seq, mirrored)
    seqs = list(by_seq)
    places = align(
        [line.movement for line in lines], [mirrored.movement for mirrored in by_seq.values()]
    )
    placed, last = [], sealed.start - 1
    for line, place in zip(lines, places, strict=True):
        seq = None if place is None else seqs[place]
        if seq is None and last + 1 in sealed and last + 1 not in by_seq:
            seq = last + 1  # the mirror has none there: this one's transfer is missing
        placed.append(replace(line, seq=seq))
        last = last if seq is None else seq
    return placed


def _match(
    number: int,
    lines: Sequence[Line],
    transfers: Sequence[MirroredTransfer],
    replay: ReplayedBatch | None,
) -> tuple[int, list[Finding]]:
    by_seq: dict[int | None, list[MirroredTransfer]] = defaultdict(list)
    for mirrored in transfers:
        by_seq[mirrored.seq].append(mirrored)
    found: list[Finding] = []
    differing: list[tuple[Line, MirroredTransfer]] = []
    matched = 0
    for line in lines:
        if line.seq is None:
            found.append(_added(number, line))
            continue
        here = by_seq.pop(line.seq, [])
        if not here:
            found.append(_missing_on_chain(number, line, replay))
            continue
        if here[0].movement == line.movement:
            matched += 1
        else:
            differing.append((line, here[0]))
        found += [_duplicated(number, line, again) for again in here[1:]]
    found += _differences(number, differing)
    for rest in by_seq.values():
        found += [missing_in_ledger(mirrored) for mirrored in rest]
    return matched, found


def _differences(
    number: int, differing: Sequence[tuple[Line, MirroredTransfer]]
) -> Iterator[Finding]:
    """Yield what is wrong with each pair: place, sides or amount."""
    elsewhere: dict[_Movement, list[MirroredTransfer]] = defaultdict(list)
    for _, mirrored in reversed(differing):
        elsewhere[mirrored.movement].append(mirrored)
    for line, mirrored in differing:
        details = {"batch": number, **entry_details(line), **transfer_details(mirrored)}
        if elsewhere.get(line.movement):
            own = elsewhere[line.movement].pop()
            yield Finding(
                kinds.ORDER_DIFFERS,
                f"the transfer of entry {line.seq} stands in the place of entry {own.seq}: "
                "entries were renumbered or the mirror was altered; export the batch and verify it "
                "against its signature: if it holds, read the mirror anew with `import --again`",
                {
                    "batch": number,
                    **entry_details(line),
                    "place": own.seq,
                    **transfer_details(own),
                },
            )
        elif line.movement[:2] != mirrored.movement[:2]:
            yield Finding(
                kinds.PARTY_DIFFERS,
                f"entry {line.seq} and its transfer name different sides: "
                "a row was altered after it was sealed, in the ledger or in the mirror; "
                "export the batch and verify it against its signature",
                details,
            )
        else:
            yield Finding(
                kinds.VALUE_DIFFERS,
                f"entry {line.seq} and its transfer move different amounts: "
                "a row was altered after it was sealed, in the ledger or in the mirror; "
                "export the batch and verify it against its signature",
                details,
            )


def _missing_on_chain(number: int, line: Line, replay: ReplayedBatch | None) -> Finding:
    return Finding(
        kinds.MISSING_ON_CHAIN,
        f"batch {number} was replayed, but entry {line.seq} has no transfer: "
        "the node left logs out, or the mirror lost a row; read it anew with `import --again`, "
        "from another node if need be",
        {"batch": number, **entry_details(line), "chain": None, **replayed_where(replay)},
    )


def _added(number: int, line: Line) -> Finding:
    return Finding(
        kinds.MISSING_ON_CHAIN,
        f"an entry stands among those of batch {number} that was not sealed with it: it was "
        "written past the ledger; owe nothing for it, and compare with an export or a backup",
        {"batch": number, **entry_details(line), "chain": None, "block": None, "tx": None},
    )


def _lost(number: int, seq: int, replay: ReplayedBatch | None) -> Finding:
    return Finding(
        kinds.MISSING_IN_LEDGER,
        f"entry {seq} of batch {number} was sealed and replayed, and is neither in the books nor "
        "in the mirror: rows were deleted in both; restore the books from an export or a backup, "
        "and read the mirror anew with `import --again`",
        {"batch": number, "seq": seq, "ledger": None, "chain": None, **replayed_where(replay)},
    )


def replayed_where(log: ReplayedBatch | None) -> dict[str, object]:
    """Return block and transaction of a BatchReplayed log."""
    if log is None:
        return {"block": None, "tx": None}
    return {"block": log.block_number, "tx": to_hex(log.tx_hash)}


def _duplicated(number: int, line: Line, again: MirroredTransfer) -> Finding:
    return Finding(
        kinds.DUPLICATED,
        f"entry {line.seq} has a further transfer: the contract replays nothing twice, "
        "so the mirror holds rows of an orphaned block or invented ones; read it anew with "
        "`import --again`",
        {"batch": number, **entry_details(line), **transfer_details(again)},
    )


def missing_in_ledger(mirrored: MirroredTransfer) -> Finding:
    """Return the finding for a transfer that no entry explains, or for what a bridge did."""
    if mirrored.bridge is not None:
        return _bridged(mirrored, mirrored.bridge)
    return Finding(
        kinds.MISSING_IN_LEDGER,
        "a transfer of the contract is no entry of the ledger: the entry was deleted, another copy "
        "of the ledger replayed, or the mirror was altered (`import --again` reads it anew); "
        "compare with an export or a backup, and restore what is missing from it",
        {"seq": mirrored.seq, "ledger": None, **transfer_details(mirrored)},
    )


def _bridged(mirrored: MirroredTransfer, bridge: bytes) -> Finding:
    """Return the finding for a bridge's mint or burn that the books do not hold."""
    minted = not any(mirrored.transfer.from_address)
    what = "minted" if minted else "burned"
    return Finding(
        kinds.BRIDGE_MINT if minted else kinds.BRIDGE_BURN,
        f"a bridge {what} on this chain while the ledger issues the token: it is no issuance, and "
        "no entry explains it; see who lets a bridge in before the cut-over",
        {"bridge": to_checksum(bridge), "ledger": None, **transfer_details(mirrored)},
    )


def account_drift(address: bytes, *, stored: int | None, by_entries: int) -> Finding:
    """Return the finding for an account whose stored balance is not what its entries left."""
    return Finding(
        kinds.ACCOUNT_DRIFT,
        "the account's stored balance is not what its last entry left: either the balance was "
        "changed in the database without an entry, or the account's last entry was deleted; hold "
        "the entries against an export or a backup before anything is set right",
        {
            "address": to_checksum(address),
            "stored": None if stored is None else str(stored),
            "ledger": str(by_entries),
            "difference": "missing" if stored is None else str(stored - by_entries),
            "chain": None,
            "block": None,
            "tx": None,
        },
    )


def orphaned_replay(orphans: OrphanedReplay) -> Finding:
    """Return the finding for a replay that a reorganisation took back and that did not return."""
    first, last, block = orphans.first_seq, orphans.last_seq, orphans.block_number
    return Finding(
        kinds.ORPHANED,
        f"a reorganisation took back the replay of entries {first} to {last}, imported from block "
        f"{block}: they are on the chain no more; run `migrate`, which replays them again, then "
        "`import`",
        {
            "ledger": {"first_seq": first, "last_seq": last},
            "chain": None,
            "block": block,
            "block_hash": to_hex(orphans.block_hash),
            "tx": to_hex(orphans.tx_hash),
        },
    )


_DOUBTS = {
    "block": "{rows} of the mirror stand in a block of which it holds no such header",
    "seq": "a transfer of the mirror replays an entry {seq}, and entries count from 0",
    "transaction": "a replayed transfer names another transaction than its neighbours in the block",
    "replay": "the last transfer of a batch is in another transaction than its BatchReplayed log",
    "import": "a transfer names another transaction than the one that its entry was imported from",
}


def mirror_altered(doubt: Doubt) -> Finding:
    """Return the finding for rows of the mirror that contradict the rest of it."""
    what = _DOUBTS[doubt.aspect].format(rows=counted(doubt.rows, "row"), seq=doubt.seq)
    tx = None if doubt.tx_hash is None else to_hex(doubt.tx_hash)
    said = {"rows": doubt.rows, "seq": doubt.seq, "tx": tx}
    return Finding(
        kinds.MIRROR_ALTERED,
        f"{what}: a row was altered or deleted in the mirror; read it anew with `import --again`",
        {
            "aspect": doubt.aspect,
            "ledger": None,
            "chain": None,
            "mirror": {**said, "block_hash": to_hex(doubt.block_hash)},
            "block": doubt.block_number,
            "block_hash": to_hex(doubt.block_hash),
            "tx": tx,
            "log_index": doubt.log_index,
        },
    )
