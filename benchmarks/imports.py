"""Is the import nearly as fast as fetching and decoding alone, and is its memory flat?

A process of its own serves prepared answers. The floor asks it exactly the questions that the
import asked, one after the other over one connection, and turns each log's and header's fields into
bytes and numbers. Both run in processes of their own, by turns; so memory is each one's own peak.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import psycopg
import requests
from tests.servers import postgres_server

from benchmarks.figures import Figure, cost, rate
from benchmarks.log_server import ADDRESS
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger

LOGS_PER_BLOCK = 100
SIZES = (100_000, 1_000_000)
ROUNDS = 3


@contextmanager
def _served(logs: int) -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.log_server", str(logs // LOGS_PER_BLOCK),
         str(LOGS_PER_BLOCK)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        assert server.stdin is not None
        server.stdin.close()
        server.stdout.close()
        server.wait()


def _child(*words: str) -> dict[str, float]:
    """Return what `main` prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.imports", *words],
        check=True, capture_output=True,
    )  # fmt: skip
    return dict(orjson.loads(done.stdout))


def measure() -> list[Figure]:
    """Import 100,000 and 1,000,000 logs into SQLite, the latter into PostgreSQL as well."""
    peaks, figures = {}, []
    with tempfile.TemporaryDirectory() as name, postgres_server() as postgres:
        for logs in SIZES:
            with _served(logs) as url:
                peaks[logs] = _child("import", url, f"sqlite:///{name}/{logs}.db")["peak_mib"]
        with _served(SIZES[0]) as url:
            figures += _rates(url, Path(name), "SQLite", lambda i: f"sqlite:///{name}/s{i}.db")
            figures += _rates(
                url, Path(name), "PostgreSQL, by COPY",
                lambda i: _database(postgres, f"imported_{i}"),
            )  # fmt: skip
    small, large = peaks[SIZES[0]], peaks[SIZES[1]]
    return [
        *figures,
        cost(
            "peak memory of importing 1,000,000 logs, beside 100,000",
            ours=large, floor=small, unit="MiB", at_most=1.1,
        ),
    ]  # fmt: skip


def _database(template: str, name: str) -> str:
    admin = template.format(database="postgres").replace("+psycopg", "")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return template.format(database=name)


def _rates(url: str, directory: Path, engine: str, database: Any) -> list[Figure]:
    """Time import and floor by turns; of all rounds the middle one."""
    rounds = []
    requests.get(url, timeout=60)
    for i in range(ROUNDS):
        ours = _child("import", url, database(i))["seconds"]
        asked = directory / "asked.json"
        asked.write_bytes(requests.get(url, timeout=60).content)
        floor = _child("bare", url, str(asked))["seconds"]
        requests.get(url, timeout=60)
        rounds.append((ours, floor))
    ours, floor = sorted(rounds, key=lambda pair: pair[1] / pair[0])[len(rounds) // 2]
    return [
        rate(
            f"import {SIZES[0]:,} logs into {engine}, beside fetching and decoding alone",
            ours=SIZES[0] / ours, floor=SIZES[0] / floor, unit="logs/s", at_least=0.8,
        )
    ]  # fmt: skip


# --- in processes of their own


def _import(url: str, database: str) -> float:
    with Ledger.create(database, operator=b"\x01" * 20) as ledger:
        ledger.create_token("BEN", "Benchmark", 18)
        start = time.perf_counter()
        done = ingest(ledger, url, contract=ADDRESS, from_block=0)
        seconds = time.perf_counter() - start
    assert done.transfers == LOGS_PER_BLOCK * (done.to_block + 1)
    return seconds


def _bare(url: str, asked: str) -> float:
    session = requests.Session()
    session.trust_env = False
    bodies = [body.encode() for body in orjson.loads(Path(asked).read_bytes())]
    start = time.perf_counter()
    for body in bodies:
        answer = orjson.loads(session.post(url, data=body, timeout=60).content)
        for item in answer if isinstance(answer, list) else [answer]:
            _decode(item["result"])
    return time.perf_counter() - start


def _decode(result: Any) -> None:
    if isinstance(result, dict):
        int(result["number"], 16)
        int(result["timestamp"], 16)
        bytes.fromhex(result["hash"][2:])
        bytes.fromhex(result["parentHash"][2:])
    elif isinstance(result, list):
        for log in result:
            _, sender, receiver = log["topics"]
            bytes.fromhex(sender[26:])
            bytes.fromhex(receiver[26:])
            bytes.fromhex(log["data"][2:])
            bytes.fromhex(log["blockHash"][2:])
            bytes.fromhex(log["transactionHash"][2:])
            int(log["blockNumber"], 16)
            int(log["logIndex"], 16)
            int(log["transactionIndex"], 16)


def main() -> None:
    """Run one side and print its seconds and its peak memory as JSON."""
    side, url, where = sys.argv[1:]
    seconds = {"import": _import, "bare": _bare}[side](url, where)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(orjson.dumps({"seconds": seconds, "peak_mib": peak, "cpu": time.process_time()}).decode())


if __name__ == "__main__":
    main()
