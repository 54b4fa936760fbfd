"""Holds a coverage report against its floors: `python -m tests.coverage_floors REPORT.json`.

Lines that no test ran are printed with their file. The floors are those of the acceptance list:
financial logic 100 %, services 90 %, an operator's tools 75 %.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

FLOORS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "financial logic": (
        100,
        (
            *("core/batch.py", "core/earning.py", "core/entry.py", "core/hashing.py"),
            *("core/merkle.py", "core/packing.py"),
            *("ledger/balances.py", "ledger/composite.py", "ledger/credit.py", "ledger/holds.py"),
            *("ledger/limits.py", "ledger/overdraft.py", "ledger/posted.py", "ledger/posting.py"),
            *("ledger/requests.py", "ledger/reversal.py", "ledger/rules.py", "ledger/supply.py"),
            "ledger/verbs.py",
        ),
    ),
    "services": (90, ("ledger/*.py", "api/*.py")),
    "operator's tools": (75, ("cli/*.py", "[a-z]*.py")),
}
"""For each group the least share of its lines that tests run, and the files in it."""


def shortfalls(report: Mapping[str, Any]) -> list[str]:
    """Return a line for each group that is below its floor, or matches no file."""
    complaints = []
    files = {name.partition("token_ledger/")[2]: file for name, file in report["files"].items()}
    for group, (floor, patterns) in FLOORS.items():
        run = lines = 0
        missing = []
        for pattern in patterns:
            mine = [name for name in files if fnmatch(name, pattern) and _alike(name, pattern)]
            if not mine:
                complaints.append(f"{group}: no file {pattern}")
            for name in mine:
                summary = files[name]["summary"]
                run += summary["covered_lines"]
                lines += summary["num_statements"]
                if files[name]["missing_lines"]:
                    missing.append(f"  {name}: {files[name]['missing_lines']}")
        if run * 100 < floor * lines:
            complaints += [f"{group}: {run} of {lines} lines, {floor} % asked", *missing]
    return complaints


def _alike(name: str, pattern: str) -> bool:
    return name.count("/") == pattern.count("/")


def main(path: str) -> int:
    """Print what falls short; return 1 if anything does."""
    complaints = shortfalls(json.loads(Path(path).read_text()))
    print("\n".join(complaints) or "coverage: every floor holds")
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
