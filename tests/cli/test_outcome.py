"""The one mapping from errors to exit statuses."""

from __future__ import annotations

import click
import pytest

from token_ledger import errors
from token_ledger.cli.outcome import failure_of, is_bug


def _subclasses(kind: type) -> list[type]:
    return [kind, *(inner for child in kind.__subclasses__() for inner in _subclasses(child))]


@pytest.mark.parametrize("kind", _subclasses(errors.InputError))
def test_unreadable_input_is_2(kind) -> None:
    """What cannot be read exits 2, with the error's own code, message and hint."""
    failure = failure_of(kind("message", hint="hint"))
    assert (2, kind.code, "message", "hint") == (
        failure.status,
        failure.code,
        failure.message,
        failure.hint,
    )


@pytest.mark.parametrize("kind", _subclasses(errors.RuleError))
def test_a_refusal_by_a_rule_is_1(kind) -> None:
    """What the ledger's rules refuse exits 1."""
    assert (1, kind.code) == (failure_of(kind("m")).status, failure_of(kind("m")).code)


@pytest.mark.parametrize("kind", [*_subclasses(errors.UnavailableError)])
def test_what_could_not_be_done_is_2(kind) -> None:
    """What could not be done now exits 2."""
    try:
        error = kind("m")
    except TypeError:  # a subclass with arguments of its own
        error = kind.__new__(kind)
        error.message, error.hint = "m", None
    assert 2 == failure_of(error).status


def test_ctrl_c_is_130_at_work_and_at_a_prompt() -> None:
    """Ctrl-C exits 130, also while a prompt waits; the end of input there exits 2."""
    assert 130 == failure_of(KeyboardInterrupt()).status
    assert "a transaction may be on its way" in str(failure_of(KeyboardInterrupt()).hint)
    for cause, status in ((KeyboardInterrupt(), 130), (EOFError(), 2)):
        try:
            try:
                raise cause
            except (KeyboardInterrupt, EOFError):
                raise click.Abort from None
        except click.Abort as abort:
            assert status == failure_of(abort).status


def test_the_system_said_no_is_2() -> None:
    """An OSError is no bug: it exits 2 and names the file."""
    error = PermissionError(13, "Permission denied", "out.json")
    assert (2, "out.json: permission denied") == (
        failure_of(error).status,
        failure_of(error).message,
    )
    assert not is_bug(error)


def test_anything_else_is_our_bug() -> None:
    """What nobody foresaw exits 2 and is called a bug."""
    assert (2, "unexpected") == (failure_of(KeyError("x")).status, failure_of(KeyError("x")).code)
    assert is_bug(KeyError("x"))
    assert not is_bug(errors.RuleError("m"))
