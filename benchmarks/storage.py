"""How many bytes does an entry take, with every index and all that is kept beside it?

Ours: the whole database after 100,000 entries, by its size on disk. Beside it the same rows in a
plain table with the same columns and a primary key, and in one with the same indexes too.
"""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import psycopg
from tests import servers

from benchmarks.figures import Figure, cost
from benchmarks.load import BARE
from token_ledger.ledger import Ledger
from token_ledger.load import load
from token_ledger.sample import write_sample

ROWS = 100_000


def _fill(url: str, source: Path, secret: Path) -> None:
    with Ledger.create(url, operator=b"\x11" * 20, secret_file=secret) as ledger:
        ledger.create_token("BEN", "Benchmark", 18)
        load(ledger, source, create_accounts=True)
        ledger.get_statistics()


def _sqlite(directory: Path, source: Path) -> tuple[int, int, int]:
    ours = directory / "ours.db"
    _fill(f"sqlite:///{ours}", source, directory / "secret")
    with sqlite3.connect(ours) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    sizes = [ours.stat().st_size]
    table, _, indexes = BARE.partition(";")
    plain = table.replace("BLOB UNIQUE", "BLOB").replace(", UNIQUE (token_no, nonce)", "")
    for name, schema in (("plain", plain), ("indexed", f"{table};{indexes}")):
        path = directory / f"{name}.db"
        with sqlite3.connect(path) as connection:
            connection.executescript(schema)
            connection.execute("ATTACH ? AS ours", (str(ours),))
            connection.execute("INSERT INTO bare SELECT * FROM ours.token_ledger ORDER BY entry_no")
        connection.close()
        sizes.append(path.stat().st_size)
    return sizes[0], sizes[1], sizes[2]


def _postgresql(directory: Path, source: Path) -> tuple[int, int, int]:
    with servers.postgres_server() as server:
        admin = server.format(database="postgres").replace("+psycopg", "")
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute("CREATE DATABASE storage")
        url = server.format(database="storage")
        _fill(url, source, directory / "secret.pg")
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            ours = connection.execute(
                "SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
                " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
            ).fetchone()
            connection.execute("CREATE TABLE plain (LIKE token_ledger, PRIMARY KEY (entry_no))")
            connection.execute("CREATE TABLE indexed (LIKE token_ledger INCLUDING INDEXES)")
            sizes = [int(ours[0])]
            for name in ("plain", "indexed"):
                connection.execute(f"INSERT INTO {name} SELECT * FROM token_ledger")
                found = connection.execute(f"SELECT pg_total_relation_size('{name}')").fetchone()
                sizes.append(int(found[0]))
    return sizes[0], sizes[1], sizes[2]


def measure() -> list[Figure]:
    """Load 100,000 entries on each engine, and weigh."""
    figures = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        source = directory / "rows.csv"
        write_sample(source, rows=ROWS, accounts=1_000)
        for kind, weigh in (("SQLite", _sqlite), ("PostgreSQL", _postgresql)):
            ours, plain, indexed = (size / ROWS for size in weigh(directory, source))
            for peer, size, most in (
                ("a plain table", plain, 3),
                ("one with indexes", indexed, 1.25),
            ):
                figures.append(
                    cost(
                        f"an entry, and beside {peer} of the same columns ({kind})",
                        ours=ours, floor=size, unit="bytes", at_most=most,
                    )
                )  # fmt: skip
    return figures
