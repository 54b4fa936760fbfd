"""Reconcile, for a token that lives on a chain: what is of a block, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books
from tests.chain.fake_node import FakeNode
from tests.chain.living import NOBODY, LivingToken, log
from tests.entered import A, B, bring, take_in
from tests.onchain import found

from token_ledger.core import findings as kinds
from token_ledger.ledger import Ledger
from token_ledger.reconcile import Scope, reconcile


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with books.create(database_url, tmp_path) as ledger:
        yield ledger


def test_what_stopped_the_books_is_of_its_block(ledger: Ledger) -> None:
    """As of an earlier block, and in a range without it, nothing had stopped them."""
    logs = [log(3, 0, NOBODY, A, 1), log(8, 0, A, B, 2)]
    with FakeNode(LivingToken(logs, head=12)) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
    for scope in (Scope(as_of=6), Scope(from_block=3, to_block=5)):
        assert [] == found(reconcile(ledger, scope=scope))
    assert [kinds.ENTRY_STOPPED] == found(reconcile(ledger, scope=Scope(to_block=8)))
    with ledger.write() as connection:
        connection.exec_driver_sql("DELETE FROM chain_transfers WHERE block_number = 8")
    assert kinds.ENTRY_STOPPED not in found(reconcile(ledger))


def test_a_mint_past_every_supply_is_not_a_sender_without_money(ledger: Ledger) -> None:
    """What no uint256 holds stops the books too, and is told for what it is."""
    chain = LivingToken([log(3, 0, NOBODY, A, 2**256 - 1), log(5, 0, NOBODY, B, 1)], head=9)
    chain.extra[NOBODY] = 2**256 - 1  # burned without a log
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
    [finding] = reconcile(ledger).findings
    assert kinds.ENTRY_STOPPED == finding.kind
    assert finding.message.startswith("a mint takes the supply past")
