"""Block headers from JSON-RPC: encoded, hashed, and linked to a hash that the user trusts.

A header's hash covers every field, so one trusted hash proves a block's receipts root and, through
the parents, every block below it. Knows the fields of all of Ethereum's forks up to Osaka; another
chain's are refused by name. Does not judge proof of work or of stake: trust comes from outside.

An answer that is no answer raises ValueError (see `core.wire`), another chain's header ChainError;
a difference is a Finding. Source: Yellow Paper 4.3, EIP-1559, EIP-4895, EIP-4844, EIP-4788,
EIP-7685.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from token_ledger.core.hashing import keccak
from token_ledger.core.rlp import encode, integer
from token_ledger.core.transfers import BlockHeader
from token_ledger.core.types import Finding
from token_ledger.core.wire import decode_data, decode_quantity, refuse
from token_ledger.errors import ChainError

HEADER_HASH_DIFFERS = "header_hash_differs"
"""A block's fields do not hash to what the node calls it."""
HEADER_CHAIN_BROKEN = "header_chain_broken"
"""A block is not the parent of the one above it."""
HEADER_NOT_TRUSTED = "header_not_trusted"
"""The block at the trusted place is another one."""

_SECONDS_MAX = 253_402_300_799  # 9999-12-31T23:59:59Z, the last that a database column holds
_EXTRA_BYTES_MAX = 1 << 20
_QUANTITY, _EXTRA = 0, -1  # what is neither has the number of its bytes
_FIELDS = (
    ("parentHash", 32),
    ("sha3Uncles", 32),
    ("miner", 20),
    ("stateRoot", 32),
    ("transactionsRoot", 32),
    ("receiptsRoot", 32),
    ("logsBloom", 256),
    ("difficulty", _QUANTITY),
    ("number", _QUANTITY),
    ("gasLimit", _QUANTITY),
    ("gasUsed", _QUANTITY),
    ("timestamp", _QUANTITY),
    ("extraData", _EXTRA),
    ("mixHash", 32),
    ("nonce", 8),
)
_LATER_FIELDS = (
    ("baseFeePerGas", _QUANTITY),  # London
    ("withdrawalsRoot", 32),  # Shanghai
    ("blobGasUsed", _QUANTITY),  # Cancun
    ("excessBlobGas", _QUANTITY),
    ("parentBeaconBlockRoot", 32),
    ("requestsHash", 32),  # Prague
)
_KNOWN = {name for name, _ in (*_FIELDS, *_LATER_FIELDS)}
_BESIDE_THE_HEADER = {"hash", "size", "totalDifficulty", "transactions", "uncles", "withdrawals"}


@dataclass(frozen=True, slots=True)
class FullHeader:
    """A block's whole header. `block.hash` is computed here; `claimed_hash` is the node's word.

    `unknown` names fields of the answer that are not of Ethereum's headers: harmless where the
    hash is right, since they do not enter it.
    """

    block: BlockHeader
    claimed_hash: bytes
    receipts_root: bytes
    transactions_root: bytes
    logs_bloom: bytes = field(repr=False)
    unknown: tuple[str, ...] = ()


def read_header(answer: object) -> FullHeader:
    """Return the header of an answer to `eth_getBlockByNumber` or `eth_getBlockByHash`.

    Raises ValueError for anything else, a pending block included; ChainError where fields of
    Ethereum's headers are missing and unknown ones stand there instead.
    """
    if answer is None:
        raise ValueError("the block is unknown there")
    if not isinstance(answer, dict):
        refuse(f"{answer!r:.80} is no block")
    unknown = tuple(sorted(str(name) for name in answer.keys() - _KNOWN - _BESIDE_THE_HEADER))
    missing = [name for name, _ in _FIELDS if answer.get(name) is None]
    if missing and unknown:
        raise _foreign(unknown)
    if missing:
        raise ValueError(f"the header lacks {', '.join(missing)}")
    fields = [_field(answer, name, kind) for name, kind in (*_FIELDS, *_later(answer))]
    seconds = decode_quantity(answer["timestamp"], bits=64)
    if seconds > _SECONDS_MAX:
        raise ValueError(f"the timestamp is {seconds}, past the year 9999")
    block = BlockHeader(
        number=decode_quantity(answer["number"], bits=63),
        hash=keccak(encode(fields)),
        parent_hash=decode_data(answer["parentHash"]),
        timestamp=seconds * 1_000_000,
    )
    return FullHeader(
        block=block,
        claimed_hash=decode_data(answer.get("hash"), size=32),
        receipts_root=decode_data(answer["receiptsRoot"]),
        transactions_root=decode_data(answer["transactionsRoot"]),
        logs_bloom=decode_data(answer["logsBloom"]),
        unknown=unknown,
    )


def check_header(header: FullHeader) -> list[Finding]:
    """Return the finding of a header that does not hash to what the node calls it, if it is one.

    Raises ChainError where that has a simple reason: the chain's headers have more fields.
    """
    if header.block.hash == header.claimed_hash:
        return []
    if header.unknown:
        raise _foreign(header.unknown)
    return [
        _finding(
            HEADER_HASH_DIFFERS,
            "the block's fields do not hash to its hash: the node alters answers, or serves a "
            "chain with other headers; take it from another node",
            header.block.number,
            expected=header.claimed_hash,
            actual=header.block.hash,
        )
    ]


def check_header_chain(headers: Sequence[FullHeader], trusted_hash: bytes) -> list[Finding]:
    """Return what does not hold of headers in ascending order, the last one's hash being trusted.

    Each must hash to what it is called and be the parent of the next, without a gap. Nothing found
    proves every header given. A long chain is checked in pieces from the top: the trusted hash of
    the piece below is `headers[0].block.parent_hash`. Raises ChainError as `check_header` does.
    """
    assert headers, "nothing given would prove nothing"
    findings = [finding for header in headers for finding in check_header(header)]
    for lower, upper in itertools.pairwise(headers):
        below, above = lower.block, upper.block
        if above.number != below.number + 1 or above.parent_hash != below.hash:
            findings.append(
                _finding(
                    HEADER_CHAIN_BROKEN,
                    f"block {below.number} is not the parent of block {above.number}: the chain "
                    "reorganised while it was read, or the node makes blocks up; read it again, "
                    "or from another node",
                    below.number,
                    expected=above.parent_hash,
                    actual=below.hash,
                )
            )
    top = headers[-1].block
    if top.hash != trusted_hash:
        findings.append(
            _finding(
                HEADER_NOT_TRUSTED,
                f"block {top.number} is not the trusted one: the node is on another chain or fork, "
                "or the trusted hash is of another block",
                top.number,
                expected=trusted_hash,
                actual=top.hash,
            )
        )
    return findings


def _later(answer: dict[str, Any]) -> list[tuple[str, int]]:
    """Return the fields of later forks that the header has. None is there without all before it."""
    there = [pair for pair in _LATER_FIELDS if answer.get(pair[0]) is not None]
    for (name, _), (expected, _) in zip(there, _LATER_FIELDS, strict=False):
        if name != expected:
            raise ValueError(f"the header has {name}, but not {expected}")
    return there


def _field(answer: dict[str, Any], name: str, kind: int) -> bytes:
    try:
        if kind == _QUANTITY:
            return integer(decode_quantity(answer[name]))
        data = decode_data(answer[name], size=None if kind == _EXTRA else kind)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if len(data) > _EXTRA_BYTES_MAX:
        raise ValueError(f"{name} has {len(data)} bytes")
    return data


def _foreign(unknown: tuple[str, ...]) -> ChainError:
    names = ", ".join(unknown)
    return ChainError(
        f"this chain's headers have fields that this release does not know: {names:.200}",
        hint="import this chain without --verify",
    )


def _finding(
    kind: str, message: str, block_number: int, *, expected: bytes, actual: bytes
) -> Finding:
    return Finding(
        kind,
        message,
        {
            "block_number": block_number,
            "expected": "0x" + expected.hex(),
            "actual": "0x" + actual.hex(),
        },
    )
