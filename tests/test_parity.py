"""One verb everywhere: each method of `Ledger` is there by every way in, as a command, over HTTP.

Where it is not, the table says why. A verb that is new, or gone somewhere, fails here.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from tests import books

from token_ledger.api import create_app
from token_ledger.cli.program import cli
from token_ledger.ledger import AsyncLedger, Ledger
from token_ledger.ledger.asynchronous import AsyncBoundLedger, _Verbs
from token_ledger.ledger.bound import BoundLedger
from token_ledger.ledger.coalesce import CoalescedLedger

# What holds a ledger rather than asking or telling it something.
PLUMBING = {
    *("bound_to", "cached", "close", "coalesced", "create", "now", "open", "read", "record"),
    *("run", "use", "write"),
}


class Not(str):
    """Why a verb is not there."""

    __slots__ = ()


INSIDE = Not("called by `migrate`, which records the chain it deployed to")

# method: (command, route)
VERBS: dict[str, tuple[str, str]] = {
    "acknowledge_finding": ("finding acknowledge", "POST /findings/{finding_id}/acknowledge"),
    "accounts": ("account list", "GET /accounts"),
    "award": ("award", "POST /award"),
    "burn": ("burn", "POST /burn"),
    "capture": ("capture", "POST /holds/{hold_id}/capture"),
    "close_account": ("account close", "POST /accounts/{account_id}/close"),
    "create_account": ("account create", "POST /accounts"),
    "create_token": ("token create", "POST /tokens"),
    "credit": ("credit", "POST /credit"),
    "debit": ("debit", "POST /debit"),
    "debtors": ("overdraft list", "GET /debtors"),
    "expire_holds": ("holds expire", "POST /expire"),
    "feed": ("feed", "GET /entries"),
    "findings": ("finding list", "GET /findings"),
    "freeze_account": ("account freeze", "POST /accounts/{account_id}/freeze"),
    "get_account": ("account show", "GET /accounts/{account_id}"),
    "get_balance": ("balance", "GET /balance/{account_id}"),
    "get_balance_at": ("balance", "GET /balance/{account_id}"),
    "get_entries": ("entries", "GET /ledger"),
    "get_entry": ("entry show", "GET /entries/{entry_id}"),
    "get_history": ("history", "GET /history/{account_id}"),
    "get_hold": ("holds show", "GET /holds/{hold_id}"),
    "get_redaction": ("entry show", "GET /entries/{entry_id}/redaction"),
    "get_reversal": ("entry show", "GET /entries/{entry_id}"),
    "get_rule": ("rule show", "GET /rules/{action}"),
    "get_statement": ("statement", "GET /ledger"),
    "get_statistics": ("stats", "GET /supply"),
    "get_supply": ("supply", "GET /supply"),
    "get_total_supply": ("supply", "GET /supply"),
    "hold": ("hold", "POST /holds"),
    "holds": ("holds list", "GET /holds"),
    "limit_balance": ("limit balance", "PUT /accounts/{account_id}/limits/balance"),
    "limit_overdraft": ("limit overdraft", "PUT /accounts/{account_id}/limits/overdraft"),
    "limit_spending": ("limit spending", "PUT /accounts/{account_id}/limits/spending"),
    "mint": ("mint", "POST /mint"),
    "post_many": ("load", "POST /postings"),
    "recalc": ("recalc", "POST /recalc"),
    "redact": ("redact", "POST /entries/{entry_id}/redact"),
    "release": ("release", "POST /holds/{hold_id}/release"),
    "retire_rule": ("rule retire", "DELETE /rules/{action}"),
    "reverse": ("reverse", "POST /entries/{entry_id}/reverse"),
    "rule_of": ("entry show", "GET /entries/{entry_id}"),
    "rules": ("rule list", "GET /rules"),
    "seed_accounts": ("seed", "POST /seed"),
    "set_canonical_chain": (INSIDE, INSIDE),
    "set_rule": ("rule set", "PUT /rules/{action}"),
    "spend": ("spend", "POST /spend"),
    "statement_csv": ("statement", "GET /statement/{account_id}"),
    "tokens": ("token list", "GET /tokens"),
    "transfer": ("transfer", "POST /transfer"),
    "unfreeze_account": ("account unfreeze", "POST /accounts/{account_id}/unfreeze"),
    "withdraw_acknowledgement": ("finding withdraw", "POST /findings/{finding_id}/withdraw"),
    "write_off": ("overdraft write-off", "POST /accounts/{account_id}/write-off"),
    "write_offs": ("overdraft list", "GET /write-offs"),
}
# A generator that reads as it goes on: iterate it in a thread.
NOT_TYPED = {"statement_csv"}
# Routes that are no method of `Ledger` of their own: files, another form of a verb, the service,
# and `check`, a verb of a module of its own. What else has a module and no route speaks to a chain
# or writes files at the machine; `move` replaces the very database that is served.
OTHER_ROUTES = {
    "GET /check",
    *("GET /batches", "GET /batches/{number}", "GET /proofs/{entry_id}"),
    *("PUT /limits/balance", "GET /health", "GET /metrics"),
}


def _verbs() -> set[str]:
    found = inspect.getmembers_static(Ledger, inspect.isfunction)
    return {name for name, _ in found if not name.startswith("_")} - PLUMBING


def test_every_verb_is_in_the_table() -> None:
    """The table lists each public method of `Ledger`, and none that is not there."""
    assert _verbs() == set(VERBS)


@pytest.mark.parametrize("kind", [BoundLedger, CoalescedLedger])
def test_every_way_in_has_the_same_verbs(kind: type[Ledger]) -> None:
    """Bound and coalesced ledgers have each verb, with the same parameters."""
    for name in VERBS:
        expected = inspect.signature(getattr(Ledger, name)).parameters
        assert expected == inspect.signature(getattr(kind, name)).parameters, name


@pytest.mark.parametrize("kind", [AsyncLedger, AsyncBoundLedger])
def test_every_verb_is_awaited_with_types(kind: type) -> None:
    """Async ledgers list each verb, so that a type checker knows it, and it is a coroutine."""
    for name in set(VERBS) - NOT_TYPED:
        assert name in vars(_Verbs), name
        assert inspect.iscoroutinefunction(getattr(kind, name)), name


def test_every_verb_is_a_command() -> None:
    """The command that the table names is there; where there is none, it says why."""
    commands = {
        f"{name} {inner}" if inner else name
        for name, command in cli.commands.items()
        for inner in (getattr(command, "commands", None) or [""])
    }
    named = {command for command, _ in VERBS.values() if not isinstance(command, Not)}
    assert named <= commands


def test_every_verb_is_a_route(sqlite_url: str, tmp_path: Path) -> None:
    """The route that the table names is there, and no route that it does not know."""
    with books.create(sqlite_url, tmp_path) as ledger:
        document = create_app(ledger).openapi()
    routes = {
        f"{method.upper()} {path.removeprefix('/api/token')}"
        for path, operations in document["paths"].items()
        for method in operations
    }
    named = {route for _, route in VERBS.values() if not isinstance(route, Not)}
    assert named | OTHER_ROUTES == routes
