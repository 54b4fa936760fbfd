"""What a contract holds at one block: code, head, digests, balances, supply.

Asks in batches, decodes strictly, compares nothing: `reconcile` and `verify` do.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from token_ledger.chain import contracts
from token_ledger.chain.rpc import NodeError, Rpc, decode_data, hex_data
from token_ledger.core.address import to_checksum
from token_ledger.core.hashing import keccak
from token_ledger.core.types import Token
from token_ledger.errors import ForeignContractError

Block = str | dict[str, object]
"""A block as JSON-RPC takes it: a tag, a number in hex, or what `pinned` returns."""


def pinned(block_hash: bytes) -> Block:
    """Return a block named by its hash (EIP-1898): if it is reorganised away, the node says so."""
    return {"blockHash": hex_data(block_hash), "requireCanonical": True}


@dataclass(frozen=True, slots=True)
class ContractState:
    """Where a token's contract stands at the block that was asked."""

    token_uid: bytes
    sealer: bytes
    finalized: bool
    head_number: int
    head_digest: bytes
    next_seq: int


def get_code(rpc: Rpc, address: bytes, *, block: Block = "latest") -> bytes:
    """Return the runtime code at an address; empty where there is none."""
    return rpc.data("eth_getCode", [hex_data(address), block])


def call_contract(rpc: Rpc, address: bytes, data: bytes, *, block: Block = "latest") -> bytes:
    """Return what a view function answers."""
    return rpc.data("eth_call", [{"to": hex_data(address), "data": hex_data(data)}, block])


def read_state(rpc: Rpc, address: bytes, *, block: Block = "latest") -> ContractState:
    """Return the state of a token's contract at one block.

    Raises ForeignContractError when what is there does not answer as a ledger's token does.
    """
    to = hex_data(address)
    calls = [
        ("eth_call", [{"to": to, "data": hex_data(data)}, block])
        for data in (
            contracts.TOKEN_UID_CALL,
            contracts.SEALER_CALL,
            contracts.FINALIZED_CALL,
            contracts.HEAD_CALL,
        )
    ]
    foreign = ForeignContractError(
        f"{to_checksum(address)} is not a token of a token-ledger", hint="check the address"
    )
    try:
        uid, sealer, finalized, head = (bytes.fromhex(a[2:]) for a in rpc.batch(calls))
    except NodeError as error:
        if error.rpc_code == 3 or error.data is not None or "revert" in error.text:
            raise foreign from None
        raise
    except (TypeError, ValueError, AttributeError):
        raise foreign from None
    if (len(uid), len(sealer), len(finalized), len(head)) != (32, 32, 32, 96):
        raise foreign
    return ContractState(
        token_uid=uid,
        sealer=sealer[12:],
        finalized=any(finalized),
        head_number=int.from_bytes(head[:32], "big"),
        head_digest=head[32:64],
        next_seq=int.from_bytes(head[64:], "big"),
    )


def is_known_code(
    code: bytes, *, known_code_hash: bytes | None, allow_code: Collection[bytes] = ()
) -> bool:
    """Return whether code is a release's of ours, or deployed or vouched for under its keccak."""
    if not code:
        return False
    code_hash = keccak(code)
    vouched = code_hash == known_code_hash or code_hash in allow_code
    return vouched or contracts.is_our_code(code)


def check_token_contract(
    rpc: Rpc,
    address: bytes,
    token: Token,
    *,
    known_code_hash: bytes | None = None,
    allow_code: Collection[bytes] = (),
) -> bytes:
    """Return the keccak of the code at `address`, which must be this token's contract.

    Its code is that of a release of ours, this one or an earlier one, or the one of
    `known_code_hash`, which is what was found when it was deployed; or its keccak is among
    `allow_code`, which somebody vouches for.
    Raises ForeignContractError when there is no code, other code, or another token's contract.
    """
    shown = to_checksum(address)
    code = get_code(rpc, address)
    if not code:
        raise ForeignContractError(
            f"there is no contract at {shown}", hint="check chain and address"
        )
    code_hash = keccak(code)
    if not is_known_code(code, known_code_hash=known_code_hash, allow_code=allow_code):
        raise ForeignContractError(
            f"the code at {shown} is not that of any token contract of ours up to this release",
            hint="check the address; a contract of a later release needs that release, or "
            f"--allow-code {hex_data(code_hash)}, if you know whose it is",
        )
    uid = read_state(rpc, address).token_uid
    if uid != token.uid:
        raise ForeignContractError(
            f"the contract at {shown} belongs to another token, 0x{uid.hex()}",
            hint=f"this ledger's {token.symbol} is 0x{token.uid.hex()}",
        )
    return code_hash


def read_words(
    rpc: Rpc, address: bytes, calls: Sequence[bytes], *, block: Block = "latest"
) -> list[bytes]:
    """Return what view functions answer that answer one word each, 32 bytes."""
    to, method = hex_data(address), "eth_call"
    answers = rpc.batch([(method, [{"to": to, "data": hex_data(data)}, block]) for data in calls])
    with rpc.decoding(method):
        return [decode_data(answer, size=32) for answer in answers]


def read_digests(
    rpc: Rpc, address: bytes, numbers: Sequence[int], *, block: Block = "latest"
) -> list[bytes]:
    """Return the digests that the contract holds of batches; zero where it has none."""
    calls = [contracts.digest_of_calldata(number) for number in numbers]
    return read_words(rpc, address, calls, block=block)


def read_balances(
    rpc: Rpc, address: bytes, holders: Sequence[bytes], *, block: Block = "latest"
) -> list[int]:
    """Return `balanceOf` of each holder, in base units."""
    calls = [contracts.balance_of_calldata(holder) for holder in holders]
    words = read_words(rpc, address, calls, block=block)
    return [int.from_bytes(word, "big") for word in words]


def read_supply(rpc: Rpc, address: bytes, *, block: Block = "latest") -> int:
    """Return `totalSupply`, in base units."""
    words = read_words(rpc, address, [contracts.TOTAL_SUPPLY_CALL], block=block)
    return int.from_bytes(words[0], "big")
