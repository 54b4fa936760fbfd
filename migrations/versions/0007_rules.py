"""Earning rules, in versions that are never rewritten, and which version made which entry.

An award's row also says what its account, and everybody, had earned by the action then: caps are
judged on differences of two rows, so there is no counter that could drift from the entries.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MADE = (
    "NOT EXISTS (SELECT 1 FROM token_ledger e WHERE e.entry_no = NEW.entry_no"
    " AND e.token_no = NEW.token_no AND e.from_account = 0 AND e.to_account = NEW.account_no)"
)


def first() -> Any:
    """Return the first migration, for its frozen words of both engines."""
    path = Path(__file__).with_name("0001_first.py")
    spec = importlib.util.spec_from_file_location("token_ledger_first", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tables(d: Any) -> list[str]:
    """Return rules and awards."""
    flag = "IN (0, 1)" if d.sqlite else "IN (TRUE, FALSE)"
    return [
        f"""CREATE TABLE earning_rules (
            token_no INTEGER NOT NULL REFERENCES tokens,
            action TEXT NOT NULL CHECK (length(action) > 0),
            {d.count("version", least=1)},
            {d.unsigned("base_value", least=1)},
            {d.unsigned("multiplier", least=1)},
            {d.count("count_max", least=1, null=True)},
            {d.unsigned("value_max", least=1, null=True)},
            {d.count("period", least=1, null=True)},
            {d.unsigned("total_max", least=1, null=True)},
            retired {d.boolean} NOT NULL CHECK (retired {flag}),
            {d.time("created_at")},
            PRIMARY KEY (token_no, action, version)
        ){d.table_end}""",
        f"""CREATE TABLE token_awards (
            entry_no {d.bigint} PRIMARY KEY REFERENCES token_ledger,
            token_no INTEGER NOT NULL,
            account_no {d.bigint} NOT NULL REFERENCES accounts,
            action TEXT NOT NULL,
            version {d.bigint} NOT NULL,
            {d.time("awarded_at")},
            {d.count("count_after", least=1)},
            {d.unsigned("value_after", bits=320, least=1)},
            {d.unsigned("total_after", bits=320, least=1)},
            FOREIGN KEY (token_no, action, version)
                REFERENCES earning_rules (token_no, action, version)
        ){d.table_end}""",
        """CREATE INDEX token_awards_by_account
            ON token_awards (token_no, account_no, action, awarded_at, entry_no)""",
        "CREATE INDEX token_awards_by_action ON token_awards (token_no, action, entry_no)",
    ]


def triggers(d: Any) -> list[str]:
    """Return what keeps history: neither a rule's version nor an award is rewritten."""
    return [
        *d.append_only(
            "earning_rules",
            keys=(
                "t.token_no = NEW.token_no AND t.action = NEW.action AND t.version = NEW.version",
            ),
            update_when="1 = 1",
        ),
        *d.append_only(
            "token_awards", keys=("t.entry_no = NEW.entry_no",), update_when="1 = 1"
        ),
        *d.refusal(
            "token_awards_made", table="token_awards", on="INSERT", when=MADE,
            message="an award is an entry of the issuer to its account",
        ),
    ]  # fmt: skip


def upgrade() -> None:
    connection = op.get_bind()
    d = first().Dialect(connection.dialect.name)
    for statement in [*tables(d), *triggers(d)]:
        connection.exec_driver_sql(statement)
