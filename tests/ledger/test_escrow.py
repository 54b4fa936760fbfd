"""Escrow accounts: only the holds of their holder move them, and no cap of theirs refuses one."""

from __future__ import annotations

import pytest

from token_ledger.check import check
from token_ledger.errors import BalanceLimitError, HoldError, ReversalError, UsageError
from token_ledger.ledger import Ledger

ONE = 10**18


def figures(ledger: Ledger) -> dict[str, int]:
    """Return every balance, once `check` and `recalc` found nothing."""
    assert [] == check(ledger).findings
    assert 0 == ledger.recalc(dry_run=True).findings_total
    return {account.account_id: account.balance for account in ledger.accounts()[0]}


def test_a_hold_is_captured_to_no_escrow_account(ledger: Ledger) -> None:
    """Nobody else's escrow is paid by a capture, whole or in part, and nothing of it is kept."""
    held = ledger.hold("alice", 10)
    ledger.hold("bob", 10)
    before = figures(ledger)
    for amount in (None, 3):
        with pytest.raises(HoldError, match="holder's holds alone"):
            ledger.capture(held.id, amount, to="escrow:bob")
    assert before == figures(ledger)
    assert 10 * ONE == ledger.get_hold(held.id).remaining


@pytest.mark.parametrize(("create_account", "kind"), [(False, HoldError), (True, UsageError)])
def test_no_award_to_escrow(ledger: Ledger, create_account: bool, kind: type[Exception]) -> None:
    """An award mints nothing into an escrow account, whether or not it may make accounts."""
    ledger.hold("alice", 10)
    ledger.set_rule("daily", 5)
    before = figures(ledger)
    with pytest.raises(kind):
        ledger.award("escrow:alice", "daily", create_account=create_account)
    assert before == figures(ledger)


def test_no_entry_of_a_hold_is_reversed(ledger: Ledger) -> None:
    """Neither hold, capture, burn nor release is reversed, and each refusal says what to do."""
    held, other = ledger.hold("alice", 10), ledger.hold("alice", 5)
    paid = ledger.capture(held.id, 4, to="bob")
    burnt = ledger.capture(held.id, 1)
    back = ledger.release(other.id)
    before = figures(ledger)
    for entry, way_out in (
        (held, "release the hold"),
        (paid, "back by a transfer"),
        (burnt, "mint it to the holder"),
        (back, "hold it again"),
    ):
        with pytest.raises(ReversalError, match="one of a hold") as refused:
            ledger.reverse(entry.id)
        assert way_out in refused.value.hint
    assert before == figures(ledger)


def test_a_hold_within_ones_own_larger_cap(ledger: Ledger) -> None:
    """A hold changes nothing of what is held in all: no cap refuses it, the token's neither."""
    ledger.limit_balance(None, 200)
    ledger.limit_balance("carol", 1000)
    ledger.mint("carol", 900, reason="x")
    ledger.hold("carol", 300)
    ledger.hold("carol", 600)
    with pytest.raises(BalanceLimitError):
        ledger.mint("carol", 101, reason="x")
    assert 900 * ONE == figures(ledger)["escrow:carol"]


@pytest.mark.parametrize("account_id", ["x" * 994, "x" * 1000, "é" * 500])
def test_ids_of_full_length_hold(ledger: Ledger, account_id: str) -> None:
    """An account whose id has 1,000 bytes holds, captures and releases, and is listed so."""
    ledger.create_account(account_id, initial_balance=10)
    held = ledger.hold(account_id, 6)
    ledger.capture(held.id, 2, to="bob")
    ledger.release(held.id)
    assert ledger.get_account(f"escrow:{account_id}").escrow
    assert 3 == len(ledger.get_statement(f"escrow:{account_id}").entries)
    assert 8 * ONE == figures(ledger)[account_id]
    with pytest.raises(UsageError, match="the ledger's own"):
        ledger.create_account("escrow:" + "x" * 1000)
