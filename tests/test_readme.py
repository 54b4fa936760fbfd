"""The README's output and code are what happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs_text import blocks, without_chance


def test_the_first_screen_is_what_the_demo_prints(project: Path, tmp_path: Path) -> None:
    """The transcript in the README is the demo's own output, but for hashes and ports."""
    expected = blocks((project / "README.md").read_text(encoding="utf-8"), "console")[0]
    done = subprocess.run(
        [Path(sys.executable).parent / "token-ledger", "demo"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200", "TMPDIR": str(tmp_path)},
    )
    assert 0 == done.returncode, done.stderr
    assert without_chance(expected.removeprefix("$ make demo\n")) == without_chance(done.stdout)


def test_the_python_of_the_readme_runs(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embedding example runs as it stands, asserts included."""
    monkeypatch.chdir(tmp_path)
    sources = blocks((project / "README.md").read_text(encoding="utf-8"), "python")
    assert sources
    for source in sources:
        names: dict[str, object] = {}
        exec(compile(source, "README.md", "exec"), names)
        names["ledger"].close()  # type: ignore[attr-defined]


def test_the_links_of_the_docs_lead_somewhere(project: Path) -> None:
    """Every relative link in the README and the docs names a file that is there."""
    for page in (project / "README.md", *(project / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
