"""The floors of coverage: what is below one is named, and a group that matches nothing is seen."""

from __future__ import annotations

from typing import Any

from tests.coverage_floors import FLOORS, shortfalls


def _report(**missing: list[int]) -> dict[str, Any]:
    """Return a report of ten lines a file, all run but those."""
    names = {
        pattern.replace("[a-z]*", "verb").replace("*", "any")
        for _, patterns in FLOORS.values()
        for pattern in patterns
    }
    return {
        "files": {
            f"/x/src/token_ledger/{name}": {
                "summary": {
                    "covered_lines": 10 - len(missing.get(name.replace("/", "_")[:-3], [])),
                    "num_statements": 10,
                },
                "missing_lines": missing.get(name.replace("/", "_")[:-3], []),
            }
            for name in names
        }
    }


def test_everything_run_is_well() -> None:
    """A report without a missing line is above every floor."""
    assert [] == shortfalls(_report())


def test_one_missing_line_of_financial_logic_is_named() -> None:
    """Financial logic is covered whole or not at all."""
    complaints = shortfalls(_report(ledger_posting=[7]))
    assert ["  ledger/posting.py: [7]"] == [c for c in complaints if c.startswith(" ")]


def test_tools_may_miss_a_quarter() -> None:
    """Of a tool's lines every fourth may be missing, but no more."""
    assert [] == shortfalls(_report(cli_any=[1, 2], verb=[1, 2]))
    assert shortfalls(_report(cli_any=[1, 2, 3], verb=[1, 2, 3]))


def test_a_file_that_went_away_is_seen() -> None:
    """A floor on a file that no longer exists would hold for ever: it is a complaint."""
    report = _report()
    del report["files"]["/x/src/token_ledger/ledger/posting.py"]
    assert ["financial logic: no file ledger/posting.py"] == shortfalls(report)
