"""Many view calls in one `eth_call`, where the chain has Multicall3; in batches where it has not.

Multicall3 stands at the same address on most chains. It is used only where the code there is the
canonical one, byte for byte: anything else could answer what it likes. A call that comes back
wrong, or not at all, is asked again in batches, so that a node's limits cost time and no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from token_ledger.chain.rpc import Rpc, decode_data, hex_data
from token_ledger.core.hashing import address_word, keccak, string_tail, word
from token_ledger.errors import RpcError

MULTICALL3 = bytes.fromhex("cA11bde05977b3631167028862bE2a173976CA11")
CANONICAL = frozenset(
    {bytes.fromhex("d5c15df687b16f2ff992fc8d767b4216323184a2bbc6ee2f9c398c318e770891")}
)
"""The keccak of its runtime code, 3,808 bytes, the same wherever it was deployed."""
CALLS_MAX = 500
"""Calls in one: at 7,000 gas for a `balanceOf`, far below what nodes give an `eth_call`."""
_AGGREGATE3 = keccak(b"aggregate3((address,bool,bytes)[])")[:4]
_CALL = "eth_call"


class Views:
    """The view functions of one contract at one block; each answers one word, 32 bytes."""

    def __init__(self, rpc: Rpc, address: bytes, block: str | dict[str, object]) -> None:
        self._rpc = rpc
        self._address = address
        self._block = block
        code = rpc.data("eth_getCode", [hex_data(MULTICALL3), block])
        self.has_multicall = keccak(code) in CANONICAL

    def words(self, calls: Sequence[bytes]) -> list[bytes]:
        """Return what each call answers, in their order. Raises RpcError."""
        found: list[bytes] = []
        for start in range(0, len(calls), CALLS_MAX):
            some = calls[start : start + CALLS_MAX]
            together = self._together(some) if self.has_multicall else None
            found += self._batch(some) if together is None else together
        return found

    def numbers(self, calls: Sequence[bytes]) -> list[int]:
        """Return what each call answers, as numbers."""
        return [int.from_bytes(answer, "big") for answer in self.words(calls)]

    def _batch(self, calls: Sequence[bytes]) -> list[bytes]:
        to = hex_data(self._address)
        answers = self._rpc.batch(
            [(_CALL, [{"to": to, "data": hex_data(data)}, self._block]) for data in calls]
        )
        with self._rpc.decoding(_CALL):
            return [decode_data(answer, size=32) for answer in answers]

    def _together(self, calls: Sequence[bytes]) -> list[bytes] | None:
        """Return the answers of one aggregated call, or None if it did not come back whole."""
        data = hex_data(encode_aggregate(self._address, calls))
        try:
            answer = self._rpc.data(
                _CALL, [{"to": hex_data(MULTICALL3), "data": data}, self._block]
            )
            return decode_aggregate(answer, len(calls))
        except (RpcError, ValueError):
            self.has_multicall = False  # whatever is wrong with it would be so again
            return None


def encode_aggregate(target: bytes, calls: Sequence[bytes]) -> bytes:
    """Return the calldata of `aggregate3` for calls of one contract, none of which may fail."""
    head = address_word(target) + word(0) + word(0x60)
    items = [head + string_tail(data) for data in calls]
    places = accumulate([32 * len(items), *map(len, items[:-1])])
    return b"".join(
        (_AGGREGATE3, word(0x20), word(len(items)), *map(word, places), *items)
    )  # fmt: skip


def decode_aggregate(answer: bytes, count: int) -> list[bytes]:
    """Return the words that `aggregate3` answers; raises ValueError for anything else."""
    if len(answer) % 32 or _number(answer, 0) != 0x20 or _number(answer, 32) != count:
        raise ValueError("not the answer of aggregate3")
    words = []
    for i in range(count):
        at = 64 + _number(answer, 64 + 32 * i)
        if (_number(answer, at), _number(answer, at + 32), _number(answer, at + 64)) != (1, 64, 32):
            raise ValueError(f"call {i} did not answer one word")
        words.append(answer[at + 96 : at + 128])
    if any(len(found) != 32 for found in words):
        raise ValueError("the answer is cut off")
    return words


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 32], "big")
