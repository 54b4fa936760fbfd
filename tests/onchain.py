"""Ledgers on their way to a chain and back: what the tests of migrate, import, reconcile share."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text
from tests import books
from tests.chain.log_node import LogChain, make_log

from token_ledger.chain.rpc import Rpc
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, mirror
from token_ledger.ledger.mirror_schema import chain_batches, chain_blocks, chain_transfers
from token_ledger.reconcile import ReconcileResult, reconcile
from token_ledger.seal import seal
from token_ledger.sign import sign

ENTRIES = 60
SMALL = 200_000  # gas a batch, so that a small ledger has several
ERC20 = "0x" + "c0" * 20
TOKEN = bytes.fromhex(ERC20[2:])


def books_of(url: str, directory: Path, *, seed: int = 1, entries: int = ENTRIES) -> Ledger:
    """Return a ledger with entries, sealed in several batches and signed by its operator."""
    ledger = books.create(url, directory)
    books.fill(ledger, entries, seed=seed)
    seal(ledger, gas_max=SMALL)
    sign(ledger, books.operator())
    return ledger


def go_on(ledger: Ledger, seed: int) -> None:
    """Post, seal and sign something more."""
    books.fill(ledger, 10, seed=seed)
    seal(ledger)
    sign(ledger, books.operator())


def copy_of(ledger: Ledger, tmp_path: Path) -> Ledger:
    """Return a copy of a SQLite ledger, as a staging environment or a backup is."""
    with ledger.write() as connection:
        connection.execute(text("SELECT 1"))
    source = Path(str(ledger.engine.url.database))
    ledger.engine.dispose()  # the last connection writes the log back into the file
    shutil.copyfile(source, tmp_path / "copy.db")
    return Ledger.open(f"sqlite:///{tmp_path / 'copy.db'}", secret_file=tmp_path / "secret")


def contract_of(ledger: Ledger) -> mirror.StoredContract | None:
    """Return the contract that the ledger knows of its token."""
    with ledger.read() as connection:
        return mirror.contract_of(connection, ledger.token)


def check_on_chain(ledger: Ledger, url: str, *, entries: int) -> None:
    """Check that the chain holds each entry exactly once, and nothing else."""
    imported = ingest(ledger, url)
    result = reconcile(ledger, url)
    assert (entries, entries, []) == (imported.transfers, result.matched, result.findings)


def alter(ledger: Ledger, table: str, statement: str) -> None:
    """Alter a row behind the ledger's back, as a database's superuser can."""
    with ledger.write() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text(f"DROP TRIGGER {table}_no_update"))
        else:
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        connection.execute(text(statement))


def sql(ledger: Ledger, *statements: str, unlock: str | None = None) -> None:
    """Alter rows behind the ledger's back, as a database's superuser can.

    `X'…'` is a literal of bytes on both engines; `NUM(n)` one of a Uint256.
    """
    sqlite = ledger.engine.dialect.name == "sqlite"
    with ledger.write() as connection:
        if unlock and sqlite:
            for on in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER {unlock}_no_{on}"))
        elif unlock:
            connection.execute(text(f"ALTER TABLE {unlock} DISABLE TRIGGER USER"))
        for statement in statements:
            connection.exec_driver_sql(in_dialect(statement, sqlite=sqlite))


def in_dialect(statement: str, *, sqlite: bool) -> str:
    """Return a statement with its literals as the engine writes them."""

    def number(match: re.Match[str]) -> str:
        return f"X'{int(match[1]):064x}'" if sqlite else match[1]

    written = re.sub(r"NUM\((\d+)\)", number, statement)
    return written if sqlite else written.replace("X'", r"'\x")


def mined(rpc: Rpc, tx_hash: str) -> dict[str, Any]:
    """Return the receipt of a transaction that a node has just taken, once it is mined."""
    deadline = time.monotonic() + 30
    while (receipt := rpc.call("eth_getTransactionReceipt", [tx_hash])) is None:
        assert time.monotonic() < deadline, "the node does not mine"
        time.sleep(0.01)
    return dict(receipt)


def found(result: ReconcileResult) -> list[str]:
    """Return the kinds of a result's findings, sorted."""
    assert len(result.findings) == result.findings_total
    return sorted(finding.kind for finding in result.findings)


def mirrored(ledger: Ledger) -> dict[str, list[tuple[Any, ...]]]:
    """Return everything that the mirror holds of logs."""
    tables = (chain_transfers, chain_batches, chain_blocks)
    found = {}
    with ledger.read() as connection:
        for table in tables:
            columns = [c for c in table.c if c.name != "contract_no"]
            rows = connection.execute(select(*columns)).all()
            found[table.name] = sorted(tuple(row) for row in rows)
    return found


def count(ledger: Ledger, table: Any = chain_transfers) -> int:
    """Return how many rows a table has."""
    with ledger.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def a_chain(blocks: int = 40, **limits: int) -> LogChain:
    """Return a chain with some transfers of a foreign ERC-20 in every block."""
    logs = [
        make_log(block, i, bytes([block]) * 20, bytes([i + 100]) * 20, block * 10**i, address=ERC20)
        for block in range(blocks)
        for i in range(block % 4)
    ]
    return LogChain(logs, head=blocks + 5, **limits)
