"""The final block is the one that the chain calls so, and a depth only where it calls none so."""

from __future__ import annotations

from typing import Any

import pytest
from tests.chain.fake_node import Failure, FakeNode
from tests.chain.log_node import LogChain

from token_ledger.chain.finality import CONFIRMATIONS, final_block, final_number
from token_ledger.chain.rpc import Rpc
from token_ledger.errors import RpcError


def chain_that_says(finalized: Any, head: int = 500) -> Any:
    """Return a chain whose answer to the tag is given."""
    chain = LogChain([], head=head)

    def answer(method: str, params: list[Any]) -> Any:
        if params and params[0] == "finalized":
            return chain(method, [hex(finalized)]) if isinstance(finalized, int) else finalized
        return chain(method, params)

    return answer


NONE_KNOWN = [
    None,
    Failure(-39001, "Unknown block"),
    Failure(-32000, "finalized block not found"),
    Failure(-32602, "invalid argument 0: hex string without 0x prefix"),
    Failure(-32601, "'finalized' tag not supported on pre-merge network"),
]


def test_the_chains_own_word_counts() -> None:
    """Where there is a finalized block it is the answer, however near the head it is."""
    for number in (0, 400, 499):
        with FakeNode(chain_that_says(number)) as node, Rpc(node.url) as rpc:
            assert (number, number) == (final_block(rpc).number, final_number(rpc))


@pytest.mark.parametrize("said", NONE_KNOWN)
def test_a_chain_without_finality_gets_a_depth(said: Any) -> None:
    """Without the tag the depth rules; who needs the chain's own word is told so."""
    with FakeNode(chain_that_says(said)) as node, Rpc(node.url) as rpc:
        assert 500 - CONFIRMATIONS == final_block(rpc).number
        assert 490 == final_block(rpc, confirmations=10).number
        assert 0 == final_block(rpc, confirmations=501).number
        with pytest.raises(RpcError, match="knows no finalized block"):
            final_number(rpc)


def test_a_node_that_is_busy_is_no_chain_without_finality() -> None:
    """A refusal that is not about the tag is raised: no depth is guessed from it."""
    busy = Failure(-32005, "rate limit exceeded")
    with (
        FakeNode(chain_that_says(busy)) as node,
        Rpc(node.url, sleep=lambda _: None) as rpc,
        pytest.raises(RpcError, match="rate limit"),
    ):
        final_block(rpc)


def test_a_finalized_block_that_is_none_is_refused() -> None:
    """A mistyped block is an RpcError, no final block."""
    with (
        FakeNode(chain_that_says({"number": "0x1", "hash": "0x12"})) as node,
        Rpc(node.url) as rpc,
        pytest.raises(RpcError, match="not as it should be"),
    ):
        final_block(rpc)
