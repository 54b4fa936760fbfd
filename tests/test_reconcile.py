"""Reconcile: each way to differ is found, named, and nothing else is.

Method: a migrated and imported ledger is clean; then one thing is altered, in the books, in the
mirror or on the chain, and exactly the finding of that kind must appear.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books
from tests.onchain import ENTRIES, SMALL, found, sql

from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.core import comparison
from token_ledger.core import findings as kinds
from token_ledger.core.match import Line, MirroredTransfer, match_batch
from token_ledger.core.types import Transfer
from token_ledger.errors import ChainError, WrongChainError
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, mirror
from token_ledger.migrate import migrate
from token_ledger.reconcile import reconcile
from token_ledger.seal import seal
from token_ledger.sign import sign

SUPPLY_SLOT = "0x2"  # of OpenZeppelin's ERC20, held by the storage-layout test of `contracts`


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


def contract(ledger: Ledger) -> str:
    """Return the address of the ledger's contract as hex."""
    with ledger.read() as connection:
        stored = mirror.contract_of(connection, ledger.token)
    assert stored is not None
    return hex_data(stored.address)


# --- clean


def test_books_mirror_and_chain_agree(ledger: Ledger, fresh_anvil: str) -> None:
    """After migrate and import every entry matches, with the chain and without it."""
    for url in (None, fresh_anvil):
        result = reconcile(ledger, url)
        assert (ENTRIES, ENTRIES, 0, 0, []) == (
            result.matched, result.entries, result.unreplayed, result.unsealed, result.findings,
        )  # fmt: skip
        assert result.clean
        assert result.headers > 2
    assert len(books.PEOPLE) == result.balances
    with Rpc(fresh_anvil) as rpc:
        assert rpc.quantity("eth_blockNumber") == result.block
    assert (False, True) == (
        reconcile(ledger).to_json()["compared_with_chain"],
        result.to_json()["compared_with_chain"],
    )


def test_what_is_not_replayed_yet_is_counted_and_no_finding(
    ledger: Ledger, fresh_anvil: str
) -> None:
    """Sealed but not replayed, and not sealed at all: numbers, not differences."""
    books.fill(ledger, 12, seed=2)
    seal(ledger)
    books.fill(ledger, 7, seed=3)
    result = reconcile(ledger, fresh_anvil)
    assert (ENTRIES, 12, 7, []) == (
        result.matched, result.unreplayed, result.unsealed, result.findings,
    )  # fmt: skip


def test_nothing_imported_cannot_be_compared(
    sqlite_url: str, tmp_path: Path, fresh_anvil: str
) -> None:
    """Before the first import, reconcile says what to run instead of calling it clean."""
    with books.create(sqlite_url, tmp_path) as ledger:
        books.fill(ledger, 5)
        seal(ledger)
        sign(ledger, books.operator())
        for url in (None, fresh_anvil):
            with pytest.raises(ChainError, match="run `migrate` and `import` first"):
                reconcile(ledger, url)
        migrate(ledger, fresh_anvil)
        with pytest.raises(ChainError, match="run `migrate` and `import` first"):
            reconcile(ledger, fresh_anvil)


def test_a_chain_that_was_not_imported_is_refused(ledger: Ledger) -> None:
    """Another chain with the same id is not compared, and the mirror stays as it is."""
    from token_ledger.chain.anvil import Anvil

    with Anvil(args=("--timestamp", "1")) as other, pytest.raises(WrongChainError):
        reconcile(ledger, other.url)
    assert ENTRIES == reconcile(ledger).matched


# --- the chain altered


def test_a_balance_changed_without_a_log_is_found(ledger: Ledger, fresh_anvil: str) -> None:
    """anvil_dealERC20 gives somebody money that no Transfer moved."""
    victim = ledger.get_account("alice").address
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_dealERC20", [hex_data(victim), contract(ledger), hex(10**30)])
    result = reconcile(ledger, fresh_anvil)
    assert [kinds.BALANCE_DRIFT] == found(result)
    details = result.findings[0].details
    assert (str(10**30), str(ledger.get_balance("alice"))) == (details["chain"], details["ledger"])
    assert ENTRIES == result.matched
    assert [] == found(reconcile(ledger))


def test_a_supply_changed_without_a_log_is_found(ledger: Ledger, fresh_anvil: str) -> None:
    """A total supply that was written straight into storage is told."""
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_setStorageAt", [contract(ledger), SUPPLY_SLOT, "0x" + "00" * 31 + "07"])
    result = reconcile(ledger, fresh_anvil)
    assert [kinds.SUPPLY_DRIFT] == found(result)
    assert ("7", str(ledger.get_total_supply())) == (
        result.findings[0].details["chain"],
        result.findings[0].details["ledger"],
    )


@pytest.mark.parametrize("code", ["0x", "0x60006000fd"])
def test_foreign_code_is_found(ledger: Ledger, fresh_anvil: str, code: str) -> None:
    """When the code at the contract's address is gone or another, nothing else is believed."""
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_setCode", [contract(ledger), code])
    assert [kinds.CODE_DIFFERS] == found(reconcile(ledger, fresh_anvil))


def test_a_head_that_is_none_of_ours_is_found(ledger: Ledger, fresh_anvil: str) -> None:
    """A contract whose head is another history is told, with the headers that differ."""
    sql(
        ledger,
        "UPDATE token_batches SET digest = X'" + "ee" * 32
        + "' WHERE number = (SELECT MAX(number) FROM token_batches)",
        unlock="token_batches",
    )  # fmt: skip
    assert {kinds.UNKNOWN_CONTRACT, kinds.HEADER_DIFFERS} == set(
        found(reconcile(ledger, fresh_anvil))
    )


def test_a_mirror_that_is_behind_is_found(ledger: Ledger, fresh_anvil: str) -> None:
    """Replayed but not imported was not compared: that is said, and import mends it."""
    books.fill(ledger, 10, seed=2)
    seal(ledger)
    sign(ledger, books.operator())
    migrate(ledger, fresh_anvil)
    result = reconcile(ledger, fresh_anvil)
    assert ([kinds.MIRROR_BEHIND], ENTRIES, 10) == (
        found(result), result.matched, result.unreplayed,
    )  # fmt: skip
    ingest(ledger, fresh_anvil)
    assert ([], ENTRIES + 10) == (
        found(result := reconcile(ledger, fresh_anvil)), result.matched,
    )  # fmt: skip


def test_an_orphaned_mirror_is_found(ledger: Ledger, fresh_anvil: str) -> None:
    """When the chain no longer has the last imported block, the mirror is told to be orphaned."""
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_mine", ["0x2"])
        ingest(ledger, fresh_anvil)
        payer = rpc.call("eth_accounts")[0]
        # With a transaction in it: an empty block of the same second would be the same block.
        rpc.call("anvil_reorg", [1, [[{"from": payer, "to": payer, "value": "0x1"}, 0]]])
    assert [kinds.ORPHANED] == found(reconcile(ledger, fresh_anvil))
    ingest(ledger, fresh_anvil)
    assert [] == found(reconcile(ledger, fresh_anvil))


def test_a_ledger_restored_from_an_older_backup_is_found(ledger: Ledger, fresh_anvil: str) -> None:
    """Batches that the chain replayed and the ledger lost: headers, transfers, contract."""
    sql(
        ledger,
        "DELETE FROM batch_signatures WHERE number > 2",
        unlock="batch_signatures",
    )
    sql(ledger, "DELETE FROM token_batches WHERE number > 2", unlock="token_batches")
    result = reconcile(ledger, fresh_anvil)
    assert {kinds.HEADER_DIFFERS, kinds.MISSING_IN_LEDGER, kinds.UNKNOWN_CONTRACT} == set(
        found(result)
    )
    assert result.matched == result.entries < ENTRIES


# --- what findings are


def test_findings_hold_both_sides_and_no_account_ids(ledger: Ledger, fresh_anvil: str) -> None:
    """A finding names addresses, hashes, amounts, block and transaction, never an account's id."""
    sql(
        ledger,
        "UPDATE chain_transfers SET value = NUM(1) WHERE seq = 20",
        "UPDATE chain_transfers SET seq = NULL WHERE seq = 21",
        "UPDATE token_accounts SET balance = NUM(1) WHERE account_no = 1",
    )
    result = reconcile(ledger, fresh_anvil)
    words = str(result.to_json())
    assert [] == [person for person in books.PEOPLE if person in words]
    [value] = [f for f in result.findings if f.kind == kinds.VALUE_DIFFERS]
    assert {"kind", "message", "batch", "entry_id", "seq", "ledger", "chain", "block",
            "block_hash", "tx", "log_index"} == set(value.to_json())  # fmt: skip
    assert {"from", "to", "value"} == set(value.to_json()["chain"])  # type: ignore[call-overload]
    assert all(finding.kind in kinds.KINDS for finding in result.findings)


def test_so_many_findings_are_kept_and_all_are_counted(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mirror that is wrong throughout does not fill the memory: the rest is a number."""
    sql(ledger, "UPDATE chain_transfers SET value = NUM(1)")
    monkeypatch.setattr(comparison, "FINDINGS_MAX", 10)
    result = reconcile(ledger)
    assert (10, ENTRIES, 0) == (len(result.findings), result.findings_total, result.matched)


def test_every_kind_is_documented_and_unique() -> None:
    """The kinds are constants of one module, each with its words."""
    names = {
        name: value
        for name, value in vars(kinds).items()
        if name.isupper() and name[0] != "_" and isinstance(value, str)
    }
    assert set(names.values()) == kinds.KINDS
    assert {name.lower() for name in names} == kinds.KINDS
    assert all(terms.meaning and terms.advice for terms in kinds.TERMS.values())


def _line(seq: int, value: int) -> Line:
    return Line(seq, bytes([seq]) * 32, b"\1" * 20, b"\2" * 20, value)


def _transfer(seq: int, value: int) -> MirroredTransfer:
    moved = Transfer(1, b"\1" * 32, seq, b"\2" * 32, 0, b"\1" * 20, b"\2" * 20, value)
    return MirroredTransfer(moved, seq)


def test_a_rotation_is_order_and_a_repeat_is_not_used_twice() -> None:
    """Entries whose transfers moved within the batch are order findings, one each."""
    lines = [_line(i, value) for i, value in enumerate([5, 6, 7, 5])]
    rotated = [_transfer(i, value) for i, value in enumerate([6, 7, 5, 5])]
    matched, findings = match_batch(1, lines, rotated)
    assert (1, [kinds.ORDER_DIFFERS] * 3) == (matched, [f.kind for f in findings])
    assert {0: 2, 1: 0, 2: 1} == {f.details["seq"]: f.details["log_index"] for f in findings}
    once = [_transfer(i, value) for i, value in enumerate([9, 5, 9, 9])]
    matched, findings = match_batch(1, lines, once)
    assert (0, 1) == (matched, sum(f.kind == kinds.ORDER_DIFFERS for f in findings))
