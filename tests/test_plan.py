"""`migrate --plan`: what a migration would take, reckoned before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import books

from token_ledger.anchor import anchor
from token_ledger.chain.rpc import Rpc
from token_ledger.core.forecast import PRICES, REPRICINGS, ether, parse_gas_price
from token_ledger.core.types import Record, Texts
from token_ledger.errors import UsageError
from token_ledger.ledger import Ledger, mirror
from token_ledger.migrate import migrate
from token_ledger.plan import plan
from token_ledger.seal import seal
from token_ledger.sign import sign
from token_ledger.snapshot import claim, publish, take


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Ledger:
    ledger = books.create(database_url, tmp_path)
    books.fill(ledger, 60)
    return ledger


def test_a_plan_sends_and_writes_nothing(ledger: Ledger, fresh_anvil: str) -> None:
    """After a plan the payer's nonce is what it was, and the mirror knows no chain."""
    with ledger, Rpc(fresh_anvil) as rpc:
        blocks = rpc.quantity("eth_blockNumber")
        plan(ledger, fresh_anvil)
        assert blocks == rpc.quantity("eth_blockNumber")
        with ledger.read() as connection:
            assert mirror.genesis_hash(connection, 31337) is None


def test_a_plan_goes_on_from_the_contracts_head(ledger: Ledger, fresh_anvil: str) -> None:
    """Only what the contract lacks is planned; without a node all of it; holders count once."""
    with ledger:
        whole = plan(ledger)
        assert (0, 60, 60, 1, 3) == (
            whole.sealed_batches,
            whole.totals.entries,
            whole.unsealed_entries,
            whole.totals.batches,
            whole.transactions,
        )
        assert len(books.PEOPLE) == whole.new_holders
        seal(ledger)
        sign(ledger, books.operator())
        migrate(ledger, fresh_anvil)
        books.fill(ledger, 20, seed=2)
        rest = plan(ledger, fresh_anvil)
        assert (True, 1, 0, 20, 2, 0) == (
            rest.deployed,
            rest.after,
            rest.deployment_gas,
            rest.totals.entries,
            rest.transactions,
            rest.new_holders,
        )
        assert whole.totals.gas < plan(ledger).totals.gas


def test_unsealed_entries_are_planned_as_sealing_would_batch_them(
    sqlite_url: str, tmp_path
) -> None:
    """The batches to come are those that `seal` then makes, count and gas, over several batches."""
    with books.create(sqlite_url, tmp_path) as ledger:
        names = [f"holder-{i}" for i in range(1200)]
        for name in names:
            ledger.create_account(name)
        ledger.post_many([Record("system", n, 2**70, Texts(reason="x")) for n in names])
        before = plan(ledger)
        assert before.totals.batches > 1
        assert seal(ledger).batches == before.totals.batches
        after = plan(ledger)
        assert (before.totals.gas, before.totals.floor) == (after.totals.gas, after.totals.floor)
        assert 1200 == after.new_holders


def test_costs_are_gas_times_price(ledger: Ledger, fresh_anvil: str) -> None:
    """Money is a whole number of wei; given prices replace the table, a node's own heads it."""
    with ledger:
        given = plan(ledger, fresh_anvil, gas_prices=[parse_gas_price("12.5")])
        assert [str(given.gas * 12_500_000_000)] == [cost["cost_wei"] for cost in given.costs()]
        told = plan(ledger, fresh_anvil)
        assert len(PRICES) + 1 == len(told.costs())
        assert "now" in str(told.costs()[0]["network"])
        posted = {cost["network"]: cost["l1_data_bytes"] for cost in told.costs()}
        assert 0 == posted["Ethereum, usual"] < posted["Arbitrum One"]


def test_forks_under_way_are_told(ledger: Ledger) -> None:
    """Each repricing fork is named with its EIPs and what it would make of the gas."""
    with ledger:
        told = plan(ledger).forks()
    assert [fork.name for fork in REPRICINGS] == [fork["name"] for fork in told]
    assert all(int(str(fork["percent_of_today"])) > 100 for fork in told)


def test_a_snapshot_is_told_where_it_is_cheaper(sqlite_url: str, tmp_path: Path) -> None:
    """Thousands of entries among few holders: balances alone cost less, and it says so."""
    with books.create(sqlite_url, tmp_path) as ledger:
        for name in ["a", "b", *(f"holder-{i}" for i in range(60))]:
            ledger.create_account(name, initial_balance=1)
        assert plan(ledger).cheaper is None
        for _ in range(5):
            ledger.post_many(
                [
                    Record(*pair, 1, Texts(reason="x"))
                    for _ in range(500)
                    for pair in (("a", "b"), ("b", "a"))
                ]
            )
        cheaper = plan(ledger).cheaper
        assert cheaper is not None
        assert "snapshot" == cheaper.name


@pytest.mark.parametrize("text", ["", "-1", "0", "1e3", "NaN", "1.5.2", "0.0000000001", "9" * 40])
def test_a_gas_price_is_gwei(text: str) -> None:
    """Anything but a positive number of gwei, whole in wei, is refused."""
    with pytest.raises(UsageError):
        parse_gas_price(text)


@pytest.mark.parametrize(
    ("wei", "text"),
    [(0, "0"), (1, "0.000000000000000001"), (10**18, "1"), (15 * 10**17, "1.5"), (2**90, None)],
)
def test_ether_is_exact(wei: int, text: str | None) -> None:
    """Wei are written as ether without rounding and without an exponent."""
    from decimal import Context, Decimal

    shown = ether(wei)
    assert text is None or text == shown
    assert wei == int(Context(prec=80).multiply(Decimal(shown), Decimal(10**18)))


def test_the_other_ways_cost_what_is_told(
    sqlite_url: str, tmp_path: Path, fresh_anvil: str
) -> None:
    """Snapshot and anchor, done for real, take at most what the plan says, and a tenth less."""
    with books.create(sqlite_url, tmp_path) as ledger:
        for seed in range(1, 11):
            books.fill(ledger, 8, seed=seed)
            seal(ledger)
        sign(ledger, books.operator())
        _, by_balances, by_headers = plan(ledger).ways
        anchored = anchor(ledger, fresh_anvil).gas_used
        made = take(ledger, deadline=4_000_000_000)
        opened = publish(ledger, fresh_anvil, made, sealer=books.operator())
        claims = sum(
            claim(fresh_anvil, opened.contract, made.proof_to_json(*holding)).gas_used
            for holding in made.holdings
        )
        assert len(made.holdings) == len(books.PEOPLE)
    for told, used in (
        (by_headers.operator_gas, anchored),
        (by_balances.operator_gas, opened.gas_used),
        (by_balances.holders_gas, claims),
    ):
        assert used <= told * 1.02
        assert told <= used * 1.10
