"""Overdraft: spending past zero draws, what comes in repays; every way in, on both engines."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from token_ledger.core.entry import entry_nonce
from token_ledger.core.hashing import encode_tuple, keccak
from token_ledger.errors import (
    AccountFrozenError,
    BalanceLimitError,
    DatabaseError,
    InsufficientBalanceError,
    KeyConflictError,
    ReversalError,
    SpendLimitError,
    SupplyExceededError,
)
from token_ledger.ledger import Ledger, cutover, posting, schema
from token_ledger.ledger.requests import PostingContext
from token_ledger.load import load

ALL_TABLES = ("token_ledger", "token_accounts", "token_supply", "token_debts", "token_requests")


def shown(ledger: Ledger) -> tuple[int, int, int]:
    """Return alice's balance as it is shown, what she owes, and the credit in the supply."""
    account = ledger.get_account("alice")
    assert (
        account.balance
        == ledger.get_balance("alice")
        == account.total_earned
        - (account.total_spent + sum(item.value for item in ledger.write_offs()) * -1)
    )
    return account.balance, account.debt, ledger.get_supply().credit


def history(ledger: Ledger) -> list[tuple[str, str, int, str | None]]:
    """Return alice's entries, oldest first."""
    page = ledger.get_statement("alice", limit=1000)
    return [(e.from_account, e.to_account, e.value, e.reason) for e in reversed(page.entries)]


def image(ledger: Ledger) -> list[object]:
    """Return every row that a posting could leave behind."""
    with ledger.read() as connection:
        return [
            sorted(map(repr, connection.execute(schema.metadata.tables[name].select())))
            for name in ALL_TABLES
        ]


# --- drawing and repaying -----------------------------------------------------------------


def test_spending_past_zero_draws_the_shortage_first(purse: Ledger) -> None:
    """An entry of the issuer's, exactly what is missing, before the entry that spends."""
    paid = purse.transfer("alice", "bob", 100, reason="buy")
    draw = ("system", "alice", 30, "overdraft:draw")
    assert [draw, ("alice", "bob", 100, "buy")] == history(purse)[1:]
    assert (-30, 30, 30) == shown(purse)
    assert (-30, 100) == (paid.balance_after_from, paid.balance_after_to)
    assert 100 == purse.get_total_supply()


def test_what_comes_in_repays_at_once(purse: Ledger) -> None:
    """The smaller of what is owed and what came in goes back, right after the entry."""
    purse.transfer("alice", "bob", 100, reason="buy")
    first = purse.transfer("bob", "alice", 20, reason="pay")
    assert ((-10, 10, 10), -10) == (shown(purse), first.balance_after_to)
    second = purse.mint("alice", 25, reason="award")
    assert ((15, 0, 0), 15) == (shown(purse), second.balance_after_to)
    assert [
        ("bob", "alice", 20, "pay"),
        ("alice", "system", 20, "overdraft:repay"),
        ("system", "alice", 25, "award"),
        ("alice", "system", 10, "overdraft:repay"),
    ] == history(purse)[3:]


def test_never_beyond_the_limit(purse: Ledger) -> None:
    """Debt reaches the limit and no more; lowering it stops new draws and leaves the debt."""
    with pytest.raises(InsufficientBalanceError, match=r"overdraw to -50.*lacks 1"):
        purse.transfer("alice", "bob", 121, reason="buy")
    purse.transfer("alice", "bob", 120, reason="buy")
    assert (-50, 50, 50) == shown(purse)
    purse.limit_overdraft("alice", 20)
    with pytest.raises(InsufficientBalanceError):
        purse.transfer("alice", "bob", 1, reason="buy")
    purse.mint("alice", 40, reason="award")
    purse.burn("alice", 10, reason="fee")
    assert (-20, 20, 20) == shown(purse)
    purse.limit_overdraft("alice", None)
    purse.mint("alice", 30, reason="award")
    assert (10, 0, 0) == shown(purse)
    with pytest.raises(InsufficientBalanceError):
        purse.burn("alice", 11, reason="fee")


def test_draws_count_against_the_maximum_supply(purse: Ledger) -> None:
    """No credit is given that could not be minted, and then nothing at all is left behind."""
    purse.mint("bob", 910, reason="award")
    before = image(purse)
    with pytest.raises(SupplyExceededError):
        purse.transfer("alice", "bob", 91, reason="buy")
    assert before == image(purse)
    much, enough = (purse.record("alice", "bob", n, reason="buy") for n in (91, 90))
    refused, paid = purse.post_many([much, enough], atomic=False)
    assert isinstance(refused, SupplyExceededError)
    assert isinstance(paid, posting.Posted)
    assert (-20, 20, 20) == shown(purse)
    assert (1000, 20) == (purse.get_total_supply(), purse.get_supply().credit)


def test_neither_draw_nor_repayment_is_earned_or_spent(purse: Ledger) -> None:
    """Cumulative figures, and the limit of spending, see only what the account itself did."""
    purse.transfer("alice", "bob", 100, reason="buy")
    purse.transfer("bob", "alice", 100, reason="pay")
    account = purse.get_account("alice")
    assert (170, 100) == (account.total_earned, account.total_spent)
    supply = purse.get_supply()
    assert (100, 30, 70) == (supply.total_minted, supply.total_burned, supply.total_supply)


def test_limits_of_spending_and_holding(purse: Ledger) -> None:
    """A draw is spent like own money, and is no receiving; a repayment makes room under a cap."""
    purse.limit_balance("alice", 70)
    purse.transfer("alice", "bob", 100, reason="buy")
    with pytest.raises(BalanceLimitError, match="takes 100"):
        purse.mint("alice", 101, reason="award")
    purse.mint("alice", 100, reason="award")
    assert (70, 0, 0) == shown(purse)
    purse.limit_spending("alice", 80, dt.timedelta(days=1))
    with pytest.raises(SpendLimitError):
        purse.transfer("alice", "bob", 81, reason="buy")
    purse.transfer("alice", "bob", 80, reason="buy")
    assert (-10, 10, 10) == shown(purse)


def test_payer_and_payee_on_credit(purse: Ledger) -> None:
    """One entry may take a draw of its payer and bring a repayment of its payee."""
    purse.limit_overdraft("bob", 50)
    purse.burn("bob", 40, reason="fee")
    paid = purse.transfer("alice", "bob", 90, reason="pay")
    assert (-20, 50) == (paid.balance_after_from, paid.balance_after_to)
    with purse.read() as connection:
        rows = connection.execute(
            schema.token_ledger.select().order_by(schema.token_ledger.c.entry_no)
        ).all()
    assert ["overdraft:draw", "pay", "overdraft:repay"] == [row.reason for row in rows[-3:]]
    assert 20 == purse.get_supply().credit


# --- every way in -------------------------------------------------------------------------


def spend_120(ledger: Ledger, verb: str, tmp_path: Path) -> None:
    """Let alice spend 120 of her 70 in one of the ways in."""
    words = {"reason": "buy", "idempotency_key": "k"}
    record = ledger.record("alice", "bob", 120, **words)
    if verb == "transfer":
        ledger.transfer("alice", "bob", 120, **words)
    elif verb in ("burn", "debit", "spend"):
        getattr(ledger, verb)("alice", 120, **words)
    elif verb == "post_many":
        other = ledger.record("system", "bob", 1, reason="award", idempotency_key="m")
        ledger.post_many([other, record])
    elif verb == "coalesced":
        with ledger.coalesced() as fast:
            fast.post_many([record])
    elif verb == "bound_to":
        with ledger.engine.begin() as connection:
            ledger.bound_to(connection).post_many([record])
    elif verb == "hold":
        ledger.hold("alice", 120, idempotency_key="k")
    elif verb == "load":
        path = tmp_path / "rows.csv"
        path.write_text(
            "timestamp,from_account,to_account,amount,reason,idempotency_key\n"
            "2024-05-01T12:00:00Z,alice,bob,120,buy,k\n"
        )
        load(ledger, path)
    elif verb == "reverse":
        endowed = ledger.get_statement("alice").entries[-1]
        ledger.transfer("alice", "bob", 50, reason="buy", idempotency_key="b")
        ledger.reverse(endowed.id, idempotency_key="k")


WAYS = ["transfer", "burn", "debit", "spend", "post_many", "coalesced", "bound_to", "hold", "load"]


@pytest.mark.parametrize("verb", WAYS)
def test_every_way_in_draws_once(purse: Ledger, verb: str, tmp_path: Path) -> None:
    """Whatever spends past zero draws the shortage; its repeat draws nothing."""
    spend_120(purse, verb, tmp_path)
    assert (-50, 50, 50) == shown(purse)
    assert 1 == sum(entry[3] == "overdraft:draw" for entry in history(purse))
    before = image(purse)
    spend_120(purse, verb, tmp_path)
    assert before == image(purse)


def test_a_reversal_draws_and_repays(purse: Ledger, tmp_path: Path) -> None:
    """What is taken back may be owed, and what is given back repays."""
    spend_120(purse, "reverse", tmp_path)
    assert (-50, 50, 50) == shown(purse)
    bought = next(e for e in purse.get_statement("alice").entries if e.reason == "buy")
    purse.reverse(bought.id)
    assert (0, 0, 0) == shown(purse)


@pytest.mark.parametrize("verb", ["mint", "credit", "seed", "coalesced", "load", "bound_to"])
def test_every_way_in_repays(purse: Ledger, verb: str, tmp_path: Path) -> None:
    """Whatever pays an account in debt repays it in the same transaction, frozen or not."""
    purse.burn("alice", 120, reason="fee")
    purse.freeze_account("alice")
    record = purse.record("system", "alice", 60, reason="pay")
    if verb in ("mint", "credit"):
        getattr(purse, verb)("alice", 60, reason="pay")
    elif verb == "seed":
        purse.create_account("carol")
        purse.post_many([record])
    elif verb == "coalesced":
        with purse.coalesced() as fast:
            fast.post_many([record])
    elif verb == "load":
        path = tmp_path / "rows.csv"
        path.write_text(
            "timestamp,from_account,to_account,amount,reason\n"
            "2024-05-01T12:00:00Z,system,alice,25,pay\n2024-05-01T12:00:00Z,system,alice,35,pay\n"
        )
        load(purse, path)
    else:
        with purse.engine.begin() as connection:
            purse.bound_to(connection).post_many([record])
    assert (10, 0, 0) == shown(purse)
    with pytest.raises(AccountFrozenError):
        purse.burn("alice", 11, reason="fee")


def test_holds_draw_and_releases_repay(purse: Ledger) -> None:
    """A hold may be made of credit; what is released repays, what is captured does not."""
    held = purse.hold("alice", 100)
    assert (-30, 30, 30) == shown(purse)
    purse.capture(held.id, 10, to="bob")
    back = purse.release(held.id)
    assert ((60, 0, 0), 60) == (shown(purse), back.balance_after_to)


def test_expiry_repays(purse: Ledger) -> None:
    """What an expired hold gives back repays as well."""
    held = purse.hold("alice", 100, expires_at="9999-01-01T00:00:00Z")
    with purse.write() as connection:
        name = connection.dialect.name
        connection.exec_driver_sql(
            "DROP TRIGGER token_holds_no_update" + ("" if name == "sqlite" else " ON token_holds")
        )
        connection.execute(update(schema.token_holds).values(expires_at=1))
    assert 1 == purse.expire_holds()
    assert (70, 0, 0) == shown(purse)
    assert 0 == purse.get_hold(held.id).remaining


def test_a_list_draws_and_repays_in_its_order(purse: Ledger) -> None:
    """Within a list each posting sees what the last one left; a refused list leaves nothing."""
    pay = purse.record("alice", "bob", 100, reason="buy")
    back = purse.record("bob", "alice", 90, reason="pay")
    more = purse.record("alice", "bob", 111, reason="buy")
    before = image(purse)
    with pytest.raises(InsufficientBalanceError):
        purse.post_many([pay, back, more])
    assert before == image(purse)
    first, second, third = purse.post_many([pay, back, pay])
    assert (-30, 60, -40) == (
        first.balance_after_from, second.balance_after_to, third.balance_after_from,
    )  # fmt: skip
    assert (-40, 40, 40) == shown(purse)


def test_a_refused_neighbour_takes_no_draw(purse: Ledger) -> None:
    """Of coalesced postings the refused one leaves neither draw nor debt; the others go on."""
    with purse.coalesced() as fast:
        futures = [
            fast.submit(purse.record(payer, payee, amount, reason="buy"))
            for payer, payee, amount in (
                ("alice", "bob", 100), ("alice", "bob", 21), ("alice", "bob", 20),
            )
        ]  # fmt: skip
        outcomes = [future.exception() or future.result() for future in futures]
    assert isinstance(outcomes[1], InsufficientBalanceError)
    assert (-50, 50, 50) == shown(purse)


def test_an_escrow_account_fails_no_neighbour(purse: Ledger) -> None:
    """A coalesced posting to an escrow account has its own error, and nobody else's."""
    purse.hold("alice", 1)
    records = [purse.record("alice", to, 1, reason="x") for to in ("escrow:alice", "bob")]
    with purse.coalesced() as fast:
        futures = [fast.submit(record) for record in records]
        assert [True, False] == [future.exception() is not None for future in futures]


def test_imported_transfers_neither_draw_nor_repay(purse: Ledger) -> None:
    """What the chain did stays one entry a transfer, even to an account that was left in debt."""
    purse.burn("alice", 80, reason="fee")
    context = PostingContext(operator=purse.operator, secret=purse.secret, imported=True)
    records = [purse.record("system", "alice", 30, reason="import")]
    with purse.write() as connection:
        cutover.close_books(connection, purse.token, now=purse.now(), whatever_waits=True)
    with purse.write() as connection:
        posting.post(connection, context, purse.token, records)
    assert ("system", "alice", 30, "import") == history(purse)[-1]
    account = purse.get_account("alice")
    assert (20, 10) == (account.balance, account.debt)


# --- keys, links, repeats -----------------------------------------------------------------


def test_draws_and_repayments_name_what_brought_them(purse: Ledger) -> None:
    """Their reference is the entry, and their keys come of its id and the secret alone."""
    paid = purse.transfer("alice", "bob", 100, reason="buy")
    back = purse.transfer("bob", "alice", 100, reason="pay")
    for what, cause in (("overdraft:draw", paid), ("overdraft:repay", back)):
        entry = next(e for e in purse.get_statement("alice").entries if e.reason == what)
        assert ("overdraft", "0x" + cause.id.hex()) == (entry.reference_type, entry.reference_id)
        key = f"{what}:{keccak(encode_tuple(purse.secret, cause.id, what)).hex()}"
        assert (key, entry_nonce(purse.secret, key)) == (entry.idempotency_key, entry.nonce)
        assert cause.timestamp == entry.timestamp


def test_a_repeat_returns_the_first_balances(purse: Ledger) -> None:
    """However the debt went on, a repeat shows what the first result showed."""
    words = {"reason": "buy", "idempotency_key": "k"}
    first = purse.transfer("alice", "bob", 100, **words)
    paid = purse.transfer("bob", "alice", 20, reason="pay", idempotency_key="p")
    held = purse.hold("alice", 5, idempotency_key="h")
    purse.write_off("alice", by="me", reason="test")
    purse.burn("alice", 3, reason="fee")
    for before, again in (
        (first, purse.transfer("alice", "bob", 100, **words)),
        (paid, purse.transfer("bob", "alice", 20, reason="pay", idempotency_key="p")),
        (held, purse.hold("alice", 5, idempotency_key="h")),
    ):
        assert (before.id, before.balance_after_from, before.balance_after_to, True) == (
            again.id, again.balance_after_from, again.balance_after_to, again.repeated,
        )  # fmt: skip
    with pytest.raises(KeyConflictError):
        purse.transfer("alice", "bob", 101, **words)


def test_draws_and_repayments_are_not_reversed(purse: Ledger) -> None:
    """`reverse` names what brought them; the database refuses it as well."""
    purse.transfer("alice", "bob", 100, reason="buy")
    purse.transfer("bob", "alice", 100, reason="pay")
    brought = [
        e for e in purse.get_statement("alice").entries if (e.reason or "").startswith("over")
    ]
    assert 2 == len(brought)
    for entry in brought:
        with pytest.raises(ReversalError, match="reverse what brought it"):
            purse.reverse(entry.id)
    draw, repayment = sorted(entry.entry_no for entry in brought)
    purse.burn("alice", 40, reason="same way as the draw went back")
    with pytest.raises(DatabaseError), purse.write() as connection:
        connection.execute(
            insert(schema.token_reversals).values(
                entry_no=repayment, token_no=1, reversed_entry_no=draw
            )
        )


# --- at once ------------------------------------------------------------------------------


def test_draws_at_once_stay_in_the_limit(purse: Ledger) -> None:
    """Of many threads drawing on one account exactly what it may owe is drawn."""
    purse.burn("alice", 70, reason="fee")

    def attempt(number: int) -> int:
        try:
            if number % 3 == 0:
                purse.hold("alice", 1)
            elif number % 3 == 1:
                purse.transfer("alice", "bob", 1, reason="x")
            else:
                purse.burn("alice", 1, reason="x")
        except InsufficientBalanceError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert 50 == sum(pool.map(attempt, range(70)))
    assert (-50, 50, 50) == shown(purse)
