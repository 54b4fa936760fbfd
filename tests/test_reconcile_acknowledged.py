"""Reconcile: what was acknowledged stands apart, and comes back; runs go on from a clean one."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books
from tests.onchain import ENTRIES, SMALL, found, go_on, sql

from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.core import findings as kinds
from token_ledger.core.acknowledgement import FIGURES_CHANGED, TIME_OVER
from token_ledger.core.parse import format_timestamp
from token_ledger.core.types import Finding
from token_ledger.errors import DatabaseError, NotReadyError, UnknownFindingError, UsageError
from token_ledger.finalize import finalize
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, mirror
from token_ledger.migrate import migrate
from token_ledger.reconcile import ReconcileResult, Scope, reconcile
from token_ledger.report import writing_findings
from token_ledger.seal import seal
from token_ledger.sign import sign

BY, REASON = "Grace of the audit", "the seed round, see the letter of May"
LATER = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)  # the books' clock stands in 2023
INCREMENTAL = Scope(incremental=True)


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


def deal(ledger: Ledger, url: str, amount: int, account: str = "alice") -> None:
    """Give an account a balance on the chain that no Transfer moved."""
    with ledger.read() as connection:
        stored = mirror.contract_of(connection, ledger.token)
    assert stored is not None
    holder = hex_data(ledger.get_account(account).address)
    with Rpc(url) as rpc:
        rpc.call("anvil_dealERC20", [holder, hex_data(stored.address), hex(amount)])
        rpc.call("anvil_mine", ["0x1"])


def only(result: ReconcileResult) -> bytes:
    """Return the id of the one finding that is open."""
    [finding] = result.findings
    return result.id_of(finding)


def acknowledge(ledger: Ledger, name: bytes, until: dt.datetime = LATER) -> None:
    """Acknowledge a finding."""
    ledger.acknowledge_finding(name, reason=REASON, by=BY, until=until)


# --- acknowledged


def test_an_acknowledged_finding_stands_apart(ledger: Ledger, fresh_anvil: str) -> None:
    """It is listed with its age and its words, does not count, and is no agreement either."""
    deal(ledger, fresh_anvil, 5)
    name = only(reconcile(ledger, fresh_anvil))
    acknowledge(ledger, name)
    result = reconcile(ledger, fresh_anvil)
    assert ([], 1, True, False) == (
        result.findings, result.acknowledged_total, result.settled, result.clean,
    )  # fmt: skip
    [told] = result.to_json()["acknowledged"]  # type: ignore[misc]
    word = told["acknowledgement"]
    assert (REASON, BY, "2030-01-01T00:00:00Z", None) == (
        word["reason"], word["by"], word["until"].replace(".000000", ""), word["ended"],
    )  # fmt: skip
    assert told["first_seen"] < word["at"]
    assert ("0x" + name.hex(), kinds.BALANCE_DRIFT) == (told["id"], told["kind"])


def test_it_comes_back_when_its_figures_change(ledger: Ledger, fresh_anvil: str) -> None:
    """The same drift at a later block stays acknowledged; another amount does not."""
    deal(ledger, fresh_anvil, 5)
    name = only(reconcile(ledger, fresh_anvil))
    acknowledge(ledger, name)
    deal(ledger, fresh_anvil, 5)
    assert reconcile(ledger, fresh_anvil).settled
    deal(ledger, fresh_anvil, 6)
    result = reconcile(ledger, fresh_anvil)
    assert name == only(result)
    told = result.finding_to_json(result.findings[0])
    assert FIGURES_CHANGED == told["acknowledgement"]["ended"]  # type: ignore[index]
    acknowledge(ledger, name)
    assert reconcile(ledger, fresh_anvil).settled


def test_it_comes_back_when_its_time_is_over(ledger: Ledger, fresh_anvil: str) -> None:
    """Until the moment that was named, and not an instant longer."""
    deal(ledger, fresh_anvil, 5)
    name = only(reconcile(ledger, fresh_anvil))
    soon = dt.datetime.fromtimestamp((ledger.now() + 60) / 1e6, tz=dt.UTC)
    acknowledge(ledger, name, until=soon)
    assert reconcile(ledger, fresh_anvil).settled
    for _ in range(60):
        ledger.now()  # a clock that ticks a microsecond a look
    result = reconcile(ledger, fresh_anvil)
    assert name == only(result)
    told = result.finding_to_json(result.findings[0])
    assert TIME_OVER == told["acknowledgement"]["ended"]  # type: ignore[index]


def test_it_comes_back_when_it_is_withdrawn(ledger: Ledger, fresh_anvil: str) -> None:
    """A withdrawal is one more record; the finding is open, and can be acknowledged again."""
    deal(ledger, fresh_anvil, 5)
    name = only(reconcile(ledger, fresh_anvil))
    with pytest.raises(UsageError, match="is not acknowledged"):
        ledger.withdraw_acknowledgement(name, reason="no", by=BY)
    acknowledge(ledger, name)
    assert "acknowledged" == ledger.findings()[0].state(ledger.now())
    taken = ledger.withdraw_acknowledgement(name.hex()[:8], reason="it was wrong", by="Ada")
    assert "open" == taken.state(ledger.now())
    assert [name] == [only(reconcile(ledger, fresh_anvil))]
    acknowledge(ledger, name)
    assert reconcile(ledger, fresh_anvil).settled


def test_one_acknowledgement_covers_one_finding(ledger: Ledger, fresh_anvil: str) -> None:
    """Another account's drift of the same amount is another finding."""
    deal(ledger, fresh_anvil, 5)
    acknowledge(ledger, only(reconcile(ledger, fresh_anvil)))
    difference = 5 - ledger.get_balance("alice")
    deal(ledger, fresh_anvil, ledger.get_balance("bob") + difference, account="bob")
    result = reconcile(ledger, fresh_anvil)
    assert ([kinds.BALANCE_DRIFT], 1) == (found(result), result.acknowledged_total)


def test_finalize_takes_no_acknowledgement_for_agreement(ledger: Ledger, fresh_anvil: str) -> None:
    """What cannot be undone wants books, mirror and chain equal, whatever somebody signed."""
    deal(ledger, fresh_anvil, 5)
    acknowledge(ledger, only(reconcile(ledger, fresh_anvil)))
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_mine", ["0x80"])
    ingest(ledger, fresh_anvil)
    with pytest.raises(NotReadyError, match="balance_drift"):
        finalize(ledger, fresh_anvil)


def test_what_cannot_be_acknowledged(ledger: Ledger, fresh_anvil: str) -> None:
    """Nothing unseen, nothing without words, no time that is past, no few digits."""
    deal(ledger, fresh_anvil, 5)
    name = only(reconcile(ledger, fresh_anvil))
    with pytest.raises(UnknownFindingError, match="no run has seen"):
        acknowledge(ledger, bytes(32))
    past = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    with pytest.raises(UsageError, match="over already"):
        acknowledge(ledger, name, until=past)
    for reason, by in (("", BY), (REASON, " ")):
        with pytest.raises(UsageError, match="is empty"):
            ledger.acknowledge_finding(name, reason=reason, by=by, until=LATER)
    for digits in ("1234567", "0x", "nonsense", "0" * 65):
        with pytest.raises(UsageError, match="not the id of a finding"):
            ledger.acknowledge_finding(digits, reason=REASON, by=BY, until=LATER)
    known = ledger.acknowledge_finding(
        "0x" + name.hex()[:12].upper(), reason=REASON, by=BY, until=LATER
    )
    assert name == known.finding_id


def test_findings_are_remembered(ledger: Ledger, fresh_anvil: str) -> None:
    """First and last seen, and gone once a run that looked everywhere sees it no more."""
    deal(ledger, fresh_anvil, 5)
    reconcile(ledger, fresh_anvil, record=False)
    assert [] == ledger.findings()
    reconcile(ledger, fresh_anvil)
    [first] = ledger.findings()
    reconcile(ledger, fresh_anvil)
    [again] = ledger.findings()
    assert first.first_seen_at == first.last_seen_at == again.first_seen_at < again.last_seen_at
    deal(ledger, fresh_anvil, ledger.get_balance("alice"))
    reconcile(ledger)  # asked no node: it says nothing of balances on the chain
    assert ["open"] == [known.state(ledger.now()) for known in ledger.findings()]
    reconcile(ledger, fresh_anvil)
    assert ["gone"] == [known.state(ledger.now()) for known in ledger.findings()]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE reconcile_acknowledgements SET until = until + 1",
        "UPDATE reconcile_acknowledgements SET reason = 'another'",
        "UPDATE reconcile_acknowledgements SET figures = finding_id",
        "UPDATE reconcile_acknowledgements SET acknowledged_by = 'Mallory'",
        "DELETE FROM reconcile_acknowledgements",
        "UPDATE reconcile_runs SET open_findings = 0",
        "DELETE FROM reconcile_runs",
        "UPDATE reconcile_findings SET kind = 'other'",
        "DELETE FROM reconcile_findings",
    ],
)
def test_the_record_is_only_added_to(ledger: Ledger, fresh_anvil: str, statement: str) -> None:
    """Raw SQL rewrites neither who acknowledged what until when, nor that a run was not clean."""
    deal(ledger, fresh_anvil, 5)
    acknowledge(ledger, only(reconcile(ledger, fresh_anvil)))
    with pytest.raises(DatabaseError, match="append-only"):
        sql(ledger, statement)


def test_the_words_can_be_erased(ledger: Ledger, fresh_anvil: str) -> None:
    """Name and reason may be personal data: they can go, and the acknowledgement stays."""
    deal(ledger, fresh_anvil, 5)
    acknowledge(ledger, only(reconcile(ledger, fresh_anvil)))
    sql(ledger, "UPDATE reconcile_acknowledgements SET reason = NULL, acknowledged_by = NULL")
    result = reconcile(ledger, fresh_anvil)
    assert result.settled
    word = result.to_json()["acknowledged"][0]["acknowledgement"]  # type: ignore[index]
    assert (None, None) == (word["reason"], word["by"])


def test_all_findings_become_lines(ledger: Ledger, fresh_anvil: str, tmp_path: Path) -> None:
    """Open and acknowledged, one JSON object a line, with no word that may be personal."""
    deal(ledger, fresh_anvil, 5)
    acknowledge(ledger, only(reconcile(ledger, fresh_anvil)))
    sql(ledger, "UPDATE chain_transfers SET value = NUM(1) WHERE seq IN (20, 21)")
    for texts in (False, True):
        path = tmp_path / f"findings{texts}.jsonl"
        with writing_findings(path, texts=texts) as each:
            result = reconcile(ledger, fresh_anvil, each=each)
        lines = path.read_text().splitlines()
        assert 3 == len(lines) == result.findings_total + result.acknowledged_total
        assert texts == (BY in path.read_text()) == (REASON in path.read_text())
        assert ["acknowledged", "open", "open"] == sorted(line[10:].split('"')[0] for line in lines)
    with pytest.raises(RuntimeError), writing_findings(tmp_path / "never.jsonl") as each:
        each(result, Finding(kinds.SUPPLY_DRIFT, "x", {}), "open")
        raise RuntimeError
    assert ["findingsFalse.jsonl", "findingsTrue.jsonl"] == sorted(
        path.name for path in tmp_path.glob("*.jsonl")
    )


def test_every_line_tells_how_old_its_finding_is(
    ledger: Ledger, fresh_anvil: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an earlier run saw is as old as that; what none saw, as this one; also unrecorded."""
    monkeypatch.setattr("token_ledger.reconcile._TOLD_AT_ONCE", 2)
    sql(ledger, "UPDATE chain_transfers SET value = NUM(1) WHERE seq IN (20, 21)")
    known = {finding.finding_id for finding in ledger.findings()}
    reconcile(ledger)
    sql(ledger, "UPDATE chain_transfers SET value = NUM(1) WHERE seq IN (22, 23, 24)")
    seen = {"0x" + f.finding_id.hex(): f.to_json(0)["first_seen"] for f in ledger.findings()}
    assert (0, 2) == (len(known), len(seen))
    with writing_findings(tmp_path / "found.jsonl") as each:
        result = reconcile(ledger, each=each, record=False)
    lines = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    assert 5 == len(lines) == result.findings_total
    now = format_timestamp(result.known.now)
    assert {line["id"]: seen.get(line["id"], now) for line in lines} == {
        line["id"]: line["first_seen"] for line in lines
    }
    assert seen.items() <= {line["id"]: line["first_seen"] for line in lines}.items()


# --- incremental


def test_an_incremental_run_goes_on_from_a_clean_one(ledger: Ledger, fresh_anvil: str) -> None:
    """What a clean run compared is not compared again; balances and supply are, every time."""
    first = reconcile(ledger, fresh_anvil, scope=INCREMENTAL)
    assert (ENTRIES, None) == (first.entries, first.point)
    assert "no run has left nothing open" in str(first.anew)
    nothing_new = reconcile(ledger, fresh_anvil, scope=INCREMENTAL)
    assert (0, 0, len(books.PEOPLE)) == (
        nothing_new.entries, nothing_new.headers, nothing_new.balances,
    )  # fmt: skip
    go_on(ledger, seed=7)
    migrate(ledger, fresh_anvil)
    ingest(ledger, fresh_anvil)
    second = reconcile(ledger, fresh_anvil, scope=INCREMENTAL)
    assert (10, 10, 1, []) == (second.entries, second.matched, second.headers, second.findings)
    assert second.point is not None
    assert nothing_new.run_no == second.point.run_no
    deal(ledger, fresh_anvil, 5)
    assert [kinds.BALANCE_DRIFT] == found(reconcile(ledger, fresh_anvil, scope=INCREMENTAL))


def test_a_finding_keeps_an_incremental_run_where_it_was(ledger: Ledger, fresh_anvil: str) -> None:
    """A run with something open is no place to go on from: the next one compares everything."""
    reconcile(ledger)
    go_on(ledger, seed=7)
    migrate(ledger, fresh_anvil)
    ingest(ledger, fresh_anvil)
    sql(ledger, f"UPDATE chain_transfers SET value = NUM(1) WHERE seq = {ENTRIES + 3}")
    result = reconcile(ledger, scope=INCREMENTAL)
    assert ([kinds.VALUE_DIFFERS], 10) == (found(result), result.entries)
    again = reconcile(ledger, scope=INCREMENTAL)
    assert ([kinds.VALUE_DIFFERS], ENTRIES + 10) == (found(again), again.entries)
    assert f"run {result.run_no} found something" in str(again.anew)


def test_acknowledged_ones_are_carried_over(ledger: Ledger, fresh_anvil: str) -> None:
    """An incremental run still lists what was acknowledged below it, and lets go of it in time."""
    sql(ledger, "UPDATE chain_transfers SET value = NUM(1) WHERE seq = 20")
    name = only(reconcile(ledger))
    acknowledge(ledger, name)
    again = reconcile(ledger, scope=INCREMENTAL)
    assert (None, 1) == (again.point, again.acknowledged_total)
    for _ in range(2):
        carried = reconcile(ledger, scope=INCREMENTAL)
        assert (0, 1, [name]) == (
            carried.entries,
            carried.acknowledged_total,
            [carried.id_of(finding) for finding in carried.acknowledged],
        )
    ledger.withdraw_acknowledgement(name, reason="no", by=BY)
    after = reconcile(ledger, scope=INCREMENTAL)
    assert "acknowledged or withdrawn" in str(after.anew)
    assert name == only(after)


def test_a_clean_run_does_not_outlive_what_it_stood_on(ledger: Ledger, fresh_anvil: str) -> None:
    """After a reorganisation below it, or another header, everything is compared again."""
    clean = reconcile(ledger)
    assert clean.clean
    with Rpc(fresh_anvil) as rpc:
        payer = rpc.call("eth_accounts")[0]
        rpc.call("anvil_reorg", [1, [[{"from": payer, "to": payer, "value": "0x1"}, 0]]])
    ingest(ledger, fresh_anvil)
    forked = reconcile(ledger, scope=INCREMENTAL)
    assert forked.point is None
    assert "reorganised" in str(forked.anew) or "taken back" in str(forked.anew)
    migrate(ledger, fresh_anvil)
    ingest(ledger, fresh_anvil)
    assert reconcile(ledger).clean
    sql(
        ledger,
        "UPDATE token_batches SET digest = X'" + "ee" * 32
        + "' WHERE number = (SELECT MAX(number) FROM token_batches)",
        unlock="token_batches",
    )  # fmt: skip
    altered = reconcile(ledger, scope=INCREMENTAL)
    assert "the headers below" in str(altered.anew)
    assert {kinds.HEADER_DIFFERS} == set(found(altered))


def test_an_incremental_run_chooses_its_own_range() -> None:
    """With blocks named as well it would leave a gap, or compare twice."""
    for bounds in ({"from_block": 1}, {"to_block": 5}, {"as_of": 5}):
        with pytest.raises(UsageError, match="chooses its own range"):
            Scope(incremental=True, **bounds)


def test_a_partial_run_is_nothing_to_go_on_from(ledger: Ledger) -> None:
    """A clean run over some blocks says nothing of the others."""
    reconcile(ledger, scope=Scope(to_block=2))
    assert "no run has" in str(reconcile(ledger, scope=INCREMENTAL).anew)
