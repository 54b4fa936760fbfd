"""The nouns, one word a thing: Record → Entry → Batch → Transfer → Finding → Proof.

Plain frozen data. Hashes are 32 bytes, addresses 20, values and balances `int` base units,
timestamps `int` microseconds since 1970-01-01T00:00:00Z. Nothing here validates: what reads input
does (`core.parse`), and what computes takes these as given.
"""

from __future__ import annotations

from dataclasses import dataclass, field

UINT256_MAX = 2**256 - 1
ZERO_ADDRESS = bytes(20)
ZERO_HASH = bytes(32)
SYSTEM = "system"
"""The account that issues and takes back: the zero address."""
ESCROW_PREFIX = "escrow:"
"""Begins the ids of the ledger's own accounts, which keep what is held: the holder's id follows."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a ledger: one ERC-20 contract per chain."""

    uid: bytes
    ledger_uid: bytes
    symbol: str
    name: str
    decimals: int


@dataclass(frozen=True, slots=True)
class Texts:
    """What `ref` commits to: the words of an entry. Absent text is the empty string.

    `metadata` is RFC 8785 text, or None when there is none.
    """

    reason: str = ""
    reference_type: str = ""
    reference_id: str = ""
    memo: str = ""
    metadata: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One posting as it is asked for: the input of an entry.

    `value` is base units. Without `timestamp` the ledger's clock is taken; without
    `idempotency_key` a fresh UUIDv7.
    """

    from_account: str
    to_account: str
    value: int
    texts: Texts = Texts()
    idempotency_key: str | None = None
    timestamp: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """The public part of a ledger row: what a batch seals and an export carries.

    `seq` counts the token's entries from 0 in the order of the ledger.
    """

    seq: int
    id: bytes
    timestamp: int
    from_address: bytes
    to_address: bytes
    value: int
    nonce: bytes
    ref: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """A batch header: the EIP-712 struct `Batch` (design section 6)."""

    number: int
    parent: bytes
    first_seq: int
    count: int
    entries_root: bytes
    rows_hash: bytes
    total_supply: int
    sealed_at: int


@dataclass(frozen=True, slots=True)
class Batch:
    """A sealed run of entries with the rows that replay it.

    `signature` is the sealer's over `digest`, or None while nobody has signed.
    """

    token_uid: bytes
    header: Header
    digest: bytes
    entries: tuple[Entry, ...] = field(repr=False)
    rows: bytes = field(repr=False)
    signature: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens a `ref`: the salt and the texts that it commits to (`prove --open`)."""

    salt: bytes
    texts: Texts


@dataclass(frozen=True, slots=True)
class Proof:
    """That one entry stands in one batch: header, entry, and the Merkle path between them."""

    token_uid: bytes
    header: Header
    digest: bytes
    signature: bytes | None
    entry: Entry
    path: tuple[bytes, ...]
    opening: Opening | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """One ERC-20 Transfer log as the chain has it: what the chain said, not what we wrote.

    Identified by (chain id, block hash, log index).
    """

    block_number: int
    block_hash: bytes
    log_index: int
    tx_hash: bytes
    tx_index: int
    from_address: bytes
    to_address: bytes
    value: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference that a check found. A value, never an exception.

    `kind` is stable and machine-readable; `message` says what it probably means and what to do;
    `details` holds both sides as JSON-ready values (addresses, hashes, amounts: no personal data).
    """

    kind: str
    message: str
    details: dict[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Return the finding as one JSON-ready object."""
        return {"kind": self.kind, "message": self.message, **self.details}
