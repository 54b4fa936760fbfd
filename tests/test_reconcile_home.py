"""Reconcile, for a token that lives on a chain: what is of a block, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books
from tests.chain.fake_node import FakeNode
from tests.chain.living import NOBODY, SLOT, LivingToken, log
from tests.damage import damage
from tests.entered import A, B, C, bring, life, take_in
from tests.onchain import found

from token_ledger.core import findings as kinds
from token_ledger.core.parse import format_amount
from token_ledger.core.report_page import Page
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


def test_every_finding_says_where(ledger: Ledger) -> None:
    """Block and transaction of what was imported; the pinned block of what was asked."""
    chain = LivingToken(life(), head=20)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        damage(ledger, "chain_transfers", "DELETE FROM chain_transfers WHERE block_number = 4")
        chain.extra.update({A: 3, NOBODY: -3})
        chain.slots[SLOT], chain.code = B.rjust(32, b"\0"), "0x6002"
        result = reconcile(ledger, node.url)
    where = {f.kind: (f.details["block"], f.details["tx"]) for f in result.findings}
    assert {
        kinds.BALANCE_DRIFT: (20, None),
        kinds.SUPPLY_DRIFT: (20, None),
        kinds.CODE_DIFFERS: (20, None),
        kinds.MISSING_ON_CHAIN: (4, chain.logs[1]["transactionHash"]),
    } == where


def test_the_page_counts_what_came_from_the_chain(ledger: Ledger) -> None:
    """Imported entries and what waits, beside what an amount of base units is worth."""
    chain = LivingToken([*life(), log(17, 0, C, A, 2**90)], head=20, depth=6)
    with FakeNode(chain) as node:
        take_in(ledger, node.url, decimals=18)
        bring(ledger, node.url)
        result = reconcile(ledger)
        page = Page(result, ledger.token, now=0).render()
        assert result.imported and result.pending
        for name, number in (("imported", result.imported), ("pending", result.pending)):
            assert f'<data id="{name}" value="{number}">' in page
        chain.head = 40
        bring(ledger, node.url)
        stopped = reconcile(ledger)
    [finding] = stopped.findings
    amount = format_amount(int(str(finding.details["held"])), decimals=18)
    held_html = f"<dt>held</dt><dd><code>{amount} {ledger.token.symbol}</code></dd>"
    assert held_html in Page(stopped, ledger.token, now=0).render()
