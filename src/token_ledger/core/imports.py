"""What an entry says that is a transfer of the chain: its key, its reason, its reference. Pure.

Source: docs/spec.md, section 5. The key commits to chain, transaction and log, so that a log
becomes one entry however often it is imported; the ledger's secret is in it, so that nobody can
have taken it before.
"""

from __future__ import annotations

from token_ledger.core.address import to_checksum
from token_ledger.core.entry import TextFields
from token_ledger.core.hashing import encode_tuple, keccak, word
from token_ledger.core.parse import canonical_metadata
from token_ledger.core.types import ZERO_ADDRESS

REFERENCE_TYPE = "tx"
"""What the reference of an imported entry names: a transaction, and the log in it."""


def import_key(secret: bytes, *, chain_id: int, tx_hash: bytes, log_index: int) -> str:
    """Return the idempotency key of a transfer; `log_index` counts within the block."""
    content = encode_tuple(secret, "chain", word(chain_id), tx_hash, word(log_index))
    return f"chain:{keccak(content).hex()}"


def reason_of(from_address: bytes, to_address: bytes, *, bridged: bool) -> str:
    """Return the reason of a transfer: what it did, and whether a bridge did it."""
    side = "bridge" if bridged else "chain"
    if from_address == ZERO_ADDRESS:
        return f"{side}:mint"
    return f"{side}:burn" if to_address == ZERO_ADDRESS else "chain:transfer"


def import_texts(
    from_address: bytes,
    to_address: bytes,
    *,
    tx_hash: bytes,
    log_index: int,
    bridge: bytes | None,
) -> TextFields:
    """Return the texts of a transfer's entry. `bridge`: which one minted or burned, if one did."""
    metadata = None if bridge is None else canonical_metadata({"bridge": to_checksum(bridge)})
    reason = reason_of(from_address, to_address, bridged=bridge is not None)
    return reason, REFERENCE_TYPE, f"0x{tx_hash.hex()}:{log_index}", "", metadata


def moves(from_address: bytes, to_address: bytes, value: int) -> bool:
    """Return whether a transfer moves anything: it becomes no entry otherwise."""
    return value > 0 and from_address != to_address


__all__ = ["REFERENCE_TYPE", "import_key", "import_texts", "moves", "reason_of"]
