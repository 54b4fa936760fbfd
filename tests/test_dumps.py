"""Files of every past release load for ever, and mean what they meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import books

from token_ledger.core.files import read_proof
from token_ledger.core.strict import decode
from token_ledger.core.types import Texts
from token_ledger.verify import Anchors, verify

DUMPS = Path(__file__).resolve().parent / "dumps"
HEADS = {"0.1.0": "a28100d7481b9d8a178a1d2b7bd677fe59f48dbee32888cd66fd65e054a584f2"}


def test_every_release_left_a_dump() -> None:
    """The folders and the digests known of them agree: none was forgotten or added unseen."""
    assert set(HEADS) == {path.name for path in DUMPS.iterdir() if path.is_dir()} - {"__pycache__"}


@pytest.mark.parametrize("release", HEADS)
def test_a_past_export_verifies(release: str) -> None:
    """The export is consistent and anchored by the digest that was noted at its release."""
    report = verify(DUMPS / release / "export", Anchors(bytes.fromhex(HEADS[release])))
    assert ([], True) == (report.findings, report.anchored)


@pytest.mark.parametrize("release", HEADS)
def test_a_past_signed_batch_verifies(release: str) -> None:
    """The first batch file is anchored by the sealer of then."""
    path = DUMPS / release / "export" / "batches" / "00000001.json"
    report = verify(path, Anchors(signer=books.operator().address))
    assert ([], True) == (report.findings, report.anchored)


@pytest.mark.parametrize("release", HEADS)
@pytest.mark.parametrize("name", ["proof.json", "opened.json"])
def test_a_past_proof_verifies(release: str, name: str) -> None:
    """Both proofs verify, and the opened one still shows its texts."""
    path = DUMPS / release / name
    report = verify(path, Anchors(bytes.fromhex(HEADS[release])))
    assert ([], True) == (report.findings, report.anchored)
    opening = read_proof(decode(path.read_bytes())).opening
    if name == "opened.json":
        assert opening is not None
        expected = Texts("dump", "release", release, "kept for ever", '{"é":[1,true,null]}')
        assert expected == opening.texts
    else:
        assert opening is None
