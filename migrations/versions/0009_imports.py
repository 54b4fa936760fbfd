"""Tokens that live on a chain: where, how far they are imported, and which entry is which log.

    token_homes       one row a token: chain and contract, and up to where transfers are entries
    token_imports     one row an imported entry: the log that it is, and the rules that it broke

A home only moves on, and an import is for ever: what was final when it became an entry is not taken
back. The chain decides about such a token, so its supply is no longer held below the ledger's own
maximum. `bridge` is the bridge that a transfer's mint or burn came from (ERC-7802).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

FIXED = ("token_no", "chain_id", "address", "replayed_number")
CAPPED = (
    "NEW.total_supply > (SELECT max_supply FROM tokens WHERE token_no = NEW.token_no"
    " AND finalized_at IS NULL)"
)


def first() -> Any:
    """Return the first migration, for its frozen words of both engines."""
    path = Path(__file__).with_name("0001_first.py")
    spec = importlib.util.spec_from_file_location("token_ledger_first", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def columns(d: Any) -> list[str]:
    """Return what is added to the mirror's tables."""
    flag = "0 CHECK (adopted IN (0, 1))" if d.sqlite else "FALSE"
    address = d.binary("implementation", 20, null=True)
    return [
        *(
            f"ALTER TABLE {table} ADD COLUMN {d.binary('bridge', 20, null=True)}"
            for table in ("chain_transfers", "chain_orphans")
        ),
        f"ALTER TABLE chain_contracts ADD COLUMN adopted {d.boolean} NOT NULL DEFAULT {flag}",
        f"ALTER TABLE chain_contracts ADD COLUMN {address}",
    ]


def tables(d: Any) -> list[str]:
    """Return homes and imports."""
    return [
        f"""CREATE TABLE token_homes (
            token_no INTEGER PRIMARY KEY REFERENCES tokens,
            {d.count("chain_id")},
            {d.address("address")},
            {d.count("replayed_number")},
            {d.count("next_block")},
            {d.count("stopped_block", null=True)},
            {d.count("stopped_index", null=True)},
            {d.time("updated_at")},
            CHECK ((stopped_block IS NULL) = (stopped_index IS NULL)),
            CHECK (stopped_block = next_block)
        ){d.table_end}""",
        f"""CREATE TABLE token_imports (
            entry_no {d.bigint} PRIMARY KEY REFERENCES token_ledger,
            token_no INTEGER NOT NULL REFERENCES tokens,
            {d.count("block_number")},
            {d.count("log_index")},
            {d.hash32("block_hash")},
            {d.hash32("tx_hash")},
            broken TEXT,
            UNIQUE (token_no, block_number, log_index)
        ){d.table_end}""",
    ]


def triggers(d: Any, changed: Any) -> list[str]:
    """Return what keeps both: a home stays where it is and moves on, an import stays as it is."""
    return [
        *d.append_only(
            "token_homes",
            keys=("t.token_no = NEW.token_no",),
            update_when=changed(d, *FIXED) + " OR NEW.next_block < OLD.next_block",
        ),
        *d.append_only(
            "token_imports",
            keys=(
                "t.entry_no = NEW.entry_no",
                (
                    "t.token_no = NEW.token_no AND t.block_number = NEW.block_number"
                    " AND t.log_index = NEW.log_index"
                ),
            ),
            update_when="1 = 1",
        ),
    ]


def supply(d: Any) -> list[str]:
    """Return the supply's ceiling anew: the ledger's, as long as the ledger issues the token."""
    statements = []
    for on in ("INSERT", "UPDATE"):
        name = f"token_supply_capped_{on.lower()}"
        statements.append(f"DROP TRIGGER {name}" + ("" if d.sqlite else " ON token_supply"))
        statements += [] if d.sqlite else [f"DROP FUNCTION {name}()"]
        statements += d.refusal(
            name, table="token_supply", on=on, when=CAPPED,
            message="the supply would exceed the maximum of the token",
        )  # fmt: skip
    return statements


def upgrade() -> None:
    connection = op.get_bind()
    frozen = first()
    d = frozen.Dialect(connection.dialect.name)
    made = [*columns(d), *tables(d), *triggers(d, frozen.changed), *supply(d)]
    for statement in made:
        connection.exec_driver_sql(statement)
