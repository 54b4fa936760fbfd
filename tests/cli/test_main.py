"""The command as a whole: words it cannot parse, JSON anywhere, and how a run ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from token_ledger.cli.program import cli
from token_ledger.cli.reference import commands, reference


def test_help_and_version_are_good(run) -> None:
    """`--help` and `--version` print to standard output and exit 0."""
    ended = run("--help")
    assert (0, "") == (ended.status, ended.err)
    assert all(name in ended.out for name in cli.commands)
    ended = run("--version")
    assert (0, "token-ledger, version 0.1.0\n") == (ended.status, ended.out)


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_are_text_with_json_too(run, word: str) -> None:
    """The promise of one JSON document is for commands that run, and its page says so."""
    assert run(word).out == run("--json", word).out
    assert "`--help` and `--version` run none" in reference()


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_has_help(run, name: str, command) -> None:
    """`COMMAND --help` says what it does, and exits 0."""
    ended = run(*name.split()[1:], "--help")
    assert 0 == ended.status
    first_words = " ".join((command.help or "").split()[:3])
    assert first_words
    assert first_words in " ".join(ended.out.split())


def test_no_command_shows_the_help(run) -> None:
    """Without a command the help goes to standard error, and the exit status is 2."""
    ended = run()
    assert (2, "") == (ended.status, ended.out)
    assert "Commands:" in ended.err


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["blance", "alice"], "token-ledger balance"),
        (["trasnfer", "a", "b", "1"], "token-ledger transfer"),
        (["account", "crate", "x"], "token-ledger account create"),
        (["reconcil"], "token-ledger reconcile"),
    ],
)
def test_a_misspelt_command_suggests_the_nearest(run, words: list[str], near: str) -> None:
    """A misspelt command is answered with the one that was probably meant."""
    ended = run(*words)
    assert (2, "") == (ended.status, ended.out)
    assert f"did you mean {near}?" in ended.err


@pytest.mark.parametrize("words", [["account", "remove", "x"], ["plan"], ["token", "delete"]])
def test_a_word_of_another_meaning_suggests_nothing(run, words: list[str]) -> None:
    """A command that does not exist is not answered with one that does something else."""
    ended = run(*words)
    assert (2, "") == (ended.status, ended.out)
    assert "did you mean" not in ended.err
    assert "--help" in ended.err


def test_an_empty_url_is_called_empty(book) -> None:
    """An empty --rpc is no node, in words that can be understood."""
    for words in (("migrate",), ("reconcile",), ("verify", ".", "--contract", "0x" + "11" * 20)):
        ended = book(*words, "--rpc", "", "--json")
        assert 2 == ended.status
        assert "?" not in ended.error["message"]


def test_a_foreign_command_points_to_the_help(run) -> None:
    """A command that resembles none points to the help."""
    ended = run("qqqqqqqq")
    assert 2 == ended.status
    assert "see token-ledger --help" in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "blance"],
        ["blance", "--json"],
        ["--json"],
        ["--json", "balance"],
        ["balance", "--json", "a", "b"],
        ["balance", "a", "--nonsense", "--json"],
        ["--nonsense", "--json", "balance"],
        ["account", "--json"],
        ["init", "--json", "--symbol", "S", "--name", "N", "--decimals", "many"],
    ],
)
def test_usage_errors_are_one_json_document(run, words: list[str]) -> None:
    """With --json anywhere, words that cannot be parsed give one JSON document and status 2."""
    ended = run(*words)
    assert (2, "") == (ended.status, ended.err)
    assert "bad_usage" == ended.error["code"]
    assert {"code", "message", "hint"} == set(ended.error)


def test_settings_stand_before_or_after_the_command(book, tmp_path) -> None:
    """--json, --db and --token mean the same before and after the command."""
    before = book("--json", "--token", "TKN", "balance", "alice")
    after = book("balance", "alice", "--token", "TKN", "--json")
    assert before == after
    other = book("balance", "alice", "--db", f"sqlite:///{tmp_path / 'other.db'}")
    assert 2 == other.status
    assert "other.db" in other.err


def test_settings_come_from_the_environment(book, monkeypatch: pytest.MonkeyPatch) -> None:
    """TOKEN_LEDGER_DB and TOKEN_LEDGER_TOKEN are taken, and the command line wins over them."""
    monkeypatch.setenv("TOKEN_LEDGER_TOKEN", "NONE")
    assert 1 == book("supply").status
    assert 0 == book("supply", "--token", "TKN").status
    monkeypatch.setenv("TOKEN_LEDGER_TOKEN", "")
    assert 0 == book("supply").status
    monkeypatch.setenv("TOKEN_LEDGER_DB", "sqlite:///nowhere.db")
    assert 2 == book("supply").status
    assert 0 == book("--db", "sqlite:///token_ledger.db", "supply").status


def test_a_password_in_a_database_url_is_never_shown(run) -> None:
    """An error about a database URL does not repeat the password in it."""
    for url in ("mysql://me:hunter2@host/db", "postgresql://me:hunter2@127.0.0.1:1/db"):
        ended = run("--db", url, "supply")
        assert 2 == ended.status
        assert "hunter2" not in ended.out + ended.err


def test_an_unforeseen_error_shows_no_traceback(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug is told in two lines with the way to its traceback; with DEBUG it is printed."""
    import token_ledger.cli.app

    def broken(_self):
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(token_ledger.cli.app.App, "open_ledger", broken)
    ended = run("supply")
    assert (2, "") == (ended.status, ended.out)
    assert "Traceback" not in ended.err
    assert "TOKEN_LEDGER_DEBUG=1" in ended.err
    assert "unexpected" == run("supply", "--json").error["code"]
    monkeypatch.setenv("TOKEN_LEDGER_DEBUG", "1")
    assert "Traceback" in run("supply").err


def test_control_characters_do_not_reach_the_terminal(book) -> None:
    """Text from the ledger cannot move a terminal's cursor, nor be taken for markup."""
    memo = "a\x1b[2Jb\nc [red]d"
    posted = book("mint", "alice", "1", "--reason", "x", "--memo", memo, "--json").document
    shown = book("entry", "show", posted["id"])
    assert r"a\x1b[2Jb\nc [red]d" in shown.out
    assert "\x1b" not in shown.out
    assert memo == book("entry", "show", posted["id"], "--json").document["memo"]


def test_a_reader_that_leaves_is_no_error(book, spawn) -> None:
    """When whoever reads standard output has gone, the command ends quietly."""
    for _ in range(3):
        book("mint", "alice", "1", "--reason", "x")
    process = spawn("statement", "alice", "--json")
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert (0, b"") == (process.wait(), error)


def test_ctrl_c_ends_cleanly_and_loses_nothing(book, spawn, tmp_path) -> None:
    """Ctrl-C in the middle of a load: status 130, a short message, and no row has landed."""
    os.mkfifo(tmp_path / "pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR)
    process = spawn("load", "pipe")
    header = b"timestamp,from_account,to_account,amount,reason\n"
    os.write(writer, header + b"2024-01-01T00:00:00Z,system,alice,1,x\n")
    _wait_until_reading(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    os.close(writer)
    assert (130, b"") == (process.returncode, out)
    assert b"error: interrupted" in err
    assert b"Traceback" not in err
    assert "100" == book("supply", "--json").document["amount"]


def _wait_until_reading(process: subprocess.Popen[bytes]) -> None:
    """Wait until the process has the pipe open (its file descriptors tell)."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if link.readlink().name == "pipe":
                    return
        time.sleep(0.02)
