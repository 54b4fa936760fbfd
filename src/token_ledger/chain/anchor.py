"""What a chain vouches for: the header digests that a token's contract holds at a final block.

Everything is asked at one block, the finalized one, pinned by its number: what is later could
still be taken back. Judges nothing: `verify` compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from token_ledger.chain import contracts
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.state import get_code, read_digests, read_state
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
        state = read_state(rpc, contract, block=at)
        return ChainAnchor(
            chain_id=chain_id,
            contract=contract,
            block_number=int(at, 16),
            code_known=contracts.is_our_code(code),
            code_hash=keccak(code),
            token_uid=state.token_uid,
            digests=(final := _read(rpc, contract, numbers, at)),
            pending=_read(rpc, contract, [n for n in numbers if n not in final], "latest"),
        )


def _read(rpc: Rpc, contract: bytes, numbers: Sequence[int], block: str) -> dict[int, bytes]:
    digests = read_digests(rpc, contract, numbers, block=block)
    found = zip(numbers, digests, strict=True)
    return {number: digest for number, digest in found if digest != ZERO_HASH}
