"""The command that takes a whole ledger to another database."""

from __future__ import annotations

import click

from token_ledger.cli.app import App, LedgerCommand, pass_app
from token_ledger.cli.progress import ProgressReport


@click.command(cls=LedgerCommand)
@click.argument("url", metavar="URL")
@pass_app
def move(app: App, /, *, url: str) -> None:
    """Copy the whole ledger into the empty database URL, of either engine, and prove it the same.

    Stop what writes first. Interrupted, run it again: it goes on where it stood. The source is
    only read, and stays as it is.
    """
    from token_ledger.move import move as run_move

    with app.open_ledger() as ledger, ProgressReport() as progress:
        moved = run_move(ledger, url, progress=progress)
    document = {
        "entries_copied": moved.entries_copied,
        "rows_compared": moved.rows_compared,
        "batches_recomputed": moved.batches_recomputed,
    }
    app.answer(
        document,
        lambda screen: screen.pairs(
            [
                ("entries copied", moved.entries_copied),
                ("rows the same", moved.rows_compared),
                ("roots the same", moved.batches_recomputed),
            ]
        ),
    )


COMMANDS = (move,)
