"""migrate with its plan and its cut-over, through the command, on a real Anvil."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.signer import keystore_address


@pytest.fixture(scope="module")
def final_node() -> Iterator[str]:
    """Yield an Anvil whose blocks become final two blocks later."""
    with Anvil(args=("--slots-in-an-epoch", "1")) as node:
        yield node.url


def test_a_plan_is_told_before_anything_is_sent(book, fresh_anvil: str) -> None:
    """Without a node and with one: transactions, gas, money, ways and forks; nothing is sent."""
    for words in ((), ("--rpc", fresh_anvil), ("--gas-price", "3", "--gas-price", "0.5")):
        ended = book("migrate", "--plan", *words, "--json")
        assert 0 == ended.status, ended.err
        told = ended.document
        assert (1, 1, 3, 1) == tuple(
            told[name] for name in ("batches", "entries", "transactions", "new_holders")
        )
        assert int(told["costs"][0]["cost_wei"]) > 0
        assert 0 == book("migrate", "--plan", *words).status
    assert ["3 gwei", "0.5 gwei"] == [cost["network"] for cost in told["costs"]]
    with Rpc(fresh_anvil) as rpc:
        assert "0x" == rpc.call("eth_getCode", [told["contract"], "latest"])


@pytest.mark.parametrize(
    "words",
    [
        ("--plan", "--finalize"),
        ("--plan", "--reopen"),
        ("--finalize", "--from", "x"),
        ("--gas-price", "1"),
        ("--plan", "--gas-price", "cheap"),
        ("--finalize",),
    ],
)
def test_options_that_do_not_go_together(book, words: tuple[str, ...]) -> None:
    """Contradictions, a price that is none, and a cut-over without a node are wrong usage."""
    ended = book("migrate", *words, "--json")
    assert (2, "bad_usage") == (ended.status, ended.error["code"])


def test_the_cut_over_through_the_command(book, final_node: str) -> None:
    """--finalize refuses what is not ready, cuts over with the operator's key, then is final."""
    rpc_words = ("--rpc", final_node)

    def mine() -> None:
        with Rpc(final_node) as rpc:
            rpc.call("anvil_mine", ["0x8"])

    book("seal", "--sign")
    book("migrate", *rpc_words)
    ended = book("migrate", "--finalize", *rpc_words, "--json")
    assert (1, "not_ready") == (ended.status, ended.error["code"])
    mine()
    book("import", *rpc_words)
    ended = book("migrate", "--finalize", *rpc_words, "--json")
    assert (2, "signing_key") == (ended.status, ended.error["code"])  # the operator has no gas
    assert 0 == book("mint", "alice", "1", "--reason", "still open").status
    book("seal", "--sign")
    book("migrate", *rpc_words)
    mine()
    book("import", *rpc_words)
    operator = book("migrate", "--finalize", "--unsent", *rpc_words, "--json")
    assert (0, False) == (operator.status, operator.document["finalized"])
    assert 0 == book("migrate", "--reopen", *rpc_words).status
    with Rpc(final_node) as rpc:
        address = keystore_address("token_ledger.db.operator.json")
        rpc.call("anvil_setBalance", [hex_data(address), hex(10**19)])
    done = book("migrate", "--finalize", *rpc_words, "--json")
    assert (0, True, False) == (done.status, done.document["finalized"], done.document["final"])
    ended = book("mint", "alice", "1", "--reason", "too late", "--json")
    assert (1, "token_finalized") == (ended.status, ended.error["code"])
    mine()
    assert "yes, for ever" in book("migrate", "--finalize", *rpc_words).out
    ended = book("migrate", "--reopen", *rpc_words, "--json")
    assert (1, "not_ready") == (ended.status, ended.error["code"])
