"""The contracts as calls and answers: compiled artifacts, calldata, log topics, named reverts.

The ABI and bytecode are generated from `contracts/` and shipped in the wheel. What runs often is
encoded by hand; `tests/chain/test_contracts.py` holds each encoding against eth-abi and the ABI.
Does no I/O beyond reading the artifacts: `deploy`, `replay` and `logs` talk to the node.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError

from token_ledger.core.address import DEPLOYMENT_PROXY, create2, to_checksum
from token_ledger.core.hashing import address_word, keccak, string_tail, word
from token_ledger.core.types import Batch, Token

TOKEN_CONTRACT = "LedgerToken"  # noqa: S105 - no password
CONTRACTS = ("VaultFactory", "Vault", "HeaderRegistry", "SnapshotToken", TOKEN_CONTRACT)
"""Whose errors are told by name; where two share one, the last names its arguments, unless the
contract that was called is known."""
ANCHORS = (TOKEN_CONTRACT, "HeaderRegistry", "SnapshotToken")
"""Which contracts hold headers that can be believed."""

TRANSFER_TOPIC = keccak(b"Transfer(address,address,uint256)")
CROSSCHAIN_MINT_TOPIC = keccak(b"CrosschainMint(address,uint256,address)")
CROSSCHAIN_BURN_TOPIC = keccak(b"CrosschainBurn(address,uint256,address)")
"""What a bridge's mint and burn say beside their Transfer (ERC-7802)."""
BATCH_REPLAYED_TOPIC = keccak(b"BatchReplayed(uint64,bytes32,bytes32,uint64,uint32)")
BATCH_PART_REPLAYED_TOPIC = keccak(b"BatchPartReplayed(uint64,bytes32,uint64,uint32)")

_BATCH_TUPLE = "(uint64,bytes32,uint64,uint32,bytes32,bytes32,uint256,uint64)"


def selector(signature: str) -> bytes:
    """Return the first four bytes of the keccak of a function's or an error's signature."""
    return keccak(signature.encode("ascii"))[:4]


REPLAY_SELECTOR = selector(f"replay({_BATCH_TUPLE},bytes,bytes)")
REPLAY_PART_SELECTOR = selector(f"replayPart({_BATCH_TUPLE},bytes,bytes,uint32)")
OPEN_BATCH_CALL = selector("openBatch()")
HEAD_CALL = selector("head()")
TOKEN_UID_CALL = selector("tokenUid()")
SEALER_CALL = selector("sealer()")
FINALIZED_CALL = selector("finalized()")
TOTAL_SUPPLY_CALL = selector("totalSupply()")
_DIGEST_OF = selector("digestOf(uint64)")
_BALANCE_OF = selector("balanceOf(address)")
_ERROR_STRING = selector("Error(string)")
_PANIC = selector("Panic(uint256)")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract, as `npm run artifacts` wrote it."""

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes
    runtime: bytes
    immutables: tuple[tuple[int, int], ...]
    """Where, in `runtime`, constructor arguments are filled in: (start, length) in bytes."""


@cache
def artifact(name: str) -> Artifact:
    """Return a compiled contract of this release by its name."""
    path = importlib.resources.files("token_ledger.chain") / "artifacts" / f"{name}.json"
    document = orjson.loads(path.read_bytes())
    places = [
        (place["start"], place["length"])
        for group in document["immutableReferences"]
        for place in group
    ]
    return Artifact(
        name=document["contractName"],
        abi=tuple(document["abi"]),
        bytecode=bytes.fromhex(document["bytecode"][2:]),
        runtime=bytes.fromhex(document["deployedBytecode"][2:]),
        immutables=tuple(sorted(places)),
    )


def masked_code(code: bytes, immutables: tuple[tuple[int, int], ...]) -> bytes:
    """Return runtime code with zeros in the places of its immutables."""
    masked = bytearray(code)
    for start, length in immutables:
        masked[start : start + length] = bytes(len(masked[start : start + length]))
    return bytes(masked)


def is_this_releases_code(code: bytes, name: str = TOKEN_CONTRACT) -> bool:
    """Return whether runtime code is exactly this release's, whatever its immutables hold."""
    ours = artifact(name)
    if len(code) != len(ours.runtime):
        return False
    return masked_code(code, ours.immutables) == masked_code(ours.runtime, ours.immutables)


@dataclass(frozen=True, slots=True)
class ReleasedCode:
    """What a release of ours deploys as one contract, told by its keccak with immutables zero."""

    release: str
    contract: str
    size: int
    immutables: tuple[tuple[int, int], ...]
    masked_hash: bytes

    def is_of(self, code: bytes) -> bool:
        """Return whether runtime code is this, whatever its immutables hold."""
        if len(code) != self.size:
            return False
        return keccak(masked_code(code, self.immutables)) == self.masked_hash


@cache
def released_codes() -> tuple[ReleasedCode, ...]:
    """Return what every release up to this one deploys; a later release extends the list."""
    path = importlib.resources.files("token_ledger.chain") / "artifacts" / "releases.json"
    return tuple(
        ReleasedCode(
            release=entry["release"],
            contract=entry["contract"],
            size=entry["bytes"],
            immutables=tuple((start, length) for start, length in entry["immutables"]),
            masked_hash=bytes.fromhex(entry["maskedCodeHash"][2:]),
        )
        for entry in orjson.loads(path.read_bytes())
    )


def release_of(
    code: bytes,
    name: str = TOKEN_CONTRACT,
    *,
    releases: Sequence[ReleasedCode] | None = None,
) -> str | None:
    """Return the newest release whose contract of that name this runtime code is, or None.

    `releases`: those that are known, by default `released_codes`.
    """
    known = released_codes() if releases is None else releases
    return next((r.release for r in reversed(known) if r.contract == name and r.is_of(code)), None)


def is_our_code(code: bytes, name: str = TOKEN_CONTRACT) -> bool:
    """Return whether runtime code is that of a release of ours, this one or an earlier one."""
    return release_of(code, name) is not None


# --- calldata


def init_code(token: Token, operator: bytes) -> bytes:
    """Return the token contract's creation code with its constructor's arguments."""
    arguments = abi_encode(
        ["string", "string", "uint8", "bytes32", "address"],
        [token.name, token.symbol, token.decimals, token.ledger_uid, to_checksum(operator)],
    )
    return artifact(TOKEN_CONTRACT).bytecode + arguments


def token_address(token: Token, operator: bytes) -> bytes:
    """Return where the token's contract is deployed: the same address on every chain."""
    return create2(DEPLOYMENT_PROXY, token.uid, keccak(init_code(token, operator)))


def deployment_calldata(token: Token, operator: bytes) -> bytes:
    """Return what the deployment proxy is sent: the salt, then the creation code."""
    return token.uid + init_code(token, operator)


def replay_calldata(batch: Batch) -> bytes:
    """Return the calldata of `replay` for a signed batch (Solidity ABI, by hand: hot path)."""
    return REPLAY_SELECTOR + _replayed(batch)


def replay_part_calldata(batch: Batch, rows_max: int) -> bytes:
    """Return the calldata of `replayPart`: the next `rows_max` rows of a signed batch."""
    return REPLAY_PART_SELECTOR + _replayed(batch, word(rows_max))


def _replayed(batch: Batch, *more: bytes) -> bytes:
    """Return header, rows and signature as arguments, and words that come behind them."""
    assert batch.signature is not None, "only signed batches are replayed"
    header = batch.header
    rows = string_tail(batch.rows)
    head_bytes = (10 + len(more)) * 32
    return b"".join(
        (
            word(header.number),
            header.parent,
            word(header.first_seq),
            word(header.count),
            header.entries_root,
            header.rows_hash,
            word(header.total_supply),
            word(header.sealed_at),
            word(head_bytes),
            word(head_bytes + len(rows)),
            *more,
            rows,
            string_tail(batch.signature),
        )
    )


def digest_of_calldata(number: int) -> bytes:
    """Return the calldata of `digestOf(number)`."""
    return _DIGEST_OF + word(number)


def balance_of_calldata(address: bytes) -> bytes:
    """Return the calldata of `balanceOf(address)`."""
    return _BALANCE_OF + address_word(address)


# --- reverts

_HINTS: Mapping[str, str] = {
    "InvalidSignature": "the batch is not signed by the contract's sealer, or was altered",
    "UnexpectedRowsHash": "the rows are not those that were sealed",
    "UnexpectedTotalSupply": "the rows do not give the sealed supply",
    "UnexpectedNumber": "the contract stands elsewhere: somebody replayed meanwhile; run it again",
    "UnexpectedParent": "the contract holds another history: a copy of this ledger replayed there",
    "UnexpectedFirstSeq": "the contract stands elsewhere; run it again",
    "UnexpectedDigest": "a part of another history is there: a copy of this ledger replayed it",
    "AlreadyFinalized": "the token has left the ledger; nothing is replayed any more",
    "Overdrawn": "a row takes more than its account has at that moment: the batch was altered",
}


@dataclass(frozen=True, slots=True)
class Revert:
    """Why a call failed: the name of a typed error and its arguments, as JSON-ready values."""

    name: str
    arguments: dict[str, object]

    def __str__(self) -> str:
        inner = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.name}({inner})"

    @property
    def hint(self) -> str | None:
        """What the error probably means, where that is known."""
        return _HINTS.get(self.name)


@cache
def _errors(called: str | None) -> dict[bytes, dict[str, Any]]:
    names = (*CONTRACTS, *([called] if called else []))
    return {
        selector(f"{item['name']}({','.join(part['type'] for part in item['inputs'])})"): item
        for name in names
        for item in artifact(name).abi
        if item["type"] == "error"
    }


def decode_revert(data: bytes | None, *, called: str | None = None) -> Revert:
    """Return why a call failed from its revert data; never raises.

    `called`: the contract that was called, whose words are taken where another shares the error.
    """
    if not data:
        return Revert("Reverted", {"data": "none"})
    unknown = Revert("Reverted", {"data": "0x" + data[:100].hex()})
    try:
        if data[:4] == _ERROR_STRING:
            return Revert("Error", {"message": abi_decode(["string"], data[4:])[0]})
        if data[:4] == _PANIC:
            return Revert("Panic", {"code": hex(abi_decode(["uint256"], data[4:])[0])})
        error = _errors(called).get(data[:4])
        if error is None:
            return unknown
        values = abi_decode([part["type"] for part in error["inputs"]], data[4:])
    except (DecodingError, UnicodeDecodeError, OverflowError):
        return unknown
    names = [part["name"] for part in error["inputs"]]
    return Revert(
        error["name"], {name: _shown(value) for name, value in zip(names, values, strict=True)}
    )


def _shown(value: object) -> object:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, str) and len(value) == 42 and value.startswith("0x"):
        return to_checksum(bytes.fromhex(value[2:]))
    return str(value) if isinstance(value, int) and value >= 2**53 else value
