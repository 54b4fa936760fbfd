"""The planner: batches that fit one replay transaction."""

from __future__ import annotations

import pytest
from eth_abi import encode as abi_encode
from hypothesis import given
from hypothesis import strategies as st
from tests.core.samples import addresses, movements
from tests.reference import HEADER_TYPE

from token_ledger.core.gas import (
    CALLDATA_MAX,
    GAS_MAX,
    BatchPlan,
    BatchShape,
    gas_floor,
)
from token_ledger.core.packing import Movement, pack

HEADER = [1, b"\1" * 32, 0, 1, b"\1" * 32, b"\1" * 32, 2**256 - 1, 2**60]


def _calldata(rows: bytes) -> bytes:
    types = [HEADER_TYPE, "bytes", "bytes"]
    return b"\xff" * 4 + abi_encode(types, [HEADER, rows, b"\1" * 65])


def _plan(rows: list[Movement], *, balance: int = 0, **limits: int) -> BatchPlan:
    plan = BatchPlan(**limits)
    for from_address, to_address, value in rows:
        if not plan.try_add(
            from_address, to_address, value, from_balance=balance, to_balance=balance
        ):
            break
    return plan


@given(movements)
def test_calldata_is_never_underestimated(rows: list[Movement]) -> None:
    """The planned size is at least the encoded transaction's, and over by less than two words."""
    packed = pack(rows)
    planned = _plan(rows, gas_max=10**9, calldata_max=10**9).shape.calldata_bytes
    assert 0 <= planned - len(_calldata(packed)) < 64


@given(movements, st.booleans())
def test_planned_gas_is_above_the_floor(rows: list[Movement], new: bool) -> None:
    """No plan promises less gas than what logs, storage and calldata alone cost."""
    accounts = len({side for row in rows for side in row[:2]})
    plan = _plan(rows, balance=0 if new else 1)
    assert len(rows) == plan.rows
    floor = gas_floor(
        rows=len(rows),
        old_accounts=0 if new else accounts,
        new_accounts=accounts if new else 0,
        calldata=_calldata(pack(rows)),
    )
    assert plan.gas > floor


@given(movements, st.integers(100_000, 1_000_000), st.integers(200, 4000))
def test_a_plan_stays_within_its_limits(
    rows: list[Movement], gas_max: int, calldata_max: int
) -> None:
    """Every row taken leaves gas and calldata within bounds; only a first row may exceed them."""
    plan = _plan(rows, gas_max=gas_max, calldata_max=calldata_max)
    assert plan.rows >= 1
    if plan.rows > 1:
        assert plan.gas <= gas_max
        assert len(_calldata(pack(rows[: plan.rows]))) <= calldata_max


@given(movements, st.integers(100_000, 300_000))
def test_a_refused_row_leaves_the_plan_as_it_was(rows: list[Movement], gas_max: int) -> None:
    """A plan that said no is the plan of the rows it took."""
    plan = _plan(rows, gas_max=gas_max)
    again = _plan(rows[: plan.rows], gas_max=gas_max)
    assert (again.rows, again.gas) == (plan.rows, plan.gas)


@given(addresses, addresses)
def test_an_account_is_paid_for_once(one: bytes, other: bytes) -> None:
    """A second row among the same accounts adds the price of a row, not of a slot."""
    plan = _plan([(one, other, 1)])
    first = plan.gas
    assert plan.try_add(other, one, 1, from_balance=1, to_balance=0)
    assert 0 < plan.gas - first < 3_000


def test_an_empty_account_costs_a_new_slot() -> None:
    """An account with no balance when the batch starts is planned as a new storage slot."""
    rows = [(b"\1" * 20, b"\2" * 20, 1)]
    new, old = _plan(rows, balance=0), _plan(rows, balance=1)
    assert 2 * (22_100 - 5_000) == new.gas - old.gas


def test_a_wide_value_widens_every_row() -> None:
    """One value of 32 bytes is planned as 32 bytes in each row: a column has one width."""
    one, other = b"\1" * 20, b"\2" * 20
    narrow, wide = _plan([(one, other, 1)] * 100), _plan([(one, other, 1)] * 100)
    narrow.try_add(one, other, 1, from_balance=1, to_balance=1)
    wide.try_add(one, other, 2**256 - 1, from_balance=1, to_balance=1)
    assert wide.gas - narrow.gas >= 100 * 31 * 4


@pytest.mark.parametrize("balance", [0, 1])
def test_full_plans_are_near_a_limit(balance: int) -> None:
    """A plan stops because gas or calldata is used up, not before: less than one row is left."""
    rows = [(i.to_bytes(20, "big"), (i + 1).to_bytes(20, "big"), 10**18) for i in range(10_000)]
    plan = _plan(rows, balance=balance)
    assert plan.rows < len(rows)
    size = len(_calldata(pack(rows[: plan.rows])))
    assert plan.gas > GAS_MAX - 30_000 or size > CALLDATA_MAX - 100


def test_the_floor_is_the_designs() -> None:
    """21000 + 1756 N + 5000 A_old + 22100 A_new + calldata at 4 and 16 gas a byte."""
    expected = 21_000 + 1_756 * 3 + 5_000 * 2 + 22_100 + 2 * 4 + 3 * 16
    assert expected == gas_floor(rows=3, old_accounts=2, new_accounts=1, calldata=b"\0\1\2\0\3")


def test_four_thousand_rows_are_planned_below_ten_million() -> None:
    """4,000 rows of nine-byte values among 100 existing accounts fit one batch."""
    shape = BatchShape(rows=4000, old_accounts=100, width=9, nonzero_value_bytes=36_000)
    assert shape.gas < GAS_MAX
    assert shape.calldata_bytes < CALLDATA_MAX
