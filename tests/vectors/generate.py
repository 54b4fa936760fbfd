"""Make the vectors in this folder: `python -m tests.vectors.generate` from the project's root.

Deterministic, from seeds, and made by the naive `tests.reference` alone, so that pytest, forge and
JavaScript all check the real code against something that is not it. What each file holds is said
in its `about` and in docs/spec.md, "Vectors".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.vectors import exports, proofs, small
from tests.vectors.batches import batches

FOLDER = Path(__file__).resolve().parent
FILES: dict[str, Callable[[], dict[str, Any]]] = {
    "batches.json": batches,
    "entries.json": small.entries,
    "exports.json": exports.exports,
    "imports.json": small.imports,
    "proofs.json": proofs.proofs,
    "rows.json": small.rows,
    "signatures.json": small.signatures,
    "vaults.json": small.vaults,
}


def text_of(name: str) -> str:
    """Return the text of a vector file."""
    return json.dumps(FILES[name](), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for file_name in FILES:
        (FOLDER / file_name).write_text(text_of(file_name), encoding="utf-8")
