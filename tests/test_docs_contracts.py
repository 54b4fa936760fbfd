"""One page a contract: roles, invariants, and what each function can never do."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from token_ledger.chain import contracts


@pytest.mark.parametrize("name", contracts.CONTRACTS)
def test_every_function_that_changes_something_is_on_the_page(project: Path, name: str) -> None:
    """Each is named, and so are who may call, what it can never do, and what always holds."""
    page = (project / "docs" / "contracts" / f"{name}.md").read_text(encoding="utf-8")
    changing = {
        item["name"]
        for item in contracts.artifact(name).abi
        if item["type"] == "function" and item["stateMutability"] not in ("view", "pure")
    }
    assert changing
    assert set() == {word for word in changing if not re.search(rf"`{word}\b", page)}
    assert "| Function | Who | Never |" in page
    assert "nvariants" in page


def test_the_words_on_every_interface(project: Path) -> None:
    """Each function, event, error and struct of an interface has NatSpec right above it."""
    bare = []
    for path in sorted((project / "contracts" / "src" / "interfaces").glob("*.sol")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for above, line in pairwise(lines):
            if re.match(r"\s*(function|event|error|struct)\b", line):
                bare += [] if above.strip().startswith("///") else [f"{path.name}: {line.strip()}"]
    assert [] == bare
