"""Commands that meet the chain: migrate, import, reconcile."""

from __future__ import annotations

from pathlib import Path

import click

from token_ledger.cli.app import (
    ADDRESS,
    FILE,
    App,
    LedgerCommand,
    need_rpc,
    pass_app,
    rpc_option,
)
from token_ledger.cli.keys import GAS_KEY, open_gas_payer
from token_ledger.cli.outcome import FINDINGS, GOOD
from token_ledger.cli.progress import ProgressReport
from token_ledger.cli.screen import Screen
from token_ledger.core.address import to_checksum

FINDINGS_SHOWN_MAX = 20


@click.command(
    cls=LedgerCommand,
    epilog=f"Gas is paid by the key in {GAS_KEY}, or by the node's own first account (Anvil).",
)
@rpc_option
@click.option(
    "--from", "export_dir", type=FILE, metavar="DIR", help="Replay an export's batch files."
)
@pass_app
def migrate(app: App, /, *, rpc_url: str | None, export_dir: Path | None) -> None:
    """Deploy the token if need be, and replay what the contract's head lacks.

    Needs sealed and signed batches. Run it again after an interruption: nothing is replayed twice.
    """
    from token_ledger.migrate import migrate as run_migrate

    url = need_rpc(rpc_url)
    payer = open_gas_payer()
    with app.open_ledger() as ledger, ProgressReport() as progress:
        result = run_migrate(
            ledger, url, export_dir=export_dir, gas_signer=payer, progress=progress
        )
    gas = f"{result.gas_used:,}"
    app.answer(
        result.to_json(),
        lambda screen: screen.pairs(
            [
                ("contract", to_checksum(result.contract)),
                ("chain", result.chain_id),
                ("replayed", f"{result.entries} entries in {result.batches} batches"),
                ("gas", gas),
                ("unsealed", f"{result.unsealed} entries: seal them" if result.unsealed else None),
            ]
        ),
    )


@click.command("import", cls=LedgerCommand)
@rpc_option
@click.option("--contract", type=ADDRESS, metavar="0x…", help="Any ERC-20; by default the token's.")
@click.option("--from-block", type=int, metavar="N", help="Where a first import begins.")
@pass_app
def ingest(
    app: App, /, *, rpc_url: str | None, contract: bytes | None, from_block: int | None
) -> None:
    """Index a contract's Transfer logs, from where the last run stopped."""
    from token_ledger.ingest import ingest as run_ingest

    url = need_rpc(rpc_url)
    with app.open_ledger() as ledger, ProgressReport() as progress:
        result = run_ingest(
            ledger, url, contract=contract, from_block=from_block, progress=progress
        )
    nothing = result.to_block < result.from_block
    blocks = "no new block" if nothing else f"{result.from_block} to {result.to_block}"
    app.answer(
        result.to_json(),
        lambda screen: screen.pairs(
            [
                ("contract", to_checksum(result.contract)),
                ("chain", result.chain_id),
                ("blocks", blocks),
                ("transfers", result.transfers),
                ("replays", result.batches),
                ("skipped", result.skipped or None),
            ]
        ),
    )


@click.command(cls=LedgerCommand)
@rpc_option
@pass_app
def reconcile(app: App, /, *, rpc_url: str | None) -> int:
    """Compare entries with transfers one to one, and with a node balances, supply and roots."""
    from token_ledger.reconcile import reconcile as run_reconcile

    with app.open_ledger() as ledger, ProgressReport() as progress:
        result = run_reconcile(ledger, rpc_url, progress=progress)

    def view(screen: Screen) -> None:
        found = result.findings_total
        screen.pairs(
            [
                ("contract", to_checksum(result.contract)),
                ("chain", result.chain_id),
                ("block", "not asked: give --rpc" if result.block is None else result.block),
                ("matched", f"{result.matched} of {result.entries} entries"),
                ("balances", result.balances),
                ("unreplayed", result.unreplayed or None),
                ("unsealed", result.unsealed or None),
                ("findings", found),
            ]
        )
        for finding in result.findings[:FINDINGS_SHOWN_MAX]:
            screen.line()
            screen.line(f"{finding.kind}: {finding.message}", style="red")
            screen.pairs((f"  {name}", value) for name, value in finding.details.items())
        if found > FINDINGS_SHOWN_MAX:
            screen.line()
            screen.line(f"and {found - FINDINGS_SHOWN_MAX} more: --json has them all")

    app.answer(result.to_json(), view)
    return GOOD if result.clean else FINDINGS


COMMANDS = (migrate, ingest, reconcile)
