"""Verifying: consistency is found broken, and is never mistaken for an anchor.

Anchors on a chain are tested in `tests/test_whole_path.py`, against a real one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests import books

from token_ledger.core.files import proof_to_json
from token_ledger.core.strict import decode, encode
from token_ledger.errors import FileFormatError, UsageError
from token_ledger.export import export
from token_ledger.prove import prove
from token_ledger.seal import seal
from token_ledger.sign import sign
from token_ledger.verify import Anchors, verify


@dataclass(frozen=True)
class Files:
    """An export of several signed batches, an older one of it, a proof and a batch file."""

    export: Path
    older: Path
    proof: Path
    batch: Path
    head_digest: bytes
    older_digest: bytes
    first_digest: bytes


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Return files of one ledger, made once: tests copy before they alter."""
    root = tmp_path_factory.mktemp("files")
    with books.create(f"sqlite:///{root / 'l.db'}", root) as ledger:
        books.fill(ledger, 60)
        older = seal(ledger, gas_max=250_000)
        sign(ledger, books.operator())
        export(ledger, root / "older")
        ledger.transfer("alice", "bob", 1, reason="late")
        head = seal(ledger)
        sign(ledger, books.operator())
        export(ledger, root / "export")
        first = decode((root / "export" / "batches" / "00000001.json").read_bytes())
        entry_id = bytes.fromhex(first["entries"][1]["id"][2:])
        (root / "proof.json").write_bytes(encode(proof_to_json(prove(ledger, entry_id))))
    return Files(
        root / "export",
        root / "older",
        root / "proof.json",
        root / "export" / "batches" / "00000001.json",
        head.head_digest,
        older.head_digest,
        bytes.fromhex(first["digest"][2:]),
    )


def kinds(path: Path, anchors: Anchors | None = None) -> set[str]:
    """Return the kinds of findings of a verification."""
    return {finding.kind for finding in verify(path, anchors).findings}


@pytest.mark.parametrize("name", ["export", "proof", "batch"])
def test_a_consistent_file_is_not_anchored_by_itself(files: Files, name: str) -> None:
    """Without an anchor a report is consistent and says that nothing vouches for it."""
    report = verify(getattr(files, name))
    assert (True, False, name) == (report.consistent, report.anchored, report.kind)
    assert any(check.status == "not checked" for check in report.checks)


@pytest.mark.parametrize("name", ["export", "proof", "batch"])
def test_digest_and_signer_anchor(files: Files, name: str) -> None:
    """The known digest and the sealer's address each anchor, and both together do too."""
    digest = files.head_digest if name == "export" else files.first_digest
    signer = books.operator().address
    for anchors in (Anchors(digest), Anchors(signer=signer), Anchors(digest, signer)):
        report = verify(getattr(files, name), anchors)
        assert (True, True) == (report.consistent, report.anchored)


@pytest.mark.parametrize("name", ["export", "proof", "batch"])
def test_wrong_anchors_are_findings(files: Files, name: str) -> None:
    """Another digest or signer is a finding, and leaves the file unanchored."""
    path = getattr(files, name)
    assert {"anchor_digest_differs"} == kinds(path, Anchors(bytes(32)))
    assert {"anchor_signer_differs"} == kinds(path, Anchors(signer=books.stranger().address))
    assert not verify(path, Anchors(bytes(32))).anchored


def test_an_older_digest_vouches_for_less_than_the_export(files: Files) -> None:
    """A digest of an earlier header does not anchor what came after it."""
    assert {"anchor_digest_older"} == kinds(files.export, Anchors(files.older_digest))


def test_an_anchored_export_anchors_proofs_and_older_exports(files: Files) -> None:
    """`against` an export that is itself anchored vouches for its own headers, and only then."""
    against = Anchors(files.head_digest, against=files.export)
    for path in (files.proof, files.batch, files.older):
        report = verify(path, against)
        assert (True, True) == (report.consistent, report.anchored)
    unanchored = verify(files.proof, Anchors(against=files.export))
    assert (True, False) == (unanchored.consistent, unanchored.anchored)
    assert {"anchor_export_differs"} == kinds(
        files.export, Anchors(files.older_digest, against=files.older)
    )


def test_an_export_up_to_an_older_digest_anchors_what_is_older(files: Files) -> None:
    """A proof of an early batch is vouched for by an export whose early header is known."""
    report = verify(files.proof, Anchors(files.older_digest, against=files.export))
    assert (True, True) == (report.consistent, report.anchored)


def test_an_unsigned_head_is_a_finding(files: Files, tmp_path: Path) -> None:
    """A signer cannot anchor a header that nobody signed."""
    copy = altered(files, tmp_path, "00000001.json", lambda d: d.update(signature=None))
    path = copy / "batches" / "00000001.json"
    anchors = Anchors(signer=books.operator().address)
    assert {"anchor_unsigned"} == kinds(path, anchors)


def test_anchors_that_do_not_go_together(tmp_path: Path) -> None:
    """A node without a contract, or the reverse, is refused before anything is read."""
    with pytest.raises(UsageError, match="one contract"):
        Anchors(rpc_url="http://127.0.0.1:1")
    with pytest.raises(UsageError, match="one contract"):
        Anchors(contract=bytes(20))


def altered(
    files: Files, tmp_path: Path, name: str, change: Callable[[dict[str, Any]], object]
) -> Path:
    """Return a copy of the export in which one file was changed and canonically rewritten."""
    copy = tmp_path / "copy"
    shutil.copytree(files.export, copy)
    path = copy / name if name == "manifest.json" else copy / "batches" / name
    document = decode(path.read_bytes())
    change(document)
    path.write_bytes(encode(document))
    return copy


def raise_value(document: dict[str, Any]) -> None:
    """Give one entry a unit more."""
    document["entries"][1]["value"] = str(int(document["entries"][1]["value"]) + 1)


def swap(document: dict[str, Any]) -> None:
    """Let two entries change places."""
    entries = document["entries"]
    entries[0], entries[1] = entries[1], entries[0]


ALTERATIONS: dict[str, tuple[str, Callable[[dict[str, Any]], object], set[str]]] = {
    "value": ("00000001.json", raise_value, {"id_differs", "root_differs", "rows_differ"}),
    "order": ("00000001.json", swap, {"position_differs"}),
    "dropped entry": ("00000001.json", lambda d: d["entries"].pop(), {"position_differs"}),
    "timestamp": (
        "00000001.json",
        lambda d: d["entries"][0].update(timestamp="5"),
        {"root_differs"},
    ),
    "rows": (
        "00000001.json",
        lambda d: d.update(rows="0x01" + d["rows"][4:-2] + "ff"),
        {"rows_hash_differs"},
    ),
    "supply": ("00000002.json", lambda d: d["header"].update(totalSupply="7"), {"supply_differs"}),
    "number": ("00000002.json", lambda d: d["header"].update(number=9), {"header_chain_broken"}),
    "digest": (
        "00000002.json",
        lambda d: d.update(digest="0x" + "11" * 32),
        {"digest_differs", "header_chain_broken"},
    ),
    "head": (
        "manifest.json",
        lambda d: d["head"].update(digest="0x" + "11" * 32),
        {"head_differs"},
    ),
    "token name": (
        "manifest.json",
        lambda d: d["token"].update(name="Better"),
        {"token_uid_differs"},
    ),
}


@pytest.mark.parametrize("name", list(ALTERATIONS))
def test_every_alteration_is_found(files: Files, tmp_path: Path, name: str) -> None:
    """A canonical rewrite of one field is found, by the kinds that name it."""
    file, change, expected = ALTERATIONS[name]
    found = kinds(altered(files, tmp_path, file, change))
    assert expected <= found


@pytest.mark.parametrize("number", [1, 2])
def test_no_altered_signature_goes_unseen(files: Files, tmp_path: Path, number: int) -> None:
    """With the signer known, each digit of each batch's signature counts, not the head's alone."""
    copy = tmp_path / "copy"
    shutil.copytree(files.export, copy)
    path = copy / "batches" / f"{number:08d}.json"
    whole = path.read_bytes()
    document = decode(whole)
    signature = document["signature"]
    anchors = Anchors(signer=books.operator().address)
    assert verify(copy, anchors).anchored
    for i in range(2, len(signature), 3):
        digit = "0" if signature[i] != "0" else "1"
        changed = signature[:i] + digit + signature[i + 1 :]
        path.write_bytes(encode({**document, "signature": changed}))
        assert {"anchor_signer_differs"} == kinds(copy, anchors), i
    path.write_bytes(encode({**document, "signature": "0x" + "00" * 65}))
    assert {"signature_invalid"} == kinds(copy, Anchors(files.head_digest))


def test_a_former_sealer_is_accepted_by_name_alone(tmp_path: Path) -> None:
    """After a change of sealer the old signatures need the old address; the head the new one."""
    old, new = books.operator(), books.stranger()
    with books.create(f"sqlite:///{tmp_path / 'l.db'}", tmp_path) as ledger:
        books.fill(ledger, 10)
        seal(ledger)
        sign(ledger, old)
        ledger.transfer("alice", "bob", 1, reason="late")
        seal(ledger)
        sign(ledger, new, sealer=new.address, numbers=[2])
        export(ledger, tmp_path / "export")
    path = tmp_path / "export"
    assert {"anchor_signer_differs"} == kinds(path, Anchors(signer=new.address))
    assert verify(path, Anchors(signer=new.address, former_signers=(old.address,))).anchored
    swapped = Anchors(signer=old.address, former_signers=(new.address,))
    assert {"anchor_signer_differs"} == kinds(path, swapped)


def test_a_whole_forged_history_is_stopped_by_the_anchor_alone(tmp_path: Path) -> None:
    """Another ledger with the same token exports consistently; only the anchor tells it apart."""
    for name, seed in (("real", 1), ("forged", 2)):
        with books.create(f"sqlite:///{tmp_path / name}.db", tmp_path) as ledger:
            books.fill(ledger, 20, seed=seed)
            seal(ledger)
            signer = books.operator() if name == "real" else books.stranger()
            sign(ledger, signer, sealer=signer.address)
            export(ledger, tmp_path / name)
    anchors = Anchors(signer=books.operator().address)
    assert verify(tmp_path / "forged").consistent
    assert verify(tmp_path / "real", anchors).anchored
    assert {"anchor_signer_differs"} == kinds(tmp_path / "forged", anchors)


def test_files_that_are_not_ours_are_refused(files: Files, tmp_path: Path) -> None:
    """Foreign, cut off, reformatted or missing files are errors that say so, not findings."""
    whole = files.proof.read_bytes()
    foreign = {
        "truncated": whole[:-40],
        "reformatted": json.dumps(json.loads(whole), indent=2).encode(),
        "no newline": whole.rstrip(),
        "foreign": b'{"format":"other"}\n',
        "not json": b"\xff\xfe",
        "list": b"[]\n",
        "empty": b"",
        "unknown key": encode({**decode(whole), "extra": 1}),
        "duplicate key": whole.replace(b'"digest"', b'"digest":"0x","digest"', 1),
        "manifest": (files.export / "manifest.json").read_bytes(),
    }
    for name, data in foreign.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(FileFormatError):
            verify(path)
    for missing in (tmp_path / "nothing", tmp_path):
        with pytest.raises(FileFormatError):
            verify(missing)


def test_unlisted_files_are_refused(files: Files, tmp_path: Path) -> None:
    """A batch file that the manifest does not list is not passed over in silence."""
    copy = tmp_path / "copy"
    shutil.copytree(files.export, copy)
    (copy / "batches" / "00000099.json").write_bytes(files.batch.read_bytes())
    with pytest.raises(FileFormatError, match="does not list"):
        verify(copy)


def test_a_missing_batch_file_is_refused(files: Files, tmp_path: Path) -> None:
    """A batch that the manifest lists must be there."""
    copy = tmp_path / "copy"
    shutil.copytree(files.export, copy)
    (copy / "batches" / "00000002.json").unlink()
    with pytest.raises(FileFormatError, match=r"00000002\.json"):
        verify(copy)
