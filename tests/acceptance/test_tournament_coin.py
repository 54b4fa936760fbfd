"""Acceptance, tournament coin: invariants (10), service (15) and idempotency (10).

Its groups reconcile and properties are in `test_tournament_upkeep.py`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.acceptance.tournament_site import USERS, Site, example

from token_ledger.errors import (
    AmountRangeError,
    InsufficientBalanceError,
    KeyConflictError,
    SelfTransferError,
    TokenLedgerError,
)

# --- invariants -----------------------------------------------------------------------------


def test_conservation(site: Site) -> None:
    """Transfers neither make nor lose a coin."""
    site.call("transfer", 1, 2, "60", reason="bet")
    site.call("transfer", 2, 3, "160", reason="bet")
    assert [40, 0, 260] == site.coins()
    assert 300 == site.ledger.get_total_supply()


def test_conservation_under_concurrency(site: Site) -> None:
    """Concurrent transfers neither make nor lose a coin, and nobody goes below zero."""

    def play(number: int) -> None:
        sender, receiver = USERS[number % 3], USERS[(number + 1 + number % 2) % 3]
        try:
            site.call("transfer", sender, receiver, "30", reason="game")
        except InsufficientBalanceError:
            return

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(play, range(48)))
    assert 300 == sum(site.coins()) == site.ledger.get_total_supply()
    assert 0 <= min(site.coins())


def test_insufficient_funds(site: Site) -> None:
    """A user cannot spend more than they have, and what was tried leaves nothing behind."""
    with pytest.raises(InsufficientBalanceError):
        site.call("debit", 1, "101", reason="shop")
    assert [100, 100, 100] == site.coins()
    assert 1 == len(site.call("history", 1))


def test_two_spends_of_the_same_coins(site: Site) -> None:
    """Of two concurrent spends of the same coins exactly one succeeds."""

    def spend(_: int) -> bool:
        try:
            site.call("debit", 1, "100", reason="shop")
        except InsufficientBalanceError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert [False, True] == sorted(pool.map(spend, range(2)))


def test_the_overdraft_flag(site: Site) -> None:
    """A wallet that may be overdrawn goes below zero to its limit; the others may not."""
    site.ledger.limit_overdraft("user:1", 50)
    site.call("debit", 1, "150", reason="buy-in")
    assert [-50, 100, 100] == site.coins()
    for user in (1, 2):
        with pytest.raises(InsufficientBalanceError):
            site.call("debit", user, "101", reason="buy-in")
    site.call("credit", 1, "70", reason="prize")
    assert 20 == site.call("balance", 1)


@pytest.mark.parametrize("change", ["amount = balance_after_to", "reason = 'other'"])
def test_amount_and_reason_are_immutable(change: str, site: Site) -> None:
    """The database itself refuses to change what an entry says."""
    site.call("credit", 1, "7", reason="prize")
    with pytest.raises(DBAPIError), site.engine.begin() as connection:
        connection.execute(text(f"UPDATE token_ledger SET {change}"))
    assert ["prize", "welcome"] == [entry["reason"] for entry in site.call("history", 1)]


def test_created_at_is_monotonic(site: Site) -> None:
    """A wallet's history has times that never run backwards."""
    for _ in range(10):
        site.call("transfer", 1, 2, "1", reason="game")
    times = [entry.created_at for entry in site.ledger.get_history("user:2")]
    assert sorted(times, reverse=True) == times


def test_recalculation_saves_the_corrected_balance(site: Site) -> None:
    """What a balance was changed to behind the ledger's back is put right from the entries."""
    site.damage(2, 250)
    assert 1 == site.ledger.recalc().corrected
    assert [100, 100, 100] == site.coins()


def test_recalculation_is_atomic(site: Site) -> None:
    """Where one correction cannot be written, none is."""
    for user, coins in ((1, 3), (2, 4)):
        site.damage(user, coins)
    mine = "(SELECT account_no FROM accounts WHERE account_id = 'user:2')"
    forbid = (
        "CREATE TRIGGER forbid BEFORE UPDATE ON token_accounts"
        f" WHEN OLD.account_no = {mine} BEGIN SELECT RAISE(ABORT, 'forbidden'); END"
        if site.sqlite
        else "CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN IF OLD.account_no = {mine} THEN RAISE 'forbidden'; END IF; RETURN NEW; END $$;"
        " CREATE TRIGGER forbid BEFORE UPDATE ON token_accounts"
        " FOR EACH ROW EXECUTE FUNCTION forbid()"
    )
    with site.engine.begin() as connection:
        connection.exec_driver_sql(forbid)
    with pytest.raises(TokenLedgerError):
        site.ledger.recalc()
    assert [3, 4, 100] == site.coins()


# --- service --------------------------------------------------------------------------------


def test_credit_result(site: Site) -> None:
    """A credit tells wallet, balance after, transaction and key."""
    result = site.call("credit", 1, "25", reason="prize", key="k1")
    assert ("system", "user:1", "25") == tuple(
        result[name] for name in ("from_wallet", "to_wallet", "amount")
    )
    assert (None, 125) == (result["from_balance_after"], result["to_balance_after"])
    assert ("k1", False, 64) == (
        result["idempotency_key"],
        result["repeated"],
        len(result["transaction_id"]),
    )


def test_debit_result(site: Site) -> None:
    """A debit tells the same, from the other side."""
    result = site.call("debit", 1, "25", reason="shop", key="k1")
    assert ("user:1", "system") == (result["from_wallet"], result["to_wallet"])
    assert (75, None) == (result["from_balance_after"], result["to_balance_after"])


def test_transfer_result(site: Site) -> None:
    """A transfer tells both wallets and both balances after."""
    result = site.call("transfer", 1, 2, "25", reason="bet")
    assert ("user:1", "user:2") == (result["from_wallet"], result["to_wallet"])
    assert (75, 125) == (result["from_balance_after"], result["to_balance_after"])


VERBS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("credit", (1,)),
    ("debit", (1,)),
    ("transfer", (1, 2)),
)


@pytest.mark.parametrize("amount", ["0", "-1"])
@pytest.mark.parametrize(("verb", "users"), VERBS)
def test_zero_and_negative_amounts(
    verb: str, users: tuple[int, ...], amount: str, site: Site
) -> None:
    """Amounts of zero and below are refused by every verb, and nothing moves."""
    with pytest.raises(AmountRangeError):
        site.call(verb, *users, amount, reason="x")
    assert [100, 100, 100] == site.coins()


def test_a_transfer_rolls_back_whole(site: Site) -> None:
    """What the site undoes is undone on both sides."""

    def work(service: Any) -> None:
        service.transfer(1, 2, "25", reason="bet")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        site.run(work)
    assert [100, 100, 100] == site.coins()


def test_a_self_transfer_is_refused(site: Site) -> None:
    """Nobody pays themselves."""
    with pytest.raises(SelfTransferError):
        site.call("transfer", 1, 1, "1", reason="x")


def test_a_missing_wallet_reads_as_zero(site: Site) -> None:
    """A user without a wallet has 0 coins, and gets one by the first credit."""
    assert 0 == site.call("balance", 404)
    assert 5 == site.call("credit", 404, "5", reason="prize")["to_balance_after"]


def test_history_is_newest_first(site: Site) -> None:
    """History comes newest first, with signed amounts and balances after."""
    site.call("transfer", 1, 2, "30", reason="bet")
    found = [(e["amount"], e["reason"], e["balance_after"]) for e in site.call("history", 1)]
    assert [(-30, "bet", 70), (100, "welcome", 100)] == found


def test_history_has_limit_and_offset(site: Site) -> None:
    """A page is cut by limit and offset."""
    for number in range(5):
        site.call("credit", 1, "1", reason=f"n{number}")
    page = site.call("history", 1, limit=2, offset=1)
    assert ["n3", "n2"] == [entry["reason"] for entry in page]


def test_an_empty_wallet_has_no_history(site: Site) -> None:
    """No wallet and an empty one have no history."""
    site.ledger.create_account("user:9")
    assert [[], []] == [site.call("history", user) for user in (9, 404)]


# --- idempotency ----------------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "users"), VERBS)
def test_one_key_pays_once(verb: str, users: tuple[int, ...], site: Site) -> None:
    """A repeat returns the first result, says so, and moves nothing."""
    first, again = (site.call(verb, *users, "10", reason="x", key="k") for _ in range(2))
    assert {**first, "repeated": True} == again
    expected = {"credit": [110, 100, 100], "debit": [90, 100, 100], "transfer": [90, 110, 100]}
    assert expected[verb] == site.coins()


@pytest.mark.parametrize(("verb", "users"), VERBS)
def test_one_key_with_another_amount(verb: str, users: tuple[int, ...], site: Site) -> None:
    """The same key with another amount is a conflict, and moves nothing."""
    site.call(verb, *users, "10", reason="x", key="k")
    before = site.coins()
    with pytest.raises(KeyConflictError):
        site.call(verb, *users, "11", reason="x", key="k")
    assert before == site.coins()


def test_requests_out_of_order(site: Site) -> None:
    """Repeats in whatever order pay each key once."""
    keys = ["a", "b", "c"]
    for key in (*keys, *reversed(keys), "b"):
        site.call("credit", 1, "10", reason="prize", key=key)
    assert 130 == site.call("balance", 1)


def test_payouts_have_deterministic_keys(site: Site) -> None:
    """Participation and placements pay once each, under keys made of the registration."""
    with site.engine.begin() as connection:
        connection.execute(text("CREATE TABLE registration (id INTEGER PRIMARY KEY, paid INTEGER)"))
        connection.execute(text("INSERT INTO registration (id) VALUES (7), (8)"))
    for _ in range(2):
        example().pay_tournament(site.ledger, site.engine, [(8, 2), (7, 1)])
    assert [160, 210, 100] == site.coins()
    keys = {
        entry.idempotency_key
        for user in (1, 2)
        for entry in site.ledger.get_history(f"user:{user}", limit=2)
    }
    assert {
        "participation_award_reg_7",
        "participation_award_reg_8",
        "placement_award_reg_8_place_1",
        "placement_award_reg_7_place_2",
    } == keys


def test_manual_adjustments_need_no_key(site: Site) -> None:
    """Two adjustments without a key are two."""
    first, second = (site.call("credit", 1, "1", reason="adjustment") for _ in range(2))
    assert first["transaction_id"] != second["transaction_id"]
    assert 102 == site.call("balance", 1)


def test_one_key_by_many_at_once(site: Site) -> None:
    """Of many concurrent requests with one key one pays, and all hear the same transaction."""

    def pay(_: int) -> str:
        return str(site.call("credit", 1, "10", reason="prize", key="k")["transaction_id"])

    with ThreadPoolExecutor(6) as pool:
        assert 1 == len(set(pool.map(pay, range(12))))
    assert 110 == site.call("balance", 1)
