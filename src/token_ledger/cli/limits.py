"""Commands that limit what accounts may hold and spend."""

from __future__ import annotations

import datetime as dt

import click

from token_ledger.cli.app import App, LedgerGroup, pass_app
from token_ledger.errors import UsageError

PERIODS = {"hour": dt.timedelta(hours=1), "day": dt.timedelta(days=1), "week": dt.timedelta(7)}
NONE = "none"


@click.group(cls=LedgerGroup)
def limit() -> None:
    """Limit what accounts may hold and spend."""


@limit.command("balance")
@click.argument("maximum", metavar="AMOUNT|none")
@click.option("--account", metavar="ID", help="Of this account; otherwise of all others.")
@pass_app
def limit_balance(app: App, /, *, maximum: str, account: str | None) -> None:
    """Limit what an account may hold, its holds included."""
    with app.open_ledger() as ledger:
        ledger.limit_balance(account, None if maximum == NONE else maximum)
    document = {"account_id": account, "balance_max": maximum}
    app.answer(document, lambda screen: screen.pairs([("most to hold", maximum)]))


@limit.command("spending")
@click.argument("account_id", metavar="ID")
@click.argument("maximum", metavar="AMOUNT|none")
@click.option("--per", type=click.Choice(list(PERIODS)), help="The period, in UTC.")
@pass_app
def limit_spending(app: App, /, *, account_id: str, maximum: str, per: str | None) -> None:
    """Limit what an account may spend in each period."""
    if (maximum == NONE) != (per is None):
        raise UsageError("an amount needs --per, none takes none", hint="as in 100 --per day")
    with app.open_ledger() as ledger:
        if per is None:
            ledger.limit_spending(account_id, None)
        else:
            ledger.limit_spending(account_id, maximum, PERIODS[per])
    document = {"account_id": account_id, "spend_max": maximum, "period": per}
    app.answer(document, lambda screen: screen.pairs([("most to spend", maximum), ("per", per)]))


COMMANDS = (limit,)
