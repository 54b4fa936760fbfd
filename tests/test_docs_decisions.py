"""docs/decisions: the index lists every decision under its own title."""

from __future__ import annotations

import re
from pathlib import Path


def test_the_index_is_complete(project: Path) -> None:
    """Each decision stands in the index once, in order, under the title that it bears."""
    folder = project / "docs" / "decisions"
    expected = [
        (path.name, path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# "))
        for path in sorted(folder.glob("[0-9]*.md"))
    ]
    index = (folder / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[(.+)\]\((.+)\)$", index, re.MULTILINE)
    assert expected == [(name, title) for title, name in listed]


def test_numbers_are_used_once(project: Path) -> None:
    """A decision's number is that of its file, and no other has it."""
    numbers = []
    for path in sorted((project / "docs" / "decisions").glob("[0-9]*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0]
        numbers.append(int(path.name[:4]))
        assert title.startswith(f"# {numbers[-1]}. "), path.name
    assert len(numbers) == len(set(numbers))
