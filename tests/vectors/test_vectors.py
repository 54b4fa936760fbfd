"""The committed vectors are what their generator makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.vectors import generate


@pytest.mark.parametrize("name", generate.FILES)
def test_vectors_are_generated(name: str) -> None:
    """Each file is, to the byte, what `python -m tests.vectors.generate` writes."""
    assert generate.text_of(name) == (generate.FOLDER / name).read_text(encoding="utf-8")


def test_no_vector_is_left_over() -> None:
    """Every JSON file in the folder is one that the generator knows."""
    assert sorted(generate.FILES) == sorted(p.name for p in generate.FOLDER.glob("*.json"))


def test_names_say_what_is_wrong_once() -> None:
    """Within a file every vector has a name of its own."""
    for make in generate.FILES.values():
        for key, items in make().items():
            if isinstance(items, list) and items and "name" in items[0]:
                names = [item["name"] for item in items]
                assert len(names) == len(set(names)), key


def test_vectors_are_the_projects_own(shared_data: Path) -> None:
    """No vector file is a copy of third-party data."""
    theirs = {path.read_bytes() for path in (shared_data / "vectors").rglob("*.json")}
    assert not theirs & {path.read_bytes() for path in generate.FOLDER.glob("*.json")}
