"""Reconcile: an incremental run never calls clean what another run found, and says why it may not.

Method: each way in which a point is no place to go on from is brought about, one at a time.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from tests import books
from tests.onchain import ENTRIES, SMALL, found, sql

from token_ledger.core import findings as kinds
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, reconciled
from token_ledger.ledger.reconciled import Compared
from token_ledger.migrate import migrate
from token_ledger.reconcile import ReconcileResult, Scope, reconcile
from token_ledger.seal import seal
from token_ledger.sign import sign

INCREMENTAL = Scope(incremental=True)
LATER = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)  # the books' clock stands in 2023
LOSE_ONE = "DELETE FROM chain_transfers WHERE seq = 20"


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


def states(ledger: Ledger) -> list[str]:
    """Return the states of the findings that the ledger remembers."""
    return [known.state(ledger.now()) for known in ledger.findings()]


def acknowledge(ledger: Ledger, result: ReconcileResult, until: dt.datetime = LATER) -> None:
    """Acknowledge the one finding of a result."""
    [finding] = result.findings
    name = result.id_of(finding)
    ledger.acknowledge_finding(name, reason="known", by="Grace", until=until)


def test_what_a_whole_run_found_is_found_by_an_incremental_one(
    ledger: Ledger, fresh_anvil: str
) -> None:
    """A row lost below the clean run, and seen since: everything is compared, nothing is gone."""
    assert reconcile(ledger, fresh_anvil).clean
    sql(ledger, LOSE_ONE)
    seen = reconcile(ledger, fresh_anvil)
    assert [kinds.MISSING_ON_CHAIN] == found(seen)
    for _ in range(2):
        result = reconcile(ledger, fresh_anvil, scope=INCREMENTAL)
        assert ([kinds.MISSING_ON_CHAIN], ENTRIES, None) == (
            found(result), result.entries, result.point,
        )  # fmt: skip
        assert "found something since the last clean run" in str(result.anew)
        assert ["open"] == states(ledger)


def test_what_a_run_over_a_part_found_is_found_as_well(ledger: Ledger, fresh_anvil: str) -> None:
    """A run over some blocks that sees a difference below the point takes the point away."""
    assert reconcile(ledger, fresh_anvil).clean
    sql(ledger, LOSE_ONE)
    assert [kinds.MISSING_ON_CHAIN] == found(reconcile(ledger, scope=Scope(from_block=1)))
    result = reconcile(ledger, fresh_anvil, scope=INCREMENTAL)
    assert ([kinds.MISSING_ON_CHAIN], None) == (found(result), result.point)
    assert ["open"] == states(ledger)


def test_a_point_without_a_node_is_none_for_a_run_with_one(
    ledger: Ledger, fresh_anvil: str
) -> None:
    """What only a node shows was never asked below it: the digests that the contract holds."""
    assert reconcile(ledger).clean
    result = reconcile(ledger, fresh_anvil, scope=INCREMENTAL)
    assert (None, ENTRIES) == (result.point, result.entries)
    assert "asked a node" in str(result.anew)
    after = reconcile(ledger, scope=INCREMENTAL)
    assert after.point is not None
    assert result.run_no == after.point.run_no


def test_an_acknowledgement_that_ended_before_the_point_is_no_obstacle(ledger: Ledger) -> None:
    """One that ran out long ago, of what is gone, does not make every later run whole."""
    sql(ledger, LOSE_ONE)
    result = reconcile(ledger)
    soon = dt.datetime.fromtimestamp((ledger.now() + 60) / 1e6, tz=dt.UTC)
    acknowledge(ledger, result, soon)
    assert reconcile(ledger).settled
    for _ in range(60):
        ledger.now()  # a clock that ticks a microsecond a look
    over = reconcile(ledger, scope=INCREMENTAL)
    assert ("the time of an acknowledgement is over", 1) == (over.anew, over.findings_total)
    acknowledge(ledger, over)
    again = reconcile(ledger, scope=INCREMENTAL)
    assert (None, True) == (again.point, again.settled)
    assert reconcile(ledger, scope=INCREMENTAL).point is not None


def test_an_old_end_beside_one_in_force_is_no_obstacle(ledger: Ledger) -> None:
    """Two acknowledgements, of which one ended before the run that one goes on from."""
    sql(ledger, LOSE_ONE)
    result = reconcile(ledger)
    soon = dt.datetime.fromtimestamp((ledger.now() + 60) / 1e6, tz=dt.UTC)
    acknowledge(ledger, result, soon)
    for _ in range(60):
        ledger.now()
    sql(
        ledger,
        "INSERT INTO chain_transfers (contract_no, block_hash, log_index, block_number, tx_hash,"
        " tx_index, from_address, to_address, value, seq) SELECT contract_no, block_hash,"
        " log_index - 1, block_number, tx_hash, tx_index, from_address, to_address, value, 20"
        " FROM chain_transfers WHERE seq = 21",
    )
    other = reconcile(ledger)  # what ended is of what is gone; this is another one
    assert 1 == other.findings_total
    acknowledge(ledger, other)
    assert reconcile(ledger).settled
    result = reconcile(ledger, scope=INCREMENTAL)
    assert (None, 1) == (result.anew, result.acknowledged_total)


def test_runs_of_two_tokens_meet(postgres_url: str, tmp_path: Path) -> None:
    """The number of a run is of all tokens: a second run waits for the first, and takes the next.

    Forced: the second is seen waiting for the lock that the first holds.
    """
    with books.create(postgres_url, tmp_path) as ledger:
        own = ledger.token
        other = ledger.create_token("OTH", "Another token", 18)
        found = {no: ReconcileResult(bytes(20), 1) for no in (1, 2)}
        far = Compared(0, None, 1, None)

        def second() -> None:
            with ledger.write() as connection:
                reconciled.record_run(connection, other, found[2], far, now=1)

        with ledger.write() as connection:
            reconciled.record_run(connection, own, found[1], far, now=1)
            thread = threading.Thread(target=second)
            thread.start()
            deadline = time.monotonic() + 30
            waiting = text(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            )
            while not connection.execute(waiting).scalar():
                assert time.monotonic() < deadline, "the second does not wait for the first"
                time.sleep(0.01)
            assert found[2].run_no is None
        thread.join(30)
        assert (1, 2) == (found[1].run_no, found[2].run_no)
