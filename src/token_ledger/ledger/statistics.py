"""Statistics of a token: supply and its parts, velocity, distribution, reasons. To the unit.

What entries moved comes from `rollups`, what accounts hold from their rows: the cost grows with the
days of the period and with the accounts, not with the entries. Ratios are decimals of six places.
"""

from __future__ import annotations

import datetime as dt
import heapq
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

from sqlalchemy import Connection, select

from token_ledger.core.parse import format_amount
from token_ledger.errors import UsageError
from token_ledger.ledger import queries, rollups, schema
from token_ledger.ledger.rollups import ALL_DAYS, MOVE, REDACTED, Sums
from token_ledger.ledger.tokens import StoredToken

PERCENTS = (10, 25, 50, 75, 90, 99)
REASONS_MAX = 100
TOP_MAX = 1_000
DAYS_DEFAULT = 30
EPOCH = dt.date(1970, 1, 1)
_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class ReasonFigure:
    """What entries of a reason moved, in base units. The reason is None where it was erased."""

    reason: str | None
    entries: int
    value: int


@dataclass(frozen=True, slots=True)
class Holder:
    """An account and what belongs to it, in base units: its balance and its holds."""

    account_id: str
    address: bytes
    value: int


@dataclass(frozen=True, slots=True)
class Velocity:
    """What changed hands in a period of whole UTC days, from `since` to before `until`, by date.

    `moved`: the sum of all entries between two accounts. Mints and burns are none, hence draws and
    repayments of an overdraft neither, nor what goes between a holder and the escrow of its holds;
    a capture that pays somebody is one. `velocity`: moved, divided by the present supply; None
    without any.
    """

    since: dt.date
    until: dt.date
    moves: int
    moved: int
    velocity: Decimal | None
    reasons: tuple[ReasonFigure, ...]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Who holds how much: of accounts that hold something, balance and holds together.

    `gini`: 0 where all hold the same, towards 1 where one holds everything; None without holders.
    `percentiles`: the value that so many percent of the holders do not exceed (nearest rank).
    """

    holders: int
    top: tuple[Holder, ...]
    gini: Decimal | None
    percentiles: dict[int, int]


@dataclass(frozen=True, slots=True)
class Statistics:
    """The statistics of a token; amounts in base units.

    `staked`: what escrow accounts keep. `credit`: drawn on overdrafts and not repaid.
    `circulating`: the supply without both. `reasons`: of all time, the largest values first.
    """

    decimals: int
    total_supply: int
    staked: int
    credit: int
    circulating: int
    velocity: Velocity
    distribution: Distribution
    reasons: tuple[ReasonFigure, ...]

    def to_json(self) -> dict[str, object]:
        """Return them as one JSON-ready object: amounts in human units, ratios as strings."""
        flow, spread = self.velocity, self.distribution
        return {
            "total_supply": self._human(self.total_supply),
            "circulating": self._human(self.circulating),
            "staked": self._human(self.staked),
            "credit": self._human(self.credit),
            "velocity": {
                "since": flow.since.isoformat(),
                "until": flow.until.isoformat(),
                "moves": flow.moves,
                "moved": self._human(flow.moved),
                "velocity": None if flow.velocity is None else str(flow.velocity),
                "reasons": [self._reason(figure) for figure in flow.reasons],
            },
            "distribution": {
                "holders": spread.holders,
                "gini": None if spread.gini is None else str(spread.gini),
                "percentiles": {str(p): self._human(v) for p, v in spread.percentiles.items()},
                "top": [
                    {"account_id": h.account_id, "amount": self._human(h.value)} for h in spread.top
                ],
            },
            "reasons": [self._reason(figure) for figure in self.reasons],
        }

    def _human(self, value: int) -> str:
        return format_amount(value, decimals=self.decimals)

    def _reason(self, figure: ReasonFigure) -> dict[str, object]:
        return {
            "reason": figure.reason,
            "entries": figure.entries,
            "amount": self._human(figure.value),
        }


def read_statistics(
    connection: Connection,
    token: StoredToken,
    *,
    since: dt.date,
    until: dt.date,
    top: int = 10,
) -> Statistics:
    """Return the statistics as of this snapshot. Raises UsageError for an empty period."""
    if not EPOCH <= since < until:
        raise UsageError(f"the period {since} to {until}", hint="from a day to a later one")
    if isinstance(top, bool) or not 0 <= top <= TOP_MAX:
        raise UsageError(f"the top {top!r:.20}", hint=f"0 to {TOP_MAX}")
    supply = queries.get_supply(connection, token)
    first, last = (since - EPOCH).days, (until - EPOCH).days - 1
    sums = rollups.read_sums(connection, token.token_no, first=ALL_DAYS, last=ALL_DAYS)
    sums |= rollups.read_sums(connection, token.token_no, first=first, last=last)
    rollups.add_up(rollups.tail(connection, token.token_no), sums)
    everything = {key: total for key, total in sums.items() if key.day == ALL_DAYS}
    period = {key: total for key, total in sums.items() if first <= key.day <= last}
    moves = [total for key, total in period.items() if key.kind % REDACTED == MOVE]
    moved = sum(total.value for total in moves)
    distribution, staked = _distribution(connection, token, top)
    return Statistics(
        decimals=token.decimals,
        total_supply=supply.total_supply,
        staked=staked,
        credit=supply.credit,
        circulating=supply.total_supply - staked - supply.credit,
        velocity=Velocity(
            since=since,
            until=until,
            moves=sum(total.entries for total in moves),
            moved=moved,
            velocity=_ratio(moved, supply.total_supply),
            reasons=_reasons(period),
        ),
        distribution=distribution,
        reasons=_reasons(everything),
    )


def _reasons(sums: Sums) -> tuple[ReasonFigure, ...]:
    found: dict[str | None, tuple[int, int]] = {}
    for key, total in sums.items():
        reason = None if key.kind >= REDACTED else key.reason
        entries, value = found.get(reason, (0, 0))
        found[reason] = (entries + total.entries, value + total.value)
    figures = (ReasonFigure(reason, *both) for reason, both in found.items())
    return tuple(heapq.nsmallest(REASONS_MAX, figures, key=lambda f: (-f.value, f.reason or "")))


def _distribution(connection: Connection, token: StoredToken, top: int) -> tuple[Distribution, int]:
    """Return the distribution, and what escrow accounts keep."""
    account, named = schema.token_accounts.c, schema.accounts.c
    rows = connection.execute(
        select(account.account_no, account.balance, account.total_staked, named.escrow_of)
        .join(schema.accounts, named.account_no == account.account_no)
        .where(account.token_no == token.token_no),
        execution_options={"yield_per": _PAGE},
    )
    held: list[tuple[int, int]] = []
    staked = 0
    for number, balance, kept, escrow_of in rows:
        if escrow_of is not None:
            staked += balance
        elif balance or kept:
            held.append((balance + kept, -number))
    largest = heapq.nlargest(top, held)
    accounts = {
        row.account_no: row
        for row in connection.execute(
            select(named.account_no, named.account_id, named.address).where(
                named.account_no.in_([-number for _, number in largest])
            )
        )
    }
    holders = tuple(
        Holder(accounts[-number].account_id, bytes(accounts[-number].address), value)
        for value, number in largest
    )
    values = sorted(value for value, _ in held)
    percentiles = {p: values[-(-p * len(values) // 100) - 1] for p in PERCENTS if values}
    return Distribution(len(values), holders, gini(values), percentiles), staked


def gini(values: list[int]) -> Decimal | None:
    """Return the Gini coefficient of values in ascending order, exact but for the last rounding."""
    count, total = len(values), sum(values)
    if not total:
        return None
    weighted = sum(rank * value for rank, value in enumerate(values, start=1))
    return _ratio(2 * weighted - (count + 1) * total, count * total)


def _ratio(part: int, whole: int) -> Decimal | None:
    if not whole:
        return None
    millionths = round(Fraction(part * 1_000_000, whole))  # half to even, and never a float
    exact = Context(prec=400, rounding=ROUND_HALF_EVEN)
    return Decimal(millionths).scaleb(-6, context=exact)
