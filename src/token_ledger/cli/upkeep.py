"""Commands of whoever keeps the books in order: recalc."""

from __future__ import annotations

import click

from token_ledger.cli.app import App, LedgerCommand, pass_app
from token_ledger.cli.outcome import FINDINGS, GOOD
from token_ledger.cli.progress import ProgressReport
from token_ledger.cli.screen import Screen


@click.command(cls=LedgerCommand)
@click.option("--dry-run", is_flag=True, help="Tell what drifted, and change nothing.")
@pass_app
def recalc(app: App, /, *, dry_run: bool) -> int:
    """Recompute every cached figure from the entries, and correct what drifted.

    Writers may be at work. Exit status: 0 nothing drifted, 1 something did (and was corrected,
    unless --dry-run), 2 it could not be done. Names addresses, never account ids.
    """
    with app.open_ledger() as ledger, ProgressReport() as progress:
        result = ledger.recalc(dry_run=dry_run, progress=progress)

    def view(screen: Screen) -> None:
        screen.pairs(
            [
                ("rows compared", result.compared),
                ("drifted", result.drifted),
                ("corrected", None if dry_run else result.corrected),
            ]
        )
        for finding in result.findings:
            screen.finding(finding)

    app.answer(result.to_json(), view)
    return FINDINGS if result.findings_total else GOOD


COMMANDS = (recalc,)
