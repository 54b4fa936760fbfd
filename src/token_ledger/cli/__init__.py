"""The command `token-ledger`: parse, call one verb, print or serialize. No rule lives here."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    try:
        # Here, so that Ctrl-C while the libraries are loaded ends as quietly as later.
        from token_ledger.cli.program import run
    except KeyboardInterrupt:
        return 130
    return run(arguments)
