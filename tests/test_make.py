"""The Makefile: what it offers, and that its help says so."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

TARGETS = ("setup", "demo", "test", "check", "bench", "artifacts", "reference", "lock", "clean")


def _make(project: Path, *words: str) -> str:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    done = subprocess.run(
        ["make", *words], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


def test_help_is_the_default_and_lists_every_target(project: Path) -> None:
    """`make` alone prints the help, which names every target that is meant for people."""
    shown = _make(project)
    assert shown == _make(project, "help")
    for target in TARGETS:
        assert f"make {target} " in shown


def test_ci_runs_check_and_test(project: Path) -> None:
    """.ci/run is executable and calls `make check` and `make test` with CI=true."""
    path = project / ".ci" / "run"
    text = path.read_text()
    assert os.access(path, os.X_OK)
    assert ["make check", "make test"] == re.findall(r"^make \w+$", text, re.MULTILINE)
    assert "CI=true" in text


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_can_be_planned(project: Path, target: str) -> None:
    """Each target's recipe is readable by make (nothing is run)."""
    _make(project, "--dry-run", target)
