"""The command that brings a chain's logs into the mirror: import, once or for ever."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from token_ledger.cli.app import (
    ADDRESS,
    HASH32,
    App,
    LedgerCommand,
    need_rpcs,
    pass_app,
    rpcs_option,
)
from token_ledger.cli.outcome import FINDINGS, GOOD
from token_ledger.cli.progress import ProgressReport
from token_ledger.cli.screen import Screen
from token_ledger.core.address import to_checksum
from token_ledger.core.counting import counted
from token_ledger.errors import UsageError

if TYPE_CHECKING:
    from token_ledger.core.types import Finding
    from token_ledger.enter import EnterResult
    from token_ledger.follow import Bell, News
    from token_ledger.ingest import How, IngestResult
    from token_ledger.ledger import Ledger

FINDINGS_SHOWN_MAX = 20


@click.command("import", cls=LedgerCommand)
@rpcs_option
@click.option(
    "--contract",
    "contracts",
    type=ADDRESS,
    metavar="0x…",
    multiple=True,
    help="Any ERC-20; by default the token's. May be repeated.",
)
@click.option(
    "--all", "every", is_flag=True, help="All contracts that the ledger knows on the chain."
)
@click.option(
    "--from-block", type=int, metavar="N", help="Where a first import begins, or --again does."
)
@click.option(
    "--again",
    is_flag=True,
    help="Read anew what the mirror holds already, and mend what differs from the chain.",
)
@click.option(
    "--window",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many blocks deep a reorganisation is followed (128).",
)
@click.option(
    "--confirmations",
    type=int,
    metavar="N",
    help="How deep a block is final where the chain calls none finalized (128, or the window).",
)
@click.option(
    "--quorum", type=int, metavar="N", default=1, help="So many of the nodes must say the same (1)."
)
@click.option(
    "--concurrency", type=int, metavar="N", help="So many questions are asked at once (4)."
)
@click.option("--follow", "stays", is_flag=True, help="Stay, and take new blocks as they come.")
@click.option(
    "--poll-interval",
    "poll_s",
    type=float,
    metavar="SECONDS",
    help="With --follow: how often it looks (5). With a ws:// among --rpc also when that rings.",
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
    rpc_urls: tuple[str, ...],
    contracts: tuple[bytes, ...],
    every: bool,
    from_block: int | None,
    again: bool,
    window: int | None,
    confirmations: int | None,
    quorum: int,
    concurrency: int | None,
    stays: bool,
    poll_s: float | None,
    verify: str | None,
    trust_block: bytes | None,
) -> int:
    """Index contracts' Transfer logs, from where the last run stopped.

    Of a token that lives on the chain (after `migrate --finalize`, or made with `token create
    --on-chain`) what is final then becomes entries, with accounts for addresses that are new. The
    exit status is 1 where that has findings.

    A reorganisation is followed: transfers of blocks that the chain no longer has are taken back
    and kept as orphans. One deeper than the window stops the import and changes nothing.

    With --again rows that the mirror lost, or that were altered, are mended first; entries that
    were made of them stay as they are, and none is made twice.

    With --follow it ends at SIGINT or SIGTERM, after the range or the entries that it is storing,
    with 0, or with 1 where entries had findings; a second signal interrupts at once, with 130.
    """
    from token_ledger.chain.exchange import is_websocket
    from token_ledger.converge import CONCURRENCY, WINDOW
    from token_ledger.ingest import ingest_several

    if every and contracts:
        raise UsageError("--all and --contract do not go together")
    if poll_s is not None and not stays:
        raise UsageError("--poll-interval goes with --follow")
    urls = need_rpcs(rpc_urls)
    wanted = None if every else contracts or (None,)
    how: How = {
        "window": window or WINDOW,
        "confirmations": confirmations,
        "quorum": quorum,
        "concurrency": CONCURRENCY if concurrency is None else concurrency,
        "verify": verify == "receipts",
        "trust_block": trust_block,
        "again": again,
    }
    with app.open_ledger() as ledger, ProgressReport() as progress:
        how["progress"] = progress
        if stays:
            results = _follow(
                ledger, urls, contracts=wanted, from_block=from_block, poll_s=poll_s, how=how
            )
        else:
            nodes = [url for url in urls if not is_websocket(url)]
            results = ingest_several(ledger, nodes, contracts=wanted, from_block=from_block, **how)
    app.answer(_document(results), lambda screen: _show(screen, results))
    return FINDINGS if any(_findings(result) for result in results) else GOOD


def _follow(
    ledger: Ledger,
    urls: Sequence[str],
    *,
    contracts: Sequence[bytes | None] | None,
    from_block: int | None,
    poll_s: float | None,
    how: How,
) -> list[IngestResult]:
    from token_ledger.follow import POLL_S, follow

    report = how["progress"]
    assert isinstance(report, ProgressReport)
    with _ended_by_signals() as bell:
        return follow(
            ledger,
            urls,
            bell=bell,
            contracts=contracts,
            from_block=from_block,
            poll_s=POLL_S if poll_s is None else poll_s,
            news=lambda news: report.tell(_told(news)),
            **how,
        )


@contextmanager
def _ended_by_signals() -> Iterator[Bell]:
    """Yield a bell that SIGINT and SIGTERM stop; one before its time, or a second, interrupts."""
    from token_ledger.follow import Bell

    bell = Bell()

    def stop(_number: int, _frame: Any) -> None:
        if bell.stopped or not bell.begun:
            raise KeyboardInterrupt
        bell.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield bell
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _told(news: News) -> str:
    if news.trouble is not None:
        return f"{news.trouble}; trying again"
    told = [counted(news.transfers, "transfer")]
    told += [f"{counted(news.orphaned, 'transfer')} taken back"] * (news.orphaned > 0)
    told += [counted(news.entries, "entry")] * (news.entries > 0)
    lines = [f"block {news.block}: {', '.join(told)}"]
    lines += [f"{found.kind}: {found.message}" for found in news.findings[:FINDINGS_SHOWN_MAX]]
    return "\n".join(lines)


def _document(results: list[IngestResult]) -> dict[str, object]:
    """Return one contract's result as it is, several as a list."""
    documents = [result.to_json() for result in results]
    return documents[0] if len(documents) == 1 else {"contracts": documents}


def _show(screen: Screen, results: list[IngestResult]) -> None:
    for i, result in enumerate(results):
        if i:
            screen.line()
        nothing = result.to_block < result.from_block
        blocks = f"{result.from_block} to {result.to_block}"
        if nothing:
            blocks = f"no new block, up to {result.to_block}" if result.from_block else "none"
        screen.pairs(
            [
                ("contract", to_checksum(result.contract)),
                ("chain", result.chain_id),
                ("blocks", blocks),
                ("transfers", result.transfers),
                ("replays", result.batches),
                ("skipped", f"{counted(result.skipped, 'log')}" if result.skipped else None),
                ("orphaned", result.orphaned or None),
                ("mended", _mended(result)),
                *_entered(result.entered),
            ]
        )
        _show_odd(screen, result)
        found = _findings(result)
        for finding in found[:FINDINGS_SHOWN_MAX]:
            screen.finding(finding)
        if len(found) > FINDINGS_SHOWN_MAX:
            screen.line(f"and {len(found) - FINDINGS_SHOWN_MAX} more: --json has them all")


def _findings(result: IngestResult) -> list[Finding]:
    return [] if result.entered is None else result.entered.findings


def _show_odd(screen: Screen, result: IngestResult) -> None:
    """Say which Transfer logs are no ERC-20 transfers, and why: the first of each reason."""
    from token_ledger.core.transfers import ODDITIES

    for reason, count in sorted(result.odd.counts.items()):
        first = next((odd for odd in result.odd.first if odd.reason == reason), None)
        where = (
            ""
            if first is None
            else f" (first: block {first.block_number}, transaction 0x{first.tx_hash.hex()},"
            f" log {first.log_index})"
        )
        screen.line(f"skipped {counted(count, 'Transfer log')}: {ODDITIES[reason]}{where}")


def _mended(result: IngestResult) -> str | None:
    """Return what was set right of what the mirror held; None where nothing was read again."""
    mended = result.mended
    if mended is None:
        return None
    if not (mended.dropped or mended.added or mended.headers):
        return "nothing: the mirror is what the chain says"
    headers = f", {counted(mended.headers, 'header')}" if mended.headers else ""
    return f"{mended.dropped} rows dropped, {mended.added} added{headers}"


def _entered(entered: EnterResult | None) -> list[tuple[str, object]]:
    """Return what is told of a token that lives on the chain."""
    if entered is None:
        return []
    return [
        ("entries", f"{entered.entries}, up to block {entered.next_block - 1}"),
        ("accounts made", entered.accounts or None),
        ("moved nothing", entered.unmoved or None),
        ("not final yet", entered.waiting or None),
        ("findings", len(entered.findings) or None),
    ]


COMMANDS = (ingest,)
