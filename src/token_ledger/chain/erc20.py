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

_SLOTS = (
    word(int.from_bytes(keccak(b"eip1967.proxy.implementation"), "big") - 1),
    keccak(b"PROXIABLE"),  # EIP-1822
    keccak(b"org.zeppelinos.proxy.implementation"),  # OpenZeppelin's before there was an EIP
)
"""Where a proxy says which code it runs, the places in use most first."""
_BEACON_SLOT = word(int.from_bytes(keccak(b"eip1967.proxy.beacon"), "big") - 1)
"""Where it says which contract knows that, of many proxies at once (EIP-1967)."""


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
    """Return the address of the code that a proxy runs; empty where it is no proxy.

    As EIP-1967 has it, a beacon's included, EIP-1822, or OpenZeppelin before these. (A minimal
    proxy, EIP-1167, holds the address in its own code: it cannot change unseen.) None where the
    node does not say: nothing is known then.
    """
    method = "eth_getStorageAt"
    try:
        answers = rpc.batch(
            [
                (method, [hex_data(address), hex_data(slot), block])
                for slot in (*_SLOTS, _BEACON_SLOT)
            ]
        )
    except NodeError:  # it has not the method, or no longer the state of that block
        return None
    with rpc.decoding(method):
        *slots, beacon = (decode_data(answer, size=32) for answer in answers)
    for slot in slots:
        if any(slot):
            return slot[12:]
    return _read_beacon(rpc, beacon[12:], block) if any(beacon) else b""


def _read_beacon(rpc: Rpc, beacon: bytes, block: Block) -> bytes | None:
    """Return the code's address that a beacon names; its own where it names none; None unsaid."""
    try:
        answer = call_contract(rpc, beacon, selector("implementation()"), block=block)
    except NodeError as error:
        if error.data is None and error.rpc_code != 3 and "revert" not in error.text:
            return None
        answer = b""
    return answer[12:] if len(answer) == 32 else beacon


def _ask(rpc: Rpc, address: bytes, signature: str) -> bytes:
    try:
        return call_contract(rpc, address, selector(signature))
    except NodeError:  # it reverts, or there is no such function
        return b""
