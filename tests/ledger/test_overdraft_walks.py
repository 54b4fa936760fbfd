"""Overdrafts against a naive model of signed balances: random walks, many at once, the whole path.

The model knows neither draws nor debts: an account is a number that may go down to minus its limit.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import books, onchain

from token_ledger.chain.anvil import Anvil
from token_ledger.errors import (
    HoldError,
    InsufficientBalanceError,
    NotReadyError,
    OverdraftError,
    ReversalError,
    SelfTransferError,
    SupplyExceededError,
)
from token_ledger.export import export
from token_ledger.finalize import finalize
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, schema
from token_ledger.migrate import migrate
from token_ledger.reconcile import reconcile
from token_ledger.seal import seal
from token_ledger.sign import sign
from token_ledger.verify import Anchors, verify

NAMES = ("a", "b", "c")
SUPPLY_MAX = 300
REFUSED = (
    InsufficientBalanceError, SupplyExceededError, HoldError, SelfTransferError, OverdraftError,
    ReversalError,
)  # fmt: skip

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["pay", "pay", "pay", "mint", "burn", "list", "hold", "release", "capture", "limit",
             "write-off", "reverse", "again"]
        ),
        st.sampled_from(NAMES),
        st.sampled_from(NAMES),
        st.integers(1, 60),
    ),
    min_size=8,
    max_size=30,
)  # fmt: skip


@dataclass
class Model:
    """The rules in their shortest form; each verb returns whether it was taken."""

    balances: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    limits: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    earned: Counter[str] = field(default_factory=Counter)
    spent: Counter[str] = field(default_factory=Counter)
    holds: list[list] = field(default_factory=list)
    posted: list[list] = field(default_factory=list)

    def supply(self) -> int:
        """Return what everybody holds; nobody holds less than nothing."""
        held = sum(left for _, left in self.holds)
        return sum(max(balance, 0) for balance in self.balances.values()) + held

    def credit(self) -> int:
        """Return what everybody owes."""
        return sum(max(-balance, 0) for balance in self.balances.values())

    def pay(self, payer: str | None, payee: str | None, value: int) -> bool:
        """Move a value; None is the issuer. What is not held must be minted first."""
        short = value if payer is None else max(0, value - max(0, self.balances[payer]))
        if payer is not None and short and self.balances[payer] - value < -self.limits[payer]:
            return False
        if short and self.supply() + short > SUPPLY_MAX:
            return False
        for name, change, figure in ((payer, -value, self.spent), (payee, value, self.earned)):
            if name is not None:
                self.balances[name] += change
                figure[name] += value
        return True

    def hold(self, who: str, value: int) -> bool:
        """Set a value aside: it is spent."""
        if not self.pay(who, None, value):
            return False
        self.holds.append([who, value])
        return True


def walk(ledger: Ledger, steps: list[tuple]) -> None:
    """Take the steps in the ledger and in the model, and compare after each."""
    ledger.create_token("T", "Token", 0, max_supply=SUPPLY_MAX)
    for name in NAMES:
        ledger.create_account(name)
    model, ids = Model(), []
    for name, most in (("a", 60), ("b", 30)):
        ledger.limit_overdraft(name, most)
        model.limits[name] = most

    def taken(call: Callable[[], object]) -> object:
        try:
            return call()
        except REFUSED:
            return None

    for number, step in enumerate(steps):
        take(ledger, model, ids, (number, *step), taken)
        compare(ledger, model)
    replay(ledger)
    assert [] == ledger.recalc(dry_run=True).findings


def take(ledger: Ledger, model: Model, ids: list[bytes], step: tuple, taken: Callable) -> None:
    """Take one step in both; both take it or neither."""
    number, verb, one, two, value = step
    words = {"reason": "x", "idempotency_key": f"k{number}"}
    if verb == "limit":
        ledger.limit_overdraft(one, value)
        model.limits[one] = value
    elif verb == "write-off":
        done = taken(lambda: ledger.write_off(one, by="me", reason="x"))
        assert (model.balances[one] < 0) is (done is not None)
        if done is not None:
            model.balances[one] = 0
    elif verb == "list" and one != two:
        there = ledger.record(one, two, value, **words)
        back = ledger.record(two, one, value // 2 + 1, reason="x", idempotency_key=f"b{number}")
        tried = deepcopy(model)
        done = taken(lambda: ledger.post_many([there, back, there]))
        fits = tried.pay(one, two, value) and tried.pay(two, one, value // 2 + 1)
        assert fits is (done is not None)
        if fits:
            model.__dict__.update(tried.__dict__)
    elif verb in ("pay", "mint", "burn"):
        sides = {"mint": [None, one], "burn": [one, None]}.get(verb, [one, two])
        if sides[0] == sides[1]:
            return
        record = ledger.record(sides[0] or "system", sides[1] or "system", value, **words)
        done = taken(lambda: ledger.post_many([record]))
        assert model.pay(*sides, value) is (done is not None)
        if done is not None:
            model.posted.append([done[0].id, *sides, value, False, record, done[0]])
            for side, after in zip(
                sides, (done[0].balance_after_from, done[0].balance_after_to), strict=True
            ):
                assert after == (None if side is None else model.balances[side])
    elif verb == "hold":
        done = taken(lambda: ledger.hold(one, value))
        assert model.hold(one, value) is (done is not None)
        if done is not None:
            ids.append(done.id)
    elif verb in ("release", "capture") and ids:
        take_of_hold(ledger, model, ids, step, taken)
    elif verb == "reverse" and model.posted:
        entry = model.posted[value % len(model.posted)]
        done = taken(lambda: ledger.reverse(entry[0]))
        assert (not entry[4] and model.pay(entry[2], entry[1], entry[3])) is (done is not None)
        entry[4] = entry[4] or done is not None
    elif verb == "again" and model.posted:
        entry = model.posted[value % len(model.posted)]
        (done,) = ledger.post_many([entry[5]])
        assert done.repeated
        assert (entry[6].balance_after_from, entry[6].balance_after_to) == (
            done.balance_after_from, done.balance_after_to,
        )  # fmt: skip


def take_of_hold(
    ledger: Ledger, model: Model, ids: list[bytes], step: tuple, taken: Callable
) -> None:
    """Capture or release a hold in both."""
    _, verb, _, two, value = step
    place = value % len(ids)
    who, left = held = model.holds[place]
    if verb == "release":
        done = taken(lambda: ledger.release(ids[place]))
        assert (left > 0) is (done is not None)
        if done is not None:
            held[1] = 0
            model.balances[who] += left
            model.earned[who] += left
    else:
        done = taken(lambda: ledger.capture(ids[place], value, to=two))
        assert (who != two and left >= value) is (done is not None)
        if done is not None:
            held[1] -= value
            model.balances[two] += value
            model.earned[two] += value


def compare(ledger: Ledger, model: Model) -> None:
    """Balances, figures, supply and credit are those of the model."""
    for name in NAMES:
        account = ledger.get_account(name)
        assert model.balances[name] == account.balance == ledger.get_balance(name)
        assert max(0, -model.balances[name]) == account.debt
        assert (model.earned[name], model.spent[name]) == (
            account.total_earned, account.total_spent,
        )  # fmt: skip
        assert sum(left for who, left in model.holds if who == name) == account.total_staked
    supply = ledger.get_supply()
    assert (model.supply(), model.credit()) == (supply.total_supply, supply.credit)
    owing = sorted(name for name in NAMES if model.balances[name] < 0)
    assert owing == sorted(account.account_id for account in ledger.debtors()[0])


def replay(ledger: Ledger) -> None:
    """Taken by entry_no, no account is ever below zero, and every balance after is right."""
    balances: Counter[int] = Counter()
    with ledger.read() as connection:
        entry = schema.token_ledger
        for row in connection.execute(entry.select().order_by(entry.c.entry_no)):
            balances[row.from_account] -= row.amount
            balances[row.to_account] += row.amount
            assert row.balance_after_from in (None, balances[row.from_account])
            assert row.balance_after_to in (None, balances[row.to_account])
            assert row.supply_after in (None, -balances[0])
            assert all(balance >= 0 for number, balance in balances.items() if number)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_walks_agree_with_the_model_on_sqlite(steps: list[tuple]) -> None:
    """Whatever is done, in whatever order, signed balances are all there is to it."""
    with TemporaryDirectory() as name:
        url = f"sqlite:///{Path(name) / 'walk.db'}"
        with Ledger.create(url, operator=b"\1" * 20) as ledger:
            walk(ledger, steps)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_walks_agree_with_the_model_on_postgresql(
    new_postgres_url: Callable[[], str], steps: list[tuple]
) -> None:
    """The same on PostgreSQL."""
    with Ledger.create(new_postgres_url(), operator=b"\1" * 20) as ledger:
        walk(ledger, steps)


def test_crossing_debtors_at_once(database_url: str) -> None:
    """Threads that draw, repay, hold and release across accounts leave exact books behind."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("T", "Token", 0)
        for name in NAMES:
            ledger.create_account(name)
            ledger.limit_overdraft(name, 30)

        def work(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(25):
                payer, payee = chance.sample(NAMES, 2)
                try:
                    kind = chance.random()
                    if kind < 0.6:
                        ledger.transfer(payer, payee, chance.randint(1, 20), reason="x")
                    elif kind < 0.7:
                        ledger.release(ledger.hold(payer, chance.randint(1, 20)).id)
                    elif kind < 0.8:
                        ledger.burn(payer, 1, reason="x")
                    else:
                        ledger.mint(payee, chance.randint(1, 5), reason="x")
                except InsufficientBalanceError:
                    continue

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(6)))
        replay(ledger)
        debts = {name: ledger.get_account(name).debt for name in NAMES}
        assert max(debts.values()) <= 30
        assert sum(debts.values()) == ledger.get_supply().credit
        assert [] == ledger.recalc(dry_run=True).findings


@pytest.mark.parametrize("where", ["one", "several"])
def test_draws_go_the_whole_way(where: str, database_url: str, tmp_path: Path) -> None:
    """Draws and repayments are sealed, exported, verified, replayed, and reconcile to nothing."""
    with (
        books.create(database_url, tmp_path) as ledger,
        Anvil(args=("--slots-in-an-epoch", "1")) as node,
    ):
        books.fill(ledger, 30)
        chance = random.Random(7)
        for name in books.PEOPLE:
            ledger.limit_overdraft(name, 500)
        for number in range(60):
            payer, payee = chance.sample(books.PEOPLE, 2)
            try:
                ledger.transfer(payer, payee, chance.randint(1, 900), reason=f"p{number}")
            except InsufficientBalanceError:
                continue
        owed = ledger.get_supply().credit
        assert owed > 0
        seal(ledger, gas_max=onchain.SMALL if where == "several" else 10_000_000)
        sign(ledger, books.operator())
        export(ledger, tmp_path / "export")
        assert verify(tmp_path / "export", Anchors(signer=books.operator().address)).anchored
        migrate(ledger, node.url)
        ingest(ledger, node.url)
        result = reconcile(ledger, node.url)
        assert ([], ledger.get_total_supply()) == (result.findings, sum_on_chain(ledger))
        with pytest.raises(NotReadyError, match="owed by"):
            finalize(ledger, node.url)


def sum_on_chain(ledger: Ledger) -> int:
    """Return what all accounts hold in the books: what they hold on the chain."""
    accounts, _ = ledger.accounts(1000)
    return sum(account.balance + account.debt for account in accounts)
