"""Import --follow of a token that lives on the chain: what becomes final becomes entries.

Method: a token of a test's making, whose node goes away and comes back, and one on a real Anvil
that was cut over, with nothing but a WebSocket to wake the follower.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import books
from tests.chain.fake_node import FakeNode, Raw
from tests.chain.living import NOBODY, TOKEN, LivingToken, log
from tests.entered import A, B, bring, entries, expected, held, life, take_in
from tests.onchain import count, found
from tests.test_after_cut_over import address_of, call, cut_over, mine
from tests.test_follow import following

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.core import findings as kinds
from token_ledger.errors import RpcError
from token_ledger.follow import Bell, follow
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, imports
from token_ledger.ledger.mirror_schema import token_imports
from token_ledger.reconcile import reconcile


@pytest.fixture
def ledger(sqlite_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger with a token of its own, beside which others are taken in."""
    with books.create(sqlite_url, tmp_path) as ledger:
        yield ledger


def test_entries_are_made_as_blocks_become_final(ledger: Ledger) -> None:
    """Block by block, through an outage, each once; and each look says how many."""
    chain, down = LivingToken(life(), head=4), [False]

    def answer(method: str, params: list[Any]) -> Any:
        return Raw(hang_up=True) if down[0] else chain(method, params)

    with FakeNode(answer) as node:
        take_in(ledger, node.url)
        with following(ledger, node.url, contracts=[TOKEN]) as follower:
            for head in range(5, 9):
                chain.head = head
                follower.wait_until(lambda: expected(chain, chain.head - 2) == held(ledger))
            down[0] = True
            follower.wait_until(lambda: follower.news[-1].trouble is not None)
            chain.head = 16
            down[0] = False
            follower.wait_until(lambda: expected(chain, 12) == held(ledger))
            follower.wait_until(
                lambda: sum(news.entries for news in follower.news) == count(ledger, token_imports)
            )
            [done] = follower.end()
    assert done.entered is not None
    assert count(ledger, token_imports) == len(entries(ledger)) == done.entered.entries
    assert [] == found(reconcile(ledger))


def test_what_is_wrong_is_told_when_it_is_found_and_once(ledger: Ledger) -> None:
    """A rule that broke and a transfer that stops the books are news of their look alone."""
    moves = [(NOBODY, A, 9), (A, B, 4), (B, A, 5)]
    chain = LivingToken([log(3 * i + 3, 0, *move) for i, move in enumerate(moves)], head=5)
    with FakeNode(chain) as node:
        ledger.create_account("ann", address=A)
        take_in(ledger, node.url)
        with following(ledger, node.url, contracts=[TOKEN]) as follower:
            follower.wait_until(lambda: 9 == ledger.get_balance("ann"))
            ledger.freeze_account("ann")
            chain.head = 8
            follower.wait_until(lambda: 5 == ledger.get_balance("ann"))
            chain.head = 12
            told = lambda: [f.kind for news in follower.news for f in news.findings]  # noqa: E731
            follower.wait_until(lambda: kinds.ENTRY_STOPPED in told())
            chain.logs.append(log(11, 0, NOBODY, A, 1))
            chain.head = 30
            follower.wait_until(lambda: follower.transfers == 3 or follower.news[-1].block >= 12)
            [done] = follower.end()
        assert [kinds.RULE_BROKEN, kinds.ENTRY_STOPPED] == told()
    assert [kinds.RULE_BROKEN, kinds.ENTRY_STOPPED] == [f.kind for f in done.entered.findings]


def test_new_heads_alone_make_entries(ledger: Ledger) -> None:
    """With a poll interval of an hour a WebSocket's word is enough, after a cut-over."""
    with Anvil(args=("--slots-in-an-epoch", "1")) as node:
        with Rpc(node.url) as rpc:
            rpc.call("anvil_setBalance", [hex_data(books.operator().address), hex(10**20)])
        books.fill(ledger, 40)
        contract = cut_over(ledger, node.url)
        mine(node.url)
        ingest(ledger, node.url)
        before = ledger.get_balance("bob")
        urls = [node.url, node.url.replace("http://", "ws://")]
        alice, bob = (address_of(ledger, name) for name in ("alice", "bob"))
        with following(ledger, urls, poll_s=3600) as follower:
            follower.wait_until(lambda: bool(follower.news))
            for i in range(1, 4):
                call(node.url, alice, contract, "transfer(address,uint256)", hex_data(bob), 7)
                mine(node.url)
                follower.wait_until(lambda n=i: before + 7 * n == ledger.get_balance("bob"))
        assert [] == found(reconcile(ledger, node.url))


def test_a_follower_is_not_started_without_a_node(ledger: Ledger) -> None:
    """No node that answers: a misspelt URL, perhaps. It ends at once, and a supervisor decides."""
    with FakeNode(LivingToken(life(), head=9)) as node:
        take_in(ledger, node.url)
    with pytest.raises(RpcError):
        follow(ledger, node.url, bell=Bell(), contracts=[TOKEN])
    assert [] == entries(ledger)


def test_stopped_between_two_runs_what_was_entered_is_told(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal while it enters ends it after the transaction; the next import goes on behind it."""
    monkeypatch.setattr(imports, "RUN_TRANSFERS", 2)
    asked: list[str] = []
    chain = LivingToken(life(), head=20)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        first = ingest(
            ledger,
            node.url,
            contract=TOKEN,
            progress=lambda stage, *_: asked.append(stage),
            stopped=lambda: "entries" in asked,
        )
        assert first.entered is not None
        assert 0 < first.entered.entries == len(entries(ledger)) < 8
        rest = bring(ledger, node.url)
    assert rest.entered is not None
    assert first.entered.entries + rest.entered.entries == len(entries(ledger))
    assert expected(chain, 20) == held(ledger)
