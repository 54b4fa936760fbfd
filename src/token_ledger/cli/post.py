"""Commands that post: mint, burn, transfer and what applications call them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from token_ledger.cli.app import App, LedgerCommand, pass_app
from token_ledger.core.parse import format_amount, format_timestamp, parse_metadata
from token_ledger.core.strict import to_hex
from token_ledger.errors import UsageError

if TYPE_CHECKING:
    from token_ledger.ledger import Posted


def human(value: int | None, decimals: int) -> str | None:
    """Return base units as human units; None stays None."""
    return None if value is None else format_amount(value, decimals=decimals)


def posting_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a posting."""
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


def read_reference(text: str | None) -> tuple[str, str] | None:
    """Return type and id of a `--ref`."""
    if text is None:
        return None
    kind, colon, name = text.partition(":")
    if not (kind and colon and name):
        raise UsageError(f"--ref {text!r} is not TYPE:ID", hint="write it as in paper:42")
    return kind, name


def read_words(words: dict[str, Any]) -> dict[str, Any]:
    """Return the keywords of the ledger's verbs from the options of a posting."""
    metadata = words["metadata"]
    return {
        "reason": words["reason"],
        "idempotency_key": words["key"],
        "reference": read_reference(words["ref"]),
        "memo": words["memo"],
        "metadata": None if metadata is None else json.loads(parse_metadata(metadata)),
        "timestamp": words["timestamp"],
    }


@click.command(cls=LedgerCommand)
@click.argument("account_id", metavar="ID")
@click.argument("amount", metavar="AMOUNT")
@posting_options
@pass_app
def mint(app: App, /, *, account_id: str, amount: str, **words: Any) -> None:
    """Issue an amount to an account."""
    with app.open_ledger() as ledger:
        answer_posted(
            app, ledger.mint(account_id, amount, **read_words(words)), ledger.token.symbol
        )


@click.command(cls=LedgerCommand)
@click.argument("account_id", metavar="ID")
@click.argument("amount", metavar="AMOUNT")
@posting_options
@pass_app
def burn(app: App, /, *, account_id: str, amount: str, **words: Any) -> None:
    """Take an amount back from an account."""
    with app.open_ledger() as ledger:
        answer_posted(
            app, ledger.burn(account_id, amount, **read_words(words)), ledger.token.symbol
        )


@click.command(cls=LedgerCommand)
@click.argument("from_account", metavar="FROM")
@click.argument("to_account", metavar="TO")
@click.argument("amount", metavar="AMOUNT")
@posting_options
@pass_app
def transfer(app: App, /, *, from_account: str, to_account: str, amount: str, **words: Any) -> None:
    """Move an amount from one account to another."""
    with app.open_ledger() as ledger:
        posted = ledger.transfer(from_account, to_account, amount, **read_words(words))
        answer_posted(app, posted, ledger.token.symbol)


@click.command(cls=LedgerCommand)
@click.argument("account_id", metavar="ID")
@click.argument("amount", metavar="AMOUNT")
@click.option("--create-account", is_flag=True, help="Make the account if it is missing.")
@posting_options
@pass_app
def credit(
    app: App, /, *, account_id: str, amount: str, create_account: bool, **words: Any
) -> None:
    """Issue an amount to an account, as `mint`; with an account that may be missing yet."""
    with app.open_ledger() as ledger:
        posted = ledger.credit(
            account_id, amount, create_account=create_account, **read_words(words)
        )
        answer_posted(app, posted, ledger.token.symbol)


@click.command(cls=LedgerCommand)
@click.argument("account_id", metavar="ID")
@click.argument("amount", metavar="AMOUNT")
@posting_options
@pass_app
def debit(app: App, /, *, account_id: str, amount: str, **words: Any) -> None:
    """Take an amount back from an account, as `burn`."""
    with app.open_ledger() as ledger:
        answer_posted(
            app, ledger.debit(account_id, amount, **read_words(words)), ledger.token.symbol
        )


@click.command(cls=LedgerCommand)
@click.argument("account_id", metavar="ID")
@click.argument("amount", metavar="AMOUNT")
@click.option("--to", metavar="ID", default="system", show_default=True, help="Who is paid.")
@posting_options
@pass_app
def spend(app: App, /, *, account_id: str, amount: str, to: str, **words: Any) -> None:
    """Let an account pay: an account, or the issuer."""
    with app.open_ledger() as ledger:
        posted = ledger.spend(account_id, amount, to=to, **read_words(words))
        answer_posted(app, posted, ledger.token.symbol)


@click.command(cls=LedgerCommand)
@click.argument("entry_id", metavar="ENTRY_ID")
@click.argument("amount", metavar="[AMOUNT]", required=False)
@click.option("--reason", metavar="R", default="reversal", show_default=True, help="Why.")
@click.option("--key", metavar="K", help="Idempotency key; by default fresh.")
@click.option("--memo", metavar="T", default="", help="Free text.")
@pass_app
def reverse(
    app: App, /, *, entry_id: str, amount: str | None, reason: str, key: str | None, memo: str
) -> None:
    """Send an entry's amount back, or a part of it, once."""
    with app.open_ledger() as ledger:
        posted = ledger.reverse(entry_id, amount, reason=reason, idempotency_key=key, memo=memo)
        answer_posted(app, posted, ledger.token.symbol)


@click.command(cls=LedgerCommand)
@click.argument("amount", metavar="AMOUNT")
@click.option("--reason", metavar="R", default="endow", show_default=True, help="Why.")
@pass_app
def seed(app: App, /, *, amount: str, reason: str) -> None:
    """Endow every account that was never endowed. Again, it changes nothing."""
    with app.open_ledger() as ledger:
        count = ledger.seed_accounts(amount, reason=reason)
    app.answer({"seeded": count}, lambda screen: screen.pairs([("accounts endowed", count)]))


def answer_posted(app: App, posted: Posted, symbol: str, **more: object) -> None:
    """Answer with what a posting became, and what a verb says `more` of it."""
    document = {
        "id": to_hex(posted.id),
        "entry_no": posted.entry_no,
        "timestamp": format_timestamp(posted.timestamp),
        "from": posted.from_account,
        "to": posted.to_account,
        "amount": posted.amount,
        "value": str(posted.value),
        "balance_after_from": human(posted.balance_after_from, posted.decimals),
        "balance_after_to": human(posted.balance_after_to, posted.decimals),
        "supply_after": human(posted.supply_after, posted.decimals),
        "idempotency_key": posted.idempotency_key,
        "repeated": posted.repeated,
        **more,
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
                *((name.replace("_", " "), value) for name, value in more.items()),
            ]
        ),
    )


COMMANDS = (mint, burn, transfer, credit, debit, spend, reverse, seed)
