"""What a person sees: tables and pairs, drawn by rich on a terminal, plain when piped.

Text from the ledger is shown as it is but for what would move the cursor: control characters are
escaped, and rich's markup is never interpreted. JSON is not made here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text


def printable(value: object) -> str:
    """Return a value as one line of text without control characters; None as an empty string."""
    text = "" if value is None else str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class Screen:
    """Standard output, for people."""

    def __init__(self) -> None:
        self._rich = sys.stdout.isatty()
        self._console = Console(highlight=False, soft_wrap=True)

    def line(self, text: str = "", *, style: str | None = None) -> None:
        """Print one line."""
        if self._rich:
            self._console.print(Text(printable(text), style=style or ""))
        else:
            print(printable(text))  # noqa: T201

    def pairs(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Print names and values in two columns; a None is left out."""
        shown = [(name, printable(value)) for name, value in pairs if value is not None]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            if self._rich:
                line = Text.assemble((name.ljust(width), "dim"), "  ", value)
                self._console.print(line)
            else:
                print(f"{name.ljust(width)}  {value}".rstrip())  # noqa: T201

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        right: Iterable[str] = (),
    ) -> None:
        """Print rows under a header; the columns in `right` are right-aligned numbers."""
        cells = [[printable(value) for value in row] for row in rows]
        if self._rich:
            self._draw(columns, cells, set(right))
        else:
            self._align(columns, cells, set(right))

    def _draw(self, columns: Sequence[str], cells: list[list[str]], right: set[str]) -> None:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in columns:
            table.add_column(name, justify="right" if name in right else "left", overflow="fold")
        for row in cells:
            table.add_row(*map(Text, row))
        self._console.print(table, soft_wrap=False)

    @staticmethod
    def _align(columns: Sequence[str], cells: list[list[str]], right: set[str]) -> None:
        lines = [list(columns), *cells]
        widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
        for line in lines:
            padded = [
                value.rjust(width) if name in right else value.ljust(width)
                for name, value, width in zip(columns, line, widths, strict=True)
            ]
            print("  ".join(padded).rstrip())  # noqa: T201
