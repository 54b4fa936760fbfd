"""The id of an entry, and what it commits to (design section 4; docs/spec.md, "Entry").

    id    = EIP-712 digest of Entry(from, to, value, nonce, ref) under the token's domain
    nonce = keccak256(abi.encode(ledger_secret, idempotency_key))
    salt  = keccak256(abi.encode(ledger_secret, nonce))
    ref   = keccak256(abi.encode(salt, reason, reference_type, reference_id, memo, metadata))

No chain id, no timestamp, no position: the same entry keeps its id on every chain and for ever.
"""

from __future__ import annotations

from functools import lru_cache

from token_ledger.core.hashing import domain_separator, encode_tuple, keccak, string_tail, word
from token_ledger.core.types import ZERO_HASH, Entry, Texts

ENTRY_TYPE_HASH = keccak(b"Entry(address from,address to,uint256 value,bytes32 nonce,bytes32 ref)")
_PAD = b"\0" * 12


def token_uid(ledger_uid: bytes, *, symbol: str, name: str, decimals: int) -> bytes:
    """Return the token's uid, 32 bytes: the salt of its EIP-712 domain on every chain."""
    return keccak(encode_tuple(ledger_uid, symbol, name, word(decimals)))


def entry_nonce(ledger_secret: bytes, idempotency_key: str) -> bytes:
    """Return the nonce, 32 bytes, unique per token: the public face of the idempotency key."""
    return keccak(encode_tuple(ledger_secret, idempotency_key))


def ref_salt(ledger_secret: bytes, nonce: bytes) -> bytes:
    """Return the salt of an entry's `ref`, 32 bytes."""
    return keccak(ledger_secret + nonce)


def metadata_hash(metadata: str | None) -> bytes:
    """Return the keccak of RFC 8785 text, or zero when there is no metadata."""
    return ZERO_HASH if metadata is None else keccak(metadata.encode("utf-8"))


def entry_ref(salt: bytes, texts: Texts) -> bytes:
    """Return `ref`, 32 bytes: the salted commitment to an entry's texts."""
    return keccak(
        encode_tuple(
            salt,
            texts.reason,
            texts.reference_type,
            texts.reference_id,
            texts.memo,
            metadata_hash(texts.metadata),
        )
    )


TextFields = tuple[str, str, str, str, str | None]
"""reason, reference_type, reference_id, memo, metadata: `Texts` for the hot path."""


class EntryHasher:
    """Computes entry ids of one token: the domain separator is hashed once, not a million times."""

    __slots__ = ("_prefix",)

    def __init__(self, token_uid: bytes) -> None:
        self._prefix = b"\x19\x01" + domain_separator(token_uid)

    def id(
        self, *, from_address: bytes, to_address: bytes, value: int, nonce: bytes, ref: bytes
    ) -> bytes:
        """Return the entry's id, 32 bytes. Addresses of 20 bytes; `value` in base units."""
        struct = b"".join(
            (
                ENTRY_TYPE_HASH,
                _PAD,
                from_address,
                _PAD,
                to_address,
                value.to_bytes(32, "big"),
                nonce,
                ref,
            )
        )
        return keccak(self._prefix + keccak(struct))

    def recompute(self, entry: Entry) -> bytes:
        """Return the id that the entry's other fields demand."""
        return self.id(
            from_address=entry.from_address,
            to_address=entry.to_address,
            value=entry.value,
            nonce=entry.nonce,
            ref=entry.ref,
        )


class RecordHasher:
    """Computes nonce, ref and id of many records of one token: the functions above in one go.

    Written out because a load spends its time here; `tests/core/test_entry.py` holds it against
    the plain functions.
    """

    __slots__ = ("_nonce_head", "_prefix", "_secret")

    def __init__(self, ledger_secret: bytes, token_uid: bytes) -> None:
        self._secret = ledger_secret
        self._nonce_head = ledger_secret + word(64)
        self._prefix = b"\x19\x01" + domain_separator(token_uid)

    def hashes(
        self, from_address: bytes, to_address: bytes, value: int, key: str, texts: TextFields
    ) -> tuple[bytes, bytes, bytes]:
        """Return nonce, ref and id, 32 bytes each."""
        nonce = keccak(self._nonce_head + string_tail(key.encode()))
        offsets, tails = _reason_alone(texts[0]) if texts[1:4] == _NO_MORE else _encode(texts[:4])
        metadata = ZERO_HASH if texts[4] is None else metadata_hash(texts[4])
        ref = keccak(keccak(self._secret + nonce) + offsets + metadata + tails)
        struct = keccak(
            b"%b%b%b%b%b%b%b"
            % (
                _ENTRY_HEAD, from_address, _PAD, to_address, value.to_bytes(32, "big"), nonce, ref,
            )
        )  # fmt: skip
        return nonce, ref, keccak(self._prefix + struct)


_ENTRY_HEAD = ENTRY_TYPE_HASH + _PAD
_NO_MORE = ("", "", "")


def _encode(texts: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Return the four texts of a `ref` encoded: where they begin, and what stands there."""
    offsets, tails, place = [], [], 192
    for text in texts:
        tail = string_tail(text.encode())
        offsets.append(word(place))
        tails.append(tail)
        place += len(tail)
    return b"".join(offsets), b"".join(tails)


@lru_cache(maxsize=1_000)  # reasons are few, and most entries say no more
def _reason_alone(reason: str) -> tuple[bytes, bytes]:
    return _encode((reason, *_NO_MORE))
