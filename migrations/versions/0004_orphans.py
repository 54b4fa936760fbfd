"""What a reorganisation took back: kept, apart from what the chain says now.

`chain_blocks.orphaned_at` marks a header that its chain no longer has. A transfer of such a block
moves from `chain_transfers`, which holds nothing but the present chain, to `chain_orphans`.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIMESTAMP_MAX = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z


def upgrade() -> None:
    connection = op.get_bind()
    sqlite = connection.dialect.name == "sqlite"
    bigint, end = ("INTEGER", " STRICT") if sqlite else ("BIGINT", "")

    def binary(name: str, size: int) -> str:
        kind, length = ("BLOB", "length") if sqlite else ("BYTEA", "octet_length")
        return f"{name} {kind} NOT NULL CHECK ({length}({name}) = {size})"

    def count(name: str) -> str:
        return f"{name} {bigint} NOT NULL CHECK ({name} >= 0)"

    value = (
        "value BLOB NOT NULL CHECK (length(value) = 32)"
        if sqlite
        else f"value NUMERIC NOT NULL CHECK (value >= 0 AND value < {2**256} AND scale(value) = 0)"
    )
    time = f"CHECK (orphaned_at BETWEEN 0 AND {TIMESTAMP_MAX})"
    connection.exec_driver_sql(f"ALTER TABLE chain_blocks ADD COLUMN orphaned_at {bigint} {time}")
    connection.exec_driver_sql(
        f"""CREATE TABLE chain_orphans (
            contract_no INTEGER NOT NULL REFERENCES chain_contracts (contract_no),
            {binary("block_hash", 32)},
            {count("log_index")},
            {count("block_number")},
            {binary("tx_hash", 32)},
            {count("tx_index")},
            {binary("from_address", 20)},
            {binary("to_address", 20)},
            {value},
            seq {bigint} CHECK (seq >= 0),
            orphaned_at {bigint} NOT NULL {time},
            PRIMARY KEY (contract_no, block_number, log_index, block_hash, orphaned_at)
        ){end}"""
    )
