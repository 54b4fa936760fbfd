"""Reconcile for books that follow a chain: going on from a clean run, and figures over time.

Method: a token of a test's making; its mirror is altered behind the importer's back, below and
above the point that an incremental run goes on from.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books
from tests.chain.fake_node import FakeNode
from tests.chain.living import NOBODY, LivingToken, log
from tests.entered import A, B, bring, take_in
from tests.onchain import found, sql

from token_ledger.core import findings as kinds
from token_ledger.ledger import Ledger
from token_ledger.reconcile import Scope, reconcile

INCREMENTAL = Scope(incremental=True)
LATER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
LIFE = [(NOBODY, A, 1000), *[(A, B, number) for number in range(1, 20)]]


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger with a token of its own, beside which others are taken in."""
    with books.create(database_url, tmp_path) as ledger:
        yield ledger


def chain_of(head: int) -> LivingToken:
    """Return a token with one transfer a block, from block 3 on."""
    return LivingToken([log(i + 3, 0, *move) for i, move in enumerate(LIFE)], head=head, depth=4)


def test_only_what_was_entered_since_a_clean_run_is_compared(ledger: Ledger) -> None:
    """What was not final then is compared now; what was compared is not walked through again."""
    chain = chain_of(head=10)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        first = reconcile(ledger, node.url, scope=INCREMENTAL)
        assert (4, 4, 4, []) == (first.entries, first.matched, first.pending, found(first))
        chain.head = 15
        bring(ledger, node.url)
        second = reconcile(ledger, node.url, scope=INCREMENTAL)
        assert second.point is not None
        assert (first.run_no, 7) == (second.point.run_no, second.point.next_block)
        assert (5, 5, 4, []) == (second.entries, second.matched, second.pending, found(second))
        assert 0 == reconcile(ledger, node.url, scope=INCREMENTAL).entries
        assert 9 == reconcile(ledger, node.url).entries


@pytest.mark.parametrize(("block", "incremental"), [(5, False), (12, True)])
def test_an_alteration_below_the_point_is_for_a_whole_run(
    ledger: Ledger, block: int, incremental: bool
) -> None:
    """As with what was replayed: an incremental run believes a clean one, and finds what is new."""
    chain = chain_of(head=14)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        assert [] == found(reconcile(ledger))
        chain.head = 20
        bring(ledger, node.url)
    sql(ledger, f"UPDATE chain_transfers SET value = NUM(77) WHERE block_number = {block}")
    assert [kinds.VALUE_DIFFERS] * incremental == found(reconcile(ledger, scope=INCREMENTAL))
    assert [kinds.VALUE_DIFFERS] == found(reconcile(ledger))


def test_a_lost_link_is_found_from_the_point_on(ledger: Ledger) -> None:
    """A final log above the point that is no entry, and an entry that is no log, are findings."""
    chain = chain_of(head=14)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        assert [] == found(reconcile(ledger))
        chain.head = 20
        bring(ledger, node.url)
    sql(ledger, "DELETE FROM token_imports WHERE block_number = 14", unlock="token_imports")
    expected = [kinds.MISSING_IN_LEDGER, kinds.MISSING_ON_CHAIN]
    assert sorted(expected) == found(reconcile(ledger, scope=INCREMENTAL))


def test_a_broken_rule_below_the_point_is_still_listed(ledger: Ledger) -> None:
    """Acknowledged it keeps no run from being clean, and every incremental one names it again."""
    chain = chain_of(head=10)
    with FakeNode(chain) as node:
        ledger.create_account("ann", address=A)
        take_in(ledger, node.url)
        bring(ledger, node.url)
        ledger.freeze_account("ann")
        chain.head = 11
        bring(ledger, node.url)
        result = reconcile(ledger)
        assert [kinds.RULE_BROKEN] == found(result)
        name = result.id_of(result.findings[0])
        ledger.acknowledge_finding(name, reason="known", by="Ada", until=LATER)
        assert reconcile(ledger).settled
        ledger.unfreeze_account("ann")
        chain.head = 16
        bring(ledger, node.url)
        later = reconcile(ledger, scope=INCREMENTAL)
    assert (5, 1, []) == (later.entries, later.acknowledged_total, found(later))
    assert later.point is not None


def test_imported_entries_are_in_the_figures_over_time(ledger: Ledger) -> None:
    """What they moved adds up to the chart's figures; without its log an entry is unmatched."""
    chain = chain_of(head=20)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
    final = sum(value for _, _, value in LIFE[: 16 - 3 + 1])
    timeline = reconcile(ledger, timeline=True).timeline
    assert timeline is not None
    assert (final, 0) == (sum(timeline.matched), sum(timeline.unmatched))
    part = reconcile(ledger, scope=Scope(from_block=10, to_block=12), timeline=True).timeline
    assert part is not None
    assert 7 + 8 + 9 == sum(part.matched)
    sql(
        ledger,
        "UPDATE chain_transfers SET value = NUM(77) WHERE block_number = 5",
        "DELETE FROM chain_transfers WHERE block_number = 6",
    )
    timeline = reconcile(ledger, timeline=True).timeline
    assert timeline is not None
    assert (final - 2 - 3, 2 + 3) == (sum(timeline.matched), sum(timeline.unmatched))


def test_without_entries_there_is_no_chart(ledger: Ledger) -> None:
    """Nothing final yet: nothing to draw."""
    with FakeNode(chain_of(head=4)) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
    assert reconcile(ledger, timeline=True).timeline is None
