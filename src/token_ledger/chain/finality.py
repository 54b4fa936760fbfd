"""Which block can no longer be taken back: what the node calls `finalized`, else a depth."""

from __future__ import annotations

from token_ledger.chain.logs import decode_header, read_headers
from token_ledger.chain.rpc import NodeError, Rpc, decode_quantity
from token_ledger.core.limits import LimitKind, classify
from token_ledger.core.transfers import BlockHeader
from token_ledger.errors import RpcError

CONFIRMATIONS = 128
"""The depth that counts as final on a chain without the tag: no deeper reorganisation is followed
either, unless the caller says so."""
_METHOD = "eth_getBlockByNumber"
_NOT_ABOUT_THE_TAG = frozenset({LimitKind.RATE, LimitKind.TIMEOUT})


def final_block(rpc: Rpc, *, confirmations: int = CONFIRMATIONS) -> BlockHeader:
    """Return the highest block that counts as final: for ever, as far as anybody can say.

    It is the node's `finalized` block; where chain or node know none, the one that lies
    `confirmations` blocks below the head (block 0 on a chain that is shorter). Raises RpcError.
    """
    tagged = _finalized(rpc)
    if tagged is not None:
        return tagged
    head = rpc.quantity("eth_blockNumber")
    return read_headers(rpc, [max(0, head - confirmations)])[0]


def final_number(rpc: Rpc) -> int:
    """Return the number of the chain's finalized block. Raises RpcError where it knows none."""
    tagged = _finalized(rpc)
    if tagged is None:
        raise RpcError(
            f"{rpc.shown} knows no finalized block", hint="use a chain and a node with finality"
        )
    return tagged.number


def _finalized(rpc: Rpc) -> BlockHeader | None:
    try:
        block = rpc.call(_METHOD, ["finalized", False])
    except NodeError as error:  # each client has its own words for a tag that it does not know
        limit = classify(error.text, code=error.rpc_code, status=error.status)
        if limit.kind in _NOT_ABOUT_THE_TAG:
            raise
        return None
    if not isinstance(block, dict) or block.get("number") is None:
        return None
    with rpc.decoding(_METHOD):
        return decode_header(block, decode_quantity(block["number"]))
