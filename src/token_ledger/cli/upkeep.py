"""Commands of whoever keeps the books in order: recalc, check."""

from __future__ import annotations

import click

from token_ledger.cli.app import ADDRESS, App, LedgerCommand, pass_app
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


@click.command(cls=LedgerCommand)
@click.option(
    "--contract-signer",
    "contract_signers",
    type=ADDRESS,
    multiple=True,
    metavar="0x…",
    help="A sealer that is a contract, such as a Safe: only a chain can judge its signatures.",
)
@pass_app
def check(app: App, /, *, contract_signers: tuple[bytes, ...]) -> int:
    """Prove every invariant of the whole database, and name the first bad rows.

    Writers may be at work. Exit status: 0 clean, 1 findings, 2 it could not be done. Names entries,
    batches and addresses, never account ids.
    """
    from token_ledger.check import check as run_check

    with app.open_ledger() as ledger, ProgressReport() as progress:
        result = run_check(ledger, contract_signers=contract_signers, progress=progress)

    def view(screen: Screen) -> None:
        screen.table(
            ["check", "status", "what"],
            [[level.name, level.status, level.detail] for level in result.checks],
        )
        for finding in result.findings:
            screen.finding(finding)
        screen.line()
        screen.line(
            "CLEAN" if result.clean else f"{result.findings_total} FINDINGS",
            style="bold green" if result.clean else "bold red",
        )

    app.answer(result.to_json(), view)
    return GOOD if result.clean else FINDINGS


COMMANDS = (recalc, check)
