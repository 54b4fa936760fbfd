"""Do reads grow with history? The same questions of 10,000 and of 1,000,000 entries, both engines.

The same two hundred accounts and their escrows, so that only the history differs; each question is
asked of one ledger and the other in turn, of chance accounts and moments, and the fastest tenth of
the answers are compared: what else the machine does only adds. PostgreSQL has looked at its tables
(VACUUM ANALYZE), as it does by itself in the end. What `stats` adds up the first time is a figure
of its own: it is done once for each entry.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from tests import servers

from benchmarks.figures import Figure, cost
from token_ledger.ledger import Ledger
from token_ledger.load import load
from token_ledger.sample import write_sample

SMALL = 10_000
LARGE = 1_000_000
ACCOUNTS = 200
RUNS = 150
_START = dt.datetime(2025, 1, 6, 9, tzinfo=dt.UTC)
_SECONDS = 3_000  # between two entries of the sample, about

Question = Callable[[Ledger, random.Random, int], object]


def _account(chance: random.Random) -> str:
    return f"researcher-{chance.randrange(ACCOUNTS):03d}"


def _moment(chance: random.Random, entries: int) -> dt.datetime:
    return _START + dt.timedelta(seconds=_SECONDS * chance.randrange(entries))


QUESTIONS: dict[str, Question] = {
    "balance": lambda ledger, chance, _: ledger.get_balance(_account(chance)),
    "statement, 50 entries": lambda ledger, chance, _: ledger.get_statement(_account(chance)),
    "statement by reason, 10": lambda ledger, chance, _: ledger.get_statement(
        _account(chance), reason="tip", limit=10
    ),
    "statement of a month": lambda ledger, chance, n: ledger.get_statement(
        _account(chance), since=(at := _moment(chance, n)), until=at + dt.timedelta(days=30)
    ),
    "balance after an entry": lambda ledger, chance, n: ledger.get_balance_at(
        _account(chance), entry=chance.randrange(1, n + 1)
    ),
    "balance at a time": lambda ledger, chance, n: ledger.get_balance_at(
        _account(chance), time=_moment(chance, n)
    ),
    "supply": lambda ledger, _chance, _: ledger.get_supply(),
    "stats": lambda ledger, _chance, _: ledger.get_statistics("2025-02-01", "2025-03-03"),
}


@contextlib.contextmanager
def _ledgers(directory: Path, kind: str) -> Iterator[list[tuple[int, Ledger]]]:
    """Yield a small and a large ledger on one engine."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(servers.postgres_server()) if kind == "PostgreSQL" else ""
        made = []
        for rows in (SMALL, LARGE):
            source = directory / f"{rows}.csv"
            if not source.exists():
                write_sample(source, rows=rows, accounts=ACCOUNTS)
            url = f"sqlite:///{directory / f'{rows}.db'}"
            if server:
                admin = server.format(database="postgres").replace("+psycopg", "")
                with psycopg.connect(admin, autocommit=True) as connection:
                    connection.execute(f"CREATE DATABASE reads_{rows}")
                url = server.format(database=f"reads_{rows}")
            ledger = stack.enter_context(
                Ledger.create(url, operator=b"\x11" * 20, secret_file=directory / f"{kind}{rows}")
            )
            ledger.create_token("BEN", "Benchmark", 18)
            load(ledger, source, create_accounts=True)
            if server:
                with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
                    connection.execute("VACUUM ANALYZE")
            made.append((rows, ledger))
        yield made


def _milliseconds(ledger: Ledger, ask: Question, chance: random.Random, rows: int) -> float:
    start = time.perf_counter()
    ask(ledger, chance, rows)
    return 1000 * (time.perf_counter() - start)


def _compare(kind: str, ledgers: list[tuple[int, Ledger]]) -> list[Figure]:
    figures = []
    first = [
        _milliseconds(ledger, QUESTIONS["stats"], random.Random(1), rows)
        for rows, ledger in ledgers
    ]
    for name, ask in QUESTIONS.items():
        times: dict[int, list[float]] = {SMALL: [], LARGE: []}
        chance = random.Random(2)
        for _ in range(RUNS):
            for rows, ledger in ledgers:
                times[rows].append(_milliseconds(ledger, ask, chance, rows))
        small, large = (statistics.quantiles(times[rows], n=10)[0] for rows in (SMALL, LARGE))
        figures.append(cost(f"{name} ({kind})", ours=large, floor=small, unit="ms", at_most=1.5))
    figures.append(
        Figure(
            f"stats for the first time ({kind})", f"{first[1]:,.0f} ms", f"{first[0]:,.0f} ms",
            None, "once an entry", None,
        )
    )  # fmt: skip
    return figures


def measure() -> list[Figure]:
    """Build the ledgers on each engine, and ask."""
    figures = []
    with tempfile.TemporaryDirectory() as name:
        for kind in ("SQLite", "PostgreSQL"):
            with _ledgers(Path(name), kind) as ledgers:
                figures += _compare(kind, ledgers)
    return figures
