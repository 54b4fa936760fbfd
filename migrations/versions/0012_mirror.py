"""The mirror's transfers, lighter to import.

    chain_transfers_by_seq    of those that a replay made alone: of any other token there are none
    contract_no               on PostgreSQL held by triggers, a statement's rows at once

PostgreSQL looks a foreign key up row by row, which takes longer than all the rest of storing a
transfer. What was refused is refused still: transfers of no known contract, and to take away or
renumber a contract that has some.
"""

# ruff: noqa: ISC004 — one list item a statement, in as many lines as it takes

from __future__ import annotations

from alembic import op
from sqlalchemy import Connection, text

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INDEX = (
    "DROP INDEX chain_transfers_by_seq",
    "CREATE INDEX chain_transfers_by_seq ON chain_transfers (contract_no, seq)"
    " WHERE seq IS NOT NULL",
)
TRIGGERS = (
    # The lock is the foreign key's: a contract with transfers under way cannot be taken away.
    """CREATE FUNCTION chain_transfers_known() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM FROM chain_contracts WHERE contract_no IN (SELECT contract_no FROM added)
            FOR KEY SHARE;
        IF EXISTS (SELECT FROM (SELECT DISTINCT contract_no FROM added) a WHERE NOT EXISTS
            (SELECT FROM chain_contracts c WHERE c.contract_no = a.contract_no)) THEN
            RAISE EXCEPTION 'chain_transfers: there is no such contract'
                USING ERRCODE = 'foreign_key_violation';
        END IF;
        RETURN NULL;
    END $$""",
    "CREATE TRIGGER chain_transfers_known AFTER INSERT ON chain_transfers"
    " REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION chain_transfers_known()",
    """CREATE FUNCTION chain_transfers_stay() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'chain_transfers: a transfer stays with its contract'
            USING ERRCODE = 'restrict_violation';
    END $$""",
    "CREATE TRIGGER chain_transfers_stay BEFORE UPDATE OF contract_no ON chain_transfers"
    " FOR EACH ROW WHEN (NEW.contract_no IS DISTINCT FROM OLD.contract_no)"
    " EXECUTE FUNCTION chain_transfers_stay()",
    """CREATE FUNCTION chain_contracts_stay() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM chain_transfers WHERE contract_no = OLD.contract_no) THEN
            RAISE EXCEPTION 'chain_contracts: the contract has transfers'
                USING ERRCODE = 'foreign_key_violation';
        END IF;
        RETURN NULL;
    END $$""",
    "CREATE TRIGGER chain_contracts_stay AFTER DELETE ON chain_contracts"
    " FOR EACH ROW EXECUTE FUNCTION chain_contracts_stay()",
    "CREATE TRIGGER chain_contracts_renumbered AFTER UPDATE OF contract_no ON chain_contracts"
    " FOR EACH ROW WHEN (NEW.contract_no IS DISTINCT FROM OLD.contract_no)"
    " EXECUTE FUNCTION chain_contracts_stay()",
)


def drop_foreign_key(connection: Connection) -> None:
    """Drop the one foreign key of the transfers."""
    name = connection.execute(
        text(
            "SELECT conname FROM pg_constraint WHERE contype = 'f'"
            " AND conrelid = CAST('chain_transfers' AS regclass)"
        )
    ).scalar_one()
    connection.exec_driver_sql(f"ALTER TABLE chain_transfers DROP CONSTRAINT {name}")


def upgrade() -> None:
    connection = op.get_bind()
    for statement in INDEX:
        connection.exec_driver_sql(statement)
    if connection.dialect.name == "postgresql":
        drop_foreign_key(connection)
        for statement in TRIGGERS:
            connection.exec_driver_sql(statement)
