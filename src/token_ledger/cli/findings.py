"""Commands about differences: reconcile, and what somebody says of its findings."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path

import click

from token_ledger.cli.app import (
    FILE,
    App,
    LedgerCommand,
    LedgerGroup,
    allow_code_option,
    nodes_of,
    pass_app,
    rpcs_option,
)
from token_ledger.cli.outcome import FINDINGS, GOOD
from token_ledger.cli.progress import ProgressReport
from token_ledger.cli.screen import Screen
from token_ledger.core.acknowledgement import Acknowledgement
from token_ledger.core.address import to_checksum
from token_ledger.core.comparison import ReconcileResult, Scope
from token_ledger.core.counting import counted
from token_ledger.core.parse import format_timestamp
from token_ledger.core.strict import to_hex
from token_ledger.ledger.acknowledged import StoredFinding

FINDINGS_SHOWN_MAX = 20
ID_DIGITS_SHOWN = 12
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DAY = 86_400_000_000


@click.command(cls=LedgerCommand)
@rpcs_option
@click.option("--final", is_flag=True, help="Ask the node at its finalized block, not the latest.")
@click.option("--from-block", type=int, default=0, metavar="N", help="One to one from here on.")
@click.option("--to-block", type=int, metavar="N", help="One to one up to here, included.")
@click.option("--as-of", type=int, metavar="N", help="Everything as it was in this block.")
@click.option(
    "--incremental",
    is_flag=True,
    help="One to one only what came after the last run that left nothing open.",
)
@allow_code_option
@click.option("--jsonl", type=FILE, metavar="FILE", help="Write all findings, one a line.")
@click.option("--html", type=FILE, metavar="FILE", help="Write a page to read, print and keep.")
@click.option("--with-texts", is_flag=True, help="Files name who acknowledged, and why.")
@click.option("--no-record", is_flag=True, help="Write nothing to the database: for a standby.")
@pass_app
def reconcile(
    app: App,
    /,
    *,
    rpc_urls: tuple[str, ...],
    final: bool,
    from_block: int,
    to_block: int | None,
    as_of: int | None,
    incremental: bool,
    allow_code: tuple[bytes, ...],
    jsonl: Path | None,
    html: Path | None,
    with_texts: bool,
    no_record: bool,
) -> int:
    """Compare entries with transfers one to one, and with a node balances, supply and roots.

    Findings that were acknowledged are listed apart, and do not count for the exit status.
    """
    from token_ledger.reconcile import reconcile as run_reconcile
    from token_ledger.report import check_files, write_html, writing_findings

    check_files(jsonl, html)
    scope = Scope(from_block, to_block, as_of, incremental)
    lines = nullcontext() if jsonl is None else writing_findings(jsonl, texts=with_texts)
    with app.open_ledger() as ledger, ProgressReport() as progress, lines as each:
        result = run_reconcile(
            ledger,
            nodes_of(rpc_urls),
            final=final,
            scope=scope,
            allow_code=allow_code,
            record=not no_record,
            each=each,
            timeline=html is not None,
            progress=progress,
        )
        if html is not None:
            write_html(html, result, ledger.token, now=ledger.now(), texts=with_texts)
    app.answer(result.to_json(), lambda screen: _show(screen, result))
    return GOOD if result.settled else FINDINGS


def _show(screen: Screen, result: ReconcileResult) -> None:
    since = None if result.point is None else f"run {result.point.run_no}: only what came after"
    screen.pairs(
        [
            ("contract", to_checksum(result.contract)),
            ("chain", result.chain_id),
            ("block", "not asked: give --rpc" if result.block is None else result.block),
            ("since", since if result.anew is None else f"the beginning: {result.anew}"),
            ("matched", f"{result.matched} of {counted(result.entries, 'entry')}"),
            ("balances", result.balances),
            ("partly replayed", _part(result)),
            ("unreplayed", result.unreplayed or None),
            ("unsealed", result.unsealed or None),
            ("not imported", result.pending or None),
            ("bridge mints", result.bridge_mints or None),
            ("bridge burns", result.bridge_burns or None),
            ("acknowledged", result.acknowledged_total or None),
            ("findings", result.findings_total),
        ]
    )  # fmt: skip
    for finding in result.findings[:FINDINGS_SHOWN_MAX]:
        name = result.id_of(finding)
        screen.finding(finding, name=_short(name))
        if (word := result.known.by_id.get(name)) is not None:
            screen.line(f"  was acknowledged, but {result.known.ended(name, finding)}")
    _more(screen, result.findings_total)
    if result.acknowledged_total:
        screen.line()
        screen.line("acknowledged, and not counted:")
    for finding in result.acknowledged[:FINDINGS_SHOWN_MAX]:
        word = result.known.by_id[result.id_of(finding)]
        screen.line(f"  {_short(word.finding_id)}  {finding.kind}")
        screen.line(f"    {_said(word, result.known.now)}")
    _more(screen, result.acknowledged_total)


def _part(result: ReconcileResult) -> str | None:
    if result.part is None:
        return None
    part = result.part
    return f"batch {part.number}: {part.rows} of {part.count} rows; `migrate` goes on"


def _more(screen: Screen, total: int) -> None:
    if total > FINDINGS_SHOWN_MAX:
        screen.line()
        screen.line(f"and {total - FINDINGS_SHOWN_MAX} more: --json or --jsonl has them")


def _short(finding_id: bytes) -> str:
    return to_hex(finding_id)[: 2 + ID_DIGITS_SHOWN]


def _said(word: Acknowledgement, now: int) -> str:
    """Return who acknowledged, how long ago, until when, and why."""
    who = word.acknowledged_by or "somebody (erased)"
    until = "" if word.until is None else f" until {format_timestamp(word.until)[:10]}"
    return f"by {who}, {_age(word.created_at, now)}{until}: {word.reason or '(erased)'}"


def _age(since: int, now: int) -> str:
    days = max(0, now - since) // _DAY
    return "today" if days == 0 else f"{counted(days, 'day')} ago"


# --- acknowledging


@click.group(cls=LedgerGroup)
def finding() -> None:
    """List the findings of `reconcile`, and acknowledge those that are known."""


_by_option = click.option("--by", required=True, metavar="NAME", help="Who says so.")


@finding.command("acknowledge")
@click.argument("finding_id", metavar="ID")
@click.option("--reason", required=True, metavar="TEXT", help="Why it is known and bearable.")
@_by_option
@click.option(
    "--until", required=True, metavar="T", help="When it comes back: a date, or ISO 8601 with zone."
)
@pass_app
def finding_acknowledge(app: App, /, *, finding_id: str, reason: str, by: str, until: str) -> None:
    """Let a finding stand apart, with the figures that it was last seen with.

    ID: at least 8 digits of it. It comes back when its figures change, when the time is over, or
    when the acknowledgement is withdrawn. Name and reason stay in the database.
    """
    end = f"{until}T00:00:00Z" if _DATE.fullmatch(until) else until
    with app.open_ledger() as ledger:
        known = ledger.acknowledge_finding(finding_id, reason=reason, by=by, until=end)
        _answer(app, known, ledger.now())


@finding.command("withdraw")
@click.argument("finding_id", metavar="ID")
@click.option("--reason", required=True, metavar="TEXT", help="Why it is acknowledged no more.")
@_by_option
@pass_app
def finding_withdraw(app: App, /, *, finding_id: str, reason: str, by: str) -> None:
    """Take an acknowledgement back: the finding is open again."""
    with app.open_ledger() as ledger:
        known = ledger.withdraw_acknowledgement(finding_id, reason=reason, by=by)
        _answer(app, known, ledger.now())


def _answer(app: App, known: StoredFinding, now: int) -> None:
    app.answer(
        known.to_json(now),
        lambda screen: screen.pairs(
            [
                ("finding", to_hex(known.finding_id)),
                ("kind", known.finding.kind),
                ("state", known.state(now)),
                ("said", known.acknowledgement and _said(known.acknowledgement, now)),
            ]
        ),
    )


@finding.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=1000, metavar="N", help="At most.")
@pass_app
def finding_list(app: App, /, *, limit: int) -> None:
    """List what runs of `reconcile` found, those seen last first."""
    with app.open_ledger() as ledger:
        found, now = ledger.findings(limit), ledger.now()
    rows = [
        (
            _short(known.finding_id),
            known.finding.kind,
            known.state(now),
            _age(known.first_seen_at, now),
            format_timestamp(known.last_seen_at)[:16],
            "" if known.acknowledgement is None else _said(known.acknowledgement, now),
        )
        for known in found
    ]
    app.answer(
        {"findings": [known.to_json(now) for known in found]},
        lambda screen: screen.table(
            ["id", "kind", "state", "first seen", "last seen", "acknowledged"], rows
        ),
    )


COMMANDS = (reconcile, finding)
