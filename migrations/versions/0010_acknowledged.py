"""Reconciliations that were made, what they found, and what somebody has acknowledged of it.

A finding stands once, under its id, with the figures of its last appearance. Acknowledgements and
their withdrawals are rows that are only added: the last one of a finding counts. Who and why may be
personal data: those two texts, and nothing else, may be erased.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

FIXED = ("acknowledgement_no", "token_no", "finding_id", "figures", "until", "created_at")


def first() -> Any:
    """Return the first migration, for its frozen words of both engines."""
    path = Path(__file__).with_name("0001_first.py")
    spec = importlib.util.spec_from_file_location("token_ledger_first", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tables(d: Any) -> list[str]:
    """Return runs, findings and acknowledgements."""
    flag = "IN (0, 1)" if d.sqlite else "IN (TRUE, FALSE)"
    return [
        f"""CREATE TABLE reconcile_runs (
            run_no {d.bigint} PRIMARY KEY CHECK (run_no > 0),
            token_no INTEGER NOT NULL REFERENCES tokens,
            {d.count("chain_id", least=1)}, {d.address("contract")},
            whole {d.boolean} NOT NULL CHECK (whole {flag}),
            {d.count("block_number", null=True)}, {d.hash32("block_hash", null=True)},
            {d.count("batch_number")}, {d.hash32("batch_digest", null=True)},
            {d.count("next_block")}, {d.hash32("last_block_hash", null=True)},
            {d.count("matched")}, {d.count("entries")},
            {d.count("open_findings")}, {d.count("acknowledged_findings")},
            {d.count("acknowledgement_no")},
            {d.time("created_at")}
        ){d.table_end}""",
        "CREATE INDEX reconcile_runs_by_token ON reconcile_runs (token_no, run_no)",
        f"""CREATE TABLE reconcile_findings (
            token_no INTEGER NOT NULL REFERENCES tokens,
            {d.hash32("finding_id")},
            kind TEXT NOT NULL CHECK (length(kind) > 0),
            {d.hash32("figures")},
            document TEXT NOT NULL,
            {d.time("first_seen_at")}, {d.time("last_seen_at")},
            run_no {d.bigint} NOT NULL REFERENCES reconcile_runs,
            PRIMARY KEY (token_no, finding_id)
        ){d.table_end}""",
        f"""CREATE TABLE reconcile_acknowledgements (
            acknowledgement_no {d.bigint} PRIMARY KEY CHECK (acknowledgement_no > 0),
            token_no INTEGER NOT NULL,
            {d.hash32("finding_id")},
            {d.hash32("figures", null=True)},
            reason TEXT, acknowledged_by TEXT,
            {d.time("until", null=True)},
            {d.time("created_at")},
            FOREIGN KEY (token_no, finding_id) REFERENCES reconcile_findings (token_no, finding_id),
            CHECK ((figures IS NULL) = (until IS NULL))
        ){d.table_end}""",
        """CREATE INDEX reconcile_acknowledgements_by_finding
            ON reconcile_acknowledgements (token_no, finding_id, acknowledgement_no)""",
    ]


def triggers(d: Any, changed: Any) -> list[str]:
    """Return what keeps the record: nothing is rewritten, texts may only be erased."""
    kept = [
        f"NEW.{name} IS NOT NULL AND {changed(d, name)}" for name in ("reason", "acknowledged_by")
    ]
    return [
        *d.append_only(
            "reconcile_runs", keys=("t.run_no = NEW.run_no",), update_when="1 = 1"
        ),
        *d.append_only(
            "reconcile_acknowledgements",
            keys=("t.acknowledgement_no = NEW.acknowledgement_no",),
            update_when=" OR ".join([changed(d, *FIXED), *(f"({k})" for k in kept)]),
        ),
        *d.append_only(
            "reconcile_findings",
            keys=("t.token_no = NEW.token_no AND t.finding_id = NEW.finding_id",),
            update_when=changed(d, "token_no", "finding_id", "kind", "first_seen_at"),
        ),
    ]  # fmt: skip


def upgrade() -> None:
    connection = op.get_bind()
    frozen = first()
    d = frozen.Dialect(connection.dialect.name)
    for statement in [*tables(d), *triggers(d, frozen.changed)]:
        connection.exec_driver_sql(statement)
