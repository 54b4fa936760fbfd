"""Runs of `reconcile` and the findings that they saw, as the database keeps them.

A finding has one row, which every run that sees it brings up to date; runs are only added. What was
acknowledged is `acknowledged`'s. Compares nothing: `token_ledger.reconcile` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, insert, or_, select, text, update

from token_ledger.core.acknowledgement import Acknowledged
from token_ledger.core.comparison import FINDINGS_MAX, Point, ReconcileResult
from token_ledger.core.findings import TERMS, figures_digest
from token_ledger.core.types import Finding
from token_ledger.ledger import homes, mirror, mirror_forks, mirror_reach
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_schema import reconcile_findings, reconcile_runs
from token_ledger.ledger.schema import token_batches
from token_ledger.ledger.tokens import StoredToken

_PAGE = 500
_RECORDS_LOCK = 0x7265636F6E63696C  # "reconcil"


@dataclass(frozen=True, slots=True)
class Compared:
    """How far a run compared: batches, and the mirror's blocks below `next_block`."""

    batch_number: int
    batch_digest: bytes | None
    next_block: int
    last_block_hash: bytes | None


def how_far(
    connection: Connection, token: StoredToken, contract: StoredContract, batch_number: int
) -> Compared:
    """Return how far a run compares that sees what this connection sees.

    Where the books follow the chain that is up to where they do: what is behind is no entry yet.
    """
    cursor = mirror.read_cursor(connection, contract)
    assert cursor is not None, "only what was imported is compared"
    digest = _digest(connection, token, batch_number)
    home = homes.read_home(connection, token)
    same = home and (home.chain_id, home.address) == (contract.chain_id, contract.address)
    if home is None or not same or home.next_block >= cursor.next_block:
        return Compared(batch_number, digest, cursor.next_block, cursor.last_block_hash)
    top = mirror_forks.highest_block(connection, contract.chain_id, home.next_block - 1)
    return Compared(batch_number, digest, home.next_block, None if top is None else top.hash)


def _digest(connection: Connection, token: StoredToken, batch_number: int) -> bytes | None:
    sealed = token_batches.c
    return connection.execute(
        select(sealed.digest).where(
            sealed.token_no == token.token_no, sealed.number == batch_number
        )
    ).scalar()


# --- incremental


def find_point(
    connection: Connection,
    token: StoredToken,
    contract: StoredContract,
    known: Acknowledged,
    *,
    on_chain: bool,
) -> Point | str:
    """Return where the last run that left nothing open ended, or why one cannot go on from it.

    `on_chain`: whether a node is asked; what only a node shows was then asked of one there too.
    """
    row = connection.execute(
        _runs_of(token, contract, on_chain=on_chain)
        .where(reconcile_runs.c.whole.is_(True), reconcile_runs.c.open_findings == 0)
        .order_by(reconcile_runs.c.run_no.desc())
        .limit(1)
    ).first()
    if row is None:
        asked = " and asked a node" if on_chain else ""
        return f"no run has left nothing open yet{asked}"
    if obstacle := (
        _found_since(connection, token, contract, row)
        or _acknowledged_since(row, known)
        or _moved_since(connection, token, contract, row)
    ):
        return obstacle
    return Point(row.run_no, row.created_at, row.batch_number, row.next_block)


def _runs_of(
    token: StoredToken, contract: StoredContract, *, on_chain: bool = False
) -> Select[Any]:
    runs = reconcile_runs.c
    query = select(reconcile_runs).where(
        runs.token_no == token.token_no,
        runs.chain_id == contract.chain_id,
        runs.contract == contract.address,
    )
    return query.where(runs.block_number.is_not(None)) if on_chain else query


def _found_since(
    connection: Connection, token: StoredToken, contract: StoredContract, point: Row[Any]
) -> str | None:
    """Return which later run found something, be it of a part: it may lie below the point."""
    runs = reconcile_runs.c
    of_a_part = and_(runs.whole.is_(False), runs.acknowledged_findings > 0)
    found = connection.execute(
        _runs_of(token, contract)
        .where(runs.run_no > point.run_no, or_(runs.open_findings > 0, of_a_part))
        .order_by(runs.run_no.desc())
        .limit(1)
    ).first()
    return None if found is None else f"run {found.run_no} found something since the last clean run"


def _acknowledged_since(run: Row[Any], known: Acknowledged) -> str | None:
    if run.acknowledgement_no != known.last_no:
        return "something was acknowledged or withdrawn since the last clean run"
    if run.acknowledged_findings > FINDINGS_MAX:
        return f"more than {FINDINGS_MAX} findings were acknowledged: not all of them are kept"
    ends = [word.until for word in known.by_id.values() if word.until is not None]
    if run.acknowledged_findings and any(run.created_at < end <= known.now for end in ends):
        return "the time of an acknowledgement is over"
    return None


def _moved_since(
    connection: Connection, token: StoredToken, contract: StoredContract, run: Row[Any]
) -> str | None:
    cursor = mirror.read_cursor(connection, contract)
    if cursor is None or run.next_block > cursor.next_block:
        return "the mirror was taken back since the last clean run"
    last = run.last_block_hash
    known = last is None or mirror_reach.knows_block(connection, contract.chain_id, last)
    if not known:
        return "the chain was reorganised below the last clean run"
    if _digest(connection, token, run.batch_number) != run.batch_digest:
        return "the headers below the last clean run are others now"
    return None


def carried_over(connection: Connection, token: StoredToken, point: Point) -> Iterator[Finding]:
    """Yield what the run of a point saw acknowledged below it, and an incremental one will not.

    All of it: what is covered no more, because its time ended just now, is open again.
    """
    table = reconcile_findings.c
    rows = connection.execute(
        select(table.kind, table.document)
        .where(table.token_no == token.token_no, table.run_no == point.run_no)
        .order_by(table.first_seen_at, table.finding_id)
    )
    for row in rows:
        terms = TERMS.get(row.kind)
        if terms and not terms.every_run:
            yield read_document(row.kind, row.document)


# --- what a run leaves behind


def lock_records(connection: Connection) -> None:
    """Let one run or acknowledgement at a time be written: their numbers are of all tokens.

    SQLite has one writer; on PostgreSQL it is a transaction-level advisory lock.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _RECORDS_LOCK})


def record_run(
    connection: Connection, token: StoredToken, result: ReconcileResult, far: Compared, *, now: int
) -> None:
    """Store a run and what it found; fills in `run_no` and `first_seen` of the result."""
    lock_records(connection)
    highest = connection.execute(select(func.max(reconcile_runs.c.run_no))).scalar()
    run_no = (highest or 0) + 1
    connection.execute(
        insert(reconcile_runs).values(
            run_no=run_no,
            token_no=token.token_no,
            chain_id=result.chain_id,
            contract=result.contract,
            whole=result.scope.whole,
            block_number=result.block,
            block_hash=result.block_hash,
            batch_number=far.batch_number,
            batch_digest=far.batch_digest,
            next_block=far.next_block,
            last_block_hash=far.last_block_hash,
            matched=result.matched,
            entries=result.entries,
            open_findings=result.findings_total,
            acknowledged_findings=result.acknowledged_total,
            acknowledgement_no=result.known.last_no,
            created_at=now,
        )
    )
    seen = {result.id_of(f): f for f in (*result.findings, *result.acknowledged)}
    names = list(seen)
    result.run_no, result.first_seen = run_no, {}
    for start in range(0, len(names), _PAGE):
        page = {name: seen[name] for name in names[start : start + _PAGE]}
        result.first_seen |= _store_findings(connection, token, page, run_no, now)


def _store_findings(
    connection: Connection, token: StoredToken, page: dict[bytes, Finding], run_no: int, now: int
) -> dict[bytes, int]:
    """Add findings, or bring their rows up to date; return when each was first seen."""
    first_seen = read_first_seen(connection, token, list(page))
    table = reconcile_findings.c
    for name, finding in page.items():
        values = {
            "figures": figures_digest(finding),
            "document": json.dumps({"message": finding.message, "details": finding.details}),
            "last_seen_at": now,
            "run_no": run_no,
        }
        mine = (table.token_no == token.token_no) & (table.finding_id == name)
        if name in first_seen:
            connection.execute(update(reconcile_findings).where(mine).values(**values))
        else:
            row = {"token_no": token.token_no, "finding_id": name, "kind": finding.kind}
            connection.execute(
                insert(reconcile_findings).values(**row, **values, first_seen_at=now)
            )
    return {name: first_seen.get(name, now) for name in page}


def read_first_seen(
    connection: Connection, token: StoredToken, names: Sequence[bytes]
) -> dict[bytes, int]:
    """Return when runs first saw some findings, by id; without those that none has seen."""
    table = reconcile_findings.c
    rows = connection.execute(
        select(table.finding_id, table.first_seen_at).where(
            table.token_no == token.token_no, table.finding_id.in_(names)
        )
    )
    return {row.finding_id: row.first_seen_at for row in rows}


def read_document(kind: str, document: str) -> Finding:
    """Return the finding of a stored row."""
    fields = json.loads(document)
    return Finding(kind, fields["message"], fields["details"])
