"""Gas figures in prose: each is held against what the forge tests measured.

Method: `contracts/snapshots/` is what `forge test` compares with; a page may round, by 5 %.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from token_ledger.chain import contracts
from token_ledger.core import forecast
from token_ledger.core.gas import CALLDATA_MAX, GAS_MAX
from token_ledger.core.types import Token
from token_ledger.plan import TOKEN_CONSTRUCTOR_GAS

TOKEN = Token(b"\1" * 32, b"\1" * 32, "RSC", "Research Coin", 18)
NEW_SLOT, OLD_SLOT = 22_100, 5_000


def measured(project: Path, name: str) -> dict[str, int]:
    """Return the gas of whole transactions, by what they do."""
    text = (project / "contracts" / "snapshots" / f"{name}.json").read_text(encoding="utf-8")
    return {what: int(gas) for what, gas in json.loads(text).items()}


def said(project: Path, page: str, pattern: str) -> list[int]:
    """Return the numbers of the one place on a page that a pattern finds."""
    text = " ".join((project / "docs" / page).read_text(encoding="utf-8").split())
    (found,) = re.findall(pattern, text)
    groups = found if isinstance(found, tuple) else (found,)
    return [int(group.replace(",", "")) for group in groups]


def near(gas: float) -> object:
    return pytest.approx(gas, rel=0.05)


def test_the_rule_of_thumb_for_a_migration(project: Path) -> None:
    """Deployment, entry, new holder and old holder add up to what batches were measured to take."""
    (millions,) = re.findall(
        r"Roughly it is ([\d.]+) million for the deployment",
        (project / "docs" / "migration.md").read_text(encoding="utf-8"),
    )
    data = contracts.deployment_calldata(TOKEN, b"\1" * 20)
    runtime = len(contracts.artifact(contracts.TOKEN_CONTRACT).runtime)
    assert near(float(millions) * 10**6) == forecast.deployment_gas(
        data, runtime_bytes=runtime, constructor_gas=TOKEN_CONSTRUCTOR_GAS
    )
    entry, new, old = said(
        project,
        "migration.md",
        r"each batch ([\d,]+) an entry, ([\d,]+) a new holder and ([\d,]+) a holder that",
    )
    replay = measured(project, "LedgerToken")
    assert near(4_000 * entry + 100 * old) == replay["replay: 4,000 rows among 100 holders"]
    assert near(600 * (entry + new)) == replay["replay: 600 new holders"]


def test_what_a_header_costs(project: Path) -> None:
    """Nine further headers in one transaction, by nine, on both pages that name it."""
    registry = measured(project, "HeaderRegistry")
    one = (registry["anchor: ten headers"] - registry["anchor: the first header"]) / 9
    assert [near(one)] == said(
        project, "contracts/HeaderRegistry.md", r"about ([\d,]+) gas a header"
    )
    assert [near(one)] == said(project, "security.md", r"200 gas of ([\d,]+)")


def test_what_a_rehearsal_costs(project: Path) -> None:
    """The first part of 1,000 rows, less the last: new holders, two slots, and the rehearsal."""
    parts = measured(project, "LedgerToken")
    first = parts["replayPart: first 500 of 1,000 rows, 100 new holders"]
    last = parts["replayPart: last 500 of 1,000 rows, 100 holders"]
    rehearsal = (first - last - 100 * (NEW_SLOT - OLD_SLOT) - 2 * NEW_SLOT) / 1_000
    assert [near(rehearsal)] == said(
        project, "contracts/LedgerToken.md", r"about ([\d,]+) gas a row"
    )


def test_what_a_batch_may_take(project: Path) -> None:
    """The limits of a batch on the pages are the planner's."""
    assert said(project, "spec.md", r"at most ([\d,]+) gas and ([\d,]+) bytes of calldata") == [
        GAS_MAX,
        CALLDATA_MAX,
    ]
    limits = [GAS_MAX // 10**6, CALLDATA_MAX // 1024]
    assert limits == said(project, "migration.md", r"at most (\d+) million gas and (\d+) KiB")
    assert limits == said(project, "migration.md", r"of (\d+) million gas and (\d+) KiB of data")
