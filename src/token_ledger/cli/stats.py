"""The command that shows statistics."""

from __future__ import annotations

import click

from token_ledger.cli.app import App, LedgerCommand, pass_app
from token_ledger.cli.screen import Screen
from token_ledger.core.parse import format_amount


@click.command(cls=LedgerCommand)
@click.option("--since", metavar="DAY", help="First day of the velocity, as in 2026-01-31, UTC.")
@click.option("--until", metavar="DAY", help="The day after its last. By default thirty to today.")
@click.option("--top", type=int, default=10, show_default=True, metavar="N", help="Holders shown.")
@pass_app
def stats(app: App, /, *, since: str | None, until: str | None, top: int) -> None:
    """Show supply, velocity, distribution and what entries of each reason moved."""
    with app.open_ledger() as ledger:
        found, token = ledger.get_statistics(since, until, top=top), ledger.token

    def human(value: int) -> str:
        return format_amount(value, decimals=token.decimals)

    def view(screen: Screen) -> None:
        flow, spread = found.velocity, found.distribution
        screen.pairs(
            [
                ("supply", f"{human(found.total_supply)} {token.symbol}"),
                ("circulating", human(found.circulating)),
                ("staked", human(found.staked)),
                ("credit", human(found.credit)),
                ("period", f"{flow.since} to before {flow.until}"),
                ("moved", f"{human(flow.moved)} by {flow.moves} entries"),
                ("velocity", flow.velocity),
                ("holders", spread.holders),
                ("gini", spread.gini),
                *((f"{p} percent hold", f"≤ {human(v)}") for p, v in spread.percentiles.items()),
            ]
        )
        screen.table(
            ["holder", "amount"],
            [[holder.account_id, human(holder.value)] for holder in spread.top],
            right=["amount"],
        )
        screen.table(
            ["reason", "entries", "amount"],
            [[r.reason, r.entries, human(r.value)] for r in found.reasons],
            right=["entries", "amount"],
        )

    app.answer({"token": token.symbol, **found.to_json()}, view)


COMMANDS = (stats,)
