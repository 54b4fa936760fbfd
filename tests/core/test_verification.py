"""What verification finds: every fraud by its name, and nothing in an honest file."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from tests.core.samples import files_of, kinds, named, small_books, vectors, verify_files

from token_ledger.core import verification
from token_ledger.core.files import read_batch, read_manifest, read_proof
from token_ledger.core.types import Finding, Header
from token_ledger.core.verification import Report, verify_batch, verify_proof

EXPORTS = vectors("exports")
PROOFS = vectors("proofs")
BATCHES = [batch for vector in EXPORTS["invalid"] for batch in vector["batches"]]


@pytest.mark.parametrize("vector", named(EXPORTS["valid"]))
def test_honest_exports(vector: dict[str, Any]) -> None:
    """An honest export has no findings, signed or not, empty or not."""
    report = verify_files(files_of(vector["manifest"], vector["batches"]))
    assert [] == report.findings
    assert report.consistent
    assert {"ok", "not checked"} == {check.status for check in report.checks}


@pytest.mark.parametrize("vector", named(EXPORTS["invalid"]))
def test_fraudulent_exports(vector: dict[str, Any]) -> None:
    """Each fraud is found under exactly the kinds that it is, although all else was mended."""
    report = verify_files(files_of(vector["manifest"], vector["batches"]))
    assert vector["findings"] == kinds(report)
    assert not report.consistent


@pytest.mark.parametrize("vector", named(PROOFS["valid"]))
def test_honest_proofs(vector: dict[str, Any]) -> None:
    """An honest proof has no findings; what it cannot show is listed as not checked."""
    proof = read_proof(vector["document"])
    report = verify_proof(proof)
    assert [] == report.findings
    skipped = [check.name for check in report.checks if check.status == "not checked"]
    assert (["ref"] if proof.opening is None else []) + ["other entries"] == skipped


@pytest.mark.parametrize("vector", named(PROOFS["invalid"]))
def test_forged_proofs(vector: dict[str, Any]) -> None:
    """Each forgery is found under exactly the kinds that it is."""
    assert vector["findings"] == kinds(verify_proof(read_proof(vector["document"])))


def test_a_batch_alone_says_what_it_cannot_know() -> None:
    """A batch file is checked by itself; balances, supply and chain need the others."""
    report = verify_batch(read_batch(small_books().batches[1]))
    assert [] == report.findings
    skipped = [check.name for check in report.checks if check.status == "not checked"]
    assert ["balances and supply", "header chain"] == skipped


def test_every_finding_of_a_batch_is_one_of_its_export() -> None:
    """A batch alone never shows a difference that its export does not."""
    for vector in EXPORTS["invalid"]:
        own = {
            kind for batch in vector["batches"] for kind in kinds(verify_batch(read_batch(batch)))
        }
        assert own - set(vector["findings"]) <= (
            {"id_differs"} if "foreign_batch" in vector["findings"] else set()
        )


def test_every_kind_of_finding_has_a_vector(project: Path) -> None:
    """No kind exists that no named vector produces, and the spec lists each."""
    source = Path(verification.__file__).read_text(encoding="utf-8")
    declared = set(re.findall(r'"([a-z]+(?:_[a-z]+)+)"', source)) - {"token_ledger"}
    produced = {k for v in EXPORTS["invalid"] + PROOFS["invalid"] for k in v["findings"]}
    assert declared == produced
    spec = (project / "docs" / "spec.md").read_text(encoding="utf-8")
    assert {f"`{kind}`" for kind in produced} <= set(re.findall(r"`[a-z_]+`", spec))


def test_a_hostile_count_costs_nothing() -> None:
    """A header that claims billions of entries is answered from those that are there."""
    document = small_books().batches[1]
    document["header"]["count"] = 2**32 - 1
    report = verify_batch(read_batch(document))
    assert ["digest_differs", "position_differs", "rows_differ"] == kinds(report)


@pytest.mark.parametrize("vector", named(EXPORTS["invalid"]))
def test_findings_are_ready_for_json(vector: dict[str, Any]) -> None:
    """A finding is an object of plain values with a kind and a message."""
    report = verify_files(files_of(vector["manifest"], vector["batches"]))
    for finding in report.findings:
        document = finding.to_json()
        assert list(document)[:2] == ["kind", "message"]
        assert all(type(value) in (str, int) for value in document.values())


def test_missing_batches_are_found() -> None:
    """A batch that the manifest lists and nobody adds leaves the head unreached."""
    books = small_books()
    files = files_of(books.manifest(), books.batches[:1])
    assert ["head_differs"] == kinds(verify_files(files))


def test_headers_and_signatures_are_kept_for_anchors() -> None:
    """After the batches, every header's digest and the last signature are there to be anchored."""
    books = small_books()
    verifier = verification.ExportVerifier(read_manifest(books.manifest()))
    for batch in books.batches:
        verifier.add(read_batch(batch))
    digests = ["0x" + digest.hex() for _, digest in verifier.headers]
    assert [batch["digest"] for batch in books.batches] == digests
    expected = [batch["signature"] for batch in books.batches]
    actual = [None if s is None else "0x" + s.hex() for s in verifier.signatures]
    assert expected == actual


def test_a_report_is_anchored_only_by_what_held() -> None:
    """An anchor that holds is kept by name, one that fails is a finding and no anchor."""
    report = Report("proof")
    assert not report.anchored
    report.anchor("signer", Finding("signer_differs", "another key signed"))
    assert (False, False) == (report.anchored, report.consistent)
    report.anchor("digest", None)
    assert (True, ["digest"]) == (report.anchored, report.anchors)
    expected = [("anchor: signer", "failed"), ("anchor: digest", "ok")]
    assert expected == [(check.name, check.status) for check in report.checks]


def test_a_root_that_repeats_a_leaf_is_found() -> None:
    """A batch with one entry twice, position and all, is no tree."""
    batch = read_batch(small_books().batches[1])
    twice = dataclasses.replace(batch, entries=(*batch.entries, batch.entries[-1]))
    assert "root_differs" in kinds(verify_batch(twice))


def test_a_proof_binds_the_position_to_the_header() -> None:
    """First and last place of a batch are inside, the ones beside them are not."""
    proof = read_proof(small_books().prove(2, 0))
    assert [] == verify_proof(proof).findings

    def shifted(header: Header, by: int) -> list[str]:
        moved = dataclasses.replace(header, first_seq=header.first_seq + by)
        return kinds(verify_proof(dataclasses.replace(proof, header=moved)))

    assert ["digest_differs"] == shifted(proof.header, -1)
    assert ["digest_differs", "position_differs"] == shifted(proof.header, 1)
