"""Commands that read the chain: import, reconcile."""

from __future__ import annotations

import click

from token_ledger.cli.app import (
    ADDRESS,
    HASH32,
    App,
    LedgerCommand,
    allow_code_option,
    need_rpc,
    pass_app,
    rpc_option,
)
from token_ledger.cli.outcome import FINDINGS, GOOD
from token_ledger.cli.progress import ProgressReport
from token_ledger.cli.screen import Screen
from token_ledger.core.address import to_checksum
from token_ledger.core.counting import counted

FINDINGS_SHOWN_MAX = 20


@click.command("import", cls=LedgerCommand)
@rpc_option
@click.option("--contract", type=ADDRESS, metavar="0x…", help="Any ERC-20; by default the token's.")
@click.option("--from-block", type=int, metavar="N", help="Where a first import begins.")
@click.option(
    "--window",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many blocks deep a reorganisation is followed (128).",
)
@click.option(
    "--verify",
    type=click.Choice(["receipts"]),
    help="Take only logs that the blocks' receipts prove; stop at a node that lies.",
)
@click.option(
    "--trust-block",
    type=HASH32,
    metavar="0x…",
    help="With --verify: the hash of a block known to be right.",
)
@pass_app
def ingest(
    app: App,
    /,
    *,
    rpc_url: str | None,
    contract: bytes | None,
    from_block: int | None,
    window: int | None,
    verify: str | None,
    trust_block: bytes | None,
) -> None:
    """Index a contract's Transfer logs, from where the last run stopped.

    A reorganisation is followed: transfers of blocks that the chain no longer has are taken back
    and kept as orphans. One deeper than the window stops the import and changes nothing.
    """
    from token_ledger.converge import WINDOW
    from token_ledger.ingest import ingest as run_ingest

    url = need_rpc(rpc_url)
    with app.open_ledger() as ledger, ProgressReport() as progress:
        result = run_ingest(
            ledger,
            url,
            contract=contract,
            from_block=from_block,
            window=window or WINDOW,
            verify=verify == "receipts",
            trust_block=trust_block,
            progress=progress,
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
                ("orphaned", result.orphaned or None),
            ]
        ),
    )


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


COMMANDS = (ingest, reconcile)
