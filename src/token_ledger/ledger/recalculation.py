"""Recalculation: every cached figure held against the entries, and what drifted put right.

Compared on one snapshot, a page at a time. What drifted is corrected in one transaction that first
takes the locks of its accounts, in order, as postings do, and recomputes under them: writers who
are at work lose nothing, and nobody ever sees a half. Prints and returns addresses, never names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, select, text, update

from token_ledger.core.progress import Progress
from token_ledger.core.types import Finding
from token_ledger.errors import DatabaseError
from token_ledger.ledger.cached import CACHES, Cache, drift
from token_ledger.ledger.cached_holds import Key, Recomputed
from token_ledger.ledger.schema import token_accounts
from token_ledger.ledger.store import chunks
from token_ledger.ledger.stores import open_store
from token_ledger.ledger.tokens import StoredToken

T = TypeVar("T")
FINDINGS_MAX = 10_000
"""So many findings are kept; further ones are counted, so that memory stays bounded."""
DRIFT = "figure_drift"
_PROGRESS_EVERY = 1_000
_CHUNK = 1_000


@dataclass(slots=True)
class Recalculation:
    """What was compared and what differed: rows of figures, of every token of the ledger.

    `findings`: one for each figure that was wrong, up to FINDINGS_MAX; `findings_total` counts all.
    After a real run they are what was corrected.
    """

    dry_run: bool
    compared: int = 0
    drifted: int = 0
    corrected: int = 0
    findings: list[Finding] = field(default_factory=list)
    findings_total: int = 0

    def add(self, found: Sequence[Finding]) -> None:
        """Count findings, and keep them while there is room."""
        self.findings_total += len(found)
        self.findings += found[: max(0, FINDINGS_MAX - len(self.findings))]

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "dry_run": self.dry_run,
            "compared": self.compared,
            "drifted": self.drifted,
            "corrected": self.corrected,
            "findings": [finding.to_json() for finding in self.findings],
            "findings_total": self.findings_total,
        }


Drifted = dict[str, list[Key]]
"""The keys of the rows that drifted, by the name of their table."""


def recalculate(
    tokens: Sequence[StoredToken],
    *,
    read: Callable[[], AbstractContextManager[Connection]],
    run: Callable[[Callable[[Connection], list[Finding]]], list[Finding]],
    dry_run: bool,
    progress: Progress,
) -> Recalculation:
    """Compare the figures of some tokens and, unless `dry_run`, correct them.

    `read` and `run` are a ledger's own. Raises DatabaseError for entries that add up to no figure
    at all (below zero), which only `check` can explain, and where the role may not correct.
    """
    result = Recalculation(dry_run)
    for token in tokens:
        with read() as connection:
            drifted = _compare(connection, token, result, progress)
        if not drifted or dry_run:
            continue

        def work(
            connection: Connection, token: StoredToken = token, drifted: Drifted = drifted
        ) -> list[Finding]:
            return _correct(connection, token, drifted)

        found = run(work)
        result.corrected += len({_subject(f) for f in found})
    return result


def findings(token: StoredToken, cache: Cache, row: Recomputed) -> list[Finding]:
    """Return a finding for each figure of a row that is not what the entries say."""
    return [
        Finding(
            DRIFT,
            f"{name} is not what the entries say: it was changed without an entry; the entries"
            " are right, the figure is not",
            {
                "token": token.symbol,
                "table": cache.table.name,
                **row.subject,
                "figure": name,
                "stored": None if stored is None else str(stored),
                "computed": None if right is None else str(right),
            },
        )
        for name, (stored, right) in drift(row).items()
    ]


def _subject(finding: Finding) -> tuple[object, ...]:
    return tuple(finding.details.get(name) for name in ("table", "address", "hold", "subject"))


def _compare(
    connection: Connection, token: StoredToken, result: Recalculation, progress: Progress
) -> Drifted:
    drifted: Drifted = {}
    for cache in CACHES:
        for row in cache.rows(connection, token, None):
            result.compared += 1
            found = findings(token, cache, row)
            if found:
                result.drifted += 1
                result.add(found)
                drifted.setdefault(cache.table.name, []).append(row.key)
            if result.compared % _PROGRESS_EVERY == 0:
                progress("recalc", result.compared, None)
    return drifted


def _correct(connection: Connection, token: StoredToken, drifted: Drifted) -> list[Finding]:
    """Correct what still drifts once its locks are held; return what was put right."""
    chosen = [(cache, drifted[cache.table.name]) for cache in CACHES if cache.table.name in drifted]
    store = open_store(connection, token.token_no)
    numbers = set().union(*(cache.accounts(connection, token, keys) for cache, keys in chosen))
    for part in chunks(sorted(numbers), _CHUNK):
        store.lock_accounts(part, now=None)  # makes the rows that are missing
    if any(cache.supply for cache, _ in chosen):
        store.lock_supply()
    corrected: list[Finding] = []
    for cache, keys in chosen:
        rows = [row for row in cache.rows(connection, token, keys) if drift(row)]
        for row in rows:
            corrected += findings(token, cache, row)
        if rows and cache.write is not None:
            cache.write(connection, token, rows)
        elif rows:
            _write(connection, token, cache, rows)
    return corrected


def _write(
    connection: Connection, token: StoredToken, cache: Cache, rows: Sequence[Recomputed]
) -> None:
    for row in rows:
        for name, value in row.right.items():
            if value is not None and value < 0:
                raise DatabaseError(
                    f"the entries give {cache.table.name}.{name} of {row.subject or token.symbol}"
                    f" as {value}: they were altered themselves",
                    hint="run `check`, and compare with an export or a backup",
                )
    table = cache.table
    statement = (
        update(table)
        .where(table.c.token_no == token.token_no)
        .where(*(table.c[name] == bindparam(f"key_{name}") for name in cache.key))
        .values({name: bindparam(f"new_{name}") for name in rows[0].right})
    )
    lifted = _overdrafts_lifted(connection, token, rows if table is token_accounts else ())
    with _unguarded(connection, table.name, cache.guards), lifted:
        for part in chunks(rows, _CHUNK):
            connection.execute(
                statement,
                [
                    {
                        **{f"key_{n}": v for n, v in zip(cache.key, row.key, strict=True)},
                        **{f"new_{name}": value for name, value in row.right.items()},
                    }
                    for row in part
                ],
            )


@contextmanager
def _overdrafts_lifted(
    connection: Connection, token: StoredToken, rows: Sequence[Recomputed]
) -> Iterator[None]:
    """Let a debt be put back that is above the limit of today: it was drawn under an earlier one.

    In the transaction that holds the accounts' locks: nobody else ever sees another limit.
    """
    table = token_accounts.c
    right = {row.key[0]: row.right["debt"] or 0 for row in rows}
    kept: dict[int, int | None] = {}
    for part in chunks(sorted(right), _CHUNK):
        stored = connection.execute(
            select(table.account_no, table.debt, table.overdraft_max).where(
                table.token_no == token.token_no, table.account_no.in_(part)
            )
        )
        kept |= {no: most for no, debt, most in stored if right[no] > max(debt, most or 0)}

    def limit(values: dict[int, int | None]) -> None:
        for account_no, most in values.items():
            connection.execute(
                update(token_accounts)
                .where(table.token_no == token.token_no, table.account_no == account_no)
                .values(overdraft_max=most)
            )

    limit({account_no: right[account_no] for account_no in kept})
    yield
    limit(kept)


@contextmanager
def _unguarded(connection: Connection, table: str, triggers: Sequence[str]) -> Iterator[None]:
    """Let a correction pass that triggers refuse to everybody else; the owner alone may.

    In the transaction: nobody else ever finds the table without its guards.
    """
    if connection.dialect.name == "postgresql":
        for name in triggers:
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER {name}"))
        yield
        for name in triggers:
            connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER {name}"))
        return
    texts: list[Any] = [
        connection.execute(
            text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = :name"),
            {"name": name},
        ).scalar()
        for name in triggers
    ]
    for name, found in zip(triggers, texts, strict=True):
        if found is not None:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
    yield
    for found in texts:
        if found is not None:
            connection.exec_driver_sql(found)
