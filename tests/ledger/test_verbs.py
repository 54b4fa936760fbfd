"""The verbs of applications: credit, debit, spend, seed_accounts, get_history, on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from token_ledger.errors import (
    InsufficientBalanceError,
    KeyConflictError,
    UnknownAccountError,
    UsageError,
)
from token_ledger.ledger import Ledger, accounts
from token_ledger.ledger.posted import Outcome
from token_ledger.ledger.poster import Poster
from token_ledger.ledger.requests import Requests
from token_ledger.load import load

ONE = 10**18


def test_credit_may_make_the_account(ledger: Ledger) -> None:
    """A missing account is an error, unless credit is told to make it; then both land at once."""
    with pytest.raises(UnknownAccountError):
        ledger.credit("dora", 5, reason="gift", idempotency_key="k")
    made = ledger.credit("dora", 5, reason="gift", idempotency_key="k", create_account=True)
    again = ledger.credit("dora", 5, reason="gift", idempotency_key="k", create_account=True)
    assert (5 * ONE, False, True) == (made.balance_after_to, made.repeated, again.repeated)
    assert made.id == again.id


def test_a_refused_credit_makes_no_account(ledger: Ledger) -> None:
    """Account and entry land together or not at all."""
    ledger.credit("alice", 1, reason="x", idempotency_key="k")
    with pytest.raises(KeyConflictError):
        ledger.credit("dora", 1, reason="x", idempotency_key="k", create_account=True)
    with pytest.raises(UnknownAccountError):
        ledger.get_account("dora")


def test_spend_and_debit(ledger: Ledger) -> None:
    """Spending pays an account or the issuer; debit is a burn; neither goes below zero."""
    paid = ledger.spend("alice", 30, to="bob", reason="shop", idempotency_key="s1")
    assert (70 * ONE, 80 * ONE) == (paid.balance_after_from, paid.balance_after_to)
    assert 60 * ONE == ledger.spend("alice", 10, reason="fee").balance_after_from
    assert 140 * ONE == ledger.get_total_supply()
    assert 0 == ledger.debit("alice", 60, reason="out").balance_after_from
    for verb in (ledger.spend, ledger.debit):
        with pytest.raises(InsufficientBalanceError):
            verb("alice", 1, reason="out")


def test_debit_and_credit_are_burn_and_mint(ledger: Ledger) -> None:
    """The names mean the same request: the key of the one is a repeat of the other."""
    minted = ledger.mint("alice", 1, reason="x", idempotency_key="m")
    assert ledger.credit("alice", 1, reason="x", idempotency_key="m").repeated
    ledger.burn("alice", 1, reason="x", idempotency_key="b")
    assert ledger.debit("alice", 1, reason="x", idempotency_key="b").repeated
    assert minted.idempotency_key == "m"


def test_everybody_is_endowed_once(ledger: Ledger) -> None:
    """Seeding endows those that never were, whatever they hold, and again changes nothing."""
    for name in ("agent-1", "agent-2"):
        ledger.create_account(name)
    ledger.mint("carol", 3, reason="gift")
    assert 3 == ledger.seed_accounts(1000)
    assert 0 == ledger.seed_accounts(1000)
    assert 0 == ledger.seed_accounts(5)
    assert (1003 * ONE, 100 * ONE) == (ledger.get_balance("carol"), ledger.get_balance("alice"))
    ledger.create_account("agent-1", initial_balance=1000, exist_ok=True)
    assert 1000 * ONE == ledger.get_balance("agent-1")


def posted_before(ledger: Ledger, payer: str, payee: str, key: str) -> Outcome:
    """Post one coin under a key that postings may not bear any more; return its entry."""
    with ledger.write() as connection:
        known = accounts.resolve(connection, [payer, payee])
        request = Requests(ledger.context, ledger.token).make_raw(
            known[payer],
            known[payee],
            value=ONE,
            timestamp=None,
            texts=("x", "", "", "", None),
            key=key,
        )
        poster = Poster(connection, ledger.context, ledger.token)
        names = {known[name].number: name for name in (payer, payee)}
        poster.lock(names, supply=payer == "system")
        (outcome,) = poster.enter([request])
        poster.close()
    assert outcome is not None
    return outcome


def test_the_key_of_an_endowment_is_kept_for_it(ledger: Ledger, tmp_path: Path) -> None:
    """Only a mint to that account bears it, by whichever way in; then it counts as endowed."""
    ledger.create_account("zed")
    refused = "'endow:zed' is kept for the endowment"
    words = {"reason": "x", "idempotency_key": "endow:zed"}
    held = ledger.hold("alice", 1)
    path = tmp_path / "rows.csv"
    path.write_text(
        "timestamp,from_account,to_account,amount,reason,idempotency_key\n"
        "2024-01-01T00:00:00Z,alice,bob,1,x,endow:zed\n"
    )
    gift = ledger.record("alice", "bob", 1, **words)
    with ledger.coalesced() as fast:
        for attempt in (
            lambda: ledger.transfer("alice", "zed", 1, **words),
            lambda: ledger.mint("alice", 1, **words),
            lambda: ledger.hold("alice", 1, **words),
            lambda: ledger.capture(held.id, to="zed", **words),
            lambda: ledger.release(held.id, **words),
            lambda: ledger.award("alice", "publish", idempotency_key="endow:zed"),
            lambda: ledger.post_many([gift]),
            lambda: ledger.post_many(
                [ledger.record("system", "zed", 1, reason="x")], idempotency_key="endow:zed"
            ),
            lambda: fast.transfer("alice", "zed", 1, **words),
            lambda: load(ledger, path),
        ):
            ledger.set_rule("publish", 1)
            with pytest.raises(KeyConflictError, match=refused):
                attempt()
    (error,) = ledger.post_many([gift], atomic=False)
    assert isinstance(error, KeyConflictError)
    assert (1, 0) == (load(ledger, path, keep_going=True).refused, ledger.get_balance("zed"))
    ledger.mint("zed", 7, **words)
    assert (1, 7 * ONE) == (ledger.seed_accounts(5), ledger.get_balance("zed"))  # carol alone


def test_a_taken_key_hides_nobody_from_seeding(ledger: Ledger) -> None:
    """Who took the key of another's endowment keeps nobody else from theirs, and is named.

    An earlier version let them; now such a key is refused.
    """
    for name in ("zed", "zoe"):
        ledger.create_account(name)
    taken = posted_before(ledger, "alice", "bob", "endow:zed")
    for _ in range(2):
        with pytest.raises(
            KeyConflictError, match=f"0x{taken.id.hex()}, which does not endow 'zed'"
        ):
            ledger.seed_accounts(10)
        assert (0, 10 * ONE) == (ledger.get_balance("zed"), ledger.get_balance("zoe"))
    with pytest.raises(KeyConflictError):
        ledger.create_account("zed", initial_balance=10, exist_ok=True)
    posted_before(ledger, "system", "alice", "endow:zoe2")
    ledger.create_account("zoe2")
    with pytest.raises(KeyConflictError, match="'zed'"):
        ledger.seed_accounts(10)
    assert 0 == ledger.get_balance("zoe2")


def test_history_by_limit_and_offset(ledger: Ledger) -> None:
    """Every slice of the history is that slice of all of it, the newest first."""
    for number in range(9):
        sides = ("alice", "bob") if number % 3 else ("bob", "alice")
        ledger.transfer(*sides, 1, reason=f"r{number}")
    whole = [entry.entry_no for entry in ledger.get_history("alice")]
    assert sorted(whole, reverse=True) == whole
    assert 10 == len(whole)
    for offset in range(12):
        for limit in (1, 4, 10):
            page = ledger.get_history("alice", limit=limit, offset=offset)
            assert whole[offset : offset + limit] == [entry.entry_no for entry in page]
    assert [] == ledger.get_history("nobody")
    for limit, offset in ((0, 0), (1, -1), (1, 10**6)):
        with pytest.raises(UsageError):
            ledger.get_history("alice", limit, offset)
