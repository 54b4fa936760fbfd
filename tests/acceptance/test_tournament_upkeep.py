"""Acceptance, tournament coin: its groups reconcile (8) and properties (9)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.acceptance.tournament_site import USERS, Site

from token_ledger.cli import main
from token_ledger.core.address import to_checksum
from token_ledger.errors import KeyConflictError, TokenLedgerError

# --- reconcile: stored balances against the entries -----------------------------------------


@pytest.fixture
def recalc(site: Site, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return the site's nightly command: it answers status, document, and all that it printed."""

    def run(*words: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        status = main(["--db", site.url, "recalc", *words, "--json"])
        out = capsys.readouterr().out
        return status, json.loads(out), out

    return run


def test_a_dry_run_detects(site: Site, recalc: Any) -> None:
    """A dry run names what is stored and what it should be."""
    site.damage(1, 7)
    status, told, _ = recalc("--dry-run")
    (finding,) = told["findings"]
    assert (1, "7", "100") == (status, finding["stored"], finding["computed"])


def test_a_dry_run_changes_nothing(site: Site, recalc: Any) -> None:
    """However often it runs dry, what is stored stays."""
    site.damage(1, 7)
    for _ in range(2):
        assert 0 == recalc("--dry-run")[1]["corrected"]
    assert [7, 100, 100] == site.coins()


def test_a_real_run_corrects(site: Site, recalc: Any) -> None:
    """The real run corrects, and the next one finds nothing."""
    site.damage(1, 7)
    assert 1 == recalc()[1]["corrected"]
    assert (0, [100, 100, 100]) == (recalc()[0], site.coins())


def test_only_drifted_wallets_are_corrected(site: Site, recalc: Any) -> None:
    """Of several wallets only those that drifted are touched."""
    before = [site.ledger.get_account(f"user:{user}") for user in USERS]
    for user in (1, 3):
        site.damage(user, 7)
    assert 2 == recalc()[1]["corrected"]
    assert before[1] == site.ledger.get_account("user:2")
    assert [100, 100, 100] == site.coins()


def test_exit_statuses(site: Site, recalc: Any) -> None:
    """0 nothing drifted, 1 something did, 2 it could not be done."""
    assert 0 == recalc()[0]
    site.damage(1, 7)
    assert 1 == recalc("--dry-run")[0]
    assert 2 == main(["--db", "sqlite:////nowhere/none.db", "recalc"])


def test_wallets_are_named_by_address_alone(site: Site, recalc: Any) -> None:
    """What is printed names wallets, never people."""
    site.damage(1, 7)
    _, told, out = recalc("--dry-run")
    address = to_checksum(site.ledger.get_account("user:1").address)
    assert [address] == [finding["address"] for finding in told["findings"]]
    assert "user:" not in out


def test_an_empty_wallet_is_clean(site: Site, recalc: Any) -> None:
    """A wallet without entries has nothing to correct."""
    site.ledger.create_account("user:9")
    assert (0, 0) == (recalc()[0], recalc()[1]["drifted"])


def test_a_negative_balance(site: Site, recalc: Any) -> None:
    """An overdrawn wallet is no drift, and keeps its balance below zero."""
    site.ledger.limit_overdraft("user:1", 50)
    site.call("debit", 1, "130", reason="buy-in")
    assert 0 == recalc()[0]
    assert -30 == site.call("balance", 1)


# --- properties -----------------------------------------------------------------------------

_users = st.sampled_from(USERS)
_amounts = st.integers(-1, 150).map(str)
_calls = st.one_of(
    st.tuples(st.just("credit"), _users, _amounts),
    st.tuples(st.just("debit"), _users, _amounts),
    st.tuples(st.just("transfer"), _users, _users, _amounts),
)
property_of = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _try(site: Site, call: tuple[Any, ...], **words: Any) -> Any:
    """Return the result of a call, or None where it was refused."""
    try:
        return site.call(*call, reason="random", **words)
    except TokenLedgerError:
        return None


@property_of
@given(calls=st.lists(st.tuples(st.just("transfer"), _users, _users, _amounts), max_size=8))
def test_transfers_conserve(calls: list[Any], site: Site) -> None:
    """Whatever transfers are tried, the sum stays."""
    before = sum(site.coins())
    for call in calls:
        _try(site, call)
    assert before == sum(site.coins()) == site.ledger.get_total_supply()


@property_of
@given(calls=st.lists(st.tuples(st.just("debit"), _users, _amounts), max_size=8))
def test_debits_never_go_below_zero(calls: list[Any], site: Site) -> None:
    """Whatever debits are tried, no wallet goes below zero."""
    for call in calls:
        _try(site, call)
    assert 0 <= min(site.coins())


@property_of
@given(calls=st.lists(_calls, max_size=8))
def test_supply_is_what_was_issued(calls: list[Any], site: Site) -> None:
    """The supply is the sum of all wallets, and what was minted less what was burned."""
    for call in calls:
        _try(site, call)
    supply = site.ledger.get_supply()
    assert sum(site.coins()) == supply.total_supply == supply.total_minted - supply.total_burned


@property_of
@given(calls=st.lists(_calls, max_size=6))
def test_a_refusal_moves_nothing(calls: list[Any], site: Site) -> None:
    """A refused call leaves every wallet as it was."""
    for call in calls:
        before = site.coins()
        if _try(site, call) is None:
            assert before == site.coins()


@property_of
@given(calls=st.lists(_calls, max_size=5), data=st.data())
def test_repeats_change_nothing(calls: list[Any], data: st.DataObject, site: Site) -> None:
    """Calls repeated under their keys, in any order, change nothing more."""
    start = site.ledger.get_supply().total_minted
    keyed = [(call, f"{start}:{number}:{call}") for number, call in enumerate(calls)]
    posted = [(call, key) for call, key in keyed if _try(site, call, key=key) is not None]
    before = site.coins()
    for call, key in data.draw(st.permutations(posted)):
        assert _try(site, call, key=key)["repeated"]
    assert before == site.coins()


@property_of
@given(amount=st.integers(1, 100), other=st.integers(1, 100))
def test_a_key_belongs_to_one_amount(amount: int, other: int, site: Site) -> None:
    """A key with another amount is a conflict, with the same one a repeat."""
    key = f"{site.ledger.get_supply().total_minted}:{amount}"
    site.call("credit", 1, str(amount), reason="x", key=key)
    if amount == other:
        assert site.call("credit", 1, str(other), reason="x", key=key)["repeated"]
        return
    with pytest.raises(KeyConflictError):
        site.call("credit", 1, str(other), reason="x", key=key)


@property_of
@given(calls=st.lists(_calls, max_size=6))
def test_a_transaction_lands_whole(calls: list[Any], site: Site) -> None:
    """Several calls in one transaction of the site's land all, or none."""
    before = site.coins()
    expected: list[int] | None = None

    def work(service: Any) -> list[int]:
        for verb, *arguments in calls:
            getattr(service, verb)(*arguments, reason="random")
        return [service.balance(user) for user in USERS]

    try:
        expected = site.run(work)
    except TokenLedgerError:
        expected = before
    assert expected == site.coins()


@property_of
@given(calls=st.lists(_calls, max_size=6))
def test_history_adds_up(calls: list[Any], site: Site) -> None:
    """A wallet's history, summed, is its balance, and each line's balance is the sum up to it."""
    for call in calls:
        _try(site, call)
    for user in USERS:
        held = 0
        for entry in reversed(site.call("history", user, limit=1000)):
            held += entry["amount"]
            assert held == entry["balance_after"]
        assert held == site.call("balance", user)


@property_of
@given(calls=st.lists(_calls, max_size=6), damage=st.integers(0, 255))
def test_recalculation_restores(calls: list[Any], damage: int, site: Site) -> None:
    """Whatever a stored balance was changed to, a recalculation restores it."""
    for call in calls:
        _try(site, call)
    before = site.coins()
    site.damage(2, damage)
    site.ledger.recalc()
    assert before == site.coins()
