"""Transactions as files: for a Safe, to be signed without a network, and signed ones.

    unsigned   {"format": "token-ledger-unsigned-v1", "chainId", "from", "transactions": [
                {"nonce", "to", "data", "gas", "maxFeePerGas", "maxPriorityFeePerGas", "what"}]}
    signed     {"format": "token-ledger-signed-v1", "chainId", "from", "transactions": [
                {"nonce", "hash", "raw", "what"}]}

Canonical as all files here; wei are decimal strings, value is always zero. A Safe's file is what
its Transaction Builder imports, checksum included. Pure: neither signs nor sends.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from token_ledger.core.gas import CALLDATA_MAX
from token_ledger.core.hashing import keccak
from token_ledger.core.strict import (
    address_text,
    read_address,
    read_blob,
    read_bytes,
    read_decimal,
    read_fields,
    read_integer,
    read_list,
    read_text,
    refuse,
    to_hex,
)
from token_ledger.errors import FileFormatError

UNSIGNED_FORMAT = "token-ledger-unsigned-v1"
SIGNED_FORMAT = "token-ledger-signed-v1"
TRANSACTION_GAS_MAX = 1 << 24
FEE_MAX_WEI = 10**15
"""A million gwei a unit of gas: more than that is a slip of the pen."""
RAW_BYTES_MAX = 128 * 1024
SAFE_GAS_MAX = 14_000_000
SAFE_CALLDATA_MAX = CALLDATA_MAX + 8 * 1024
"""One Safe transaction executes a whole file: it stays well within the rules for one."""
_SAFE_CALL_GAS = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """One transaction to come: whom it calls, with what, how much gas it is offered, and why."""

    to: bytes
    data: bytes
    gas: int
    what: str


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A call with everything fixed that a signature covers."""

    call: Call
    nonce: int
    fee_max_wei: int
    tip_max_wei: int

    def fields(self, chain_id: int) -> dict[str, Any]:
        """Return the EIP-1559 transaction as a `Signer` takes it."""
        return {
            "type": 2,
            "chainId": chain_id,
            "nonce": self.nonce,
            "to": address_text(self.call.to),
            "value": 0,
            "data": self.call.data,
            "gas": self.call.gas,
            "maxFeePerGas": self.fee_max_wei,
            "maxPriorityFeePerGas": self.tip_max_wei,
        }


@dataclass(frozen=True, slots=True)
class UnsignedFile:
    """Transactions of one payer on one chain, in the order of their nonces."""

    chain_id: int
    payer: bytes
    transactions: tuple[Unsigned, ...]

    @property
    def cost_max_wei(self) -> int:
        """What all of it can cost at most."""
        return sum(t.call.gas * t.fee_max_wei for t in self.transactions)

    def to_json(self) -> dict[str, Any]:
        """Return the file's document."""
        return {
            "format": UNSIGNED_FORMAT,
            "chainId": self.chain_id,
            "from": address_text(self.payer),
            "transactions": [
                {
                    "nonce": t.nonce,
                    "to": address_text(t.call.to),
                    "data": to_hex(t.call.data),
                    "gas": t.call.gas,
                    "maxFeePerGas": str(t.fee_max_wei),
                    "maxPriorityFeePerGas": str(t.tip_max_wei),
                    "what": t.call.what,
                }
                for t in self.transactions
            ],
        }


@dataclass(frozen=True, slots=True)
class Signed:
    """One raw transaction, as any client broadcasts it."""

    nonce: int
    hash: bytes
    raw: bytes
    what: str


@dataclass(frozen=True, slots=True)
class SignedFile:
    """Signed transactions of one payer on one chain, in the order of their nonces."""

    chain_id: int
    payer: bytes
    transactions: tuple[Signed, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the file's document."""
        return {
            "format": SIGNED_FORMAT,
            "chainId": self.chain_id,
            "from": address_text(self.payer),
            "transactions": [
                {"nonce": t.nonce, "hash": to_hex(t.hash), "raw": to_hex(t.raw), "what": t.what}
                for t in self.transactions
            ],
        }


_FILE_KEYS = frozenset({"format", "chainId", "from", "transactions"})
_UNSIGNED_KEYS = frozenset(
    ["nonce", "to", "data", "gas", "maxFeePerGas", "maxPriorityFeePerGas", "what"]
)
_SIGNED_KEYS = frozenset(["nonce", "hash", "raw", "what"])


def read_unsigned(document: object) -> UnsignedFile:
    """Return a file of unsigned transactions. Raises FileFormatError."""
    fields = _file(document, UNSIGNED_FORMAT)
    transactions = read_list(fields["transactions"], "transactions", _unsigned)
    _check_nonces([t.nonce for t in transactions])
    return UnsignedFile(
        read_integer(fields["chainId"], "chainId", low=1),
        read_address(fields["from"], "from"),
        transactions,
    )


def read_signed(document: object) -> SignedFile:
    """Return a file of signed transactions, their hashes recomputed. Raises FileFormatError."""
    fields = _file(document, SIGNED_FORMAT)
    transactions = read_list(fields["transactions"], "transactions", _signed)
    _check_nonces([t.nonce for t in transactions])
    return SignedFile(
        read_integer(fields["chainId"], "chainId", low=1),
        read_address(fields["from"], "from"),
        transactions,
    )


def _file(document: object, wanted: str) -> dict[str, Any]:
    fields = read_fields(document, "the file", _FILE_KEYS)
    if fields["format"] != wanted:
        raise refuse("format", fields["format"], wanted)
    return fields


def _unsigned(value: object) -> Unsigned:
    fields = read_fields(value, "a transaction", _UNSIGNED_KEYS)
    call = Call(
        to=read_address(fields["to"], "to"),
        data=read_blob(fields["data"], "data"),
        gas=read_integer(fields["gas"], "gas", low=21_000, high=TRANSACTION_GAS_MAX),
        what=_what(fields["what"]),
    )
    fee = read_decimal(fields["maxFeePerGas"], "maxFeePerGas", FEE_MAX_WEI)
    tip = read_decimal(fields["maxPriorityFeePerGas"], "maxPriorityFeePerGas", fee)
    return Unsigned(call, read_integer(fields["nonce"], "nonce"), fee, tip)


def _signed(value: object) -> Signed:
    fields = read_fields(value, "a transaction", _SIGNED_KEYS)
    raw = read_blob(fields["raw"], "raw")
    tx_hash = read_bytes(fields["hash"], "hash")
    if not 0 < len(raw) <= RAW_BYTES_MAX or keccak(raw) != tx_hash:
        raise FileFormatError(
            f"the hash {to_hex(tx_hash)} is not its raw transaction's",
            hint="the file was altered: sign again",
        )
    return Signed(read_integer(fields["nonce"], "nonce"), tx_hash, raw, _what(fields["what"]))


def _what(value: object) -> str:
    text = read_text(value, "what")
    if len(text) > 200 or not text.isprintable():
        raise refuse("what", text, "printable text of at most 200 characters")
    return text


def _check_nonces(nonces: list[int]) -> None:
    if not nonces or nonces != list(range(nonces[0], nonces[0] + len(nonces))):
        raise FileFormatError(
            "the nonces are none, or not one after the other", hint="make the file again"
        )


# --- Safe


def safe_groups(calls: Sequence[Call]) -> Iterator[list[Call]]:
    """Yield runs of calls that fit one transaction of a Safe each, in order."""
    group: list[Call] = []
    gas = size = 0
    for call in calls:
        more_gas, more_size = call.gas + _SAFE_CALL_GAS, len(call.data) + 85
        if group and (gas + more_gas > SAFE_GAS_MAX or size + more_size > SAFE_CALLDATA_MAX):
            yield group
            group, gas, size = [], 0, 0
        group.append(call)
        gas, size = gas + more_gas, size + more_size
    if group:
        yield group


def safe_document(
    calls: Sequence[Call], *, chain_id: int, safe: bytes | None, name: str, created_ms: int
) -> dict[str, Any]:
    """Return what Safe's Transaction Builder imports, with the checksum that it computes."""
    document: dict[str, Any] = {
        "version": "1.0",
        "chainId": str(chain_id),
        "createdAt": created_ms,
        "meta": {
            "name": name,
            "description": "; ".join(call.what for call in calls)[:1000],
            "txBuilderVersion": "1.16.5",
            "createdFromSafeAddress": "" if safe is None else address_text(safe),
            "createdFromOwnerAddress": "",
        },
        "transactions": [
            {
                "to": address_text(call.to),
                "value": "0",
                "data": to_hex(call.data),
                "contractMethod": None,
                "contractInputsValues": None,
            }
            for call in calls
        ],
    }
    document["meta"]["checksum"] = safe_checksum(document)
    return document


def safe_checksum(document: dict[str, Any]) -> str:
    """Return the Transaction Builder's checksum of a document (its name and checksum left out)."""
    meta = {name: value for name, value in document["meta"].items() if name != "checksum"}
    text = _safe_serialize({**document, "meta": {**meta, "name": None}})
    return to_hex(keccak(text.encode("utf-8")))


def _safe_serialize(value: Any) -> str:
    """Serialize as the Transaction Builder does: keys listed first, values each with a comma."""
    if isinstance(value, list):
        return f"[{','.join(map(_safe_serialize, value))}]"
    if isinstance(value, dict):
        names = sorted(value)
        listed = json.dumps(names, ensure_ascii=False, separators=(",", ":"))
        return "{" + listed + "".join(f"{_safe_serialize(value[n])}," for n in names) + "}"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
