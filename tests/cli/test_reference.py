"""docs/cli.md is what the command says of itself."""

from __future__ import annotations

from pathlib import Path

import click

from token_ledger.cli.reference import commands, reference, with_kinds


def test_the_reference_is_in_step(project: Path) -> None:
    """docs/cli.md is exactly what `make reference` writes."""
    assert reference() == (project / "docs" / "cli.md").read_text(encoding="utf-8")


def test_every_kind_of_finding_is_in_the_page(project: Path) -> None:
    """docs/findings.md lists every kind with its meaning, as `make reference` writes it."""
    page = (project / "docs" / "findings.md").read_text(encoding="utf-8")
    assert with_kinds(page) == page


def test_every_command_and_option_is_documented() -> None:
    """Every command and every option that is not a repetition has words of its own."""
    for name, command in commands():
        assert command.help, name
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.help or parameter.name == "limit", f"{name} {parameter.name}"
        assert name.removeprefix("token-ledger ") in reference()
