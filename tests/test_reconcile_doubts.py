"""Reconcile: a row of the mirror that was altered shows, although it moves what its entry moves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError
from tests import books
from tests.chain.fake_node import FakeNode
from tests.chain.living import TOKEN, LivingToken
from tests.damage import damage, is_sqlite
from tests.entered import bring, life, take_in
from tests.onchain import ENTRIES, SMALL, found, sql

from token_ledger.core import comparison
from token_ledger.core import findings as kinds
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, acknowledged
from token_ledger.migrate import migrate
from token_ledger.reconcile import reconcile
from token_ledger.seal import seal
from token_ledger.sign import sign

EE = "X'" + "ee" * 32 + "'"
BLOCK_OF_20 = "(SELECT block_number FROM chain_transfers WHERE seq = 20)"
LAST_OF_2 = "(SELECT first_seq + count - 1 FROM chain_batches WHERE number = 2)"
FIRST_OF_2 = "(SELECT first_seq FROM chain_batches WHERE number = 2)"
DOUBTS = [
    (f"UPDATE chain_transfers SET tx_hash = {EE} WHERE seq = 20", ["transaction"]),
    (f"UPDATE chain_transfers SET tx_hash = {EE} WHERE seq = {FIRST_OF_2}", ["transaction"]),
    (
        f"UPDATE chain_transfers SET tx_hash = {EE} WHERE seq = {LAST_OF_2}",
        ["replay", "transaction"],
    ),
    ("UPDATE chain_transfers SET tx_index = 7 WHERE seq = 20", ["transaction", "transaction"]),
    (f"UPDATE chain_transfers SET block_hash = {EE} WHERE seq = 20", ["block"]),
    ("UPDATE chain_transfers SET block_number = block_number + 50 WHERE seq = 20", ["block"]),
    (f"DELETE FROM chain_blocks WHERE number = {BLOCK_OF_20}", ["block", "block"]),
    (f"UPDATE chain_blocks SET number = 77 WHERE number = {BLOCK_OF_20}", ["block", "block"]),
    (f"UPDATE chain_blocks SET orphaned_at = 5 WHERE number = {BLOCK_OF_20}", ["block", "block"]),
    (f"UPDATE chain_batches SET tx_hash = {EE} WHERE number = 2", ["replay"]),
    (f"UPDATE chain_batches SET block_hash = {EE} WHERE number = 2", ["block", "replay"]),
]


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


def test_a_mirror_that_contradicts_itself_is_found_and_mended(
    ledger: Ledger, fresh_anvil: str
) -> None:
    """Hashes, numbers and places altered, headers deleted: each told, and gone after --again."""
    for statement, aspects in DOUBTS:
        sql(ledger, statement)
        result = reconcile(ledger)
        assert [kinds.MIRROR_ALTERED] * len(aspects) == found(result), statement
        assert aspects == sorted(f.details["aspect"] for f in result.findings), statement
        assert len(aspects) == len({result.id_of(finding) for finding in result.findings})
        ingest(ledger, fresh_anvil, again=True)
        assert reconcile(ledger, fresh_anvil).clean, statement


def test_no_entry_counts_below_nothing(ledger: Ledger, fresh_anvil: str) -> None:
    """A transfer that would replay an entry before the first is told; PostgreSQL refuses it."""
    statement = (
        "INSERT INTO chain_transfers (contract_no, block_hash, log_index, block_number, tx_hash,"
        " tx_index, from_address, to_address, value, seq) SELECT contract_no, block_hash,"
        " log_index + 1000, block_number, tx_hash, tx_index, from_address, to_address, value, -5"
        " FROM chain_transfers WHERE seq = 20"
    )
    if not is_sqlite(ledger):
        with pytest.raises(DBAPIError, match="seq_check"):
            damage(ledger, "chain_transfers", statement)
        return
    damage(ledger, "chain_transfers", statement)
    [finding] = reconcile(ledger).findings
    assert (kinds.MIRROR_ALTERED, "seq") == (finding.kind, finding.details["aspect"])
    ingest(ledger, fresh_anvil, again=True)
    assert reconcile(ledger, fresh_anvil).clean


def test_an_import_remembers_its_transaction(database_url: str, tmp_path: Path) -> None:
    """Where the books follow the chain, a transfer that names another transaction is told."""
    with (
        books.create(database_url, tmp_path) as ledger,
        FakeNode(LivingToken(life(), head=20)) as node,
    ):
        take_in(ledger, node.url)
        bring(ledger, node.url)
        damage(
            ledger,
            "chain_transfers",
            "UPDATE chain_transfers SET tx_hash = parent_hash FROM chain_blocks"
            " WHERE chain_transfers.block_number = 4 AND number = 4",
        )
        result = reconcile(ledger, node.url)
        assert [kinds.MIRROR_ALTERED] == found(result)
        assert ("import", 4) == tuple(result.findings[0].details[k] for k in ("aspect", "block"))
        ingest(ledger, node.url, contract=TOKEN, again=True)
        assert reconcile(ledger, node.url).clean


def test_what_a_run_could_not_keep_is_not_gone(
    ledger: Ledger, fresh_anvil: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that found more than it keeps decides nothing about what it did not keep."""
    sql(ledger, "UPDATE chain_transfers SET value = NUM(1) WHERE seq >= 55")
    reconcile(ledger, fresh_anvil)
    for module in (comparison, acknowledged):
        monkeypatch.setattr(module, "FINDINGS_MAX", 3)
    sql(ledger, "UPDATE chain_transfers SET value = NUM(1) WHERE seq >= 50")
    reconcile(ledger, fresh_anvil)
    now = ledger.now()
    assert {"open"} == {finding.state(now) for finding in ledger.findings()}
    ingest(ledger, fresh_anvil, again=True)
    reconcile(ledger, fresh_anvil)
    assert {"gone"} == {finding.state(now) for finding in ledger.findings()}
