"""Running the command as a person would, and reading what it answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from token_ledger.cli import main


@dataclass(frozen=True)
class Ended:
    """How a run of the command ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """The error of a JSON document."""
        return self.document["error"]


Run = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command in this process, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> Ended:
        capsys.readouterr()
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Ended(status, captured.out, captured.err)

    return call


@pytest.fixture
def spawn(tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Start the command as a process of its own, with pipes."""

    def start(*words: object, **options: Any) -> subprocess.Popen[bytes]:
        program = "import sys; from token_ledger.cli import main; sys.exit(main())"
        return subprocess.Popen(
            [sys.executable, "-c", program, *map(str, words)],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "80"},
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    return start


@pytest.fixture
def book(run: Run) -> Run:
    """Return `run`, on a ledger with one token of two decimals, and alice who holds 100."""
    ended = run("init", "--symbol", "TKN", "--name", "Token", "--decimals", "2")
    assert 0 == ended.status, ended.err
    assert 0 == run("account", "create", "alice", "--initial", "100").status
    return run
