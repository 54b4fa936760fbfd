"""One process of a crowd: posts among few accounts, then races the others for the same prizes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

from tests.reliability.forking import end_with_parent

from token_ledger.errors import (
    EarningCapError,
    HoldError,
    InsufficientBalanceError,
    ReversalError,
)
from token_ledger.ledger import Ledger, Posted

PROCESSES = 16
PEOPLE = ("a", "b", "c", "d", "e")
HELD, TAKEN = 10, 3
"""Each hold keeps 10, and every process tries to capture 3 of it."""
LISTED = {"spend": 3, "credit": 3, "key": 1}
"""Kinds of races that are run in lists, each item for itself, and how many of all may win one."""
SINGLE = {"capture": 3, "end": 1, "reverse": 1, "award": 3}
"""The kinds that are run one by one."""
LIST_MAX = 60
WAIT_S = 600


@dataclass(frozen=True)
class Prize:
    """What all processes go for, each at the same moment: ids of holds and of an entry."""

    number: int
    hold: str
    ending: str
    entry: str


@dataclass
class Won:
    """What a process came to: races by kind and number, the ids that one key gave, and counts."""

    races: list[tuple[str, int]]
    ids: list[tuple[int, bytes]]
    counts: Counter[str]


def main(  # one argument a thing that a process is given
    url: str,
    secret_file: str,
    seed: int,
    count: int,
    prizes: Sequence[Prize],
    gate: Barrier,
    say: Connection,
) -> None:
    """Post until `count` entries have landed, then take part in every race; say what was won."""
    end_with_parent()
    won = Won([], [], Counter())
    with Ledger.open(url, secret_file=secret_file) as ledger:
        gate.wait(WAIT_S)
        traffic(ledger, random.Random(seed), count, won.counts)
        for kind in LISTED:
            gate.wait(WAIT_S)
            for start in range(0, len(prizes), LIST_MAX):
                race_in_a_list(ledger, kind, prizes[start : start + LIST_MAX], won)
        for kind in SINGLE:
            gate.wait(WAIT_S)
            for prize in prizes:
                if race(ledger, kind, prize, seed):
                    won.races.append((kind, prize.number))
    say.send(won)


def traffic(ledger: Ledger, chance: random.Random, count: int, counts: Counter[str]) -> None:
    """Post singly, in rings of three that cross, and in long lists, until so many have landed."""
    while counts["entries"] < count:
        legs = []
        for _ in range(chance.choice((1, 1, 1, 1, LIST_MAX))):
            one, two, three = chance.sample([*PEOPLE, "system"], 3)
            legs += (
                [(one, two)] if chance.random() < 0.7 else [(one, two), (two, three), (three, one)]
            )
        records = [ledger.record(*leg, chance.randint(1, 3), reason="x") for leg in legs]
        try:
            ledger.post_many(records)
        except InsufficientBalanceError:
            counts["refused"] += 1
        else:
            counts["entries"] += len(records)
            counts["commits"] += 1


def race_in_a_list(ledger: Ledger, kind: str, prizes: Sequence[Prize], won: Won) -> None:
    """Go for a prize with each item of a list; note what was won, and the ids of shared keys."""
    records = []
    for prize in prizes:
        sides = {
            "spend": f"prize{prize.number}",
            "credit": f"debtor{prize.number}",
            "key": "system",
        }
        key = f"shared:{prize.number}" if kind == "key" else None
        records.append(ledger.record(sides[kind], "b", 1, reason="x", idempotency_key=key))
    for prize, result in zip(prizes, ledger.post_many(records, atomic=False), strict=True):
        if isinstance(result, Posted):
            if kind == "key":
                won.ids.append((prize.number, result.id))
            if not result.repeated:
                won.races.append((kind, prize.number))
        else:
            assert isinstance(result, InsufficientBalanceError)


def race(ledger: Ledger, kind: str, prize: Prize, seed: int) -> bool:
    """Take part in a race; return whether it was won."""
    n = prize.number
    ends: tuple[Callable[[], object], ...] = (
        lambda: ledger.release(prize.ending),
        lambda: ledger.capture(prize.ending, to=f"payee{n}"),
    )
    work: dict[str, Callable[[], object]] = {
        "capture": lambda: ledger.capture(prize.hold, TAKEN, to=f"payee{n}"),
        "end": ends[seed % 2],
        "reverse": lambda: ledger.reverse(prize.entry),
        "award": lambda: ledger.award(f"payee{n}", "race"),
    }
    try:
        work[kind]()
    except (HoldError, ReversalError, EarningCapError):
        return False
    return True
