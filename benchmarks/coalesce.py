"""How much faster is one shared commit than a lock per posting, and how near to bare batches?

PostgreSQL, one hot account in every posting, 64 callers. The peer is what applications do today:
SELECT … FOR UPDATE of both rows, two UPDATEs and one INSERT, one transaction a posting, on tables
with the same columns and indexes. The floor: the same rows by `post_many`, a hundred a commit.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from tests import servers

from benchmarks.figures import Figure, rate, seconds
from token_ledger.core.types import Record, Texts
from token_ledger.ledger import Ledger

CALLERS = 64
ACCOUNTS = 200
COALESCED = 12_800
INTERACTIVE = 1_280
BATCH = 100
_PEER = """
CREATE TABLE peer_account (id BIGINT PRIMARY KEY, balance NUMERIC NOT NULL CHECK (balance >= 0));
CREATE TABLE peer_entry (LIKE token_ledger INCLUDING DEFAULTS INCLUDING INDEXES);
INSERT INTO peer_account SELECT n, 1000000000000 FROM generate_series(0, 200) n;
"""
_ENTRY = (
    "INSERT INTO peer_entry SELECT %s, token_no, sha256(%s::bytea), timestamp, from_account,"
    " to_account, amount, reason, reference_type, reference_id, memo, metadata, idempotency_key,"
    " sha256(%s::bytea), ref, balance_after_from, balance_after_to, supply_after, created_at,"
    " redacted_at FROM token_ledger WHERE entry_no = (SELECT min(entry_no) FROM token_ledger)"
)


def _record(run: str, number: int) -> Record:
    payer = f"player{number % ACCOUNTS}"
    return Record(payer, "hot", 1, Texts(reason="play"), f"{run}:{number}")


def _interactive(url: str) -> float:
    def caller(first: int) -> None:
        with psycopg.connect(url) as connection:
            for number in range(first, INTERACTIVE, CALLERS):
                connection.execute(
                    "SELECT balance FROM peer_account WHERE id = ANY(%s) ORDER BY id FOR UPDATE",
                    ([0, 1 + number % ACCOUNTS],),
                ).fetchall()
                for change, account in ((1, 0), (-1, 1 + number % ACCOUNTS)):
                    connection.execute(
                        "UPDATE peer_account SET balance = balance + %s WHERE id = %s",
                        (change, account),
                    )
                key = f"{number}".encode()
                connection.execute(_ENTRY, (10_000_000 + number, key, key))
                connection.commit()

    with ThreadPoolExecutor(CALLERS) as pool:
        return INTERACTIVE / seconds(lambda: list(pool.map(caller, range(CALLERS))))


def _coalesced(ledger: Ledger, run: str) -> float:
    with ledger.coalesced() as fast, ThreadPoolExecutor(CALLERS) as pool:

        def caller(first: int) -> None:
            for number in range(first, COALESCED, CALLERS):
                fast.post_many([_record(run, number)])

        return COALESCED / seconds(lambda: list(pool.map(caller, range(CALLERS))))


def _batches(ledger: Ledger, run: str) -> float:
    records = [_record(run, number) for number in range(COALESCED)]

    def post() -> None:
        for start in range(0, COALESCED, BATCH):
            ledger.post_many(records[start : start + BATCH])

    return COALESCED / seconds(post)


def measure() -> list[Figure]:
    """Measure the three in turn, three times; compare the medians."""
    with tempfile.TemporaryDirectory() as name, servers.postgres_server() as server:
        admin = server.format(database="postgres").replace("+psycopg", "")
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute("CREATE DATABASE bench")
        url = server.format(database="bench")
        secret = Path(name) / "secret"
        with Ledger.create(url, operator=b"\x11" * 20, secret_file=secret) as ledger:
            ledger.create_token("BEN", "Benchmark", 0)
            ledger.create_account("hot")
            for number in range(ACCOUNTS):
                ledger.create_account(f"player{number}", initial_balance=10**9)
            plain = url.replace("+psycopg", "")
            with psycopg.connect(plain) as connection:
                connection.execute(_PEER)
            rates = []
            for run in ("a", "b", "c"):
                with psycopg.connect(plain) as connection:
                    connection.execute("TRUNCATE peer_entry")
                rates.append(
                    (
                        _interactive(plain),
                        _coalesced(ledger, f"one{run}"),
                        _batches(ledger, f"all{run}"),
                    )
                )
    peer, ours, floor = (sorted(column)[1] for column in zip(*rates, strict=True))
    return [
        rate(
            "64 callers, one hot account: coalesced against SELECT FOR UPDATE (PostgreSQL)",
            ours=ours, floor=peer, unit="postings/s", at_least=10,
        ),
        rate(
            "64 callers: coalesced against bare batches of 100 (PostgreSQL)",
            ours=ours, floor=floor, unit="postings/s", at_least=0.6,
        ),
    ]  # fmt: skip
