"""How a command ended: the one mapping from errors to exit statuses, and the shape of an error.

    0   good
    1   findings, or refused by a rule of the ledger
    2   wrong usage or unreadable input, or it could not be done
    130 interrupted by Ctrl-C; what was committed stays, the rest was undone

Does not print: `main` does.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

import click

from token_ledger.errors import RuleError, TokenLedgerError, UsageError

GOOD = 0
FINDINGS = 1
REFUSED = 1
FAILED = 2
INTERRUPTED = 128 + signal.SIGINT

DEBUG_VARIABLE = "TOKEN_LEDGER_DEBUG"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it is told: `code` for programs, `message` and `hint` for people."""

    status: int
    code: str
    message: str
    hint: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the one JSON document of a command that failed."""
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint}}


def failure_of(error: BaseException) -> Failure:
    """Return what to tell about an error, and the exit status that goes with it."""
    if isinstance(error, TokenLedgerError):
        status = REFUSED if isinstance(error, RuleError) else FAILED
        return Failure(status, error.code, error.message, error.hint)
    if isinstance(error, KeyboardInterrupt) or _is_interrupt(error):
        hint = (
            "what was committed stays, the rest was undone; a transaction may be on its way: "
            "where one was being sent, run it again"
        )
        return Failure(INTERRUPTED, "interrupted", "interrupted", hint)
    if isinstance(error, EOFError | click.Abort):
        hint = "no terminal to ask on: use --password-file or the environment"
        return Failure(FAILED, "no_answer", "an answer was needed and none came", hint)
    if isinstance(error, click.ClickException):
        return _usage(error)
    if isinstance(error, OSError):
        what = (error.strerror or type(error).__name__).lower()
        where = f"{error.filename}: " if error.filename else ""
        return Failure(FAILED, "unavailable", f"{where}{what}")
    hint = f"this is a bug: run it again with {DEBUG_VARIABLE}=1 and report what it prints"
    return Failure(FAILED, "unexpected", f"unexpected {type(error).__name__}: {error}", hint)


def _usage(error: click.ClickException) -> Failure:
    """Click's own errors: words that it could not parse."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return Failure(FAILED, UsageError.code, "no command", _help_hint(error))
    hint = _help_hint(error) if isinstance(error, click.UsageError) else None
    # As all errors here: lower case, and no full stop at the end.
    message = error.format_message()
    message = message[:1].lower() + message[1:].rstrip(".")
    return Failure(FAILED, UsageError.code, message, hint)


def is_bug(error: BaseException) -> bool:
    """Return whether nobody foresaw this error."""
    foreseen = (TokenLedgerError, click.ClickException, click.Abort, OSError, EOFError)
    return isinstance(error, Exception) and not isinstance(error, foreseen)


def wants_traceback() -> bool:
    """Return whether the user asked for tracebacks."""
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


def _is_interrupt(error: BaseException) -> bool:
    """A prompt turns Ctrl-C into click's Abort."""
    return isinstance(error, click.Abort) and isinstance(error.__context__, KeyboardInterrupt)


def _help_hint(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx is not None else "token-ledger"
    return f"see {path} --help"
