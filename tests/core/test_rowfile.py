"""Files of rows, read strictly: what a row is, what is refused, and that reading goes on after."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_ledger.core.rowfile import (
    COLUMNS,
    FIELDS,
    LINE_BYTES_MAX,
    REQUIRED,
    BadRow,
    RefusedRows,
    RowReader,
)
from token_ledger.errors import FileFormatError, InputError

HEADER = b"timestamp,from_account,to_account,amount,reason\n"
GOOD = b"t,a,b,1,r\n"
CELLS = ("t", "a", "b", "1", "r", "", "", "", "", "", "")


def read(data: bytes) -> list[tuple[int, Any]]:
    return list(RowReader(io.BytesIO(data)))


def trouble(row: Any) -> str:
    assert isinstance(row, BadRow)
    return row.error.message


def test_rows_of_csv() -> None:
    """Cells come in the order of FIELDS whatever the order of the columns; the rest is empty."""
    data = b"amount,reason,memo,to_account,from_account,timestamp\n1,r,m,b,a,t\n"
    assert [(2, ("t", "a", "b", "1", "r", "", "", "m", "", "", ""))] == read(data)


@pytest.mark.parametrize(
    "data",
    [
        HEADER + GOOD,
        b"\xef\xbb\xbf" + HEADER + GOOD,
        (HEADER + GOOD).replace(b"\n", b"\r\n"),
        HEADER + GOOD.rstrip(b"\n"),
        HEADER + b'"t","a","b","1","r"\n',
        b" timestamp, from_account,to_account ,amount,reason\n" + GOOD,
        b"\n\n" + HEADER + GOOD,
    ],
)
def test_harmless_variety_is_accepted(data: bytes) -> None:
    """A byte order mark, CRLF, quotes, no last newline: the same row."""
    assert [CELLS] == [cells for _, cells in read(data)]


def test_empty_lines_are_skipped_and_counted() -> None:
    """Line numbers are those that an editor shows."""
    assert [3, 6] == [line for line, _ in read(HEADER + b"\n" + GOOD + b"\n\r\n" + GOOD)]


def test_a_row_over_several_lines_is_named_by_its_first() -> None:
    """A quoted newline belongs to its cell; the next row's number counts it."""
    rows = read(HEADER + b't,a,b,1,"two\nlines"\n' + GOOD)
    assert [(2, "two\nlines"), (4, "r")] == [(line, cells[4]) for line, cells in rows]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"timestamp,from_account,to_account,amount\n", "lacks column 'reason'"),
        (HEADER.strip() + b",colour\n", "unknown column 'colour'"),
        (HEADER.strip() + b",amount\n", "repeats column 'amount'"),
        (b"", "lacks column 'timestamp'"),
        (b"a;b;c\n", "unknown column 'a;b;c'"),
        (b'"timestamp\n', "header"),
        (b"\xff\xfet\0i\0\n", "is it UTF-8"),
        (b"timestamp\0\n", "U\\+0000"),
        (b"x" * (LINE_BYTES_MAX + 1), "longer than"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_header_is_refused(header: bytes, words: str) -> None:
    """Missing, unknown and repeated columns are named before any row is read."""
    with pytest.raises(FileFormatError, match=words):
        RowReader(io.BytesIO(header + GOOD))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"t,a,b,1\n", "4 cells, the header has 5"),
        (b"t,a,b,1,000,r\n", "6 cells"),
        (b"t,a,b,1,\xff\n", "byte 9 of the line is not UTF-8 (0xff)"),
        (b"t,a,b,1,\xed\xa0\x80\n", "not UTF-8"),
        (b"t,a,b,1,x\0y\n", "U+0000"),
        (b't,a,b,1,"x"y\n', "not CSV"),
        (b"t,a,b,1," + b"x" * LINE_BYTES_MAX + b"\n", "longer than"),
        (b"t,a,b,1," + b"x" * 200_000 + b"\n", "field larger"),
        (b"   \n", "1 cells"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_line_is_refused_alone(line: bytes, words: str) -> None:
    """A line that cannot be read is a BadRow that says why; the rows around it are read."""
    before, bad, after = read(HEADER + GOOD + line + GOOD)
    assert [(2, CELLS), (4, CELLS)] == [before, after]
    assert 3 == bad[0]
    assert words in trouble(bad[1])


def test_an_open_quotation_mark_costs_its_own_line_only() -> None:
    """What an unclosed quote swallowed is read again, bad lines among it as bad as before."""
    rows = read(HEADER + b't,a,b,1,"open\n' + GOOD + b"t,a,b,1,\xff\n" + GOOD)
    assert [2, 3, 4, 5] == [line for line, _ in rows]
    assert "not CSV" in trouble(rows[0][1])
    assert ('t,a,b,1,"open',) == rows[0][1].cells
    assert CELLS == rows[1][1] == rows[3][1]
    assert "not UTF-8" in trouble(rows[2][1])


def test_rows_of_json() -> None:
    """One object a line; null is absent; metadata is any JSON and comes as RFC 8785 text."""
    row = dict(zip(REQUIRED, "tab1r", strict=True)) | {"memo": None, "metadata": {"b": 1, "a": 2}}
    data = json.dumps(row).encode()
    expected = ("t", "a", "b", "1", "r", "", "", "", "", '{"a":2,"b":1}', "")
    for text in (data, data + b"\n", b"\xef\xbb\xbf" + data, b"\n \n" + data + b"\r\n\n"):
        assert [expected] == [cells for _, cells in read(text)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "not JSON"),
        (b"[]", "no JSON object"),
        (b'"x"', "no JSON object"),
        (b"{}", "column 'timestamp' is missing"),
        (b'{"colour": "red"}', "unknown column 'colour'"),
        (b'{"amount": "1", "amount": "2"}', "repeated"),
        (b'{"amount": NaN}', "NaN"),
        (b"[" * 100_000, "not JSON"),
        (b'{"metadata": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not JSON"),
        (b'{"a":' * 100_000, "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"\0", "U+0000"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_json_line_is_refused_alone(line: bytes, words: str) -> None:
    """A line that is no object of known columns is a BadRow; the rows around it are read."""
    good = json.dumps(dict(zip(REQUIRED, "tab1r", strict=True))).encode() + b"\n"
    rows = read(good + line + b"\n" + good)
    assert [1, 2, 3] == [line for line, _ in rows]
    assert words in trouble(rows[1][1])
    assert CELLS == rows[0][1] == rows[2][1]


@pytest.mark.parametrize("value", [1, 1.5, True, ["1"], {"a": 1}])
def test_numbers_in_json_are_refused(value: Any) -> None:
    """Amounts are strings in JSON: a number would have lost its digits before we see it."""
    row = dict(zip(REQUIRED, "tab1r", strict=True)) | {"amount": value}
    [(_, bad)] = read(json.dumps(row).encode())
    assert "amount" in trouble(bad)


TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)


@given(st.lists(st.tuples(*[TEXT] * len(COLUMNS)), min_size=1, max_size=5))
def test_csv_round_trip(rows: list[tuple[str, ...]]) -> None:
    """What the standard csv module writes is read back cell by cell."""
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, *rows])
    found = [cells for _, cells in read(text.getvalue().encode())]
    assert [(*row, "") for row in rows] == found


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_break_the_reader(data: bytes, header: bool) -> None:
    """Whatever bytes come, rows, BadRows or an InputError come out."""
    try:
        for _, row in read((HEADER if header else b"") + data):
            assert isinstance(row, BadRow) or len(FIELDS) == len(row)
    except InputError:
        assert not header


@pytest.mark.parametrize("is_json", [False, True])
def test_refused_rows_can_be_read_again(is_json: bool) -> None:
    """A refused row in the order of FIELDS is written so that, mended, it is read as it was."""
    cells = ("t", "a", "b", "1", "r", "", "", 'with "quotes"\n', "k", "[1]" if is_json else "x", "")
    refused = RefusedRows(COLUMNS, is_json=is_json)
    text = refused.header() + refused.row(cells, why="because", key="rk", readable=True)
    assert [(*cells[:-1], "rk")] == [found for _, found in read(text.encode())]


@given(st.tuples(*[TEXT] * len(COLUMNS)), st.sampled_from(["", "\r", "\n", "\r\n", "\r\r"]))
def test_every_refused_cell_round_trips(cells: tuple[str, ...], end: str) -> None:
    """Whatever a refused row's cells hold, a lone CR included, is read back cell by cell."""
    cells = (*cells[:-1], f"{end}a{end}")
    refused = RefusedRows(COLUMNS, is_json=False)
    text = refused.header() + refused.row(cells, why="a\rb", key="rk", readable=True) * 2
    assert [(*cells, "rk")] * 2 == [found for _, found in read(text.encode())]


def test_refused_rows_that_were_never_read() -> None:
    """What could not be told apart is kept as it was, and refused again until it is mended."""
    for is_json, columns in ((False, (*COLUMNS, "refused")), (True, COLUMNS)):
        refused = RefusedRows(columns, is_json=is_json)
        text = refused.header() + refused.row(("odd",), why="because", key="rk", readable=False)
        assert "odd" in text
        [(_, row)] = read(text.encode())
        assert isinstance(row, BadRow)


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_called_empty(data: bytes) -> None:
    """A file without any line says so, and which columns it should have."""
    with pytest.raises(FileFormatError, match=r"^the file is empty") as caught:
        RowReader(io.BytesIO(data))
    assert "timestamp" in str(caught.value.hint)
