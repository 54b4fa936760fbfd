"""One process of a crowd: posts among few accounts, races the others, says what it won as JSON."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from token_ledger.errors import HoldError, InsufficientBalanceError, ReversalError
from token_ledger.ledger import Ledger

PEOPLE = ("a", "b", "c", "d", "e")
RACES = 6
"""So many prizes of each kind that every process goes for."""
HELD, TAKEN = 10, 3
"""Each hold keeps 10, and every process tries to capture 3 of it."""


def races(seed: int, holds: list[str], entries: list[str]) -> list[tuple[str, Any]]:
    """Return the races of a process, in an order of its own."""
    found: list[tuple[str, Any]] = [("spend", n) for n in range(RACES)]
    found += [("capture", hold) for hold in holds]
    found += [("reverse", entry) for entry in entries]
    found += [("same key", n) for n in range(RACES)]
    random.Random(seed).shuffle(found)
    return found


def race(ledger: Ledger, kind: str, what: Any) -> bool:
    """Take part in a race; return whether it was won."""
    if kind == "same key":
        words = {"reason": "x", "idempotency_key": f"shared:{what}"}
        return not ledger.mint("a", 1, **words).repeated  # type: ignore[arg-type]
    work: Callable[[], object] = {
        "spend": lambda: ledger.spend(f"prize{what}", 1, to="b", reason="x"),
        "capture": lambda: ledger.capture(what, TAKEN, to="c"),
        "reverse": lambda: ledger.reverse(what),
    }[kind]
    try:
        work()
    except (InsufficientBalanceError, HoldError, ReversalError):
        return False
    return True


def main(url: str, secret_file: str, seed: str, count: str) -> None:
    """Post `count` entries or lists, a race after every few of them."""
    chance = random.Random(int(seed))
    won: Counter[str] = Counter()
    document = json.loads(sys.stdin.read())
    going = races(int(seed), document["holds"], document["entries"])
    every = max(1, int(count) // (len(going) + 1))
    with Ledger.open(url, secret_file=secret_file) as ledger:
        posted = 0
        while posted < int(count) or going:
            if going and (posted >= int(count) or posted % every == 0):
                kind, what = going.pop()
                won[kind] += race(ledger, kind, what)
            sides = chance.sample([*PEOPLE, "system"], 3)
            legs = [(sides[0], sides[1])]
            if chance.random() < 0.25:  # crossings: lists whose legs come in any order
                legs = [(sides[0], sides[1]), (sides[1], sides[2]), (sides[2], sides[0])]
            records = [ledger.record(*leg, chance.randint(1, 3), reason="x") for leg in legs]
            try:
                ledger.post_many(records)
                won["entries"] += len(records)
            except InsufficientBalanceError:
                won["refused"] += 1
            posted += 1
    sys.stdout.write(json.dumps(won))


if __name__ == "__main__":
    main(*sys.argv[1:])
