"""Which block can no longer be taken back: what the node calls `finalized`, and no guess."""

from __future__ import annotations

from token_ledger.chain.rpc import Rpc, decode_quantity
from token_ledger.errors import RpcError


def final_number(rpc: Rpc) -> int:
    """Return the number of the chain's finalized block. Raises RpcError where it knows none."""
    method = "eth_getBlockByNumber"
    block = rpc.call(method, ["finalized", False])
    if not isinstance(block, dict) or block.get("number") is None:
        raise RpcError(
            f"{rpc.shown} knows no finalized block", hint="use a chain and a node with finality"
        )
    with rpc.decoding(method):
        return decode_quantity(block["number"])
