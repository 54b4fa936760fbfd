"""PostgreSQL in production: a role that owns nothing and may only add.

The owner of the tables makes and upgrades them; the application connects as this role, which can
neither rewrite entries, headers and addresses nor switch the triggers off that refuse it.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from token_ledger.errors import UsageError
from token_ledger.ledger.engine import translated
from token_ledger.ledger.mirror_schema import metadata
from token_ledger.ledger.schema import VERSION_TABLE

UPDATED: dict[str, tuple[str, ...]] = {
    "token_accounts": (
        *("balance", "total_earned", "total_spent", "total_staked", "updated_at"),
        *("frozen_at", "closed_at", "balance_max", "spend_max", "spend_period"),
        *("window_start", "window_spent", "overdraft_max", "debt", "latest_at"),
    ),
    "token_ledger": (  # to NULL alone, where `token_redactions` says so: a trigger sees to it
        *("reason", "reference_type", "reference_id", "memo", "metadata", "idempotency_key"),
        "redacted_at",
    ),
    "token_holds": ("remaining", "captured", "released_at", "updated_at"),
    "token_days": ("entries", "value"),
    "token_rollups": ("entry_no", "updated_at"),
    "token_supply": ("total_supply", "total_minted", "total_burned", "credit", "updated_at"),
    "tokens": ("canonical_chain_id", "closing_at", "finalized_at", "balance_max"),
    "token_homes": ("next_block", "stopped_block", "stopped_index", "updated_at"),
    "chain_contracts": (
        *("token_no", "block_number", "tx_hash", "code_hash", "adopted", "implementation"),
    ),
    "chain_cursors": ("next_block", "last_block_hash", "updated_at"),
    "chain_transfers": ("seq", "bridge"),
    "chain_blocks": ("orphaned_at",),
    "reconcile_findings": ("figures", "document", "last_seen_at", "run_no"),
    "reconcile_acknowledgements": ("reason", "acknowledged_by"),  # to erase them
}
"""What an application changes in place: balances, which entries explain, and the chain's mirror."""

MIRROR = tuple(name for name in metadata.tables if name.startswith("chain_"))
"""What chains say: it follows them, so its rows may go as well."""

RECOMPUTED = ("token_backdated", "token_days")
"""What entries explain whole, row by row: `recalc` takes rows away and writes them anew."""

SEQUENCES = ("token_ledger_entry_no", "accounts_account_no_seq")


def grant_application_role(connection: Connection, role: str) -> None:
    """Let an existing role read everything, add rows, and update the columns of UPDATED.

    Run by the owner of the tables, in a write transaction. Raises UsageError on SQLite, whose
    files know no roles, and for a role that is missing, a superuser, or the owner.
    """
    if connection.dialect.name != "postgresql":
        raise UsageError("SQLite knows no roles", hint="use file permissions")
    with translated():
        found = connection.execute(
            text(
                "SELECT rolsuper OR pg_has_role(rolname, tableowner, 'MEMBER') AS powerful"
                " FROM pg_roles, pg_tables WHERE rolname = :role AND tablename = 'token_ledger'"
                " AND schemaname = current_schema()"
            ),
            {"role": role},
        ).scalar()
        if found is None:
            raise UsageError(f"there is no role {role!r}", hint="CREATE ROLE … LOGIN first")
        if found:
            raise UsageError(
                f"the role {role!r} owns the tables or is a superuser",
                hint="give the application a role of its own",
            )
        quote = connection.dialect.identifier_preparer.quote_identifier
        who, schema = quote(role), connection.scalar(text("SELECT current_schema()"))
        tables = ", ".join(name for name in metadata.tables if name != "api_keys")
        statements = [
            f"GRANT USAGE ON SCHEMA {quote(str(schema))} TO {who}",
            f"GRANT SELECT ON {VERSION_TABLE} TO {who}",
            f"GRANT SELECT, INSERT ON {tables} TO {who}",
            f"GRANT SELECT ON api_keys TO {who}",  # the owner makes and revokes them
            f"GRANT DELETE ON {', '.join((*MIRROR, *RECOMPUTED))} TO {who}",
            *(f"GRANT UPDATE ({', '.join(c)}) ON {t} TO {who}" for t, c in UPDATED.items()),
            *(f"GRANT USAGE ON SEQUENCE {name} TO {who}" for name in SEQUENCES),
        ]
        for statement in statements:
            connection.exec_driver_sql(statement)
