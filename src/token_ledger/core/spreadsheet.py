"""Cells for spreadsheets: RFC 4180 text in which nothing that somebody wrote becomes a formula.

A spreadsheet takes a cell that begins with = + - @ for a formula, whatever the file means by it,
and a memo is written by strangers. Such a cell gets an apostrophe before it, and so does one that
begins with an apostrophe itself, so that taking one away gives the text back.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")


def escape_cell(text: str) -> str:
    """Return a text as a cell that no spreadsheet calculates."""
    return f"'{text}" if text.startswith(_DANGEROUS) else text


def unescape_cell(cell: str) -> str:
    """Return the text of a cell that `escape_cell` made."""
    return cell.removeprefix("'")


def csv_lines(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield each row as RFC 4180 text with its line end; the cells are escaped already."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    for row in rows:
        writer.writerow(row)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
