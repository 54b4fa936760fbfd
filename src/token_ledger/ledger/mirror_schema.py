"""The mirror's tables as queries see them: what the chain said, and what it took back.

`schema` holds the ledger's own tables and the SQL types.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Table

from token_ledger.ledger.schema import Address, Hash32, Uint256
from token_ledger.ledger.schema import metadata as metadata  # noqa: PLC0414 — of the whole database

chain_contracts = Table(
    "chain_contracts",
    metadata,
    Column("contract_no", Integer, primary_key=True),
    Column("chain_id", BigInteger, nullable=False),
    Column("address", Address(), nullable=False),
    Column("token_no", Integer, ForeignKey("tokens.token_no")),
    Column("block_number", BigInteger),  # of the deployment, where it is known
    Column("tx_hash", Hash32()),
    Column("code_hash", Hash32()),
    Column("created_at", BigInteger, nullable=False),
)

chain_cursors = Table(
    "chain_cursors",
    metadata,
    Column("contract_no", Integer, ForeignKey("chain_contracts.contract_no"), primary_key=True),
    Column("next_block", BigInteger, nullable=False),
    Column("last_block_hash", Hash32()),
    Column("updated_at", BigInteger, nullable=False),
)

chain_blocks = Table(
    "chain_blocks",
    metadata,
    Column("chain_id", BigInteger, primary_key=True),
    Column("hash", Hash32(), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("parent_hash", Hash32(), nullable=False),
    Column("timestamp", BigInteger, nullable=False),  # microseconds, as everywhere
    Column("orphaned_at", BigInteger),  # when the chain was seen without it; NULL: it has it
)

chain_transfers = Table(
    "chain_transfers",
    metadata,
    Column("contract_no", Integer, ForeignKey("chain_contracts.contract_no"), primary_key=True),
    Column("block_number", BigInteger, primary_key=True),
    Column("log_index", BigInteger, primary_key=True),
    Column("block_hash", Hash32(), primary_key=True),
    Column("tx_hash", Hash32(), nullable=False),
    Column("tx_index", BigInteger, nullable=False),
    Column("from_address", Address(), nullable=False),
    Column("to_address", Address(), nullable=False),
    Column("value", Uint256(), nullable=False),
    Column("seq", BigInteger),  # of the entry that a replay transferred; NULL for all others
)

chain_orphans = Table(
    "chain_orphans",
    metadata,
    Column("contract_no", Integer, ForeignKey("chain_contracts.contract_no"), primary_key=True),
    Column("block_number", BigInteger, primary_key=True),
    Column("log_index", BigInteger, primary_key=True),
    Column("block_hash", Hash32(), primary_key=True),
    Column("tx_hash", Hash32(), nullable=False),
    Column("tx_index", BigInteger, nullable=False),
    Column("from_address", Address(), nullable=False),
    Column("to_address", Address(), nullable=False),
    Column("value", Uint256(), nullable=False),
    Column("seq", BigInteger),
    Column("orphaned_at", BigInteger, primary_key=True),
)

chain_batches = Table(
    "chain_batches",
    metadata,
    Column("contract_no", Integer, ForeignKey("chain_contracts.contract_no"), primary_key=True),
    Column("block_hash", Hash32(), primary_key=True),
    Column("log_index", BigInteger, primary_key=True),
    Column("block_number", BigInteger, nullable=False),
    Column("tx_hash", Hash32(), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("digest", Hash32(), nullable=False),
    Column("entries_root", Hash32(), nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
)
