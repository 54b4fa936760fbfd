"""Which chain a node serves: its id, and the hash of its block 0.

Two chains can share an id (every Anvil calls itself 31337), never the block 0. Does not remember:
`token_ledger.node` holds it against what the mirror knows.
"""

from __future__ import annotations

from dataclasses import dataclass

from token_ledger.chain.logs import read_headers
from token_ledger.chain.rpc import Rpc
from token_ledger.core.transfers import BlockHeader
from token_ledger.errors import RpcError

TEST_CHAIN_IDS = frozenset({31337, 1337})
"""Chains that anybody starts and throws away: Anvil and Hardhat, Ganache and Geth's --dev."""
_CHAIN_ID_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ChainIdentity:
    """What tells one chain from all others."""

    chain_id: int
    genesis: BlockHeader

    @property
    def is_test_chain(self) -> bool:
        """Whether the chain can vanish and start anew under the same id."""
        return self.chain_id in TEST_CHAIN_IDS


def read_identity(rpc: Rpc) -> ChainIdentity:
    """Return which chain the node serves. Raises RpcError."""
    chain_id = rpc.quantity("eth_chainId")
    if not 0 < chain_id <= _CHAIN_ID_MAX:
        raise RpcError(f"eth_chainId at {rpc.shown}: {chain_id} is no chain id")
    return ChainIdentity(chain_id, read_headers(rpc, [0])[0])


def read_header_at(rpc: Rpc, number: int) -> BlockHeader | None:
    """Return a block's header, or None when the chain does not reach that far there."""
    head = rpc.quantity("eth_blockNumber")
    return read_headers(rpc, [number])[0] if number <= head else None
