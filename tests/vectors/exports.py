"""Whole exports: valid ones, and frauds named by what is wrong, each consistent in all the rest."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

from tests import reference
from tests.reference import ZERO_ADDRESS, ZERO_HASH, NaiveLedger, hexed, unhexed
from tests.vectors.batches import START, UINT256_MAX, account, ledger, resealed

Document = dict[str, Any]
Export = tuple[Document, list[Document]]
Fraud = Callable[[NaiveLedger, list[Document]], None]

_rng = random.Random("exports")
A, B, C = (account(_rng) for _ in range(3))


def books(*, lawless: bool = True) -> NaiveLedger:
    """Return a history of three batches among three accounts."""
    made = ledger("exports", symbol="EXP", name="Exported", decimals=2, lawless=lawless)
    moves = [
        [(ZERO_ADDRESS, A, 1000)],
        [(A, B, 300), (B, C, 200), (ZERO_ADDRESS, C, 5)],
        [(C, A, 100), (B, ZERO_ADDRESS, 50), (A, C, 7)],
    ]
    for batch in moves:
        for move in batch:
            made.post(*move, key=f"k{made.seq}", timestamp=START + made.seq)
        made.seal(sealed_at=START + 1000 + len(made.batches))
    return made


def rechained(made: NaiveLedger, batches: list[Document]) -> None:
    """Make every header follow the one before again: number, parent, digest, signature."""
    parent = ZERO_HASH
    for number, batch in enumerate(batches, start=1):
        batch["header"] |= {"number": number, "parent": parent}
        resealed(made, batch)
        parent = batch["digest"]


def repacked(batch: Document) -> None:
    """Make the rows what the entries say."""
    moves = [(e["from"], e["to"], int(e["value"])) for e in batch["entries"]]
    batch["rows"] = hexed(reference.pack_rows(moves))


def reidentified(made: NaiveLedger, entry: Document) -> None:
    """Make an entry's id what its fields demand."""
    nonce, ref = unhexed(entry["nonce"]), unhexed(entry["ref"])
    new = reference.entry_id(made.uid, entry["from"], entry["to"], int(entry["value"]), nonce, ref)
    entry["id"] = hexed(new)


def edit(number: int, place: int, **changes: Any) -> Fraud:
    """Return a fraud that alters an entry and then mends everything that depends on it."""

    def fraud(made: NaiveLedger, batches: list[Document]) -> None:
        batch = batches[number - 1]
        entry = batch["entries"][place]
        entry |= changes
        reidentified(made, entry)
        repacked(batch)
        rechained(made, batches)

    return fraud


def header_edit(batch_number: int, **changes: Any) -> Fraud:
    """Return a fraud that alters a header, signs it, and chains the later ones to it."""

    def fraud(made: NaiveLedger, batches: list[Document]) -> None:
        batches[batch_number - 1]["header"] |= changes
        parent = None
        for batch in batches[batch_number - 1 :]:
            if parent is not None:
                batch["header"]["parent"] = parent
            made.sign(batch)
            parent = batch["digest"]

    return fraud


def _repeat_nonce(made: NaiveLedger, batches: list[Document]) -> None:
    first = batches[0]["entries"][0]
    edit(3, 1, nonce=first["nonce"])(made, batches)


def _repeat_entry(made: NaiveLedger, batches: list[Document]) -> None:
    batch = batches[1]
    copied = copy.deepcopy(batch["entries"][2]) | {"seq": 4}
    batch["entries"].append(copied)
    batch["header"]["count"] += 1
    repacked(batch)
    for later in batches[2]["entries"]:
        later["seq"] += 1
    batches[2]["header"]["firstSeq"] += 1
    for later in batches[1:]:
        later["header"]["totalSupply"] = str(int(later["header"]["totalSupply"]) + 5)
    rechained(made, batches)


def _leave_out_batch(made: NaiveLedger, batches: list[Document]) -> None:
    del batches[1]


def _swap_batches(made: NaiveLedger, batches: list[Document]) -> None:
    batches[1], batches[2] = batches[2], batches[1]


def _swap_entries(made: NaiveLedger, batches: list[Document]) -> None:
    entries = batches[2]["entries"]
    entries[0], entries[1] = entries[1], entries[0]
    repacked(batches[2])
    rechained(made, batches)


def _swap_rows(made: NaiveLedger, batches: list[Document]) -> None:
    entries = batches[2]["entries"]
    moves = [(e["from"], e["to"], int(e["value"])) for e in reversed(entries)]
    batches[2]["rows"] = hexed(reference.pack_rows(moves))
    rechained(made, batches)


def _rows_edit(change: Callable[[bytes], bytes]) -> Fraud:
    def fraud(made: NaiveLedger, batches: list[Document]) -> None:
        batches[0]["rows"] = hexed(change(unhexed(batches[0]["rows"])))
        rechained(made, batches)

    return fraud


def _foreign_batch(made: NaiveLedger, batches: list[Document]) -> None:
    other = ledger("exports", symbol="EXP", name="Exported", decimals=3)
    for entry in batches[2]["entries"]:
        reidentified(other, entry)
    batches[2]["domain"] = other.domain
    resealed(other, batches[2])


def _set(path: str, value: Any) -> Fraud:
    def fraud(made: NaiveLedger, batches: list[Document]) -> None:
        *way, last = path.split(".")
        target: Any = batches
        for step in way:
            target = target[int(step) if step.isdigit() else step]
        target[last] = value

    return fraud


def _overflow(made: NaiveLedger, batches: list[Document]) -> None:
    """Mint over the bound and burn it in the same batch, so that the header's supply is right."""
    batch = batches[0]
    mint = batch["entries"][0]
    more = copy.deepcopy(mint) | {"seq": 1, "to": B, "value": str(UINT256_MAX)}
    back = copy.deepcopy(more) | {"seq": 2, "from": B, "to": ZERO_ADDRESS}
    for entry, letter in ((more, "aa"), (back, "bb")):
        entry["nonce"] = "0x" + letter * 32
        reidentified(made, entry)
    batch["entries"] += [more, back]
    batch["header"]["count"] = 3
    repacked(batch)
    del batches[1:]
    rechained(made, batches)


H = "0x" + "11" * 32
FRAUDS: dict[str, tuple[Fraud, list[str]]] = {
    "an entry takes more than its sender has": (edit(2, 0, value="1001"), ["balance_negative"]),
    "an overdraft that the next entry heals": (
        edit(3, 0, **{"from": B, "to": C, "value": "101"}),
        ["balance_negative"],
    ),
    "a burn of more than was held, healed later": (
        edit(3, 1, value="101"),
        ["balance_negative", "supply_differs"],
    ),
    "a nonce used twice": (_repeat_nonce, ["nonce_repeated"]),
    "an entry sealed twice under two positions": (_repeat_entry, ["nonce_repeated"]),
    "a transfer of nothing": (edit(3, 0, value="0"), ["movement_invalid", "rows_differ"]),
    "a transfer to oneself": (edit(3, 0, to=C), ["movement_invalid"]),
    "more issued than a uint256 counts, for a moment": (_overflow, ["supply_overflow"]),
    "a mint of more than the header says": (edit(2, 2, value="6"), ["supply_differs"]),
    "total supply altered": (header_edit(2, totalSupply="1006"), ["supply_differs"]),
    "first batch is number 2": (header_edit(1, number=2), ["header_chain_broken"]),
    "first batch has a parent": (header_edit(1, parent=H), ["header_chain_broken"]),
    "later batch has another parent": (header_edit(2, parent=H), ["header_chain_broken"]),
    "later batch has no parent": (header_edit(3, parent=ZERO_HASH), ["header_chain_broken"]),
    "number skipped": (header_edit(3, number=4), ["header_chain_broken"]),
    "a batch left out": (
        _leave_out_batch,
        ["balance_negative", "header_chain_broken", "supply_differs"],
    ),
    "two batches swapped": (
        _swap_batches,
        ["balance_negative", "head_differs", "header_chain_broken", "supply_differs"],
    ),
    "count one too high": (
        header_edit(2, count=4),
        ["header_chain_broken", "position_differs", "rows_differ"],
    ),
    "count far too high": (
        header_edit(3, count=2**32 - 1),
        ["position_differs", "rows_differ"],
    ),
    "first seq one too low": (
        header_edit(3, firstSeq=3),
        ["header_chain_broken", "position_differs"],
    ),
    "entries swapped, rows with them": (_swap_entries, ["position_differs"]),
    "rows in another order than entries": (_swap_rows, ["rows_differ"]),
    "rows truncated": (_rows_edit(lambda rows: rows[:-1]), ["rows_differ"]),
    "rows of another version": (_rows_edit(lambda rows: b"\2" + rows[1:]), ["rows_differ"]),
    "rows that move another value": (
        _rows_edit(lambda rows: rows[:-1] + bytes([rows[-1] ^ 1])),
        ["rows_differ"],
    ),
    "rows altered, header not": (
        _set("0.rows", "0x02"),
        ["rows_differ", "rows_hash_differs"],
    ),
    "another token's batch": (
        _foreign_batch,
        ["foreign_batch", "head_differs", "id_differs"],
    ),
    "id altered": (_set("1.entries.0.id", H), ["id_differs", "root_differs"]),
    "timestamp altered": (_set("1.entries.0.timestamp", "1"), ["root_differs"]),
    "nonce altered": (_set("1.entries.0.nonce", H), ["id_differs"]),
    "ref altered": (_set("1.entries.0.ref", H), ["id_differs"]),
    "value altered": (
        _set("1.entries.1.value", "201"),
        ["id_differs", "root_differs", "rows_differ"],
    ),
    "receiver altered": (
        _set("1.entries.1.to", A),
        ["id_differs", "root_differs", "rows_differ", "balance_negative"],
    ),
    "entries left out": (
        _set("1.entries", []),
        ["balance_negative", "position_differs", "root_differs", "rows_differ", "supply_differs"],
    ),
    "root altered": (header_edit(3, entriesRoot=H), ["root_differs"]),
    "rows hash altered": (header_edit(3, rowsHash=H), ["rows_hash_differs"]),
    "sealing time altered": (_set("2.header.sealedAt", "5"), ["digest_differs"]),
    "digest altered": (_set("2.digest", H), ["digest_differs", "head_differs"]),
}

MANIFEST_FRAUDS: dict[str, tuple[Callable[[Document], None], list[str]]] = {
    "manifest of another symbol": (
        lambda m: m["token"].update(symbol="EXQ"),
        ["token_uid_differs"],
    ),
    "manifest of other decimals": (lambda m: m["token"].update(decimals=3), ["token_uid_differs"]),
    "manifest of another ledger": (lambda m: m.update(ledgerUid=H), ["token_uid_differs"]),
    "head of another history": (lambda m: m["head"].update(digest=H), ["head_differs"]),
    "head that is none": (lambda m: m["head"].update(digest=ZERO_HASH), ["head_differs"]),
}


def _export(name: str, made: NaiveLedger, manifest: Document, batches: list[Document]) -> Document:
    return {"name": name, "manifest": manifest, "batches": batches}


def _manifest_for(made: NaiveLedger, batches: list[Document]) -> Document:
    manifest = made.manifest()
    manifest["batches"] = [f"{i:08d}.json" for i in range(1, len(batches) + 1)]
    manifest["head"]["number"] = len(batches)
    return manifest


def _fraudulent(name: str) -> Document:
    fraud, findings = FRAUDS[name]
    made = books()
    batches = copy.deepcopy(made.batches)
    fraud(made, batches)
    manifest = _manifest_for(made, batches)
    if "head_differs" not in findings:
        manifest["head"]["digest"] = batches[-1]["digest"]
    return _export(name, made, manifest, batches) | {"findings": sorted(findings)}


def _badly_headed(name: str) -> Document:
    fraud, findings = MANIFEST_FRAUDS[name]
    made = books()
    manifest = made.manifest()
    fraud(manifest)
    return _export(name, made, manifest, made.batches) | {"findings": findings}


def _prefix(count: int) -> Document:
    made = books(lawless=False)
    del made.batches[count:]
    name = f"the first {count} of 3 batches: consistent, and only an anchor shows what is missing"
    return _export(name, made, made.manifest(), made.batches)


def exports() -> Document:
    """Return exports.json."""
    unsigned = books(lawless=False)
    for batch in unsigned.batches:
        batch["signature"] = None
    return {
        "about": "exports; `findings` are the kinds that verification must report",
        "valid": [
            *(_prefix(count) for count in range(4)),
            _export("unsigned", unsigned, unsigned.manifest(), unsigned.batches),
        ],
        "invalid": [
            *(_fraudulent(name) for name in FRAUDS),
            *(_badly_headed(name) for name in MANIFEST_FRAUDS),
        ],
    }
