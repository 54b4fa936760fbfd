"""Reconcile: whichever row of the tables that it reads is deleted, altered or copied, it is told.

Method: of a clean ledger each single row out of a list has every column altered, is deleted and is
copied, by raw SQL past every trigger and reference, and is put back afterwards. After each damage a
run without a node must not be clean, and must tell a kind that fits the table. What may pass is
listed, column by column, with the reason.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from tests import books
from tests.chain.fake_node import FakeNode
from tests.chain.living import LivingToken
from tests.entered import bring, life, take_in
from tests.onchain import SMALL

from token_ledger.core import findings as kinds
from token_ledger.errors import TokenLedgerError
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.ledger.schema import metadata
from token_ledger.migrate import migrate
from token_ledger.reconcile import reconcile
from token_ledger.seal import seal
from token_ledger.sign import sign

ENTRIES = 24
ADDED = {
    "chain_transfers": "log_index", "chain_batches": "log_index", "token_ledger": "entry_no",
    "token_imports": "entry_no",
}  # fmt: skip
"""Of which tables a copy of a row can be another row: by this number of its."""

TEXTS = {"reason", "reference_type", "reference_id", "memo", "metadata", "idempotency_key"}
CLOCKS = {"created_at", "updated_at", "redacted_at", "latest_at"}
EXCEPTIONS: dict[str, set[str]] = {
    # Texts, keys and the time of writing are no part of what a chain can say: `check` proves them.
    "token_ledger": TEXTS | CLOCKS,
    # Limits, sums and states that no transfer shows: `check` and `recalc` prove them.
    "token_accounts": CLOCKS | {
        "total_earned", "total_spent", "total_staked", "frozen_at", "closed_at", "balance_max",
        "spend_max", "spend_period", "window_start", "window_spent", "overdraft_max", "debt",
    },
    "token_supply": CLOCKS | {"total_minted", "total_burned", "credit"},
    # An account's name is its owner's, and never leaves the database; its address is compared.
    "accounts": CLOCKS | {"account_id", "derived", "escrow_of"},
    # Where a log stands in its block is the node's word: `import --again` reads it anew.
    "chain_transfers": {"log_index", "bridge"},
    "chain_batches": {"log_index"},
    "token_imports": set(),
}  # fmt: skip
FITTING: dict[str, set[str]] = {
    "token_accounts": {kinds.ACCOUNT_DRIFT},
    "token_supply": {kinds.SUPPLY_DRIFT},
    "token_batches": {kinds.HEADER_DIFFERS, kinds.MISSING_ON_CHAIN},
    "chain_batches": {kinds.HEADER_DIFFERS, kinds.MIRROR_ALTERED},
}


SEALED = {"token_ledger": {"nonce", "ref"}}
"""A sealed entry's root holds it by its id; of what the id is made, `check` and `verify` prove."""
UNSEALED = {"token_ledger": {"timestamp"}, "chain_transfers": {"tx_index"}}
"""Until it is sealed nothing commits to an entry's time: an id holds none (design, section 4). And
of a transaction with one log, nothing else in the mirror says which of its block it was."""


class Damage(NamedTuple):
    """What is done to which row: `column` None for a deletion, "+" for a copy."""

    table: str
    key: dict[str, Any]
    column: str | None

    def __str__(self) -> str:
        return f"{self.table}.{self.column or 'deleted'} of {list(self.key.values())[:2]!r:.60}"


class Hand:
    """Raw SQL on one connection, with every trigger, reference and (on SQLite) CHECK off."""

    def __init__(self, ledger: Ledger) -> None:
        self.sqlite = ledger.engine.dialect.name == "sqlite"
        self.connection: Any
        if self.sqlite:
            path = str(ledger.engine.url.database)
            self.connection = sqlite3.connect(path, isolation_level=None)
            self.run("PRAGMA foreign_keys = OFF")
            self.run("PRAGMA ignore_check_constraints = ON")
            for (name,) in self.run("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
                self.run(f"DROP TRIGGER {name}")
        else:
            url = ledger.engine.url.set(drivername="postgresql")
            self.connection = psycopg.connect(
                url.render_as_string(hide_password=False), autocommit=True
            )
            self.run("SET session_replication_role = replica")

    def run(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """Run a statement with `?` for values; return its rows, if it has any."""
        marked = statement if self.sqlite else statement.replace("?", "%s")
        cursor = self.connection.execute(marked, values)
        return cursor.fetchall() if cursor.description else []

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a table, in the order of their keys."""
        columns = [column.name for column in metadata.tables[table].columns]
        keys = ", ".join(column.name for column in metadata.tables[table].primary_key)
        found = self.run(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {keys}")
        return [dict(zip(columns, row, strict=True)) for row in found]

    def delete(self, table: str, key: dict[str, Any]) -> None:
        """Delete the row of a key."""
        where = " AND ".join(f"{name} = ?" for name in key)
        self.run(f"DELETE FROM {table} WHERE {where}", tuple(key.values()))

    def insert(self, table: str, row: dict[str, Any]) -> None:
        """Insert a row."""
        marks = ", ".join("?" for _ in row)
        self.run(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def key_of(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return the primary key of a row."""
    return {column.name: row[column.name] for column in metadata.tables[table].primary_key}


def another(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | Decimal):
        return value + 1
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1])
    return "another" if value is None else value + "x"


def damages(
    hand: Hand, rows: dict[str, list[int]], passing: dict[str, set[str]]
) -> Iterator[Damage]:
    """Yield every damage of some rows of each table."""
    for table, places in rows.items():
        found = hand.rows(table)
        for place in places:
            row = found[place]
            key = key_of(table, row)
            yield Damage(table, key, None)
            if table in ADDED:
                yield Damage(table, key, "+")
            for column, value in row.items():
                excepted = EXCEPTIONS.get(table, set()) | passing.get(table, set())
                if column not in excepted and value is not None:
                    yield Damage(table, key, column)


@contextmanager
def damaged(hand: Hand, damage: Damage) -> Iterator[bool]:
    """Do a damage, and undo it; yields whether the database let it happen."""
    [row] = [row for row in hand.rows(damage.table) if key_of(damage.table, row) == damage.key]
    now = dict(row)
    if damage.column == "+":
        now[ADDED[damage.table]] += 1000
        if "id" in now:
            now |= {"id": another(now["id"]), "nonce": another(now["nonce"])}
    elif damage.column is not None:
        now[damage.column] = another(row[damage.column])
    if damage.column != "+":
        hand.delete(damage.table, damage.key)
    done = True
    try:
        if damage.column is not None:
            hand.insert(damage.table, now)
    except (sqlite3.IntegrityError, psycopg.IntegrityError):
        done = False
    try:
        yield done
    finally:
        if done and damage.column is not None:
            hand.delete(damage.table, key_of(damage.table, now))
        if damage.column != "+":
            hand.insert(damage.table, row)


def check(
    ledger: Ledger, hand: Hand, rows: dict[str, list[int]], passing: dict[str, set[str]]
) -> tuple[int, list[str]]:
    """Return how many damages were done, and those of which no fitting finding tells."""
    done, passed = 0, []
    for damage in damages(hand, rows, passing):
        with damaged(hand, damage) as happened:
            if not happened:  # a key of the database's own refuses it
                continue
            done += 1
            try:
                result = reconcile(ledger, record=False)
            except TokenLedgerError:  # could not be compared: exit 2, and nothing is called clean
                continue
            told = set(result.kinds)
            if not told & FITTING.get(damage.table, told):
                passed.append(str(damage))
    assert reconcile(ledger, record=False).clean
    return done, passed


def test_no_row_of_a_migrated_ledger_is_altered_unseen(
    database_url: str, tmp_path: Path, fresh_anvil: str
) -> None:
    """Entries sealed and not, headers, balances, supply, accounts and all of the mirror."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, ENTRIES)
        seal(ledger, gas_max=SMALL)
        sign(ledger, books.operator())
        migrate(ledger, fresh_anvil)
        ingest(ledger, fresh_anvil)
        books.fill(ledger, 9, seed=2)
        assert reconcile(ledger).clean
        hand = Hand(ledger)
        rows = {
            "token_ledger": [0, 12, ENTRIES - 1],
            "token_batches": [0, 1],
            "token_accounts": [1],
            "token_supply": [0],
            "accounts": [2],
            "chain_transfers": [0, 12, ENTRIES - 1],
            "chain_batches": [0, 1],
        }
        done, passed = check(ledger, hand, rows, SEALED)
        hand.connection.close()
    assert "" == "\n".join(passed)
    assert done > 80


def test_no_row_of_a_followed_ledger_is_altered_unseen(database_url: str, tmp_path: Path) -> None:
    """Imported entries, their links, the logs, balances and supply of an adopted token."""
    with (
        books.create(database_url, tmp_path) as ledger,
        FakeNode(LivingToken(life(), head=30)) as node,
    ):
        take_in(ledger, node.url)
        bring(ledger, node.url)
        assert reconcile(ledger).clean
        hand = Hand(ledger)
        rows = {
            "token_ledger": [0, 3, -1],
            "token_imports": [0, 3, -1],
            "token_accounts": [0, -1],
            "chain_transfers": [0, 1, -1],
        }
        done, passed = check(ledger, hand, rows, UNSEALED)
        hand.connection.close()
    assert "" == "\n".join(passed)
    assert done > 40
