"""The transactions of a block: encoded as the chain encodes them, hashed, rooted.

Receipts do not commit to the hash of their transaction, yet the books remember transfers by it.
`read_transactions` takes the full transactions of `eth_getBlockByHash(…, true)` and rebuilds every
hash and the transactions root. Other chains' types are refused by name. It recovers no senders and
checks no signatures: the root says what the chain accepted.

Raises ValueError for an answer that is no answer (see `core.wire`), ChainError for another chain's
types. Source: EIP-155, EIP-2930, EIP-1559, EIP-4844, EIP-7702.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from token_ledger.core.hashing import keccak
from token_ledger.core.rlp import Item, encode, integer
from token_ledger.core.trie import ordered_root
from token_ledger.core.types import Finding
from token_ledger.core.wire import decode_data, decode_quantity, field, refuse
from token_ledger.errors import ChainError

TRANSACTIONS_ROOT_DIFFERS = "transactions_root_differs"
"""The transactions that the node gives are not those that the block's header commits to."""

TRANSACTIONS_MAX = 1 << 20
"""More transactions than a block can hold: 21,000 gas each."""
TYPE_MAX = 4
"""Legacy, EIP-2930, EIP-1559, EIP-4844 and EIP-7702: what Ethereum has today."""

FOREIGN_TYPES = {
    0x64: "Arbitrum deposit",
    0x65: "Arbitrum unsigned",
    0x66: "Arbitrum contract",
    0x68: "Arbitrum retry",
    0x69: "Arbitrum submit-retryable",
    0x6A: "Arbitrum internal",
    0x71: "ZKsync EIP-712",
    0x78: "Arbitrum legacy",
    0x7B: "Celo dynamic-fee",
    0x7C: "Celo dynamic-fee",
    0x7E: "OP Stack or Scroll deposit",
    0xFE: "ZKsync upgrade",
    0xFF: "ZKsync priority",
}
"""Types of other chains, whose receipts hold more than Ethereum's or are hashed otherwise."""


@dataclass(frozen=True, slots=True)
class BlockTransactions:
    """The hashes of a block's transactions in their order, and the root over them: all rebuilt."""

    hashes: tuple[bytes, ...]
    root: bytes


def decode_type(value: object, what: str) -> int:
    """Return the type of a transaction or receipt, 0 to 4. Absent, as it was of old, it is 0.

    Raises ChainError, which names it, for a type that is not Ethereum's.
    """
    if value is None:
        return 0
    number = decode_quantity(value, bits=8)
    if number > TYPE_MAX:
        name = FOREIGN_TYPES.get(number, "unknown")
        raise ChainError(
            f"a {what} is of type 0x{number:02x} ({name}), which this release cannot verify",
            hint="import this chain without --verify",
        )
    return number


def read_transactions(answer: object) -> BlockTransactions:
    """Return hashes and root of a block's full transactions, the field `transactions`.

    Raises ValueError also where a transaction's own hash is not what the node calls it.
    """
    if not isinstance(answer, list) or len(answer) > TRANSACTIONS_MAX:
        raise ValueError("not a list of transactions")
    encoded = []
    for index, item in enumerate(answer):
        if not isinstance(item, dict):
            refuse(f"transaction {index} is not in full: {item!r:.80}")
        try:
            encoded.append(_encode(item, index))
        except ValueError as error:
            raise ValueError(f"transaction {index}: {error!s:.200}") from None
    return BlockTransactions(tuple(map(keccak, encoded)), ordered_root(encoded))


def check_transactions(
    transactions: BlockTransactions, *, root: bytes, block_number: int
) -> list[Finding]:
    """Return how the transactions differ from the root that the block's verified header names."""
    if transactions.root == root:
        return []
    return [
        Finding(
            TRANSACTIONS_ROOT_DIFFERS,
            "the node's transactions are not those of the block; take them from another node",
            {
                "block_number": block_number,
                "expected": "0x" + root.hex(),
                "actual": "0x" + transactions.root.hex(),
            },
        )
    ]


_Object = dict[str, Any]
_Reader = Callable[[_Object], Item]


def _integer(name: str) -> _Reader:
    return lambda item: integer(decode_quantity(field(item, name)))


def _data(name: str, size: int | None = None) -> _Reader:
    return lambda item: decode_data(field(item, name), size=size)


def _to(item: _Object) -> bytes:
    to = item.get("to")  # null creates a contract
    return b"" if to is None else decode_data(to, size=20)


def _parity(item: _Object) -> bytes:
    """Return yParity, which older nodes call `v`."""
    value = item.get("yParity")
    return integer(decode_quantity(field(item, "v") if value is None else value))


def _items(item: _Object, name: str) -> list[Any]:
    items = field(item, name)
    if not isinstance(items, list):
        refuse(f"{name} is not a list")
    return items


def _objects(item: _Object, name: str) -> list[_Object]:
    items = _items(item, name)
    if not all(isinstance(entry, dict) for entry in items):
        raise ValueError(f"{name} is not a list of objects")
    return items


def _hashes(name: str) -> _Reader:
    return lambda item: [decode_data(text, size=32) for text in _items(item, name)]


def _access_list(item: _Object) -> Item:
    keys = _hashes("storageKeys")
    address = _data("address", 20)
    return [[address(entry), keys(entry)] for entry in _objects(item, "accessList")]


def _authorizations(item: _Object) -> Item:
    readers = (_integer("chainId"), _data("address", 20), _integer("nonce"), *_SIGNATURE)
    return [[read(entry) for read in readers] for entry in _objects(item, "authorizationList")]


_SIGNATURE = (_parity, _integer("r"), _integer("s"))
_NONCE, _GAS, _PRICE, _CHAIN = map(_integer, ("nonce", "gas", "gasPrice", "chainId"))
_CALL = (_to, _integer("value"), _data("input"))
_FEES = (_integer("maxPriorityFeePerGas"), _integer("maxFeePerGas"))
_BLOBS = (_integer("maxFeePerBlobGas"), _hashes("blobVersionedHashes"))
_LAYOUTS: tuple[tuple[_Reader, ...], ...] = (
    (_NONCE, _PRICE, _GAS, *_CALL, _integer("v"), _integer("r"), _integer("s")),
    (_CHAIN, _NONCE, _PRICE, _GAS, *_CALL, _access_list, *_SIGNATURE),
    (_CHAIN, _NONCE, *_FEES, _GAS, *_CALL, _access_list, *_SIGNATURE),
    (_CHAIN, _NONCE, *_FEES, _GAS, *_CALL, _access_list, *_BLOBS, *_SIGNATURE),
    (_CHAIN, _NONCE, *_FEES, _GAS, *_CALL, _access_list, _authorizations, *_SIGNATURE),
)


def _encode(item: _Object, index: int) -> bytes:
    """Return a transaction's consensus encoding; its place and hash must be as the node says."""
    kind = decode_type(item.get("type"), "transaction")
    if decode_quantity(field(item, "transactionIndex")) != index:
        raise ValueError(f"transactionIndex is {item['transactionIndex']!r:.80}")
    encoded = encode([read(item) for read in _LAYOUTS[kind]])
    if kind:
        encoded = bytes((kind,)) + encoded
    if decode_data(field(item, "hash"), size=32) != keccak(encoded):
        raise ValueError(f"its hash is not {item['hash']}, but 0x{keccak(encoded).hex()}")
    return encoded
