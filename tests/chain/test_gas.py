"""The planner against real receipts: gas of replays and of the deployment, shape by shape.

Method: post one shape of rows, ask the plan, then seal and migrate, and compare with what the
receipts say. An expectation is at most 2 % over the gas used, and never under it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import books

from token_ledger.core.types import Record, Texts
from token_ledger.ledger import Ledger
from token_ledger.migrate import migrate
from token_ledger.plan import plan
from token_ledger.seal import seal
from token_ledger.sign import sign

PERCENT_OVER_MAX = 2
Shape = Callable[[], list[Record]]


def move(sender: str, receiver: str, value: int) -> Record:
    return Record(sender, receiver, value, Texts(reason="x"))


def people(count: int, *, name: str = "p") -> list[str]:
    return [f"{name}{i}" for i in range(count)]


def endow() -> list[Record]:
    return [move("system", person, 2**72 + i) for i, person in enumerate(people(300))]


def among(count: int, rows: int, value: int) -> list[Record]:
    names = people(count)
    return [move(names[i % count], names[(i + 1) % count], value + i) for i in range(rows)]


def emptied() -> list[Record]:
    """Thirty accounts give all that they hold to one."""
    return [move(f"e{i}", "p0", 5) for i in range(30)]


def passing() -> list[Record]:
    """What comes to an empty account goes on within the batch; others end as they began."""
    through = [move(*pair, 7) for i in range(40) for pair in ((f"p{i}", f"t{i}"), (f"t{i}", "p0"))]
    return through + [
        move(*pair, 9) for i in range(50, 90) for pair in ((f"p{i}", "p1"), ("p1", f"p{i}"))
    ]


SHAPES: dict[str, Shape] = {
    "the first batch, 300 new holders": endow,
    "one row": lambda: among(2, 1, 10**18),
    "1,000 rows among 100": lambda: among(100, 1_000, 2**64),
    "2,000 rows among 300, two-byte references": lambda: among(300, 2_000, 10**6),
    "new holders of a wide value": lambda: (
        [move("system", f"e{i}", 5) for i in range(30)]
        + [move("system", f"w{i}", 2**240 - 1) for i in range(20)]
    ),
    "emptied accounts give gas back": emptied,
    "accounts that end as they began": passing,
    "burns": lambda: [move(f"p{i}", "system", 3) for i in range(200)],
    "mint and burn leave the supply as it was": lambda: [
        move("system", "p0", 8),
        move("p1", "system", 8),
    ],
}


@pytest.fixture
def ledger(sqlite_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger that knows everybody in SHAPES."""
    with books.create(sqlite_url, tmp_path) as ledger:
        names = people(300) + people(30, name="e") + people(20, name="w") + people(40, name="t")
        for name in names:
            ledger.create_account(name)
        yield ledger


def check(what: str, expected: int, used: int) -> None:
    over = (expected - used) / used * 100
    assert 0 <= over <= PERCENT_OVER_MAX, f"{what}: {expected} planned, {used} used: {over:+.2f} %"


def test_the_plan_is_within_two_percent_of_the_receipts(ledger: Ledger, fresh_anvil: str) -> None:
    """Each shape's replay, and the deployment, uses at most what was planned, and 2 % less."""
    for what, shape in SHAPES.items():
        ledger.post_many(shape())
        before = plan(ledger, fresh_anvil)
        seal(ledger)
        sealed = plan(ledger, fresh_anvil)
        assert (before.totals.gas, before.totals.batches) == (
            sealed.totals.gas,
            sealed.totals.batches,
        ), what
        assert 0 < sealed.gas_floor < sealed.totals.gas
        sign(ledger, books.operator())
        done = migrate(ledger, fresh_anvil)
        assert sealed.totals.batches == done.batches
        check(what, sealed.totals.gas, done.gas_used - done.deployment_gas_used)
        if done.deployment_gas_used:
            check("deployment", sealed.deployment_gas, done.deployment_gas_used)
    assert 0 == plan(ledger, fresh_anvil).totals.batches
