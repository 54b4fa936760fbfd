"""Commands that limit what accounts may hold, spend and owe."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import click

from token_ledger.cli.app import App, LedgerGroup, pass_app
from token_ledger.cli.post import human
from token_ledger.cli.screen import Screen
from token_ledger.core.parse import format_timestamp
from token_ledger.errors import UsageError

if TYPE_CHECKING:
    from token_ledger.ledger.overdraft import WriteOff

PERIODS = {"hour": dt.timedelta(hours=1), "day": dt.timedelta(days=1), "week": dt.timedelta(7)}
NONE = "none"


@click.group(cls=LedgerGroup)
def limit() -> None:
    """Limit what accounts may hold, spend and owe."""


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


@limit.command("overdraft")
@click.argument("account_id", metavar="ID")
@click.argument("maximum", metavar="AMOUNT|none")
@pass_app
def limit_overdraft(app: App, /, *, account_id: str, maximum: str) -> None:
    """Limit how far an account may go below zero; none, which is usual, for not at all."""
    with app.open_ledger() as ledger:
        ledger.limit_overdraft(account_id, None if maximum == NONE else maximum)
    document = {"account_id": account_id, "overdraft_max": maximum}
    app.answer(document, lambda screen: screen.pairs([("most to owe", maximum)]))


@click.group(cls=LedgerGroup)
def overdraft() -> None:
    """List what accounts owe, and write it off."""


@overdraft.command("list")
@click.option(
    "--limit", "size", type=int, default=50, show_default=True, metavar="N", help="So many."
)
@click.option("--cursor", metavar="C", help="Where the page before ended.")
@click.option("--written-off", is_flag=True, help="What was written off, the last first.")
@pass_app
def overdraft_list(app: App, /, *, size: int, cursor: str | None, written_off: bool) -> None:
    """List the accounts that owe something."""
    if written_off:
        _list_write_offs(app, size)
        return
    with app.open_ledger() as ledger:
        found, following = ledger.debtors(size, cursor)
    rows = [
        {
            "account_id": account.account_id,
            "debt": human(account.debt, account.decimals),
            "overdraft_max": human(account.overdraft_max, account.decimals),
        }
        for account in found
    ]

    def view(screen: Screen) -> None:
        screen.table(
            ["account", "owes", "may owe"],
            [[row["account_id"], row["debt"], row["overdraft_max"] or NONE] for row in rows],
            right=["owes", "may owe"],
        )
        if following is not None:
            screen.line(f"more: --cursor {following}", style="dim")

    app.answer({"debtors": rows, "cursor": following}, view)


def _list_write_offs(app: App, size: int) -> None:
    with app.open_ledger() as ledger:
        rows = [_json(item) for item in ledger.write_offs(size)]
    columns = ["written_off_at", "account_id", "amount", "by", "reason"]
    app.answer(
        {"write_offs": rows},
        lambda screen: screen.table(
            ["time", "account", "amount", "by", "reason"],
            [[row[column] for column in columns] for row in rows],
            right=["amount"],
        ),
    )


@overdraft.command("write-off")
@click.argument("account_id", metavar="ID")
@click.option("--by", required=True, metavar="WHO", help="Who decides it.")
@click.option("--reason", required=True, metavar="R", help="Why.")
@pass_app
def overdraft_write_off(app: App, /, *, account_id: str, by: str, reason: str) -> None:
    """Let an account owe nothing any more. What it drew stays issued."""
    with app.open_ledger() as ledger:
        document = _json(ledger.write_off(account_id, by=by, reason=reason))
        symbol = ledger.token.symbol
    app.answer(
        document,
        lambda screen: screen.pairs([("written off", f"{document['amount']} {symbol}")]),
    )


def _json(item: WriteOff) -> dict[str, str]:
    return {
        "account_id": item.account_id,
        "amount": item.amount,
        "written_off_at": format_timestamp(item.written_off_at),
        "by": item.by,
        "reason": item.reason,
    }


COMMANDS = (limit, overdraft)
