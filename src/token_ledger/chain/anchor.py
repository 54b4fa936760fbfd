"""What a chain vouches for: the header digests that a token's contract holds at a final block.

Everything is asked at one block, the finalized one, pinned by its number: what is later could
still be taken back. Judges nothing: `verify` compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from token_ledger.chain import contracts
from token_ledger.chain.rpc import NodeError, Rpc
from token_ledger.chain.state import call_contract, get_code, read_digests
from token_ledger.core.address import to_checksum
from token_ledger.core.hashing import keccak
from token_ledger.core.types import ZERO_HASH
from token_ledger.errors import ForeignContractError, RpcError


@dataclass(frozen=True, slots=True)
class ChainAnchor:
    """A contract as seen at the finalized block: `digests` by batch number, where it holds any.

    `pending`: those that it holds in the latest block only, and that could still be taken back.
    """

    chain_id: int
    contract: bytes
    block_number: int
    code_known: bool
    code_hash: bytes
    token_uid: bytes
    digests: dict[int, bytes]
    pending: dict[int, bytes]

    @property
    def name(self) -> str:
        """What a report calls this anchor."""
        return (
            f"contract {to_checksum(self.contract)} on chain {self.chain_id} "
            f"at finalized block {self.block_number}"
        )


def read_chain_anchor(url: str, contract: bytes, numbers: Sequence[int]) -> ChainAnchor:
    """Return what `contract` holds for the batches `numbers` at the chain's finalized block.

    Raises RpcError where the node cannot be asked or knows no finalized block, and
    ForeignContractError where there is no contract of ours' kind at that block.
    """
    with Rpc(url) as rpc:
        chain_id = rpc.quantity("eth_chainId")
        block = rpc.call("eth_getBlockByNumber", ["finalized", False])
        if not isinstance(block, dict) or not isinstance(block.get("number"), str):
            raise RpcError(
                f"{rpc.shown} knows no finalized block",
                hint="use a chain with finality, or another anchor",
            )
        at = block["number"]
        code = get_code(rpc, contract, block=at)
        if not code:
            raise ForeignContractError(
                f"there is no contract at {to_checksum(contract)} in finalized block "
                f"{int(at, 16)} of chain {chain_id}",
                hint="check address and chain; if it was deployed just now, wait for finality",
            )
        uid = _token_uid(rpc, contract, at)
        return ChainAnchor(
            chain_id=chain_id,
            contract=contract,
            block_number=int(at, 16),
            code_known=any(contracts.is_our_code(code, name) for name in contracts.ANCHORS),
            code_hash=keccak(code),
            token_uid=uid,
            digests=(final := _read(rpc, contract, numbers, at)),
            pending=_read(rpc, contract, [n for n in numbers if n not in final], "latest"),
        )


def _token_uid(rpc: Rpc, contract: bytes, block: str) -> bytes:
    """Return the token that a contract is bound to: what every contract of ours answers."""
    try:
        answer = call_contract(rpc, contract, contracts.TOKEN_UID_CALL, block=block)
    except NodeError as error:
        if error.rpc_code != 3 and error.data is None and "revert" not in error.text:
            raise
        answer = b""
    if len(answer) != 32:
        raise ForeignContractError(
            f"{to_checksum(contract)} is no contract of a token-ledger", hint="check the address"
        )
    return answer


def _read(rpc: Rpc, contract: bytes, numbers: Sequence[int], block: str) -> dict[int, bytes]:
    digests = read_digests(rpc, contract, numbers, block=block)
    found = zip(numbers, digests, strict=True)
    return {number: digest for number, digest in found if digest != ZERO_HASH}
