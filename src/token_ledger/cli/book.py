"""Commands on the books: accounts, postings, and questions about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from token_ledger.cli.app import App, LedgerCommand, LedgerGroup, pass_app
from token_ledger.cli.screen import Screen
from token_ledger.core.address import to_checksum
from token_ledger.core.parse import format_amount, format_timestamp, parse_metadata
from token_ledger.core.strict import to_hex
from token_ledger.errors import UsageError

if TYPE_CHECKING:
    from token_ledger.ledger import Account, Posted, StoredEntry

PAGE = 50


def _human(value: int | None, decimals: int) -> str | None:
    return None if value is None else format_amount(value, decimals=decimals)


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
@pass_app
def account_create(
    app: App, /, *, account_id: str, address: str | None, initial: str | None
) -> None:
    """Make an account, at a registered address or a derived one. The address never changes."""
    with app.open_ledger() as ledger:
        _answer_account(
            app, ledger.create_account(account_id, address=address, initial_balance=initial)
        )


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
        _next_page(screen, following)

    app.answer({"accounts": [_account_json(a) for a in accounts], "cursor": following}, view)


def _next_page(screen: Screen, cursor: str | None) -> None:
    if cursor is not None:
        screen.line(f"more: --cursor {cursor}", style="dim")


def _account_json(account: Account) -> dict[str, Any]:
    return {
        "account_id": account.account_id,
        "address": to_checksum(account.address),
        "derived": account.derived,
        "balance": account.amount,
        "total_earned": _human(account.total_earned, account.decimals),
        "total_spent": _human(account.total_spent, account.decimals),
        "total_staked": _human(account.total_staked, account.decimals),
        "created_at": format_timestamp(account.created_at),
    }


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
                ("created", document["created_at"]),
            ]
        ),
    )


# Postings.


def _posting_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        [
            click.option("--reason", metavar="R", required=True, help="Why, as in award."),
            click.option(
                "--key",
                metavar="K",
                help="Idempotency key: the same request again changes nothing. By default fresh.",
            ),
            click.option("--ref", metavar="TYPE:ID", help="What it is about, as in paper:42."),
            click.option("--memo", metavar="T", default="", help="Free text."),
            click.option("--metadata", metavar="JSON", help="Any JSON value."),
            click.option(
                "--timestamp", metavar="ISO8601", help="With a zone; by default the present."
            ),
        ]
    ):
        command = option(command)
    return command


def _words(words: dict[str, Any]) -> dict[str, Any]:
    """Return the keywords of the ledger's verbs from the options of a posting."""
    reference = None
    if words["ref"] is not None:
        kind, colon, name = words["ref"].partition(":")
        if not (kind and colon and name):
            raise UsageError(
                f"--ref {words['ref']!r} is not TYPE:ID", hint="write it as in paper:42"
            )
        reference = (kind, name)
    metadata = words["metadata"]
    return {
        "reason": words["reason"],
        "idempotency_key": words["key"],
        "reference": reference,
        "memo": words["memo"],
        "metadata": None if metadata is None else json.loads(parse_metadata(metadata)),
        "timestamp": words["timestamp"],
    }


@click.command(cls=LedgerCommand)
@click.argument("account_id", metavar="ID")
@click.argument("amount", metavar="AMOUNT")
@_posting_options
@pass_app
def mint(app: App, /, *, account_id: str, amount: str, **words: Any) -> None:
    """Issue an amount to an account."""
    with app.open_ledger() as ledger:
        _answer_posted(app, ledger.mint(account_id, amount, **_words(words)), ledger.token.symbol)


@click.command(cls=LedgerCommand)
@click.argument("account_id", metavar="ID")
@click.argument("amount", metavar="AMOUNT")
@_posting_options
@pass_app
def burn(app: App, /, *, account_id: str, amount: str, **words: Any) -> None:
    """Take an amount back from an account."""
    with app.open_ledger() as ledger:
        _answer_posted(app, ledger.burn(account_id, amount, **_words(words)), ledger.token.symbol)


@click.command(cls=LedgerCommand)
@click.argument("from_account", metavar="FROM")
@click.argument("to_account", metavar="TO")
@click.argument("amount", metavar="AMOUNT")
@_posting_options
@pass_app
def transfer(app: App, /, *, from_account: str, to_account: str, amount: str, **words: Any) -> None:
    """Move an amount from one account to another."""
    with app.open_ledger() as ledger:
        posted = ledger.transfer(from_account, to_account, amount, **_words(words))
        _answer_posted(app, posted, ledger.token.symbol)


def _answer_posted(app: App, posted: Posted, symbol: str) -> None:
    document = {
        "id": to_hex(posted.id),
        "entry_no": posted.entry_no,
        "timestamp": format_timestamp(posted.timestamp),
        "from": posted.from_account,
        "to": posted.to_account,
        "amount": posted.amount,
        "value": str(posted.value),
        "balance_after_from": _human(posted.balance_after_from, posted.decimals),
        "balance_after_to": _human(posted.balance_after_to, posted.decimals),
        "supply_after": _human(posted.supply_after, posted.decimals),
        "idempotency_key": posted.idempotency_key,
        "repeated": posted.repeated,
    }
    app.answer(
        document,
        lambda screen: screen.pairs(
            [
                ("entry", f"{posted.entry_no}{' (posted before)' if posted.repeated else ''}"),
                ("id", document["id"]),
                ("amount", f"{posted.amount} {symbol}"),
                (posted.from_account, document["balance_after_from"]),
                (posted.to_account, document["balance_after_to"]),
                ("supply", document["supply_after"]),
                ("key", posted.idempotency_key),
            ]
        ),
    )


# Questions.


@click.command(cls=LedgerCommand)
@click.argument("account_id", metavar="ID")
@pass_app
def balance(app: App, /, *, account_id: str) -> None:
    """Show an account's balance: 0 for one that does not exist."""
    with app.open_ledger() as ledger:
        value, token = ledger.get_balance(account_id), ledger.token
    amount = format_amount(value, decimals=token.decimals)
    document = {
        "account_id": account_id,
        "token": token.symbol,
        "amount": amount,
        "value": str(value),
    }
    app.answer(document, lambda screen: screen.line(f"{amount} {token.symbol}"))


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
        "total_minted": _human(found.total_minted, found.decimals),
        "total_burned": _human(found.total_burned, found.decimals),
        "max_supply": _human(found.max_supply, found.decimals),
    }
    app.answer(
        document,
        lambda screen: screen.pairs(
            [
                ("supply", f"{found.amount} {token.symbol}"),
                ("minted", document["total_minted"]),
                ("burned", document["total_burned"]),
                ("maximum", document["max_supply"]),
            ]
        ),
    )


@click.command(cls=LedgerCommand)
@click.argument("account_id", metavar="ID")
@click.option("--since", metavar="T", help="Only entries dated then or later, ISO 8601 with zone.")
@click.option("--limit", type=int, default=PAGE, show_default=True, metavar="N")
@click.option("--cursor", metavar="C", help="Where the page before ended.")
@pass_app
def statement(
    app: App, /, *, account_id: str, since: str | None, limit: int, cursor: str | None
) -> None:
    """Show an account's entries, the last posted first."""
    with app.open_ledger() as ledger:
        page = ledger.get_statement(account_id, since=since, limit=limit, cursor=cursor)
        symbol = ledger.token.symbol
    document = {
        "account_id": account_id,
        "token": symbol,
        "entries": [
            {
                **entry_json(entry),
                "balance_after": _human(entry.balance_after(account_id), entry.decimals),
            }
            for entry in page.entries
        ],
        "cursor": page.cursor,
    }

    def view(screen: Screen) -> None:
        rows = [_statement_row(entry, account_id) for entry in page.entries]
        columns = ["time", "amount", "balance", "with", "reason", "id"]
        screen.table(columns, rows, right=["amount", "balance"], whole="id")
        _next_page(screen, page.cursor)

    app.answer(document, view)


def _statement_row(entry: StoredEntry, account_id: str) -> list[object]:
    paid = entry.from_account == account_id
    return [
        format_timestamp(entry.timestamp),
        f"{'-' if paid else '+'}{entry.amount}",
        _human(entry.balance_after(account_id), entry.decimals),
        entry.to_account if paid else entry.from_account,
        entry.reason,
        to_hex(entry.id),
    ]


@click.group(cls=LedgerGroup)
def entry() -> None:
    """Show entries."""


@entry.command("show")
@click.argument("entry_id", metavar="ENTRY_ID")
@pass_app
def entry_show(app: App, /, *, entry_id: str) -> None:
    """Show one entry whole, by its id."""
    with app.open_ledger() as ledger:
        found = ledger.get_entry(entry_id)
    document = {
        **entry_json(found),
        "balance_after_from": _human(found.balance_after_from, found.decimals),
        "balance_after_to": _human(found.balance_after_to, found.decimals),
        "supply_after": _human(found.supply_after, found.decimals),
    }
    shown = {**document, "metadata": found.metadata}
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


COMMANDS = (account, mint, burn, transfer, balance, statement, supply, entry)
