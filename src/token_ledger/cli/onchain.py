"""The command that holds books, mirror and chain against each other: reconcile."""

from __future__ import annotations

import click

from token_ledger.cli.app import (
    App,
    LedgerCommand,
    allow_code_option,
    pass_app,
    rpc_option,
)
from token_ledger.cli.outcome import FINDINGS, GOOD
from token_ledger.cli.progress import ProgressReport
from token_ledger.cli.screen import Screen
from token_ledger.core.address import to_checksum
from token_ledger.core.counting import counted

FINDINGS_SHOWN_MAX = 20


@click.command(cls=LedgerCommand)
@rpc_option
@click.option("--final", is_flag=True, help="Ask the node at its finalized block, not the latest.")
@allow_code_option
@pass_app
def reconcile(
    app: App, /, *, rpc_url: str | None, final: bool, allow_code: tuple[bytes, ...]
) -> int:
    """Compare entries with transfers one to one, and with a node balances, supply and roots."""
    from token_ledger.reconcile import reconcile as run_reconcile

    with app.open_ledger() as ledger, ProgressReport() as progress:
        result = run_reconcile(
            ledger, rpc_url, final=final, allow_code=allow_code, progress=progress
        )

    def view(screen: Screen) -> None:
        found = result.findings_total
        screen.pairs(
            [
                ("contract", to_checksum(result.contract)),
                ("chain", result.chain_id),
                ("block", "not asked: give --rpc" if result.block is None else result.block),
                ("matched", f"{result.matched} of {counted(result.entries, 'entry')}"),
                ("balances", result.balances),
                ("unreplayed", result.unreplayed or None),
                ("unsealed", result.unsealed or None),
                ("findings", found),
            ]
        )
        for finding in result.findings[:FINDINGS_SHOWN_MAX]:
            screen.finding(finding)
        if found > FINDINGS_SHOWN_MAX:
            screen.line()
            screen.line(f"and {found - FINDINGS_SHOWN_MAX} more: --json has them all")

    app.answer(result.to_json(), view)
    return GOOD if result.clean else FINDINGS


COMMANDS = (reconcile,)
