"""Reconcile: an acknowledgement covers one difference, and never another one that looks alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books
from tests.chain.fake_node import FakeNode
from tests.chain.living import SLOT, LivingToken
from tests.entered import B, bring, life, take_in
from tests.onchain import ENTRIES, SMALL, found, go_on, sql

from token_ledger.chain.rpc import Rpc
from token_ledger.core import findings as kinds
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.migrate import migrate
from token_ledger.reconcile import ReconcileResult, reconcile
from token_ledger.seal import seal
from token_ledger.sign import sign


@pytest.fixture
def ledger(database_url: str, tmp_path: Path, fresh_anvil: str) -> Iterator[Ledger]:
    """Yield a ledger that is migrated and imported, on each engine."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, ENTRIES)
        seal(ledger, gas_max=SMALL)
        sign(ledger, books.operator())
        migrate(ledger, fresh_anvil)
        ingest(ledger, fresh_anvil)
        yield ledger


@pytest.fixture
def empty(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with books.create(database_url, tmp_path) as ledger:
        yield ledger


def acknowledge(ledger: Ledger, result: ReconcileResult) -> None:
    """Acknowledge everything that a run found."""
    for finding in result.findings:
        ledger.acknowledge_finding(
            result.id_of(finding), reason="known", by="Grace", until="2100-01-01T00:00:00Z"
        )


def test_a_deeper_reorganisation_is_another_one(ledger: Ledger, fresh_anvil: str) -> None:
    """That the last imported block is gone is about that block: at another one it is open."""
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_reorg", [1, []])
        first = reconcile(ledger, fresh_anvil)
        assert [kinds.ORPHANED] == found(first)
        acknowledge(ledger, first)
        assert 0 == reconcile(ledger, fresh_anvil).findings_total
        ingest(ledger, fresh_anvil)
        before = rpc.call("evm_snapshot", [])
        rpc.call("anvil_mine", ["0x3"])
        ingest(ledger, fresh_anvil)
        rpc.call("evm_revert", [before])
        rpc.call("anvil_mine", ["0x4", "0x7"])  # other times, so other hashes
        second = reconcile(ledger, fresh_anvil)
    gone = [f for f in second.findings if f.details["tx"] is None]
    assert [kinds.ORPHANED] == [finding.kind for finding in gone]
    assert gone[0].details["block"] > first.findings[0].details["block"]


@pytest.mark.parametrize("column", ["first_seq", "count", "entries_root"])
def test_every_figure_of_a_header_is_one(ledger: Ledger, column: str) -> None:
    """A BatchReplayed log that says something else again is open again, whatever it says."""
    other = {"entries_root": "X'" + "ee" * 32 + "'"}.get(column, "7")
    sql(ledger, "UPDATE chain_batches SET count = 3 WHERE number = 2")
    known = reconcile(ledger)
    [finding] = known.findings
    sides = [finding.details[side] for side in ("ledger", "chain")]
    assert sides[0] != sides[1]
    acknowledge(ledger, known)
    assert (0, 1) == ((again := reconcile(ledger)).findings_total, again.acknowledged_total)
    sql(ledger, f"UPDATE chain_batches SET {column} = {other} WHERE number = 2")
    assert [kinds.HEADER_DIFFERS] == found(reconcile(ledger))


def test_a_transfer_that_moves_on_is_out_of_order_anew(ledger: Ledger) -> None:
    """Both sides stay the same; the place in which the transfer stands does not."""
    sql(ledger, "UPDATE chain_transfers SET seq = 82 - seq WHERE seq IN (40, 42)")
    known = reconcile(ledger)
    assert [(40, 42), (42, 40)] == [
        (f.details["seq"], f.details["place"]) for f in known.findings
    ]  # fmt: skip
    acknowledge(ledger, known)
    assert 0 == reconcile(ledger).findings_total
    sql(
        ledger,
        "UPDATE chain_transfers SET seq = CASE seq WHEN 40 THEN 41 WHEN 41 THEN 42 ELSE 40 END"
        " WHERE seq BETWEEN 40 AND 42",
    )  # fmt: skip
    opened = reconcile(ledger)
    assert (2, 0) == (opened.findings_total, opened.acknowledged_total)


def test_code_and_implementation_are_two_things(empty: Ledger) -> None:
    """Each has an id of its own, and its own acknowledgement."""
    chain = LivingToken(life(), head=20)
    with FakeNode(chain) as node:
        take_in(empty, node.url)
        bring(empty, node.url)
        chain.slots[SLOT], chain.code = B.rjust(32, b"\0"), "0x6002"
        result = reconcile(empty, node.url)
        assert [kinds.CODE_DIFFERS] * 2 == found(result)
        assert 2 == len({result.id_of(finding) for finding in result.findings})
        acknowledge(empty, result)
        again = reconcile(empty, node.url)
    assert (0, 2) == (again.findings_total, again.acknowledged_total)


def test_what_was_taken_back_again_and_again_is_told_once(ledger: Ledger, fresh_anvil: str) -> None:
    """A replay that three reorganisations took back, replayed in between, is missing once."""
    go_on(ledger, 5)
    migrate(ledger, fresh_anvil)
    ingest(ledger, fresh_anvil)
    with Rpc(fresh_anvil) as rpc:
        for _ in range(3):
            rpc.call("anvil_reorg", [1, []])
            ingest(ledger, fresh_anvil)
            lost = reconcile(ledger, fresh_anvil)
            assert [kinds.ORPHANED] == found(lost)
            migrate(ledger, fresh_anvil)
            ingest(ledger, fresh_anvil)
            assert [] == found(reconcile(ledger, fresh_anvil))
