"""Every verb that moves money, in any order, against a model that is a few dicts.

Method: a Hypothesis state machine. The model says which errors a request deserves; it must raise
one of them and change nothing, or succeed where it deserves none. A balance in the model is one
number, below zero where something is owed: it knows neither draws nor repayments. Holds expire by a
clock that a rule turns. Amounts lie at the edges of uint256. After each history `check` must be
clean and nothing may have drifted.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from token_ledger import errors
from token_ledger.check import check
from token_ledger.core.parse import format_timestamp
from token_ledger.core.types import UINT256_MAX
from token_ledger.ledger import Ledger, Posted
from token_ledger.seal import seal

PEOPLE = ("a", "b", "c")
EDGES = [1, 2**63 - 1, 2**63, 2**128, 2**255, UINT256_MAX - 1, UINT256_MAX]
VALUES = st.one_of(st.integers(1, 60), st.sampled_from(EDGES))
PERSON = st.sampled_from(PEOPLE)
NOON, MINUTE = 1_800_000_000_000_000, 60_000_000
ESCROWS = tuple(f"escrow:{name}" for name in PEOPLE)
SIDE = st.sampled_from((*PEOPLE, "system", *ESCROWS))
Bad = set[type[Exception]]


@dataclass
class Holding:
    """A hold in the model."""

    id: bytes
    holder: str
    left: int
    expires_at: int | None = None


@dataclass
class Made:
    """An entry in the model."""

    id: bytes
    payer: str
    payee: str
    value: int
    of_hold: bool = False
    reversed: bool = False


@dataclass
class Model:
    """What the books ought to say."""

    balances: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PEOPLE, 0))
    overdrafts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PEOPLE, 0))
    now: int = NOON
    holds: list[Holding] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)
    frozen: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    ceilings: dict[str, int] = field(default_factory=dict)

    def staked(self, name: str) -> int:
        return sum(hold.left for hold in self.holds if hold.holder == name)

    def supply(self) -> int:
        held = sum(max(0, balance) for balance in self.balances.values())
        return held + sum(hold.left for hold in self.holds)

    def is_over(self, hold: Holding) -> bool:
        return bool(hold.left) and hold.expires_at is not None and hold.expires_at <= self.now

    def end(self, hold: Holding) -> None:
        """Give back what is left of a hold."""
        self.balances[hold.holder] += hold.left
        hold.left = 0

    def due(self, payer: str, value: int) -> list[Holding]:
        """Return what is released first: all that is over, where it is needed and is enough."""
        after = self.balances[payer] - value
        enough = after >= -self.overdrafts[payer] if after < 0 else True
        if enough or value <= max(0, self.balances[payer]):
            return []
        over = [hold for hold in self.holds if hold.holder == payer and self.is_over(hold)]
        after += sum(hold.left for hold in over)
        return over if after >= -self.overdrafts[payer] else []

    def bad(self, payer: str | None, payee: str | None, value: int, *, waived: bool = False) -> Bad:
        """Return what forbids a movement; a side that is None is an escrow account."""
        found: Bad = set()
        if payer in ESCROWS or payee in ESCROWS:
            found.add(errors.HoldError)
        if payer == payee:
            found.add(errors.SelfTransferError)
        if payer in PEOPLE and payer in self.frozen and not waived:
            found.add(errors.AccountFrozenError)
        found |= self.unpaid(payer, value)
        if self.closed & {payer, payee}:
            found.add(errors.AccountClosedError)
        if payee in self.ceilings:
            owed = max(0, -self.balances[payee])
            held = max(0, self.balances[payee]) + self.staked(payee)
            kept = value - min(owed, value)
            if kept and held + kept > self.ceilings[payee]:
                found.add(errors.BalanceLimitError)
        return found

    def unpaid(self, payer: str | None, value: int) -> Bad:
        """Return what keeps a value from being there: it is held, released, drawn or minted."""
        issued, supply = 0, self.supply()
        if payer == "system":
            issued = value
        elif payer in PEOPLE:
            due = self.due(payer, value)
            balance = self.balances[payer] + sum(hold.left for hold in due)
            if value > max(0, balance) and balance - value < -self.overdrafts[payer]:
                return {errors.InsufficientBalanceError}
            issued = max(0, value - max(0, balance))
            if due:  # what is released repays first
                supply -= max(0, -self.balances[payer]) - max(0, -balance)
        return {errors.SupplyExceededError} if supply + issued > UINT256_MAX else set()

    def move(self, payer: str | None, payee: str | None, value: int) -> None:
        if payer in PEOPLE:
            for hold in self.due(payer, value):
                self.end(hold)
            self.balances[payer] -= value
        if payee in PEOPLE:
            self.balances[payee] += value


class Books(RuleBasedStateMachine):
    """The ledger and the model, side by side."""

    url: Callable[[], str] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        made = type(self).url
        url = f"sqlite:///{Path(self.folder.name) / 'x.db'}" if made is None else made()
        self.model = Model()
        self.ledger = Ledger.create(url, operator=b"\1" * 20, clock=lambda: self.model.now)
        self.ledger.create_token("T", "Token", 0)
        for name in PEOPLE:
            self.ledger.create_account(name, initial_balance=1)
            self.ledger.release(self.ledger.hold(name, 1).id)  # its escrow account is there
            self.ledger.burn(name, 1, reason="x")
        self.ledger.set_rule("daily", 7)
        self.keys = (f"k{n}" for n in itertools.count())
        self.asked: list[tuple[Callable[[], Posted], Posted]] = []

    def ask(self, bad: Bad, work: Callable[[str], Posted]) -> Posted | None:
        """Make a request under a fresh key; return its result if it deserves one."""
        key = next(self.keys)
        try:
            posted = work(key)
        except errors.RuleError as error:
            assert type(error) in bad, f"{error} of {bad}"
            return None
        assert not bad, bad
        assert not posted.repeated
        self.asked.append((lambda: work(key), posted))
        return posted

    @rule(payer=SIDE, payee=SIDE, value=VALUES)
    def post(self, payer: str, payee: str, value: int) -> None:
        def work(key: str) -> Posted:
            words: dict[str, Any] = {"reason": "x", "idempotency_key": key}
            return self.ledger.post_many([self.ledger.record(payer, payee, value, **words)])[0]

        posted = self.ask(self.model.bad(payer, payee, value), work)
        if posted is not None:
            self.model.move(payer, payee, value)
            self.model.made.append(Made(posted.id, payer, payee, value))

    @rule(name=st.sampled_from((*PEOPLE, *ESCROWS)))
    def award(self, name: str) -> None:
        posted = self.ask(
            self.model.bad("system", name, 7),
            lambda key: self.ledger.award(name, "daily", idempotency_key=key, create_account=False),
        )
        if posted is not None:
            self.model.move("system", name, 7)
            self.model.made.append(Made(posted.id, "system", name, 7))

    @rule(holder=st.sampled_from((*PEOPLE, *ESCROWS)), value=VALUES, minutes=st.integers(0, 3))
    def hold(self, holder: str, value: int, minutes: int) -> None:
        until = self.model.now + minutes * MINUTE if minutes else None
        at = None if until is None else format_timestamp(until)
        posted = self.ask(
            self.model.bad(holder, None, value),
            lambda key: self.ledger.hold(holder, value, expires_at=at, idempotency_key=key),
        )
        if posted is not None:
            self.model.move(holder, None, value)
            self.model.holds.append(Holding(posted.id, holder, value, until))
            self.model.made.append(Made(posted.id, holder, "", value, of_hold=True))

    @rule(index=st.integers(0, 30), value=st.one_of(st.none(), VALUES), to=SIDE)
    def capture(self, index: int, value: int | None, to: str) -> None:
        if not self.model.holds:
            return
        hold = self.model.holds[index % len(self.model.holds)]
        taken = hold.left if value is None else value
        bad = self.model.bad(None, to, taken)
        if to == hold.holder:
            bad.add(errors.SelfTransferError)
        if not hold.left or taken > hold.left or self.model.is_over(hold):
            bad.add(errors.HoldError)
        if hold.holder in self.model.frozen:
            bad.add(errors.AccountFrozenError)
        posted = self.ask(
            bad, lambda key: self.ledger.capture(hold.id, value, to=to, idempotency_key=key)
        )
        if posted is not None:
            hold.left -= taken
            self.model.move(None, to, taken)
            self.model.made.append(Made(posted.id, "", to, taken, of_hold=True))
        elif self.model.is_over(hold) and to != hold.holder:
            self.model.end(hold)  # refused, and released by this touch

    @rule(minutes=st.integers(1, 2))
    def wait(self, minutes: int) -> None:
        self.model.now += minutes * MINUTE

    @rule()
    def sweep(self) -> None:
        over = [hold for hold in self.model.holds if self.model.is_over(hold)]
        assert len(over) == self.ledger.expire_holds()
        for hold in over:
            self.model.end(hold)

    @rule(name=PERSON, most=st.one_of(st.none(), VALUES))
    def overdraw(self, name: str, most: int | None) -> None:
        self.ledger.limit_overdraft(name, most)
        self.model.overdrafts[name] = most or 0

    @rule(name=PERSON)
    def write_off(self, name: str) -> None:
        try:
            done = self.ledger.write_off(name, by="me", reason="x")
        except errors.OverdraftError:
            assert self.model.balances[name] >= 0
        else:
            assert -done.value == self.model.balances[name]
            self.model.balances[name] = 0

    @rule(index=st.integers(0, 30))
    def release(self, index: int) -> None:
        if not self.model.holds:
            return
        hold = self.model.holds[index % len(self.model.holds)]
        bad: Bad = set() if hold.left else {errors.HoldError}
        posted = self.ask(bad, lambda key: self.ledger.release(hold.id, idempotency_key=key))
        if posted is not None:
            self.model.made.append(Made(posted.id, "", hold.holder, hold.left, of_hold=True))
            self.model.end(hold)

    @rule(index=st.integers(0, 30), value=st.one_of(st.none(), VALUES))
    def reverse(self, index: int, value: int | None) -> None:
        if not self.model.made:
            return
        entry = self.model.made[index % len(self.model.made)]
        back = entry.value if value is None else value
        bad: Bad = set()
        if entry.of_hold or entry.reversed or back > entry.value:
            bad.add(errors.ReversalError)
        if not entry.of_hold:
            bad |= self.model.bad(entry.payee, entry.payer, back, waived=True)
        posted = self.ask(
            bad, lambda key: self.ledger.reverse(entry.id, value, idempotency_key=key)
        )
        if posted is not None:
            entry.reversed = True
            self.model.move(entry.payee, entry.payer, back)
            self.model.made.append(Made(posted.id, entry.payee, entry.payer, back))

    @rule(name=PERSON, frozen=st.booleans())
    def freeze(self, name: str, frozen: bool) -> None:
        if frozen:
            self.ledger.freeze_account(name)
            self.model.frozen.add(name)
        else:
            self.ledger.unfreeze_account(name)
            self.model.frozen.discard(name)

    @rule(name=PERSON, ceiling=st.one_of(st.none(), VALUES))
    def limit(self, name: str, ceiling: int | None) -> None:
        self.ledger.limit_balance(name, ceiling)
        if ceiling is None:
            self.model.ceilings.pop(name, None)
        else:
            self.model.ceilings[name] = ceiling

    @rule(rarely=st.integers(0, 4))
    def close(self, rarely: int) -> None:
        if rarely:
            return
        full = bool(self.model.balances["c"] or self.model.staked("c"))
        try:
            self.ledger.close_account("c")
        except errors.AccountClosedError:
            assert full and "c" not in self.model.closed
        else:
            assert not full or "c" in self.model.closed
            self.model.closed.add("c")

    @rule(index=st.integers(0, 50))
    def repeat(self, index: int) -> None:
        if self.asked:
            work, first = self.asked[index % len(self.asked)]
            assert dataclasses.replace(first, repeated=True) == work()

    @rule(index=st.integers(0, 50))
    def redact(self, index: int) -> None:
        if self.model.made:
            made = self.model.made[index % len(self.model.made)]
            self.ledger.redact(made.id, ["reason", "memo", "metadata", "key"])

    @rule()
    def seal(self) -> None:
        seal(self.ledger)

    @invariant()
    def figures_agree(self) -> None:
        now = format_timestamp(self.model.now)
        for name, balance in self.model.balances.items():
            account = self.ledger.get_account(name)
            assert (balance, max(0, -balance)) == (account.balance, account.debt)
            assert self.model.staked(name) == account.total_staked
            assert balance == self.ledger.get_balance_at(name, time=now).value
        supply = self.ledger.get_supply()
        owed = sum(max(0, -balance) for balance in self.model.balances.values())
        assert (self.model.supply(), owed) == (supply.total_supply, supply.credit)

    def teardown(self) -> None:
        try:
            assert [] == check(self.ledger).findings
            assert 0 == self.ledger.recalc(dry_run=True).findings_total
        finally:
            self.ledger.close()
            self.folder.cleanup()


FEW = settings(
    max_examples=int(os.environ.get("HISTORIES", "12")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_any_order_on_sqlite() -> None:
    """Whatever is asked in whatever order, ledger and model agree on SQLite."""
    run_state_machine_as_test(Books, settings=FEW)  # type: ignore[no-untyped-call]


def test_any_order_on_postgresql(new_postgres_url: Callable[[], str]) -> None:
    """And on PostgreSQL."""

    class OnPostgres(Books):
        url = staticmethod(new_postgres_url)

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        OnPostgres, settings=settings(FEW, max_examples=4)
    )
