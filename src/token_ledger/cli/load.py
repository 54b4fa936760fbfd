"""The command that takes a whole file into the books."""

from __future__ import annotations

from pathlib import Path

import click

from token_ledger.cli.app import FILE, App, LedgerCommand, pass_app
from token_ledger.cli.outcome import GOOD, REFUSED
from token_ledger.cli.progress import ProgressReport


@click.command(cls=LedgerCommand)
@click.argument("file", metavar="FILE")
@click.option("--create-accounts", is_flag=True, help="Make the accounts that are not there yet.")
@click.option("--keep-going", is_flag=True, help="Land the good rows, set the refused ones aside.")
@click.option(
    "--refused",
    type=FILE,
    metavar="FILE",
    help="Where --keep-going puts them; by default beside FILE, as NAME.refused.EXT.",
)
@pass_app
def load(
    app: App,
    /,
    *,
    file: str,
    create_accounts: bool,
    keep_going: bool,
    refused: Path | None,
) -> int:
    """Post every row of a CSV or JSON Lines file, `-` for standard input: all of them or none.

    Columns: timestamp, from_account, to_account, amount, reason, and where there are any
    reference_type, reference_id, memo, idempotency_key, metadata. The same file again adds
    nothing. With --keep-going the exit status is 1 when rows were refused; mend their file and
    load it.
    """
    from token_ledger.load import load as run_load

    with app.open_ledger() as ledger, ProgressReport() as progress:
        loaded = run_load(
            ledger,
            file,
            create_accounts=create_accounts,
            keep_going=keep_going,
            refused_path=refused,
            progress=progress,
        )
    path = None if loaded.refused_path is None else str(loaded.refused_path)
    document = {
        "rows": loaded.rows,
        "posted": loaded.posted,
        "repeated": loaded.repeated,
        "refused": loaded.refused,
        "accounts_created": loaded.accounts_created,
        "refused_path": path,
    }
    app.answer(
        document,
        lambda screen: screen.pairs(
            [
                ("rows", loaded.rows),
                ("posted", loaded.posted),
                ("repeated", loaded.repeated or None),
                ("accounts made", loaded.accounts_created or None),
                ("refused", f"{loaded.refused}: see {path}" if loaded.refused else None),
            ]
        ),
    )
    return REFUSED if loaded.refused else GOOD


COMMANDS = (load,)
