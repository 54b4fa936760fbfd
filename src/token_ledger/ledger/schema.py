"""The tables as queries see them, and the SQL types that hold 256-bit numbers on both engines.

What the database itself enforces (CHECKs, triggers, indexes) is written in `migrations/`, which is
the only way to create a database; `tests/ledger/test_schema.py` holds the two against each other.

    Uint256           PostgreSQL NUMERIC, whole and below 2**256; SQLite 32 bytes, big-endian
    Wide              the same for cumulative figures, below 2**320; SQLite 40 bytes
    Net               cumulative figures with a sign; SQLite 40 bytes, 2**319 above the figure
    Hash32, Address   BYTEA or BLOB of exactly 32 or 20 bytes
    times             BIGINT, microseconds since 1970-01-01T00:00:00Z
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

SCHEMA_VERSION = "0012"
"""The migration that this release reads and writes."""

VERSION_TABLE = "token_ledger_version"
"""Alembic's table, under a name of our own: the application may run Alembic beside us."""

WRITERS_LOCK = 0x746F6B656E5F6C67
"""PostgreSQL advisory lock: writers share it from before `entry_no` to their commit."""

KEYS_LOCK = 0x6B657973
"""PostgreSQL advisory locks, by a nonce's first byte: a list takes its key's, postings share."""

SYSTEM_ACCOUNT_NO = 0

UINT256_BYTES = 32
WIDE_BYTES = 40
NET_ZERO = 2**319


class _Unsigned(TypeDecorator[int]):
    """A whole number ≥ 0 of a fixed width: sorts and compares as the number on both engines."""

    impl = LargeBinary
    cache_ok = True
    width: int

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(LargeBinary(self.width))
        return dialect.type_descriptor(Numeric())

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return value.to_bytes(self.width, "big") if dialect.name == "sqlite" else Decimal(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        if value is None:
            return None
        return int.from_bytes(value, "big") if dialect.name == "sqlite" else int(value)


class Uint256(_Unsigned):
    """0 ≤ n < 2**256."""

    cache_ok = True
    width = UINT256_BYTES


class Wide(_Unsigned):
    """0 ≤ n < 2**320: sums of many amounts."""

    cache_ok = True
    width = WIDE_BYTES


class Net(TypeDecorator[int]):
    """-2**319 ≤ n < 2**319: sums of many changes. On SQLite n + 2**319, in 40 bytes."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the engine's own type."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(LargeBinary(WIDE_BYTES))
        return dialect.type_descriptor(Numeric())

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        """Return the number as the driver takes it."""
        if value is None:
            return None
        if dialect.name != "sqlite":
            return Decimal(value)
        return (value + NET_ZERO).to_bytes(WIDE_BYTES, "big")

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        """Return the number that the driver gave."""
        if value is None:
            return None
        return int.from_bytes(value, "big") - NET_ZERO if dialect.name == "sqlite" else int(value)


def Hash32() -> LargeBinary:  # noqa: N802 — reads as the type that it is
    """Return the type of 32 bytes."""
    return LargeBinary(32)


def Address() -> LargeBinary:  # noqa: N802
    """Return the type of 20 bytes."""
    return LargeBinary(20)


metadata = MetaData()

ledger = Table(
    "ledger",
    metadata,
    Column("ledger_no", Integer, primary_key=True),  # always 1: one ledger a database
    Column("ledger_uid", Hash32(), nullable=False),
    Column("ledger_secret", Hash32()),  # NULL when it lives in a file of the operator's
    Column("secret_check", Hash32(), nullable=False),
    Column("operator", Address(), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_no", Integer, primary_key=True),
    Column("uid", Hash32(), nullable=False),
    Column("symbol", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("decimals", Integer, nullable=False),
    Column("max_supply", Uint256(), nullable=False),
    Column("canonical_chain_id", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("closing_at", BigInteger),
    Column("finalized_at", BigInteger),
    Column("balance_max", Uint256()),  # of every account without one of its own
)

token_supply = Table(
    "token_supply",
    metadata,
    Column("token_no", Integer, ForeignKey("tokens.token_no"), primary_key=True),
    Column("total_supply", Uint256(), nullable=False),
    Column("total_minted", Wide(), nullable=False),
    Column("total_burned", Wide(), nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("credit", Wide(), nullable=False),  # all debts together
)

accounts = Table(
    "accounts",
    metadata,
    Column("account_no", BigInteger, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("address", Address(), nullable=False),
    Column("derived", Boolean(create_constraint=False), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("escrow_of", BigInteger, ForeignKey("accounts.account_no")),  # whose holds it keeps
)

token_accounts = Table(
    "token_accounts",
    metadata,
    Column("token_no", Integer, ForeignKey("tokens.token_no"), primary_key=True),
    Column("account_no", BigInteger, ForeignKey("accounts.account_no"), primary_key=True),
    Column("balance", Uint256(), nullable=False),
    Column("total_earned", Wide(), nullable=False),
    Column("total_spent", Wide(), nullable=False),
    Column("total_staked", Uint256(), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("frozen_at", BigInteger),
    Column("closed_at", BigInteger),
    Column("balance_max", Uint256()),
    Column("spend_max", Uint256()),  # in each period of spend_period microseconds
    Column("spend_period", BigInteger),
    Column("window_start", BigInteger),  # of the period in which window_spent was spent
    Column("window_spent", Uint256()),
    Column("overdraft_max", Uint256()),
    Column("debt", Uint256(), nullable=False),
    Column("latest_at", BigInteger, nullable=False),  # the latest date among its entries
)

token_ledger = Table(
    "token_ledger",
    metadata,
    Column("entry_no", BigInteger, primary_key=True),
    Column("token_no", Integer, ForeignKey("tokens.token_no"), nullable=False),
    Column("id", Hash32(), nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("from_account", BigInteger, ForeignKey("accounts.account_no"), nullable=False),
    Column("to_account", BigInteger, ForeignKey("accounts.account_no"), nullable=False),
    Column("amount", Uint256(), nullable=False),
    # The next six are NULL only where token_redactions says so; absent metadata is NULL always.
    Column("reason", Text),
    Column("reference_type", Text),
    Column("reference_id", Text),
    Column("memo", Text),
    Column("metadata", Text),
    Column("idempotency_key", Text),
    Column("nonce", Hash32(), nullable=False),
    Column("ref", Hash32(), nullable=False),
    Column("balance_after_from", Uint256()),  # NULL on the side of `system`
    Column("balance_after_to", Uint256()),
    Column("supply_after", Uint256()),  # set on mints and burns alone
    Column("created_at", BigInteger, nullable=False),
    Column("redacted_at", BigInteger),
)

token_redactions = Table(  # append-only: what of which entry was erased
    "token_redactions",
    metadata,
    Column("entry_no", BigInteger, ForeignKey("token_ledger.entry_no"), primary_key=True),
    Column("field", Text, primary_key=True),  # a column of token_ledger
    Column("redacted_at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
)

token_requests = Table(  # of verbs that are more than one entry's words
    "token_requests",
    metadata,
    Column("token_no", Integer, ForeignKey("tokens.token_no"), primary_key=True),
    Column("nonce", Hash32(), primary_key=True),
    Column("digest", Hash32(), nullable=False),
    Column("entry_no", BigInteger, ForeignKey("token_ledger.entry_no"), nullable=False),
)

token_reversals = Table(
    "token_reversals",
    metadata,
    Column("entry_no", BigInteger, ForeignKey("token_ledger.entry_no"), primary_key=True),
    Column("token_no", Integer, ForeignKey("tokens.token_no"), nullable=False),
    Column("reversed_entry_no", BigInteger, ForeignKey("token_ledger.entry_no"), nullable=False),
)

token_holds = Table(
    "token_holds",
    metadata,
    Column("entry_no", BigInteger, ForeignKey("token_ledger.entry_no"), primary_key=True),
    Column("token_no", Integer, ForeignKey("tokens.token_no"), nullable=False),
    Column("holder_no", BigInteger, ForeignKey("accounts.account_no"), nullable=False),
    Column("value", Uint256(), nullable=False),
    Column("remaining", Uint256(), nullable=False),
    Column("captured", Uint256(), nullable=False),
    Column("expires_at", BigInteger),
    Column("released_at", BigInteger),
    Column("updated_at", BigInteger, nullable=False),
)

earning_rules = Table(  # every version; the highest of an action is in force unless retired
    "earning_rules",
    metadata,
    Column("token_no", Integer, ForeignKey("tokens.token_no"), primary_key=True),
    Column("action", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("base_value", Uint256(), nullable=False),
    Column("multiplier", Uint256(), nullable=False),  # in units of 10**-18
    Column("count_max", BigInteger),  # of awards of an account in a period
    Column("value_max", Uint256()),  # that an account earns in a period
    Column("period", BigInteger),  # in microseconds; NULL: for ever
    Column("total_max", Uint256()),  # that all accounts earn, for ever
    Column("retired", Boolean(create_constraint=False), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

token_awards = Table(  # which version made an entry, and what the action had come to with it
    "token_awards",
    metadata,
    Column("entry_no", BigInteger, ForeignKey("token_ledger.entry_no"), primary_key=True),
    Column("token_no", Integer, nullable=False),
    Column("account_no", BigInteger, ForeignKey("accounts.account_no"), nullable=False),
    Column("action", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("awarded_at", BigInteger, nullable=False),
    Column("count_after", BigInteger, nullable=False),
    Column("value_after", Wide(), nullable=False),
    Column("total_after", Wide(), nullable=False),
    ForeignKeyConstraint(
        ["token_no", "action", "version"],
        ["earning_rules.token_no", "earning_rules.action", "earning_rules.version"],
    ),
)

token_backdated = Table(  # entries dated before an earlier one of the account: see `dating`
    "token_backdated",
    metadata,
    Column("token_no", Integer, ForeignKey("tokens.token_no"), primary_key=True),
    Column("account_no", BigInteger, ForeignKey("accounts.account_no"), primary_key=True),
    Column("entry_no", BigInteger, ForeignKey("token_ledger.entry_no"), primary_key=True),
    Column("lane", Integer, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("latest_at", BigInteger, nullable=False),  # of the account, when it was posted
    Column("lane_total", Net(), nullable=False),
    Column("total", Net(), nullable=False),
)

token_debts = Table(  # every change of an account's debt
    "token_debts",
    metadata,
    Column("token_no", Integer, ForeignKey("tokens.token_no"), primary_key=True),
    Column("account_no", BigInteger, ForeignKey("accounts.account_no"), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    # The draw or the repayment; the account's last entry where the debt was written off.
    Column("entry_no", BigInteger, ForeignKey("token_ledger.entry_no"), nullable=False),
    Column("cause_no", BigInteger, ForeignKey("token_ledger.entry_no")),  # what brought it
    Column("value", Uint256(), nullable=False),
    Column("debt_after", Uint256(), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("written_by", Text),  # who wrote it off, and why
    Column("reason", Text),
)

token_days = Table(  # entries added up: see `rollups`
    "token_days",
    metadata,
    Column("token_no", Integer, ForeignKey("tokens.token_no"), primary_key=True),
    Column("day", BigInteger, primary_key=True),  # since 1970, in UTC; -1: all of them
    Column("kind", Integer, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("entries", BigInteger, nullable=False),
    Column("value", Wide(), nullable=False),
)

token_rollups = Table(  # up to which entry `token_days` counts
    "token_rollups",
    metadata,
    Column("token_no", Integer, ForeignKey("tokens.token_no"), primary_key=True),
    Column("entry_no", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

token_batches = Table(
    "token_batches",
    metadata,
    Column("token_no", Integer, ForeignKey("tokens.token_no"), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("first_entry_no", BigInteger, nullable=False),
    Column("last_entry_no", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("parent", Hash32(), nullable=False),
    Column("entries_root", Hash32(), nullable=False),
    Column("rows_hash", Hash32(), nullable=False),
    Column("total_supply", Uint256(), nullable=False),
    Column("sealed_at", BigInteger, nullable=False),
    Column("digest", Hash32(), nullable=False),
)

batch_signatures = Table(
    "batch_signatures",
    metadata,
    Column("token_no", Integer, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("signer", Address(), primary_key=True),
    Column("signature", LargeBinary, nullable=False),
    Column("signed_at", BigInteger, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("key_hash", Hash32(), nullable=False),
    Column("scopes", Text, nullable=False),  # words, a space between
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)
