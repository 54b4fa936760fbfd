"""Commands that list entries: of an account, and of the whole token."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from token_ledger.cli.app import App, LedgerCommand, pass_app
from token_ledger.cli.book import PAGE, entry_json, next_page
from token_ledger.cli.post import human
from token_ledger.cli.screen import Screen
from token_ledger.core.parse import format_timestamp
from token_ledger.core.strict import to_hex
from token_ledger.errors import UsageError

if TYPE_CHECKING:
    from token_ledger.ledger import StoredEntry


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that choose entries, and those of pages."""
    for option in reversed(
        [
            click.option("--since", metavar="T", help="Dated then or later, ISO 8601 with zone."),
            click.option("--until", metavar="T", help="Dated before then."),
            click.option("--reason", metavar="R", help="Of this reason."),
            click.option("--reason-prefix", metavar="R", help="Its reason begins so: earn:"),
            click.option("--ref", metavar="TYPE[:ID]", help="About this: paper, or paper:42."),
            click.option("--limit", type=int, default=PAGE, show_default=True, metavar="N"),
            click.option("--cursor", metavar="C", help="Where the page before ended."),
        ]
    ):
        command = option(command)
    return command


def _read(words: dict[str, Any]) -> dict[str, Any]:
    """Return the keywords of the ledger's verbs from the options."""
    found = {name: value for name, value in words.items() if name != "ref"}
    if words["ref"] is not None:
        kind, colon, name = words["ref"].partition(":")
        found["reference"] = (kind, name) if colon else kind
    return found


@click.command(cls=LedgerCommand)
@click.argument("account_id", metavar="ID")
@click.option("--with", "counterparty", metavar="ID", help="The other account, or system.")
@click.option("--direction", type=click.Choice(["in", "out"]), help="What came in, or went out.")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV for accountants: all, or --limit.")
@filter_options
@pass_app
def statement(app: App, /, *, account_id: str, as_csv: bool, **words: Any) -> None:
    """Show an account's entries, the last posted first.

    Where entries are chosen, a page may be short and still lead on: none looks at more than 10,000.
    """
    if as_csv:
        _print_csv(app, account_id, _read(words))
        return
    with app.open_ledger() as ledger:
        page = ledger.get_statement(account_id, **_read(words))
        symbol = ledger.token.symbol
    _answer_entries(app, account_id, symbol, page.entries, page.cursor)


def _print_csv(app: App, account_id: str, words: dict[str, Any]) -> None:
    """Print a statement as RFC 4180 text: its line ends are CRLF, whatever the system's are."""
    limit, cursor = words.pop("limit"), words.pop("cursor")
    if app.json or cursor is not None:
        raise UsageError("--csv is the whole statement", hint="leave --json and --cursor away")
    source = click.get_current_context().get_parameter_source("limit")
    chosen = None if source is click.core.ParameterSource.DEFAULT else limit
    with app.open_ledger() as ledger:
        for line in ledger.statement_csv(account_id, limit=chosen, **words):
            sys.stdout.buffer.write(line.encode())
    sys.stdout.buffer.flush()


@click.command(cls=LedgerCommand)
@click.argument("account_id", metavar="ID")
@click.option("--limit", type=int, default=PAGE, show_default=True, metavar="N")
@click.option("--offset", type=int, default=0, show_default=True, metavar="N", help="Skip so many.")
@pass_app
def history(app: App, /, *, account_id: str, limit: int, offset: int) -> None:
    """Show an account's entries by limit and offset, the last posted first."""
    with app.open_ledger() as ledger:
        entries, symbol = ledger.get_history(account_id, limit, offset), ledger.token.symbol
    _answer_entries(app, account_id, symbol, entries, None)


@click.command(cls=LedgerCommand)
@filter_options
@pass_app
def entries(app: App, /, **words: Any) -> None:
    """Show the token's entries, the last posted first, whoever's they are."""
    with app.open_ledger() as ledger:
        page, symbol = ledger.get_entries(**_read(words)), ledger.token.symbol
    document = {
        "token": symbol,
        "entries": [entry_json(entry) for entry in page.entries],
        "cursor": page.cursor,
    }

    def view(screen: Screen) -> None:
        columns = ["time", "from", "to", "amount", "reason", "id"]
        rows: list[list[object]] = [
            [
                format_timestamp(entry.timestamp),
                *(entry.from_account, entry.to_account, entry.amount),
                *(entry.reason, to_hex(entry.id)),
            ]
            for entry in page.entries
        ]
        screen.table(columns, rows, right=["amount"], whole="id")
        next_page(screen, page.cursor)

    app.answer(document, view)


def _answer_entries(
    app: App, account_id: str, symbol: str, entries: Sequence[StoredEntry], cursor: str | None
) -> None:
    document = {
        "account_id": account_id,
        "token": symbol,
        "entries": [
            {
                **entry_json(entry),
                "balance_after": human(entry.balance_after(account_id), entry.decimals),
                "debt_after": human(entry.debt_after(account_id), entry.decimals),
            }
            for entry in entries
        ],
        "cursor": cursor,
    }

    def view(screen: Screen) -> None:
        rows = [_statement_row(entry, account_id) for entry in entries]
        columns = ["time", "amount", "balance", "with", "reason", "id"]
        screen.table(columns, rows, right=["amount", "balance"], whole="id")
        next_page(screen, cursor)

    app.answer(document, view)


def _statement_row(entry: StoredEntry, account_id: str) -> list[object]:
    paid = entry.from_account == account_id
    return [
        format_timestamp(entry.timestamp),
        f"{'-' if paid else '+'}{entry.amount}",
        human(entry.balance_after(account_id), entry.decimals),
        entry.to_account if paid else entry.from_account,
        entry.reason if entry.redacted_at is None else f"{entry.reason or ''} (redacted)".strip(),
        to_hex(entry.id),
    ]


COMMANDS = (statement, history, entries)
