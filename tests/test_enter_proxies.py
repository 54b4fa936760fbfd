"""Tokens behind proxies: that other code runs than when the token was taken in is told.

Method: a token of a test's making, whose contract's storage says what runs, as each kind of proxy
does; the code changes under the books.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books
from tests.chain.fake_node import FakeNode
from tests.chain.living import BEACON, BEACON_SLOT, OLD_SLOT, PROXIABLE_SLOT, SLOT, LivingToken
from tests.entered import A, B, bring, expected, held, life, take_in
from tests.onchain import found

from token_ledger.core import findings as kinds
from token_ledger.core.address import to_checksum
from token_ledger.ledger import Ledger
from token_ledger.reconcile import reconcile


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger with a token of its own, beside which others are taken in."""
    with books.create(database_url, tmp_path) as ledger:
        yield ledger


@pytest.mark.parametrize("slot", [SLOT, PROXIABLE_SLOT, OLD_SLOT, BEACON_SLOT])
def test_a_proxy_that_was_upgraded_is_told(ledger: Ledger, slot: str) -> None:
    """Of each kind, a beacon's too: another code than at the beginning; the import goes on."""
    chain = LivingToken(life(), head=8)

    def runs(code: bytes) -> None:
        chain.beacon = code.rjust(32, b"\0")
        chain.slots[slot] = BEACON.rjust(32, b"\0") if slot == BEACON_SLOT else chain.beacon

    runs(A)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        first = bring(ledger, node.url)
        assert [] == found(reconcile(ledger, node.url))
        runs(B)
        chain.head = 20
        done = bring(ledger, node.url)
        [differs] = reconcile(ledger, node.url).findings
    assert first.entered is not None
    assert done.entered is not None
    assert ([], [kinds.CODE_DIFFERS]) == (
        first.entered.findings,
        [finding.kind for finding in done.entered.findings],
    )
    assert (to_checksum(A), to_checksum(B)) == (differs.details["ledger"], differs.details["chain"])
    assert expected(chain, 20) == held(ledger)


@pytest.mark.parametrize("beacon", [b"", b"\1"])
def test_a_beacon_that_names_no_code_is_compared_itself(ledger: Ledger, beacon: bytes) -> None:
    """What is no beacon's answer is none; another beacon in its place is told all the same."""
    chain = LivingToken(life(), head=8)
    chain.beacon, chain.slots[BEACON_SLOT] = beacon, BEACON.rjust(32, b"\0")
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        assert [] == found(reconcile(ledger, node.url))
        chain.slots[BEACON_SLOT] = B.rjust(32, b"\0")
        assert [kinds.CODE_DIFFERS] == found(reconcile(ledger, node.url))


def test_a_proxy_is_compared_with_what_it_was(ledger: Ledger) -> None:
    """An upgrade of a proxy, and other code, are findings of their kind at the pinned block."""
    chain = LivingToken(life(), head=20)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        chain.slots[SLOT], chain.code = B.rjust(32, b"\0"), "0x6002"
        assert [kinds.CODE_DIFFERS] * 2 == found(reconcile(ledger, node.url))
