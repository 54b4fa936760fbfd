"""`recalc`: every figure that drifted is found, named by address, and corrected under load.

Method: a ledger with transfers, burns, limits, holds and a reversal is clean; then one stored
figure at a time is changed by raw SQL, as a bug or a hand in the database would.
"""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.ledger.test_schema import execute, is_sqlite, number

from token_ledger.core.address import to_checksum
from token_ledger.core.strict import to_hex
from token_ledger.errors import DatabaseError
from token_ledger.ledger import Ledger

ONE = 10**18


@pytest.fixture
def busy(ledger: Ledger) -> Ledger:
    """Return a ledger in which every kind of figure is other than zero."""
    ledger.limit_spending("alice", 60, dt.timedelta(days=1))
    paid = ledger.transfer("alice", "bob", 30, reason="gift")
    ledger.burn("bob", 5, reason="fee")
    first = ledger.hold("alice", 10, idempotency_key="first")
    ledger.capture(first.id, 4, to="carol")
    ledger.hold("alice", 3, idempotency_key="second")
    third = ledger.hold("bob", 2, idempotency_key="third")
    ledger.release(third.id)
    ledger.reverse(paid.id, 1)
    return ledger


def set_account(ledger: Ledger, account_id: str, column: str, literal: str) -> None:
    """Change one column of an account's row behind the ledger's back."""
    where = f"(SELECT account_no FROM accounts WHERE account_id = '{account_id}')"
    assert 1 == execute(
        ledger, f"UPDATE token_accounts SET {column} = {literal} WHERE account_no = {where}"
    )


def unguard(ledger: Ledger, table: str, trigger: str) -> None:
    """Drop a trigger."""
    end = "" if is_sqlite(ledger) else f" ON {table}"
    execute(ledger, f"DROP TRIGGER {trigger}{end}")


def test_clean_books_have_no_drift(busy: Ledger) -> None:
    """After every kind of posting nothing drifts: dry run and real run find and change nothing."""
    for dry_run in (True, False):
        result = busy.recalc(dry_run=dry_run)
        assert (0, 0, []) == (result.drifted, result.corrected, result.findings)
    assert 5 + 1 + 3 == result.compared  # accounts with escrow, supply, holds


@pytest.mark.parametrize(
    ("column", "value", "size"),
    [
        ("balance", 7, 32),
        ("total_earned", 7, 40),
        ("total_spent", 7, 40),
        ("total_staked", 7, 32),
        ("window_spent", 61 * ONE, 32),
    ],
)
def test_a_drifted_figure_is_found_and_corrected(
    busy: Ledger, column: str, value: int, size: int
) -> None:
    """A dry run names the account's address and changes nothing; the real run puts it right."""
    before = busy.get_account("alice")
    set_account(busy, "alice", column, number(busy, value, size=size))
    drifted = busy.get_account("alice")
    for dry_run in (True, True, False):
        result = busy.recalc(dry_run=dry_run)
        (finding,) = result.findings
        assert (column, str(value)) == (finding.details["figure"], finding.details["stored"])
        assert to_checksum(before.address) == finding.details["address"]
        assert "alice" not in str(finding.to_json())
        assert (1, 0 if dry_run else 1) == (result.drifted, result.corrected)
        assert (drifted if dry_run else before) == busy.get_account("alice")
    assert 0 == busy.recalc(dry_run=True).findings_total


def test_only_what_drifted_is_touched(busy: Ledger) -> None:
    """Of several accounts those that drifted are corrected, and no other row is written."""
    others = {name: busy.get_account(name) for name in ("carol",)}
    for name in ("alice", "bob"):
        set_account(busy, name, "balance", number(busy, 1))
    result = busy.recalc()
    assert 2 == result.corrected
    assert {busy.get_account(n).address for n in ("alice", "bob")} == {
        bytes.fromhex(str(f.details["address"])[2:]) for f in result.findings
    }
    assert others == {name: busy.get_account(name) for name in others}


def test_the_supply_is_recomputed(busy: Ledger) -> None:
    """Total supply, minted and burned follow from mints and burns alone."""
    right = busy.get_supply()
    execute(
        busy,
        f"UPDATE token_supply SET total_supply = {number(busy, 1)},"
        f" total_minted = {number(busy, 2, size=40)}, total_burned = {number(busy, 3, size=40)}",
    )
    assert ["total_supply", "total_minted", "total_burned"] == [
        f.details["figure"] for f in busy.recalc(dry_run=True).findings
    ]
    assert 1 == busy.recalc().corrected
    assert right == busy.get_supply()


def test_updated_at_is_never_before_the_last_entry(busy: Ledger) -> None:
    """An account that claims to be older than its own last entry is corrected."""
    last = busy.get_statement("carol", limit=1).entries[0].created_at
    set_account(busy, "carol", "updated_at", "5")
    (finding,) = busy.recalc().findings
    assert ("updated_at", "5", str(last)) == tuple(
        finding.details[name] for name in ("figure", "stored", "computed")
    )
    assert last == busy.get_account("carol").updated_at


def test_holds_follow_from_their_entries(busy: Ledger) -> None:
    """Remaining, captured and released of a hold are recomputed, against the triggers as well."""
    open_hold, other = busy.holds("alice")
    entry = busy.get_entry(open_hold.id)
    unguarded = f"UPDATE token_holds SET remaining = {number(busy, ONE)},"
    unguarded += f" captured = {number(busy, 9 * ONE)}, released_at = 7"
    execute(busy, f"{unguarded} WHERE entry_no = {entry.entry_no}")  # no trigger refuses this
    result = busy.recalc()
    assert {to_hex(open_hold.id)} == {f.details["hold"] for f in result.findings}
    assert {"remaining", "captured", "released_at"} == {
        f.details["figure"] for f in result.findings
    }
    assert [open_hold, other] == busy.holds("alice")
    with pytest.raises(DatabaseError, match="append-only"):  # the guard is back
        execute(busy, f"UPDATE token_holds SET remaining = {number(busy, 10 * ONE)}")


def test_a_missing_row_is_made_again(busy: Ledger) -> None:
    """An account whose row is gone gets it back from its entries."""
    before = busy.get_account("carol")
    unguard(busy, "token_accounts", "token_accounts_no_delete")
    where = "(SELECT account_no FROM accounts WHERE account_id = 'carol')"
    execute(busy, f"DELETE FROM token_accounts WHERE account_no = {where}")
    assert 0 == busy.get_balance("carol")
    assert busy.recalc().drifted
    assert before.balance == busy.get_balance("carol")
    assert before.total_earned == busy.get_account("carol").total_earned


def test_every_token_is_recomputed(busy: Ledger) -> None:
    """Drift of a token that is not the chosen one is found as well, and says whose it is."""
    busy.create_token("TWO", "Second", 0)
    busy.use("TWO")
    busy.mint("carol", 2**256 - 1, reason="all")
    busy.use("TKN")
    execute(busy, f"UPDATE token_accounts SET balance = {number(busy, 1)} WHERE token_no = 2")
    (finding,) = busy.recalc().findings
    assert ("TWO", str(2**256 - 1)) == (finding.details["token"], finding.details["computed"])


def test_entries_that_add_up_to_less_than_nothing_are_not_corrected(busy: Ledger) -> None:
    """Where the entries themselves were altered nothing is written: `check` has to explain it."""
    unguard(busy, "token_ledger", "token_ledger_no_update")
    execute(busy, f"UPDATE token_ledger SET amount = {number(busy, 10**30)} WHERE reason = 'gift'")
    before = busy.get_account("bob")
    with pytest.raises(DatabaseError, match="altered"):
        busy.recalc()
    assert before == busy.get_account("bob")


def test_it_corrects_while_writers_are_at_work(busy: Ledger, tmp_path: Path) -> None:
    """Balances are put right again and again under load, and no posting is lost meanwhile."""
    url = busy.engine.url.render_as_string(hide_password=False)
    busy.limit_spending("alice", None)
    ended = threading.Event()

    def write(seed: int) -> int:
        posted = 0
        with Ledger.open(url, secret_file=tmp_path / "secret") as mine:
            while not ended.is_set():
                mine.mint("alice", 1, reason="x")
                mine.transfer("alice", "carol", 1, reason=f"x{seed}")
                posted += 1
        return posted

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write, seed) for seed in range(3)]
        try:
            for _ in range(8):
                with busy.write() as connection:  # as a bug would: on top of what is there
                    extra = 10**24
                    rows = connection.exec_driver_sql(
                        "SELECT account_no, balance FROM token_accounts WHERE account_no ="
                        " (SELECT account_no FROM accounts WHERE account_id = 'alice')"
                        + ("" if is_sqlite(busy) else " FOR UPDATE")
                    ).one()
                    stored = rows[1] if not is_sqlite(busy) else int.from_bytes(rows[1], "big")
                    wrong = number(busy, int(stored) + extra)
                    connection.exec_driver_sql(
                        f"UPDATE token_accounts SET balance = {wrong} WHERE account_no = {rows[0]}"
                    )
                busy.recalc()
        finally:
            ended.set()
        count = sum(writer.result() for writer in writers)
    busy.recalc()
    assert 0 == busy.recalc(dry_run=True).findings_total
    assert 4 + count == busy.get_balance("carol") // ONE
    assert count > 0
