"""Cells that no spreadsheet calculates, and that give their text back."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_ledger.core.spreadsheet import csv_lines, escape_cell, unescape_cell

FORMULA = ("=", "+", "-", "@", "\t", "\r")
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@pytest.mark.parametrize("start", FORMULA)
def test_a_formula_is_text(start: str) -> None:
    """A cell that begins as formulas do gets an apostrophe before it."""
    assert f"'{start}HYPERLINK(1)" == escape_cell(f"{start}HYPERLINK(1)")


def test_plain_text_stays() -> None:
    """What begins with nothing dangerous is left alone, wherever the signs stand later."""
    assert ["", "a=b", "1-2", "mail@example"] == [
        escape_cell(text) for text in ("", "a=b", "1-2", "mail@example")
    ]


@given(
    st.lists(st.lists(st.one_of(TEXT, st.sampled_from(["=1", "'=1", "-\n", '"', ","])), min_size=1))
)
def test_any_text_comes_back(rows: list[list[str]]) -> None:
    """Escaped, written, read by Python's csv module and unescaped, every text is what it was."""
    written = "".join(csv_lines([escape_cell(cell) for cell in row] for row in rows))
    read = list(csv.reader(io.StringIO(written, newline=""), strict=True))
    assert rows == [[unescape_cell(cell) for cell in row] for row in read]
    assert not any(cell.startswith(FORMULA) for row in read for cell in row)


def test_lines_end_as_the_rfc_says() -> None:
    """Every row ends with CRLF; commas, quotes and line breaks are quoted."""
    assert ['a,"b,c"\r\n', '"say ""x""","1\n2"\r\n'] == list(
        csv_lines([["a", "b,c"], ['say "x"', "1\n2"]])
    )
