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

reconcile_runs = Table(
    "reconcile_runs",
    metadata,
    Column("run_no", BigInteger, primary_key=True),
    Column("token_no", Integer, ForeignKey("tokens.token_no"), nullable=False),
    Column("chain_id", BigInteger, nullable=False),
    Column("contract", Address(), nullable=False),
    Column("whole", Boolean(create_constraint=False), nullable=False),  # nothing was left out
    Column("block_number", BigInteger),  # the pinned block; NULL where no node was asked
    Column("block_hash", Hash32()),
    Column("batch_number", BigInteger, nullable=False),  # compared up to
    Column("batch_digest", Hash32()),
    Column("next_block", BigInteger, nullable=False),  # of the mirror, compared up to below it
    Column("last_block_hash", Hash32()),
    Column("matched", BigInteger, nullable=False),
    Column("entries", BigInteger, nullable=False),
    Column("open_findings", BigInteger, nullable=False),
    Column("acknowledged_findings", BigInteger, nullable=False),
    Column("acknowledgement_no", BigInteger, nullable=False),  # the last one that was regarded
    Column("created_at", BigInteger, nullable=False),
)

reconcile_findings = Table(
    "reconcile_findings",
    metadata,
    Column("token_no", Integer, ForeignKey("tokens.token_no"), primary_key=True),
    Column("finding_id", Hash32(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("figures", Hash32(), nullable=False),
    Column("document", Text, nullable=False),  # JSON: the finding as it was last seen
    Column("first_seen_at", BigInteger, nullable=False),
    Column("last_seen_at", BigInteger, nullable=False),
    Column("run_no", BigInteger, ForeignKey("reconcile_runs.run_no"), nullable=False),
)

reconcile_acknowledgements = Table(
    "reconcile_acknowledgements",
    metadata,
    Column("acknowledgement_no", BigInteger, primary_key=True),
    Column("token_no", Integer, ForeignKey("reconcile_findings.token_no"), nullable=False),
    Column("finding_id", Hash32(), nullable=False),
    Column("figures", Hash32()),  # NULL, as `until`: a withdrawal
    Column("reason", Text),  # NULL: erased, as is `acknowledged_by`
    Column("acknowledged_by", Text),
    Column("until", BigInteger),
    Column("created_at", BigInteger, nullable=False),
)
