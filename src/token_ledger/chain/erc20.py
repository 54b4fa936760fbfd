"""What any ERC-20 says of itself: symbol, name, decimals, and the code behind a proxy.

Written for contracts that nobody of us has made: whatever they answer is an answer or None.
"""

from __future__ import annotations

from eth_abi.abi import decode as abi_decode
from eth_abi.exceptions import DecodingError

from token_ledger.chain.contracts import selector
from token_ledger.chain.rpc import NodeError, Rpc, decode_data, hex_data
from token_ledger.chain.state import Block, call_contract
from token_ledger.core.hashing import keccak, word

IMPLEMENTATION_SLOT = word(int.from_bytes(keccak(b"eip1967.proxy.implementation"), "big") - 1)
"""Where a proxy says which code it runs (EIP-1967)."""


def read_text(rpc: Rpc, address: bytes, signature: str) -> str | None:
    """Return what a function answers that gives a text; None where it gives none.

    Some of the oldest tokens answer 32 bytes with zeros behind the text.
    """
    answer = _ask(rpc, address, signature)
    try:
        if len(answer) == 32:
            return answer.rstrip(b"\0").decode("utf-8") or None
        return str(abi_decode(["string"], answer)[0]) or None
    except (DecodingError, UnicodeDecodeError, OverflowError):
        return None


def read_decimals(rpc: Rpc, address: bytes) -> int | None:
    """Return the token's decimals; None where it does not say, or says what none can be."""
    answer = _ask(rpc, address, "decimals()")
    number = int.from_bytes(answer, "big")
    return number if len(answer) == 32 and number < 256 else None


def read_implementation(rpc: Rpc, address: bytes, *, block: Block = "latest") -> bytes | None:
    """Return the address of the code that a proxy runs (EIP-1967); empty where it is no proxy.

    None where the node does not say: nothing is known then.
    """
    method = "eth_getStorageAt"
    try:
        answer = rpc.call(method, [hex_data(address), hex_data(IMPLEMENTATION_SLOT), block])
    except NodeError:  # it has not the method, or no longer the state of that block
        return None
    with rpc.decoding(method):
        slot = decode_data(answer, size=32)
    return slot[12:] if any(slot) else b""


def _ask(rpc: Rpc, address: bytes, signature: str) -> bytes:
    try:
        return call_contract(rpc, address, selector(signature))
    except NodeError:  # it reverts, or there is no such function
        return b""
