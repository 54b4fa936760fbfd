"""Reconcile: a part of the chain, as of a block, and the three ways that are compared there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url
from tests import books
from tests.onchain import ENTRIES, SMALL, found, go_on, sql

from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.core import findings as kinds
from token_ledger.core.address import to_checksum
from token_ledger.errors import DatabaseError, UsageError
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, grant_application_role, mirror
from token_ledger.migrate import migrate
from token_ledger.reconcile import Scope, reconcile
from token_ledger.seal import seal
from token_ledger.sign import sign

SUPPLY_SLOT = "0x2"


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


def replays(ledger: Ledger) -> list[tuple[int, int, int]]:
    """Return (block, first seq, count) of each replayed batch."""
    with ledger.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT block_number, first_seq, count FROM chain_batches ORDER BY number"
        ).all()
    return [(row[0], row[1], row[2]) for row in rows]


def contract(ledger: Ledger) -> str:
    """Return the address of the ledger's contract as hex."""
    with ledger.read() as connection:
        stored = mirror.contract_of(connection, ledger.token)
    assert stored is not None
    return hex_data(stored.address)


def test_ranges_of_blocks_add_up(ledger: Ledger) -> None:
    """Block by block the same entries match as in one run, each of them once."""
    blocks = sorted({block for block, _, _ in replays(ledger)})
    assert len(blocks) > 2
    parts = [reconcile(ledger, scope=Scope(from_block=block, to_block=block)) for block in blocks]
    whole = reconcile(ledger)
    assert (ENTRIES, whole.headers, True) == (
        sum(part.matched for part in parts),
        sum(part.headers for part in parts),
        all(part.clean for part in parts),
    )
    assert 0 == reconcile(ledger, scope=Scope(from_block=blocks[-1] + 1)).entries
    assert 0 == reconcile(ledger, scope=Scope(to_block=blocks[0] - 1)).entries


def test_what_lies_outside_the_range_is_not_reported(ledger: Ledger) -> None:
    """A row altered in one block is found by the ranges that hold it, and by no other."""
    (first, _, _), *_, (last, seq, _) = replays(ledger)
    sql(
        ledger,
        f"UPDATE chain_transfers SET value = NUM(1) WHERE seq = {seq}",
        "UPDATE chain_transfers SET seq = NULL WHERE seq = 0",
    )
    earlier = found(reconcile(ledger, scope=Scope(to_block=last - 1)))
    assert [kinds.MISSING_IN_LEDGER, kinds.MISSING_ON_CHAIN] == earlier
    assert [kinds.VALUE_DIFFERS] == found(reconcile(ledger, scope=Scope(from_block=first + 1)))
    assert 3 == reconcile(ledger).findings_total


def test_as_of_a_block_all_is_as_it_was(ledger: Ledger, fresh_anvil: str) -> None:
    """What was replayed later is left out on every side: entries, headers, balances, supply."""
    then = ingest(ledger, fresh_anvil).to_block
    go_on(ledger, seed=5)
    migrate(ledger, fresh_anvil)
    ingest(ledger, fresh_anvil)
    past = reconcile(ledger, fresh_anvil, scope=Scope(as_of=then))
    assert (ENTRIES, 10, then, []) == (past.matched, past.unreplayed, past.block, past.findings)
    victim = hex_data(ledger.get_account("alice").address)
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_dealERC20", [victim, contract(ledger), hex(10**30)])
        rpc.call("anvil_mine", ["0x1"])
    assert [] == found(reconcile(ledger, fresh_anvil, scope=Scope(as_of=then)))
    assert [kinds.BALANCE_DRIFT] == found(reconcile(ledger, fresh_anvil))
    assert {"from_block": 0, "to_block": None, "as_of": then, "incremental": False} == (
        past.to_json()["scope"]
    )


def test_a_scope_that_cannot_be_is_refused(ledger: Ledger, fresh_anvil: str) -> None:
    """Empty and negative ranges, blocks not imported yet, and blocks before the contract."""
    for bounds in (
        {"from_block": 5, "to_block": 4},
        {"from_block": -1},
        {"to_block": 7, "as_of": 6},
    ):
        with pytest.raises(UsageError, match="empty or negative"):
            Scope(**bounds)
    head = ingest(ledger, fresh_anvil).to_block
    for scope in (Scope(as_of=head + 1), Scope(to_block=head + 1)):
        with pytest.raises(UsageError, match="not imported yet"):
            reconcile(ledger, scope=scope)
    with pytest.raises(UsageError, match="not there yet, or not final"):
        reconcile(ledger, fresh_anvil, scope=Scope(as_of=head), final=True)
    before = reconcile(ledger, fresh_anvil, scope=Scope(as_of=0))
    assert ([kinds.CODE_DIFFERS], 0) == (found(before), before.entries)
    sql(ledger, "UPDATE chain_contracts SET block_number = 2")
    with pytest.raises(UsageError, match="there was no contract yet"):
        reconcile(ledger, fresh_anvil, scope=Scope(as_of=1))


def test_the_third_witness_says_where_the_fault_is(ledger: Ledger, fresh_anvil: str) -> None:
    """Storage changed, an entry altered, or both and the mirror too: each has its sentence."""
    alice = ledger.get_account("alice")
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_dealERC20", [hex_data(alice.address), contract(ledger), hex(7)])
        rpc.call("anvil_setStorageAt", [contract(ledger), SUPPLY_SLOT, "0x" + "00" * 31 + "07"])
    [balance, supply] = sorted(reconcile(ledger, fresh_anvil).findings, key=lambda f: f.kind)
    assert "storage was changed without a log" in balance.message
    assert "storage was changed without a log" in supply.message
    assert {
        "address": to_checksum(alice.address),
        "ledger": str(alice.balance),
        "transfers": str(alice.balance),
        "chain": "7",
        "difference": str(7 - alice.balance),
    }.items() <= balance.details.items()
    assert str(ledger.get_total_supply()) == supply.details["transfers"]


def test_an_altered_entry_stands_alone(ledger: Ledger, fresh_anvil: str) -> None:
    """Where transfers and contract agree, the fault is in the books."""
    number = ledger.get_account("bob").balance + 5
    sql(
        ledger,
        f"UPDATE token_ledger SET balance_after_to = NUM({number}) WHERE entry_no ="
        " (SELECT MAX(entry_no) FROM token_ledger WHERE to_account = 2)"
        " AND NOT EXISTS (SELECT 1 FROM token_ledger l WHERE l.from_account = 2"
        " AND l.entry_no > token_ledger.entry_no)",
        f"UPDATE token_ledger SET balance_after_from = NUM({number}) WHERE entry_no ="
        " (SELECT MAX(entry_no) FROM token_ledger WHERE from_account = 2)"
        " AND NOT EXISTS (SELECT 1 FROM token_ledger l WHERE l.to_account = 2"
        " AND l.entry_no > token_ledger.entry_no)",
        f"UPDATE token_accounts SET balance = NUM({number}) WHERE account_no = 2",
        unlock="token_ledger",
    )
    altered, drift = reconcile(ledger, fresh_anvil).findings
    assert kinds.ENTRY_ALTERED == altered.kind
    assert (kinds.BALANCE_DRIFT, "-5") == (drift.kind, drift.details["difference"])
    assert "an entry was altered" in drift.message
    sql(ledger, "UPDATE chain_transfers SET value = NUM(3) WHERE to_address ="
        f" X'{ledger.get_account('bob').address.hex()}'")  # fmt: skip
    drift = next(
        finding
        for finding in reconcile(ledger, fresh_anvil).findings
        if finding.kind == kinds.BALANCE_DRIFT
    )
    assert "all differ" in drift.message


def test_a_replay_that_was_taken_back_is_told(ledger: Ledger, fresh_anvil: str) -> None:
    """After a reorganisation without the replay, its transaction is named until it is replayed."""
    with Rpc(fresh_anvil) as rpc:
        head = rpc.quantity("eth_blockNumber")
        last, first_seq, count = replays(ledger)[-1]
        rpc.call("anvil_reorg", [head - last + 1, []])
        ingest(ledger, fresh_anvil)
        lost = reconcile(ledger, fresh_anvil)
        assert [kinds.ORPHANED] == found(lost)
        details = lost.findings[0].details
        assert (last, {"first_seq": first_seq, "last_seq": first_seq + count - 1}) == (
            details["block"], details["ledger"],
        )  # fmt: skip
        assert isinstance(details["tx"], str)
        assert (ENTRIES - count, count) == (lost.matched, lost.unreplayed)
        migrate(ledger, fresh_anvil)
        ingest(ledger, fresh_anvil)
    assert ([], ENTRIES) == (
        found(mended := reconcile(ledger, fresh_anvil)), mended.matched,
    )  # fmt: skip


def test_a_header_deleted_in_between_is_found(ledger: Ledger) -> None:
    """A batch that the chain replayed and the ledger no longer knows, between two that it does."""
    sql(ledger, "DELETE FROM batch_signatures WHERE number = 2", unlock="batch_signatures")
    sql(ledger, "DELETE FROM token_batches WHERE number = 2", unlock="token_batches")
    result = reconcile(ledger)
    [finding] = [f for f in result.findings if f.kind == kinds.HEADER_DIFFERS]
    assert (2, None) == (finding.details["batch"], finding.details["ledger"])
    assert {kinds.HEADER_DIFFERS, kinds.MISSING_ON_CHAIN} == set(found(result))
    assert result.matched == result.entries < ENTRIES


def test_the_contract_of_another_token_is_found(ledger: Ledger, fresh_anvil: str) -> None:
    """Our code with another token's uid in it is code of ours, and not our contract."""
    address = contract(ledger)
    with Rpc(fresh_anvil) as rpc:
        code = rpc.call("eth_getCode", [address, "latest"])
        uid = ledger.token.uid.hex()
        assert uid in code
        rpc.call("anvil_setCode", [address, code.replace(uid, "ab" * 32)])
    [finding] = reconcile(ledger, fresh_anvil).findings
    assert (kinds.UNKNOWN_CONTRACT, "0x" + uid, "0x" + "ab" * 32) == (
        finding.kind, finding.details["ledger"], finding.details["chain"],
    )  # fmt: skip


def test_a_database_that_takes_no_writes_can_be_reconciled(
    postgres_url: str, tmp_path: Path, fresh_anvil: str
) -> None:
    """Without a record a role that may only read is enough; the application's own records."""
    with books.create(postgres_url, tmp_path) as ledger:
        books.fill(ledger, 10)
        seal(ledger)
        sign(ledger, books.operator())
        migrate(ledger, fresh_anvil)
        ingest(ledger, fresh_anvil)
        with ledger.write() as connection:
            role = "reader_" + str(connection.exec_driver_sql("SELECT current_database()").scalar())
            connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
            connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
            connection.exec_driver_sql(f"CREATE ROLE app_{role} LOGIN")
            grant_application_role(connection, f"app_{role}")
    reader, application = (
        make_url(postgres_url).set(username=name).render_as_string(hide_password=False)
        for name in (role, f"app_{role}")
    )
    with Ledger.open(reader, secret_file=tmp_path / "secret") as ledger:
        result = reconcile(ledger, fresh_anvil, record=False)
        assert (10, True, None) == (result.matched, result.clean, result.run_no)
        with pytest.raises(DatabaseError, match="permission denied"):
            reconcile(ledger)
    with Ledger.open(application, secret_file=tmp_path / "secret") as ledger:
        for run_no in (1, 2):
            assert run_no == reconcile(ledger, fresh_anvil).run_no


def test_ids_name_the_thing_and_figures_what_is_wrong_with_it(
    ledger: Ledger, fresh_anvil: str
) -> None:
    """A drift that stays the same has one id and one digest; another amount, another digest."""
    victim, at = hex_data(ledger.get_account("alice").address), contract(ledger)
    seen = []
    with Rpc(fresh_anvil) as rpc:
        for amount in (5, 5, 6):
            rpc.call("anvil_dealERC20", [victim, at, hex(amount)])
            rpc.call("anvil_mine", ["0x1"])
            result = reconcile(ledger, fresh_anvil)
            [finding] = result.findings
            seen.append((result.id_of(finding), kinds.figures_digest(finding)))
    assert seen[0] == seen[1]
    assert seen[0][0] == seen[2][0]
    assert seen[0][1] != seen[2][1]
    assert {"contract", "block", "tx"} <= set(finding.details)
