"""Commands on the books: accounts, and questions about them."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Any

import click

from token_ledger.cli.app import App, LedgerCommand, LedgerGroup, pass_app
from token_ledger.cli.post import human
from token_ledger.cli.screen import Screen
from token_ledger.core.address import to_checksum
from token_ledger.core.parse import format_amount, format_timestamp
from token_ledger.core.strict import to_hex

if TYPE_CHECKING:
    from token_ledger.ledger import Account, StoredEntry

PAGE = 50
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


# Accounts.


@click.group(cls=LedgerGroup)
def account() -> None:
    """Make, show and list accounts."""


@account.command("create")
@click.argument("account_id", metavar="ID")
@click.option(
    "--address", metavar="0x…", help="Register this address; otherwise a vault's is derived."
)
@click.option("--initial", metavar="AMOUNT", help="Mint this to it, once.")
@click.option("--exist-ok", is_flag=True, help="Take the account of that id that is there.")
@pass_app
def account_create(
    app: App, /, *, account_id: str, address: str | None, initial: str | None, exist_ok: bool
) -> None:
    """Make an account, at a registered address or a derived one. The address never changes."""
    with app.open_ledger() as ledger:
        made = ledger.create_account(
            account_id, address=address, initial_balance=initial, exist_ok=exist_ok
        )
        _answer_account(app, made)


@account.command("show")
@click.argument("account_id", metavar="ID")
@pass_app
def account_show(app: App, /, *, account_id: str) -> None:
    """Show an account with its address and figures."""
    with app.open_ledger() as ledger:
        _answer_account(app, ledger.get_account(account_id))


@account.command("list")
@click.option("--limit", type=int, default=PAGE, show_default=True, metavar="N")
@click.option("--cursor", metavar="C", help="Where the page before ended.")
@pass_app
def account_list(app: App, /, *, limit: int, cursor: str | None) -> None:
    """List accounts, oldest first."""
    with app.open_ledger() as ledger:
        accounts, following = ledger.accounts(limit, cursor)

    def view(screen: Screen) -> None:
        screen.table(
            ["account", "balance", "address"],
            [[a.account_id, a.amount, to_checksum(a.address)] for a in accounts],
            right=["balance"],
            whole="address",
        )
        next_page(screen, following)

    app.answer({"accounts": [_account_json(a) for a in accounts], "cursor": following}, view)


@account.command("freeze")
@click.argument("account_id", metavar="ID")
@pass_app
def account_freeze(app: App, /, *, account_id: str) -> None:
    """Let an account spend nothing; it may still be paid."""
    with app.open_ledger() as ledger:
        _answer_account(app, ledger.freeze_account(account_id))


@account.command("unfreeze")
@click.argument("account_id", metavar="ID")
@pass_app
def account_unfreeze(app: App, /, *, account_id: str) -> None:
    """Let a frozen account spend again."""
    with app.open_ledger() as ledger:
        _answer_account(app, ledger.unfreeze_account(account_id))


@account.command("close")
@click.argument("account_id", metavar="ID")
@pass_app
def account_close(app: App, /, *, account_id: str) -> None:
    """Close an empty account for ever."""
    with app.open_ledger() as ledger:
        _answer_account(app, ledger.close_account(account_id))


def next_page(screen: Screen, cursor: str | None) -> None:
    """Say how the next page is asked for, if there is one."""
    if cursor is not None:
        screen.line(f"more: --cursor {cursor}", style="dim")


def _account_json(account: Account) -> dict[str, Any]:
    return {
        "account_id": account.account_id,
        "address": to_checksum(account.address),
        "derived": account.derived,
        "balance": account.amount,
        "total_earned": human(account.total_earned, account.decimals),
        "total_spent": human(account.total_spent, account.decimals),
        "total_staked": human(account.total_staked, account.decimals),
        "created_at": format_timestamp(account.created_at),
        "debt": human(account.debt, account.decimals),
        "overdraft_max": human(account.overdraft_max, account.decimals),
        "balance_max": human(account.balance_max, account.decimals),
        "spend_max": human(account.spend_max, account.decimals),
        "spend_period_s": account.spend_period and account.spend_period / 1_000_000,
        "frozen": account.frozen_at is not None,
        "closed": account.closed_at is not None,
    }


def _spending(document: dict[str, Any]) -> str | None:
    if document["spend_max"] is None:
        return None
    return f"{document['spend_max']} in {dt.timedelta(seconds=document['spend_period_s'])}"


def _answer_account(app: App, account: Account) -> None:
    document = _account_json(account)
    kind = "derived: a vault that its owner can claim" if account.derived else "registered"
    app.answer(
        document,
        lambda screen: screen.pairs(
            [
                ("account", account.account_id),
                ("address", f"{document['address']} ({kind})"),
                ("balance", document["balance"]),
                ("earned", document["total_earned"]),
                ("spent", document["total_spent"]),
                ("staked", document["total_staked"] if account.total_staked else None),
                ("owes", document["debt"] if account.debt else None),
                ("may owe", document["overdraft_max"]),
                ("may hold", document["balance_max"]),
                ("may spend", _spending(document)),
                ("created", document["created_at"]),
                ("frozen", "yes" if account.frozen_at is not None else None),
                ("closed", "yes" if account.closed_at is not None else None),
            ]
        ),
    )


# Questions.


@click.command(cls=LedgerCommand)
@click.argument("account_id", metavar="ID")
@click.option("--at-entry", metavar="ENTRY", help="As of an entry, by number or id.")
@click.option("--at-time", metavar="T", help="All that is dated up to T, ISO 8601 with zone.")
@pass_app
def balance(app: App, /, *, account_id: str, at_entry: str | None, at_time: str | None) -> None:
    """Show an account's balance, now or as it was. An unknown account is an error."""
    with app.open_ledger() as ledger:
        value, token, then = ledger.get_account(account_id).balance, ledger.token, None
        if at_entry is not None or at_time is not None:
            number = int(at_entry) if at_entry and _NUMBER.fullmatch(at_entry) else at_entry
            then = ledger.get_balance_at(account_id, entry=number, time=at_time)
            value = then.value
    amount = format_amount(value, decimals=token.decimals)
    document: dict[str, Any] = {
        "account_id": account_id,
        "token": token.symbol,
        "amount": amount,
        "value": str(value),
    }
    if then is not None:
        document |= {
            "entry_no": then.entry_no,
            "back_dated": then.back_dated,
            "negative": then.negative,
            "debt": human(then.debt, token.decimals),
        }

    def view(screen: Screen) -> None:
        screen.line(f"{amount} {token.symbol}")
        if then is not None and then.debt:
            screen.line(f"{human(then.debt, token.decimals)} owed is taken off", style="dim")
        if then is not None and then.back_dated:
            below = ", and below zero" if then.negative else ""
            screen.line(f"back-dated entries are in it{below}", style="dim")

    app.answer(document, view)


@click.command(cls=LedgerCommand)
@pass_app
def supply(app: App, /) -> None:
    """Show the token's supply."""
    with app.open_ledger() as ledger:
        found, token = ledger.get_supply(), ledger.token
    document = {
        "token": token.symbol,
        "amount": found.amount,
        "value": str(found.total_supply),
        "total_minted": human(found.total_minted, found.decimals),
        "total_burned": human(found.total_burned, found.decimals),
        "max_supply": human(found.max_supply, found.decimals),
        "credit": human(found.credit, found.decimals),
    }
    app.answer(
        document,
        lambda screen: screen.pairs(
            [
                ("supply", f"{found.amount} {token.symbol}"),
                ("minted", document["total_minted"]),
                ("burned", document["total_burned"]),
                ("maximum", document["max_supply"]),
                ("on credit", document["credit"] if found.credit else None),
            ]
        ),
    )


@click.group(cls=LedgerGroup)
def entry() -> None:
    """Show entries."""


@entry.command("show")
@click.argument("entry_id", metavar="ENTRY_ID")
@pass_app
def entry_show(app: App, /, *, entry_id: str) -> None:
    """Show one entry whole, by its id."""
    with app.open_ledger() as ledger:
        found, rule = ledger.get_entry(entry_id), ledger.rule_of(entry_id)
        reversal = ledger.get_reversal(entry_id)
    document = {
        **entry_json(found),
        "rule": None if rule is None else {"action": rule.action, "version": rule.version},
        "reversed_by": None if reversal is None else to_hex(reversal.id),
        "balance_after_from": human(found.balance_after_from, found.decimals),
        "balance_after_to": human(found.balance_after_to, found.decimals),
        "debt_from": human(found.debt_from, found.decimals),
        "debt_to": human(found.debt_to, found.decimals),
        "supply_after": human(found.supply_after, found.decimals),
    }
    earned = None if rule is None else f"{rule.action}, version {rule.version}"
    shown = {**document, "metadata": found.metadata, "rule": earned}
    for name in ("debt_from", "debt_to"):
        shown[name] = document[name] if getattr(found, name) else ""
    app.answer(
        document,
        lambda screen: screen.pairs(
            (name.replace("_", " "), value) for name, value in shown.items() if value != ""
        ),
    )


def entry_json(entry: StoredEntry) -> dict[str, Any]:
    """Return an entry as JSON: the operator's own view, with account ids and texts."""
    return {
        "id": to_hex(entry.id),
        "entry_no": entry.entry_no,
        "timestamp": format_timestamp(entry.timestamp),
        "from": entry.from_account,
        "to": entry.to_account,
        "from_address": to_checksum(entry.from_address),
        "to_address": to_checksum(entry.to_address),
        "amount": entry.amount,
        "value": str(entry.value),
        "reason": entry.reason,
        "reference_type": entry.reference_type,
        "reference_id": entry.reference_id,
        "memo": entry.memo,
        "metadata": None if entry.metadata is None else json.loads(entry.metadata),
        "idempotency_key": entry.idempotency_key,
        "nonce": to_hex(entry.nonce),
        "ref": to_hex(entry.ref),
        "created_at": format_timestamp(entry.created_at),
        "redacted": entry.redacted_at is not None,
    }


COMMANDS = (account, balance, supply, entry)
