"""What a person sees: tables and pairs, drawn by rich on a terminal, plain when piped.

Text from the ledger is shown as it is but for what would move the cursor: control characters are
escaped, and rich's markup is never interpreted. JSON is not made here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from token_ledger.core.shown import printable as printable  # noqa: PLC0414 — asked for here
from token_ledger.core.types import Finding


def _spelled(value: object) -> object:
    """Return a finding's detail for people: no brackets and quotes of a programming language."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_spelled(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(_spelled(inner)) for inner in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else value


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

    def finding(self, finding: Finding, *, name: str | None = None) -> None:
        """Print a difference that a check found, with its details and its id, if it has one."""
        self.line()
        self.line(f"{finding.kind}: {finding.message}", style="red")
        details = {} if name is None else {"id": name}
        self.pairs(
            (f"  {what}", _spelled(value))
            for what, value in (details | finding.details).items()
            if value is not None or what not in ("block", "tx")
        )

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        right: Iterable[str] = (),
        whole: str | None = None,
    ) -> None:
        """Print rows under a header; the columns in `right` are right-aligned numbers.

        `whole`: the column that people copy. On a terminal that is too narrow it gets lines of its
        own, and then nothing is folded.
        """
        cells = [[printable(value) for value in row] for row in rows]
        if self._rich and whole is not None and self._is_too_narrow(columns, cells):
            self._stack(columns, cells, set(right), whole)
        elif self._rich:
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

    def _is_too_narrow(self, columns: Sequence[str], cells: list[list[str]]) -> bool:
        return sum(_widths([columns, *cells])) + 2 * (len(columns) - 1) > self._console.width

    def _stack(
        self, columns: Sequence[str], cells: list[list[str]], right: set[str], whole: str
    ) -> None:
        widths = _widths([columns, *cells])
        for i, row in enumerate([columns, *cells]):
            padded = []
            for name, value, width in zip(columns, row, widths, strict=True):
                space = " " * (width - cell_len(value))
                if name != whole:
                    padded.append(space + value if name in right else value + space)
            style = "" if i else "bold"
            # A terminal that wraps a line copies it as one.
            self._console.print(Text("  ".join(padded).rstrip(), style=style))
            self._console.print(Text(f"  {row[columns.index(whole)]}", style=style or "dim"))

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


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
