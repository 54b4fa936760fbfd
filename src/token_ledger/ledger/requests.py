"""Records made ready to post: checked, their accounts resolved, their hashes computed.

Everything about a posting that can be known without a balance. Asks no database.
"""

from __future__ import annotations

import datetime as dt
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NotRequired, Required, TypedDict

from token_ledger.core.entry import RecordHasher, TextFields
from token_ledger.core.hashing import encode_tuple, keccak
from token_ledger.core.parse import (
    REASON_BYTES_MAX,
    TIMESTAMP_MAX,
    check_value,
    parse_account_id,
    parse_key,
    parse_metadata,
    parse_text,
)
from token_ledger.core.types import SYSTEM, Record, Texts
from token_ledger.errors import (
    HoldError,
    KeyConflictError,
    MetadataError,
    SelfTransferError,
    TimestampError,
)
from token_ledger.ledger.accounts import Known
from token_ledger.ledger.tokens import StoredToken

ENDOWMENT = "endow:"
NOBODY: Mapping[str, object] = {}


class Words(TypedDict, total=False):
    """What a posting says beside sides and amount."""

    reason: Required[str]
    idempotency_key: NotRequired[str | None]
    reference: NotRequired[tuple[str, str] | None]
    memo: NotRequired[str]
    metadata: NotRequired[Any]
    timestamp: NotRequired[str | dt.datetime | None]


@dataclass(frozen=True, slots=True)
class PostingContext:
    """What posting needs of the ledger: its secret, its operator, and a clock in tests.

    `imported`: the records are transfers of the chain, which the ledger's closing does not refuse.
    `keys_derived`: they bear keys that nobody else can take.
    """

    operator: bytes
    secret: bytes = field(repr=False)
    clock: Callable[[], int] | None = None
    imported: bool = False
    keys_derived: bool = False


class Request(NamedTuple):
    """A record that passed every check that needs no balances, with its hashes."""

    from_no: int
    to_no: int
    value: int
    timestamp: int | None
    reason: str
    reference_type: str
    reference_id: str
    memo: str
    metadata: str | None
    key: str
    nonce: bytes
    ref: bytes
    id: bytes


def fresh_key() -> str:
    """Return a UUIDv7 (RFC 9562): unique, and sorted by the time of its making."""
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds << 80) | secrets.randbits(80)
    number = number & ~(0xF << 76) | (0x7 << 76)
    number = number & ~(0x3 << 62) | (0x2 << 62)
    return str(uuid.UUID(int=number))


def derived_key(secret: bytes, entry_id: bytes, what: str) -> str:
    """Return the key of an entry that another one brings along: nobody can take it before."""
    return f"{what}:{keccak(encode_tuple(secret, entry_id, what)).hex()}"


def endowment_key(account_id: str) -> str:
    """Return the key of an account's one endowment."""
    return ENDOWMENT + account_id


def check_key(key: str, *, payer: str, payee: str) -> None:
    """Raise KeyConflictError for the key of an account's endowment where it is none.

    It can be guessed; taken by anything else it would leave that account unendowed for ever.
    """
    if key.startswith(ENDOWMENT) and (payer, key) != (SYSTEM, endowment_key(payee)):
        raise KeyConflictError(
            f"the key {key[:100]!r} is kept for the endowment of that account",
            hint=f"choose one that does not begin with {ENDOWMENT!r}",
        )


def check_record(record: Record, *, known: Mapping[str, object] = NOBODY) -> None:
    """Raise the InputError or RuleError of a record that no ledger could take.

    `known`: accounts that exist, whose ids were checked when they were made.
    """
    for side in (record.from_account, record.to_account):
        if type(side) is not str or side not in known:
            parse_account_id(side, allow_system=True)
    if record.from_account == record.to_account:
        raise SelfTransferError(
            f"from and to are both {record.from_account!r}", hint="an entry moves between two"
        )
    check_value(record.value)
    check_texts(record.texts)
    if record.idempotency_key is not None:
        parse_key(record.idempotency_key)
        check_key(record.idempotency_key, payer=record.from_account, payee=record.to_account)
    moment = record.timestamp
    if moment is not None and (type(moment) is not int or not 0 <= moment <= TIMESTAMP_MAX):
        raise TimestampError(
            f"timestamp {moment!r} is out of range", hint="an int of microseconds, 1970 to 9999"
        )


def check_texts(texts: Texts) -> None:
    """Raise TextError or MetadataError for texts that an entry cannot carry."""
    parse_text(texts.reason, what="reason", bytes_max=REASON_BYTES_MAX)
    if texts.reference_type != "":
        parse_text(texts.reference_type, what="reference type")
    if texts.reference_id != "":
        parse_text(texts.reference_id, what="reference id")
    if texts.memo != "":
        parse_text(texts.memo, what="memo")
    if texts.metadata is not None and parse_metadata(texts.metadata) != texts.metadata:
        raise MetadataError("metadata is not in RFC 8785 form", hint="use canonical_metadata()")


class Requests:
    """Turns records into requests: keys into nonces, texts into refs, both into ids.

    `escrow_no`: the one escrow account that they may move; what the chain has done may move any.
    """

    def __init__(
        self, context: PostingContext, token: StoredToken, *, escrow_no: int | None = None
    ) -> None:
        self._escrow_no, self._imported = escrow_no, context.imported
        self._hashes = RecordHasher(context.secret, token.uid).hashes

    def make(self, record: Record, known: Mapping[str, Known]) -> Request:
        """Return the request of a checked record whose accounts are `known`."""
        texts = record.texts
        return self.make_raw(
            known[record.from_account],
            known[record.to_account],
            value=record.value,
            timestamp=record.timestamp,
            texts=(
                texts.reason,
                texts.reference_type,
                texts.reference_id,
                texts.memo,
                texts.metadata,
            ),
            key=fresh_key() if record.idempotency_key is None else record.idempotency_key,
        )

    def make_raw(
        self,
        payer: Known,
        payee: Known,
        *,
        value: int,
        timestamp: int | None,
        texts: TextFields,
        key: str,
    ) -> Request:
        """Return the request of checked words: `make` for a million of them."""
        if (payer[2] is not None or payee[2] is not None) and not self._imported:
            for side in (payer, payee):
                if side.escrow_of is not None and side.number != self._escrow_no:
                    raise HoldError(
                        "an escrow account moves by its holder's holds alone",
                        hint="hold, capture or release",
                    )
        nonce, ref, entry_id = self._hashes(payer[1], payee[1], value, key, texts)
        return Request(payer[0], payee[0], value, timestamp, *texts, key, nonce, ref, entry_id)
