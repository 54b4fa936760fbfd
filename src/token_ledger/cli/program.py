"""The whole command: its shared options, its verbs, and how every run ends."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version

import click

from token_ledger.cli import (
    book,
    findings,
    history,
    holds,
    importing,
    limits,
    load,
    migration,
    move,
    offline,
    post,
    rules,
    serve,
    setup,
    snapshots,
    statements,
    stats,
    tokens,
    upkeep,
    vaults,
)
from token_ledger.cli.app import DEFAULT_DB, App, LedgerGroup, print_json
from token_ledger.cli.outcome import (
    GOOD,
    Failure,
    failure_of,
    is_bug,
    wants_traceback,
)
from token_ledger.cli.screen import printable

PROGRAM = "token-ledger"


@click.group(
    PROGRAM,
    cls=LedgerGroup,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--db",
    metavar="URL",
    envvar="TOKEN_LEDGER_DB",
    default=DEFAULT_DB,
    show_default=True,
    show_envvar=True,
    help="The database: sqlite:///FILE or postgresql://USER@HOST/NAME.",
)
@click.option(
    "--token",
    metavar="SYMBOL",
    envvar="TOKEN_LEDGER_TOKEN",
    show_envvar=True,
    help="The token; may be left out while the ledger holds one.",
)
@click.option(
    "--secret-file",
    metavar="FILE",
    envvar="TOKEN_LEDGER_SECRET_FILE",
    show_envvar=True,
    help="Where the ledger's secret is, if it was put into a file at init.",
)
@click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON document.")
@click.version_option(version("token-ledger"), prog_name=PROGRAM)
@click.pass_context
def cli(
    ctx: click.Context, db: str, token: str | None, secret_file: str | None, as_json: bool
) -> None:
    """A double-entry token ledger whose every row is an ERC-20 Transfer in waiting.

    The options below may also stand after the command. Exit status: 0 good; 1 findings, or refused
    by a rule of the ledger; 2 wrong usage, unreadable input, or it could not be done; 130
    interrupted.
    """
    ctx.obj = App(db=db, token=token, secret_file=secret_file, json=as_json)


assert vaults.claim.name == "claim", "it puts itself under `account`"
for _command in (
    *setup.COMMANDS,
    *tokens.COMMANDS,
    *post.COMMANDS,
    *book.COMMANDS,
    *statements.COMMANDS,
    *stats.COMMANDS,
    *limits.COMMANDS,
    *rules.COMMANDS,
    *holds.COMMANDS,
    *load.COMMANDS,
    *history.COMMANDS,
    *migration.COMMANDS,
    *importing.COMMANDS,
    *findings.COMMANDS,
    *offline.COMMANDS,
    *snapshots.COMMANDS,
    *move.COMMANDS,
    *upkeep.COMMANDS,
    *serve.COMMANDS,
):
    cli.add_command(_command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; every error is told, none is raised."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _invoke(words)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        return GOOD  # whoever read us has read enough
    except (Exception, KeyboardInterrupt) as error:
        return _tell(error, as_json=_asks_for_json(words))
    return status


def _invoke(words: list[str]) -> int:
    try:
        with cli.make_context(PROGRAM, list(words)) as ctx:  # the parser eats its list
            result = cli.invoke(ctx)
    except click.exceptions.Exit as ending:
        return ending.exit_code
    return result if isinstance(result, int) else GOOD


def _asks_for_json(words: list[str]) -> bool:
    """Return whether the JSON flag stands anywhere: parsing may have failed before it."""
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def _tell(error: BaseException, *, as_json: bool) -> int:
    failure = failure_of(error)
    if is_bug(error) and wants_traceback():
        traceback.print_exception(error)
    try:
        if as_json:
            print_json(failure.to_json())
            sys.stdout.flush()
        elif isinstance(error, click.exceptions.NoArgsIsHelpError):
            print(error.format_message(), file=sys.stderr)  # noqa: T201
        else:
            _tell_people(failure)
    except BrokenPipeError:
        _silence_stdout()
    return failure.status


def _tell_people(failure: Failure) -> None:
    style, plain = ("\x1b[31m", "\x1b[0m") if _colours() else ("", "")
    print(f"{style}error:{plain} {printable(failure.message)}", file=sys.stderr)  # noqa: T201
    if failure.hint:
        print(f"  {printable(failure.hint)}", file=sys.stderr)  # noqa: T201


def _colours() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def _silence_stdout() -> None:
    """Let the interpreter's own flush at exit go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
