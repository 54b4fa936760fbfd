"""docs/embedding.md: its code runs as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import docs_text

PAGE = "docs/embedding.md"


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python example runs as it stands, in the order of the page, asserts included."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    sources = docs_text.blocks(docs_text.page(PAGE), "python")
    assert sources
    for source in sources:
        exec(compile(source, PAGE, "exec"), names)
    names["engine"].dispose()  # type: ignore[attr-defined]
    names["ledger"].close()  # type: ignore[attr-defined]
