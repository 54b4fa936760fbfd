"""Commands of whoever keeps the books in order: recalc, check, feed, redact."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from token_ledger.cli.app import ADDRESS, App, LedgerCommand, pass_app, print_json
from token_ledger.cli.book import entry_json
from token_ledger.cli.outcome import FINDINGS, GOOD
from token_ledger.cli.progress import ProgressReport
from token_ledger.cli.screen import Screen
from token_ledger.core.parse import format_timestamp
from token_ledger.core.strict import to_hex
from token_ledger.errors import UsageError

PAGE_MAX = 1_000
POLL_S = 0.5


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


@click.command(cls=LedgerCommand)
@click.option("--after", type=int, default=0, show_default=True, metavar="N", help="Entry number.")
@click.option("--limit", type=int, metavar="N", help="Stop after so many; by default at the end.")
@click.option("--follow", is_flag=True, help="Wait for what comes, until interrupted.")
@pass_app
def feed(app: App, /, *, after: int, limit: int | None, follow: bool) -> int:
    """Print the entries after an entry number as JSON lines, the first posted first, none skipped.

    Go on with the entry_no of the last line. With --json it is one document, for what is there now.
    """
    if app.json and follow:
        raise UsageError("--json is one document", hint="--follow prints JSON lines by itself")
    lines: list[dict[str, Any]] = []
    with app.open_ledger() as ledger:
        left = limit
        while left is None or left > 0:
            page = ledger.feed(after, PAGE_MAX if left is None else min(left, PAGE_MAX))
            for entry in page.entries:
                if app.json:
                    lines.append(entry_json(entry))
                else:
                    sys.stdout.write(json.dumps(entry_json(entry), ensure_ascii=False) + "\n")
            sys.stdout.flush()
            after = page.after
            left = None if left is None else left - len(page.entries)
            if page.entries:
                continue
            if not follow:
                break
            time.sleep(POLL_S)
    if app.json:
        print_json({"entries": lines, "after": after})
    return GOOD


@click.command(cls=LedgerCommand)
@click.argument("entry_id", metavar="ENTRY_ID")
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME",
    help="reason, reference, memo, metadata or key; by default reference, memo and metadata.",
)
@click.option("--by", "actor", default="", metavar="WHO", help="Who erases: kept with the time.")
@pass_app
def redact(app: App, /, *, entry_id: str, fields: tuple[str, ...], actor: str) -> None:
    """Erase words of an entry for ever. Its id, its amounts and every root stay as they are.

    Backups, and PostgreSQL's dead rows until VACUUM, still hold what they hold.
    """
    from token_ledger.ledger.redaction import USUAL

    with app.open_ledger() as ledger:
        result = ledger.redact(entry_id, fields or USUAL, actor=actor)
    document = {
        "id": to_hex(result.id),
        "entry_no": result.entry_no,
        "redacted": list(result.fields),
        "redacted_at": format_timestamp(result.redacted_at),
        "actors": list(result.actors),
    }
    app.answer(
        document,
        lambda screen: screen.pairs(
            [
                ("entry", document["id"]),
                ("redacted", ", ".join(result.fields)),
                ("at", document["redacted_at"]),
                ("by", ", ".join(result.actors) or None),
            ]
        ),
    )


COMMANDS = (recalc, check, feed, redact)
