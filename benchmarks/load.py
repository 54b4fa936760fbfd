"""How near does `load` come to bare `executemany` of the very same rows?

The floor: the rows that `load` made, inserted by the standard library into a table with the same
columns, keys and indexes, in one commit, by one prepared statement; no CSV, no checks, no hashes.
"""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

from benchmarks.figures import Figure, rate, seconds
from token_ledger.ledger import Ledger
from token_ledger.load import load
from token_ledger.sample import write_sample

ROWS = 100_000
RUNS = 3
BARE = """
CREATE TABLE bare (
    entry_no INTEGER PRIMARY KEY, token_no INTEGER, id BLOB UNIQUE, timestamp INTEGER,
    from_account INTEGER, to_account INTEGER, amount BLOB, reason TEXT, reference_type TEXT,
    reference_id TEXT, memo TEXT, metadata TEXT, idempotency_key TEXT, nonce BLOB, ref BLOB,
    balance_after_from BLOB, balance_after_to BLOB, supply_after BLOB, created_at INTEGER,
    redacted_at INTEGER, UNIQUE (token_no, nonce)
);
CREATE INDEX bare_by_entry ON bare (token_no, entry_no);
CREATE INDEX bare_by_from ON bare (token_no, from_account, entry_no);
CREATE INDEX bare_by_to ON bare (token_no, to_account, entry_no);
CREATE INDEX bare_by_time ON bare (token_no, timestamp, entry_no);
CREATE INDEX bare_by_reason ON bare (token_no, reason, entry_no);
"""


def _load(directory: Path, source: Path, run: int) -> float:
    url = f"sqlite:///{directory / f'ours{run}.db'}"
    with Ledger.create(url, operator=b"\x11" * 20) as ledger:
        ledger.create_token("BEN", "Benchmark", 18)
        return seconds(lambda: load(ledger, source, create_accounts=True))


def _insert(directory: Path, run: int) -> float:
    ours = sqlite3.connect(directory / f"ours{run}.db")
    rows = ours.execute("SELECT * FROM token_ledger ORDER BY entry_no").fetchall()
    ours.close()
    bare = sqlite3.connect(directory / f"bare{run}.db", isolation_level=None)
    bare.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + BARE)

    def insert() -> None:
        bare.execute("BEGIN IMMEDIATE")
        bare.executemany(f"INSERT INTO bare VALUES ({', '.join('?' * len(rows[0]))})", rows)
        bare.execute("COMMIT")

    took = seconds(insert)
    bare.close()
    return took


def measure() -> list[Figure]:
    """Load 100,000 rows of CSV, then insert the same rows bare; the middle pair of three."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        source = directory / "rows.csv"
        write_sample(source, rows=ROWS, accounts=1_000)
        pairs = [(_load(directory, source, run), _insert(directory, run)) for run in range(RUNS)]
    ours, floor = sorted(pairs, key=lambda pair: pair[1] / pair[0])[len(pairs) // 2]
    return [
        rate(
            "load 100,000 rows of CSV into SQLite",
            ours=ROWS / ours,
            floor=ROWS / floor,
            unit="rows/s",
            at_least=0.5,
        )
    ]
