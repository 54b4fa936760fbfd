"""A believable research-reward economy, made by seed: the input of the demo and the benchmarks.

Two hundred accounts are endowed, publish, cite and remix each other, tip, stake through escrow
accounts and burn. Written as the CSV that any user would give to `load`. Nothing here is real, and
nothing here knows the ledger.
"""

from __future__ import annotations

import csv
import datetime as dt
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from token_ledger.core.types import SYSTEM

COLUMNS = (
    "timestamp",
    "from_account",
    "to_account",
    "amount",
    "reason",
    "reference_type",
    "reference_id",
    "memo",
    "idempotency_key",
)
ENDOWMENT = Decimal(1000)
_REWARDS = {"earn:publish": Decimal(50), "earn:cite": Decimal(5), "earn:remix": Decimal("12.5")}
_START = dt.datetime(2025, 1, 6, 9, 0, tzinfo=dt.UTC)

Row = tuple[str, ...]


class Economy:
    """The actors and their balances, so that every row it makes can be posted in order."""

    def __init__(self, *, accounts: int, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a simulation, not a secret
        self._people = [f"researcher-{i:03d}" for i in range(accounts)]
        self._balances: dict[str, Decimal] = {}
        self._now = _START
        self._made = 0
        self._works = 0

    def rows(self, count: int) -> Iterator[Row]:
        """Yield `count` rows: first one endowment for each account, then ordinary life."""
        for person in self._people[:count]:
            yield self._row(SYSTEM, person, ENDOWMENT, "endow")
        while self._made < count:
            yield self._event()

    def _event(self) -> Row:
        draw = self._random.random()
        person = self._random.choice(self._people)
        if draw < 0.50:
            return self._reward(person)
        if draw < 0.80:
            return self._tip(person)
        if draw < 0.97:
            return self._stake_or_release(person)
        return self._row(person, SYSTEM, self._part(person, "0.02"), "burn", memo="listing fee")

    def _reward(self, person: str) -> Row:
        reason = self._random.choices(tuple(_REWARDS), weights=(2, 6, 1))[0]
        self._works += reason == "earn:publish"
        work = f"paper-{self._random.randint(1, max(1, self._works)):04d}"
        return self._row(SYSTEM, person, _REWARDS[reason], reason, reference=("artifact", work))

    def _tip(self, person: str) -> Row:
        other = self._random.choice([name for name in self._people if name != person])
        return self._row(person, other, self._part(person, "0.05"), "tip", memo="thank you")

    def _stake_or_release(self, person: str) -> Row:
        escrow = f"stake:{person}"
        staked = self._balances.get(escrow, Decimal(0))
        if staked:
            return self._row(escrow, person, staked, "stake:release")
        return self._row(person, escrow, self._part(person, "0.20"), "stake:hold")

    def _part(self, person: str, most: str) -> Decimal:
        """A random part of a balance, at most `most` of it, to six decimals, never zero."""
        share = Decimal(self._random.randint(1, 1000)) / 1000 * Decimal(most)
        part = (self._balances[person] * share).quantize(Decimal("0.000001"))
        return max(part, Decimal("0.000001"))

    def _row(
        self,
        sender: str,
        receiver: str,
        amount: Decimal,
        reason: str,
        *,
        reference: tuple[str, str] = ("", ""),
        memo: str = "",
    ) -> Row:
        for account, change in ((sender, -amount), (receiver, amount)):
            self._balances[account] = self._balances.get(account, Decimal(0)) + change
        self._now += dt.timedelta(seconds=self._random.randint(1, 6000))
        self._made += 1
        when = self._now.isoformat(timespec="seconds").replace("+00:00", "Z")
        key = f"demo:{self._made:06d}"
        return (when, sender, receiver, f"{amount:f}", reason, *reference, memo, key)


def write_sample(path: Path, *, rows: int = 5000, accounts: int = 200, seed: int = 2025) -> None:
    """Write `rows` rows of the economy of `seed` among `accounts` people to a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(Economy(accounts=accounts, seed=seed).rows(rows))
