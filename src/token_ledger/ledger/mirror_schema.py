"""The mirror's tables as queries see them: what the chain said, and what it took back.

Beside them where tokens live that left the ledger, and which of their entries is which log. The
ledger's own tables and the SQL types are in `schema`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Integer, Table, Text

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
    # The token was always there: its transfers are all its history, and replays play no part.
    Column("adopted", Boolean(create_constraint=False), nullable=False, server_default="0"),
    Column("implementation", Address()),  # of a proxy, when the contract was recorded
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
    Column("bridge", Address()),  # that minted or burned (ERC-7802); NULL for all others
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
    Column("bridge", Address()),
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

token_homes = Table(  # of tokens that live on a chain: one contract each
    "token_homes",
    metadata,
    Column("token_no", Integer, ForeignKey("tokens.token_no"), primary_key=True),
    Column("chain_id", BigInteger, nullable=False),
    Column("address", Address(), nullable=False),
    Column("replayed_number", BigInteger, nullable=False),  # later batches hold imported entries
    Column("next_block", BigInteger, nullable=False),  # transfers below it are entries
    Column("stopped_block", BigInteger),  # whose log at stopped_index no books could take
    Column("stopped_index", BigInteger),
    Column("updated_at", BigInteger, nullable=False),
)

token_imports = Table(  # which log an imported entry is
    "token_imports",
    metadata,
    Column("entry_no", BigInteger, ForeignKey("token_ledger.entry_no"), primary_key=True),
    Column("token_no", Integer, ForeignKey("tokens.token_no"), nullable=False),
    Column("block_number", BigInteger, nullable=False),
    Column("log_index", BigInteger, nullable=False),
    Column("block_hash", Hash32(), nullable=False),
    Column("tx_hash", Hash32(), nullable=False),
    Column("broken", Text),  # the code of the rule that it would have broken
)
