"""Overdraft: debtors, write-offs, what stands in the way of closing; what the database keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import insert, update
from tests.damage import damage, number

from token_ledger.check import check
from token_ledger.errors import (
    AccountClosedError,
    DatabaseError,
    NotReadyError,
    OverdraftError,
    TokenLedgerError,
    UsageError,
)
from token_ledger.ledger import Ledger, accounts, cutover, schema
from token_ledger.load import load

# --- the operator -------------------------------------------------------------------------


def test_debtors_are_listed(purse: Ledger) -> None:
    """All who owe something, page by page, and nobody else."""
    assert ([], None) == purse.debtors()
    for nth in range(3):
        purse.create_account(f"d{nth}")
        purse.limit_overdraft(f"d{nth}", 10)
        purse.burn(f"d{nth}", nth + 1, reason="fee")
    page, cursor = purse.debtors(limit=2)
    assert [("d0", 1), ("d1", 2)] == [(a.account_id, a.debt) for a in page]
    page, cursor = purse.debtors(limit=2, cursor=cursor)
    assert ([("d2", 3)], None) == ([(a.account_id, a.debt) for a in page], cursor)


def test_write_off(purse: Ledger) -> None:
    """The debt is gone, the tokens stay, and who did it when and why is kept."""
    purse.transfer("alice", "bob", 100, reason="buy")
    done = purse.write_off("alice", by="carol of accounting", reason="bankrupt")
    assert (30, "30", "carol of accounting", "bankrupt") == (
        done.value, done.amount, done.by, done.reason,
    )  # fmt: skip
    assert [done] == purse.write_offs()
    account = purse.get_account("alice")
    assert (0, 0, 100, 0) == (
        account.balance, account.debt, purse.get_total_supply(), purse.get_supply().credit,
    )  # fmt: skip
    with pytest.raises(OverdraftError, match="owes nothing"):
        purse.write_off("alice", by="carol", reason="again")
    with pytest.raises(OverdraftError):
        purse.write_off("bob", by="carol", reason="never owed")
    for by, reason in (("", "r"), ("b", ""), ("x" * 1001, "r")):
        with pytest.raises(TokenLedgerError):
            purse.write_off("alice", by=by, reason=reason)
    purse.burn("alice", 50, reason="fee")  # and may owe again
    assert 50 == purse.get_account("alice").debt


def test_closing_an_account_refuses_debt(purse: Ledger) -> None:
    """An account that owes is not closed, by raw SQL neither; written off, it is."""
    purse.burn("alice", 71, reason="fee")
    with pytest.raises(AccountClosedError, match="owes 1"):
        purse.close_account("alice")
    with pytest.raises(DatabaseError), purse.write() as connection:
        connection.execute(update(schema.token_accounts).values(closed_at=1))
    purse.write_off("alice", by="me", reason="one coin")
    assert purse.close_account("alice").closed_at is not None


def test_closing_the_books_refuses_debt(purse: Ledger) -> None:
    """Finalizing names what is owed, by how many, and the way out."""
    purse.burn("alice", 80, reason="fee")
    with pytest.raises(NotReadyError, match="10 T owed by 1 account"), purse.write() as connection:
        cutover.close_books(connection, purse.token, now=purse.now())
    purse.write_off("alice", by="me", reason="cut-over")
    with pytest.raises(NotReadyError, match="not sealed"), purse.write() as connection:
        cutover.close_books(connection, purse.token, now=purse.now())


def test_load_makes_no_escrow_accounts(purse: Ledger, tmp_path: Path) -> None:
    """An id that begins as those of holds do is refused, with its line, and let by on demand."""
    path = tmp_path / "rows.csv"
    path.write_text(
        "timestamp,from_account,to_account,amount,reason\n"
        "2024-05-01T12:00:00Z,system,carol,5,pay\n2024-05-01T12:00:00Z,system,escrow:x,5,pay\n"
    )
    with pytest.raises(TokenLedgerError, match=r"rows.csv:3: account: no account 'escrow:x'"):
        load(purse, path, create_accounts=True)
    done = load(purse, path, create_accounts=True, keep_going=True)
    assert (1, 1, 1) == (done.posted, done.refused, done.accounts_created)
    assert "only a hold makes" in (tmp_path / "rows.refused.csv").read_text()
    with pytest.raises(UsageError), purse.write() as connection:
        accounts.create_missing(connection, purse.context, ["escrow:x"])


# --- what the database keeps --------------------------------------------------------------


def refused(ledger: Ledger, work: Callable[..., object], match: str | None = None) -> None:
    """Check that the database refuses what SQL tries."""
    with pytest.raises(DatabaseError, match=match), ledger.write() as connection:
        work(connection)


def test_the_database_explains_every_debt(purse: Ledger) -> None:
    """A debt changes by rows of token_debts alone, stays in its limit, and leaves no balance."""
    purse.transfer("alice", "bob", 100, reason="buy")
    accounts = schema.token_accounts
    mine = update(accounts).where(accounts.c.account_no == 1)
    other = update(accounts).where(accounts.c.account_no == 2)
    refused(purse, lambda c: c.execute(mine.values(debt=29)), "draws, repayments and write-offs")
    refused(purse, lambda c: c.execute(mine.values(debt=0)), "draws, repayments and write-offs")
    refused(purse, lambda c: c.execute(mine.values(debt=51)), "limit of overdraft")
    refused(purse, lambda c: c.execute(other.values(debt=1)), "limit of overdraft")
    refused(
        purse, lambda c: c.execute(other.values(debt=1, overdraft_max=9, balance=0)), "write-offs"
    )
    refused(purse, lambda c: c.execute(mine.values(balance=1)), "what comes in repays it")
    refused(purse, lambda c: c.execute(mine.values(debt=2**256)))


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 3},
        {"value": 29},
        {"debt_after": 61},
        {"debt_after": 30},
        {"kind": "repay", "debt_after": 0},
        {"kind": "gift"},
        {"cause_no": None},
        {"cause_no": 1},
        {"entry_no": 3, "cause_no": 2},
        {"account_no": 2, "number": 1, "debt_after": 30},
        {"kind": "write-off", "cause_no": None, "debt_after": 0},
        {"kind": "write-off", "cause_no": None, "debt_after": 10, "value": 20,
         "written_by": "x", "reason": "y"},
    ],
    ids=str,
)  # fmt: skip
def test_a_change_of_a_debt_is_its_entry(purse: Ledger, changes: dict[str, object]) -> None:
    """Each row of token_debts follows the last, adds up, and is the entry that it names."""
    purse.transfer("alice", "bob", 100, reason="buy")  # entries 2 and 3, the draw is number 1
    row = {
        "token_no": 1, "account_no": 1, "number": 2, "kind": "draw", "entry_no": 2, "cause_no": 3,
        "value": 30, "debt_after": 60, "created_at": 5,
    }  # fmt: skip
    refused(
        purse,
        lambda c: c.execute(insert(schema.token_debts).values(**(row | changes))),
    )


def test_changes_of_debts_are_append_only(purse: Ledger) -> None:
    """No row of token_debts is changed, deleted or replaced."""
    purse.transfer("alice", "bob", 100, reason="buy")
    for statement in (
        "UPDATE token_debts SET created_at = 5",
        "DELETE FROM token_debts",
        "UPDATE token_debts SET number = 2",
    ):
        refused(purse, lambda c, s=statement: c.exec_driver_sql(s), "append-only")
    if purse.engine.dialect.name == "sqlite":
        refused(
            purse,
            lambda c: c.exec_driver_sql(
                "INSERT OR REPLACE INTO token_debts SELECT * FROM token_debts"
            ),
            "already",
        )
    else:
        refused(purse, lambda c: c.exec_driver_sql("TRUNCATE token_debts"), "append-only")


@pytest.mark.parametrize("value", [10, 2**255, 2**256 - 1])
def test_captured_and_remaining_are_within_the_hold(database_url: str, value: int) -> None:
    """The database adds up what is captured and what remains, to the last bit of 256."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("T", "Token", 0)
        ledger.create_account("alice", initial_balance=value)
        ledger.create_account("bob")
        held = ledger.hold("alice", value)
        ledger.capture(held.id, 3, to="bob")
        holds = update(schema.token_holds)
        refused(ledger, lambda c: c.execute(holds.values(captured=4)), "no more than the hold")
        most = update(schema.token_holds).values(captured=value)
        refused(ledger, lambda c: c.execute(most), "no more than the hold")
        with ledger.write() as connection:
            connection.execute(holds.values(captured=4, remaining=value - 4))


def test_recalc_knows_debts(purse: Ledger) -> None:
    """Earned and spent without draws and repayments, debt and credit: all follow from the books."""
    purse.transfer("alice", "bob", 100, reason="buy")
    purse.transfer("bob", "alice", 10, reason="pay")
    purse.limit_overdraft("bob", 10)
    purse.burn("bob", 95, reason="fee")
    purse.write_off("bob", by="me", reason="small")
    assert [] == purse.recalc(dry_run=True).findings
    with purse.write() as connection:
        connection.execute(update(schema.token_supply).values(credit=5))
        connection.execute(update(schema.token_accounts).values(total_earned=1, total_spent=2))
    found = {(f.details["figure"], f.details["computed"]) for f in purse.recalc().findings}
    assert {
        *(("credit", "20"), ("total_earned", "80"), ("total_spent", "100")),
        *(("total_earned", "100"), ("total_spent", "105")),
    } == found
    assert (80, 20) == (purse.get_account("alice").total_earned, purse.get_supply().credit)
    assert 0 == purse.recalc(dry_run=True).drifted


@pytest.mark.parametrize("left", [0, 10])
@pytest.mark.parametrize("most", [None, 5, 25])
def test_a_debt_that_was_lowered_comes_back(purse: Ledger, left: int, most: int | None) -> None:
    """Whatever the limit is by now: the debt is what the books say, and the limit stays."""
    purse.transfer("alice", "bob", 100, reason="buy")
    damage(
        purse,
        "token_accounts",
        f"UPDATE token_accounts SET debt = {number(purse, left)} WHERE debt > {number(purse, 0)}",
    )
    purse.limit_overdraft("alice", most)
    result = purse.recalc()
    assert [("debt", "30")] == [
        (found.details["figure"], found.details["computed"]) for found in result.findings
    ]
    account = purse.get_account("alice")
    assert (-30, 30, most) == (account.balance, account.debt, account.overdraft_max)
    assert 0 == purse.recalc(dry_run=True).findings_total
    purse.mint("alice", 40, reason="award")
    assert 10 == purse.get_balance("alice")


@pytest.mark.parametrize("way", ["award", "capture", "reverse"])
def test_every_verb_that_pays_a_debtor_repays(purse: Ledger, way: str) -> None:
    """An award, a capture and a reversal lower what is owed at once, like any payment."""
    purse.set_rule("publish", 20)
    purse.mint("bob", 20, reason="gift")
    held = purse.hold("bob", 20)
    if way == "reverse":
        spent = purse.spend("alice", 100, reason="buy")
        paid = purse.reverse(spent.id, 20)
    else:
        purse.spend("alice", 100, reason="buy")
        paid = (
            purse.award("alice", "publish")
            if way == "award"
            else purse.capture(held.id, to="alice")
        )
    account = purse.get_account("alice")
    assert (-10, 10, -10) == (account.balance, account.debt, paid.balance_after_to)
    last = purse.get_statement("alice", limit=1).entries[0]
    assert ("overdraft:repay", 20) == (last.reason, last.value)
    assert [] == check(purse).findings
