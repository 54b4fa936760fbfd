"""What does reconcile cost beyond the bare join of its tables, and does memory stay flat?

Books against mirror, on SQLite and PostgreSQL, each in a process of its own so that its peak memory
is its own. The floor: one statement that joins the two tables by `seq` and compares the amounts,
nothing else. `TOKEN_LEDGER_BENCH_ROWS=1000000` measures a million; the table keeps 300,000.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from tests import servers

from benchmarks.figures import Figure, peak_memory_mib, seconds
from token_ledger.ledger import Ledger
from token_ledger.load import load
from token_ledger.reconcile import reconcile
from token_ledger.sample import write_sample
from token_ledger.seal import seal

ROWS = int(os.environ.get("TOKEN_LEDGER_BENCH_ROWS", "300000"))
ACCOUNTS = 1_000
BEYOND_S = 10.0
GROWTH_MIB = 32
_JOIN = """
SELECT count(*) FROM (
    SELECT row_number() OVER (ORDER BY entry_no) - 1 AS seq, amount FROM token_ledger
) AS entry {join}
    ON t.contract_no = 1 AND t.seq = entry.seq AND t.value = entry.amount
"""
_WAY = {  # SQLite by itself takes the worse of two indexes
    "sqlite": "CROSS JOIN chain_transfers t INDEXED BY chain_transfers_by_seq",
    "postgresql": "JOIN chain_transfers t",
}
_HASH = {"sqlite": "X'" + "11" * 32 + "'", "postgresql": "decode(repeat('11', 32), 'hex')"}
_MIRROR = """
INSERT INTO chain_contracts (contract_no, chain_id, address, token_no, block_number, created_at)
    SELECT 1, 1, (SELECT address FROM accounts WHERE account_no = 1), 1, 0, 0;
INSERT INTO chain_cursors (contract_no, next_block, last_block_hash, updated_at)
    SELECT 1, max(number) + 1, {hash}, 0 FROM token_batches;
INSERT INTO chain_blocks (chain_id, hash, number, parent_hash, timestamp)
    SELECT 1, digest, number, parent, 0 FROM token_batches;
INSERT INTO chain_batches (contract_no, block_hash, log_index, block_number, tx_hash, number,
        digest, entries_root, first_seq, count)
    SELECT 1, digest, 0, number, digest, number, digest, entries_root, first_seq, count
    FROM token_batches;
INSERT INTO chain_transfers (contract_no, block_hash, log_index, block_number, tx_hash, tx_index,
        from_address, to_address, value, seq)
    SELECT 1, b.digest, e.seq, b.number, b.digest, 0, s.address, r.address, e.amount, e.seq
    FROM (SELECT row_number() OVER (ORDER BY entry_no) - 1 AS seq, entry_no, from_account,
            to_account, amount FROM token_ledger) e
    JOIN token_batches b ON b.token_no = 1 AND b.last_entry_no = (SELECT min(c.last_entry_no)
        FROM token_batches c WHERE c.token_no = 1 AND c.last_entry_no >= e.entry_no)
    JOIN accounts s ON s.account_no = e.from_account
    JOIN accounts r ON r.account_no = e.to_account;
"""


def _fill(url: str, source: Path) -> None:
    """Make a ledger of a file's rows, sealed, and a mirror that agrees with it."""
    with Ledger.create(url, operator=b"\x11" * 20) as ledger:
        ledger.create_token("BEN", "Benchmark", 18)
        load(ledger, source, create_accounts=True)
        seal(ledger)
        for statement in _MIRROR.format(hash=_HASH[ledger.engine.dialect.name]).split(";\n"):
            if statement.strip():
                with ledger.write() as connection:
                    connection.exec_driver_sql(statement)


def _compare(url: str) -> dict[str, float]:
    """Reconcile, then join: seconds and MiB of this process."""
    with Ledger.open(url) as ledger:
        results = []
        ours = seconds(lambda: results.append(reconcile(ledger)))
        memory = peak_memory_mib()
        join = _JOIN.format(join=_WAY[ledger.engine.dialect.name])
        with ledger.read() as connection:
            joined = seconds(lambda: connection.exec_driver_sql(join).scalar())
        assert results[0].clean
        assert results[0].matched == results[0].entries
        return {"ours": ours, "join": joined, "memory": memory, "rows": results[0].entries}


def _in_its_own(url: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.reconcile", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout)
    return told


@contextmanager
def _databases(directory: Path, count: int) -> Iterator[list[tuple[str, list[str]]]]:
    """Yield the URLs of empty databases, by engine."""
    with servers.postgres_server() as template:
        admin = template.format(database="postgres").replace("+psycopg", "")
        with psycopg.connect(admin, autocommit=True) as connection:
            for number in range(count):
                connection.execute(f"CREATE DATABASE bench_{number}")
        yield [
            ("SQLite", [f"sqlite:///{directory / f'{n}.db'}" for n in range(count)]),
            ("PostgreSQL", [template.format(database=f"bench_{n}") for n in range(count)]),
        ]


def measure() -> list[Figure]:
    """Fill two ledgers on each engine, one ten times the other; compare each in a new process."""
    figures: list[Figure] = []
    sizes = (ROWS // 10, ROWS)
    with tempfile.TemporaryDirectory() as name, _databases(Path(name), 2) as databases:
        for size in sizes:
            write_sample(Path(name) / f"{size}.csv", rows=size, accounts=ACCOUNTS)
        for engine, urls in databases:
            told = []
            for size, url in zip(sizes, urls, strict=True):
                _fill(url, Path(name) / f"{size}.csv")
                told.append(_in_its_own(url))
            figures += _figures(engine, *told)
    return figures


def _figures(engine: str, small: dict[str, float], large: dict[str, float]) -> list[Figure]:
    rows = large["rows"]
    beyond = (large["ours"] - large["join"]) * 1_000_000 / rows
    grown = large["memory"] - small["memory"]
    return [
        Figure(
            f"reconcile {rows:,} × {rows:,}, {engine}: the bare join",
            f"{large['ours']:.2f} s",
            f"{large['join']:.2f} s",
            large["ours"] / large["join"],
            "",
            None,
        ),
        Figure(
            f"beyond the join, a million, {engine}",
            f"{beyond:.1f} s",
            "",
            None,
            f"≤ {BEYOND_S:g} s",
            beyond <= BEYOND_S,
        ),
        Figure(
            f"peak memory, {rows:,} beside {small['rows']:,}, {engine}",
            f"{large['memory']:.0f} MiB",
            f"{small['memory']:.0f} MiB",
            large["memory"] / small["memory"],
            f"+ {GROWTH_MIB} MiB at most",
            grown <= GROWTH_MIB,
        ),
    ]


if __name__ == "__main__":
    print(json.dumps(_compare(sys.argv[1])))
