"""docs/auditor.md: transcripts and programs find what the page says, the table is complete."""

from __future__ import annotations

import re
import shutil

import pytest
from tests import docs_text
from tests.docs_scenes import scene

from token_ledger.core.files import read_batch, read_manifest, read_proof
from token_ledger.core.strict import decode
from token_ledger.core.verification import ExportVerifier, verify_batch, verify_proof

PAGE = "docs/auditor.md"


@pytest.mark.skipif(
    shutil.which("node") is None
    or not (docs_text.PROJECT / "contracts" / "node_modules" / "ethers").is_dir(),
    reason="node or contracts/node_modules is missing: run `make setup`",
)
def test_the_transcripts_are_what_is_answered() -> None:
    """Our command, ethers with OpenZeppelin's library, and cast with a contract: all agree."""
    with scene("auditor.md") as where:
        docs_text.check(docs_text.page(PAGE), **where)


def test_every_level_is_explained() -> None:
    """The table names every level that a report on a proof, a batch or an export can hold."""
    with scene("auditor.md") as where:
        root = where["cwd"]
        proof = read_proof(decode((root / "proof.json").read_bytes()))
        verifier = ExportVerifier(
            read_manifest(decode((root / "export/manifest.json").read_bytes()))
        )
        batch = read_batch(decode((root / "export/batches/00000001.json").read_bytes()))
        verifier.add(batch)
        reports = (verify_proof(proof), verify_batch(batch), verifier.finish())
    section = docs_text.page(PAGE).split("## What each level means")[1].split("## Anchors")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    explained = {word for row in rows for word in re.findall(r"`([^`]+)`", row)}
    assert explained == {check.name for report in reports for check in report.checks}
