"""Rows of a CSV or JSON Lines file, told apart by their first character, read strictly.

Takes lines of bytes and yields cells of text: it opens nothing, and knows no amounts or accounts.
A row that cannot be read is a `BadRow`, so that a reader who wants to can go on after it.

    line      at most LINE_BYTES_MAX of UTF-8 without U+0000; a byte order mark may come first
    CSV       RFC 4180, comma, the header names the columns; empty lines are skipped
    JSON      one object a line; every value is text, but `metadata`, which is any JSON
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson

from token_ledger.core.parse import canonical_metadata
from token_ledger.errors import FileFormatError, InputError, MetadataError

LINE_BYTES_MAX = 1 << 20
REQUIRED = ("timestamp", "from_account", "to_account", "amount", "reason")
OPTIONAL = ("reference_type", "reference_id", "memo", "idempotency_key", "metadata")
REFUSED = ("refused", "refused_key")
"""Written before the cells of a refused row: why, and the key that it gets if it has none."""
COLUMNS = REQUIRED + OPTIONAL
FIELDS = (*COLUMNS, "refused_key")
"""The order of the cells that are yielded; a column that the file lacks is empty."""

NESTING_SAFE = 100
"""So many brackets `json` reads on any stack; of lines with more orjson, which has a bound, is
asked first."""

Cells = tuple[str, ...]
_KEY_MADE = re.compile(r"load(?:-refused)?:[0-9a-f]{64}:[0-9]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be read: its cells as far as they could be told apart, and why.

    `key`: the `refused_key` that it has from the load that refused it before, '' for none.
    """

    cells: tuple[str, ...]
    error: InputError
    key: str = ""


class _Lines:
    """Lines of text from lines of bytes, counted, with the trouble of each kept for its row."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._again: deque[str] = deque()
        self.number = 0
        self.taken: list[str] = []  # what the present row is made of
        self.errors: dict[int, InputError] = {}  # by line

    def retreat(self) -> None:
        """Give all lines of the present row but the first one back, to be read again."""
        again = self.taken[1:]
        self._again.extendleft(reversed(again))
        self.number -= len(again)
        del self.taken[1:]

    def take_error(self) -> InputError | None:
        """Return the first trouble of the lines read so far, and forget it."""
        lines = [line for line in self.errors if line <= self.number]
        return (
            [self.errors.pop(line) for line in sorted(lines, reverse=True)][-1] if lines else None
        )

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        text = self._again.popleft() if self._again else self._decode(next(self._lines))
        self.number += 1
        self.taken.append(text)
        return text

    def _decode(self, raw: bytes) -> str:
        line = self.number + 1
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            text = raw.decode("utf-8", "backslashreplace")
            self.errors[line] = FileFormatError(
                f"byte {error.start + 1} of the line is not UTF-8 (0x{raw[error.start]:02x})",
                hint="save the file as UTF-8",
            )
        if "\0" in text:
            text = text.replace("\0", "\\0")
            self.errors[line] = FileFormatError("the line holds U+0000", hint="is it UTF-8 text?")
        if len(raw) > LINE_BYTES_MAX:
            text = text[:1000]
            self.errors[line] = FileFormatError(
                f"the line is longer than {LINE_BYTES_MAX} bytes", hint="shorten or split it"
            )
        return text.removeprefix("\ufeff") if line == 1 else text


class RowReader:
    """Iterates over (line number, cells in the order of FIELDS or BadRow).

    `columns`: the file's own, in its order. Raises FileFormatError for a header that cannot be
    used, before the first row.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = _Lines(lines)
        first = next((text for text in self._lines if text.strip()), None)
        if first is None:
            raise FileFormatError("the file is empty", hint="columns: " + ", ".join(COLUMNS))
        self.columns: tuple[str, ...] = COLUMNS
        self.is_json = first.lstrip().startswith("{")
        if not self.is_json:
            error = self._lines.take_error()
            if error is not None:
                raise self._located(error)
            self.columns = self._read_header(first)

    def _located(self, error: InputError) -> InputError:
        return type(error)(f"line {self._lines.number}: {error.message}", hint=error.hint)

    def _read_header(self, line: str) -> tuple[str, ...]:
        try:
            header = next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            raise self._located(FileFormatError(f"header: {error}")) from None
        names = [name.strip() for name in header]
        missing = [name for name in REQUIRED if name not in names]
        unknown = [name for name in names if name not in COLUMNS + REFUSED]
        trouble = [f"lacks column {name!r}" for name in missing]
        trouble += [f"has the unknown column {name[:100]!r}" for name in unknown]
        trouble += [f"repeats column {n!r}" for n in dict.fromkeys(names) if names.count(n) > 1]
        if trouble:
            raise self._located(
                FileFormatError(
                    "the header " + ", ".join(trouble), hint="columns: " + ", ".join(COLUMNS)
                )
            )
        return tuple(names)

    def __iter__(self) -> Iterator[tuple[int, Cells | BadRow]]:
        return self._json_rows() if self.is_json else self._csv_rows()

    def _csv_rows(self) -> Iterator[tuple[int, Cells | BadRow]]:
        lines, width = self._lines, len(self.columns)
        reader = csv.reader(lines, strict=True)
        place = {name: i for i, name in enumerate(self.columns)}
        pick = itemgetter(*(place.get(name, width) for name in FIELDS))
        while True:
            lines.taken.clear()
            line = lines.number + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                # An open quotation mark swallows what follows: only its own line is to blame.
                lines.retreat()
                trouble: InputError = lines.take_error() or _csv_error(error)
                raw = lines.taken[0].rstrip("\r\n")
                yield line, BadRow((raw,), trouble, self._key_in(raw))
                continue
            if lines.errors and (found := lines.take_error()):
                yield line, BadRow(tuple(row), found, self._key_of(row))
            elif len(row) == width:
                row.append("")
                yield line, pick(row)
            elif row:
                error_cells = f"{len(row)} cells, the header has {width}"
                trouble = FileFormatError(error_cells, hint="quote commas")
                yield line, BadRow(tuple(row), trouble, self._key_of(row))

    def _key_of(self, row: list[str]) -> str:
        """Return the `refused_key` of a row whose other cells cannot be trusted."""
        place = self.columns.index("refused_key") if "refused_key" in self.columns else len(row)
        return row[place] if place < len(row) else ""

    def _key_in(self, raw: str) -> str:
        """Return the `refused_key` of a line that cannot be told apart into cells."""
        named = "refused_key" in (raw if self.is_json else self.columns)
        found = _KEY_MADE.search(raw) if named else None
        return found.group() if found else ""

    def _json_rows(self) -> Iterator[tuple[int, Cells | BadRow]]:
        lines = self._lines
        decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).decode
        pending = lines.taken[-1:]
        while True:
            text = pending.pop() if pending else next(lines, None)
            if text is None:
                return
            cells: Cells = (text.rstrip("\r\n"),)
            key = self._key_in(text)
            try:
                if lines.errors and (found := lines.take_error()):
                    raise found
                if text.strip():
                    value = _decode_json(decode, text.strip())
                    if isinstance(value, dict) and isinstance(value.get("refused_key"), str):
                        key = value["refused_key"]
                    if isinstance(value, dict) and {*value} == {*REFUSED, "line"}:
                        cells = (str(value["line"]),)  # as a load before this one set it aside
                    yield lines.number, _json_cells(value)
            except InputError as error:
                yield lines.number, BadRow(cells, error, key)
            except (ValueError, RecursionError) as error:
                refused = FileFormatError(f"not JSON: {str(error)[:200]}", hint="one object a line")
                yield lines.number, BadRow(cells, refused, key)
            lines.taken.clear()


def _csv_error(error: csv.Error) -> FileFormatError:
    return FileFormatError(f"not CSV: {error}", hint="check the quotation marks")


def _decode_json(decode: Callable[[str], Any], text: str) -> Any:
    if text.count("[") + text.count("{") > NESTING_SAFE:
        orjson.loads(text)  # refuses nesting over 1,024 levels, of which `json` may die
    return decode(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise FileFormatError("a name is repeated in one object", hint="keep one")
    return found


def _no_constant(constant: str) -> None:
    raise FileFormatError(f"{constant} is no JSON number", hint="leave it away")


def _json_cells(value: Any) -> Cells:
    if not isinstance(value, dict):
        raise FileFormatError("the line is no JSON object", hint="one object a line")
    if "line" in value and "refused" in value:
        raise FileFormatError(
            "the row is still set aside in `line`", hint="write it mended, as columns of its own"
        )
    for name in value:
        if name not in FIELDS and name not in REFUSED:
            raise FileFormatError(
                f"unknown column {name[:100]!r}", hint="columns: " + ", ".join(COLUMNS)
            )
    for name in REQUIRED:
        if name not in value:
            raise FileFormatError(f"column {name!r} is missing", hint="give it")
    cells = [_json_cell(name, value.get(name)) for name in FIELDS]
    return tuple(cells)


def _json_cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "metadata":
        try:
            return canonical_metadata(value)
        except MetadataError as error:
            raise MetadataError(f"metadata: {error.message}", hint=error.hint) from None
    if not isinstance(value, str):
        raise FileFormatError(
            f"{name}: {str(value)[:100]} is a JSON {type(value).__name__}, not a string",
            hint="write it in quotation marks: numbers lose digits",
        )
    return value


class RefusedRows:
    """Writes refused rows in the format of their file, behind the columns of REFUSED."""

    def __init__(self, columns: tuple[str, ...], *, is_json: bool) -> None:
        self._is_json = is_json
        self._columns = tuple(name for name in columns if name not in REFUSED)
        self._places = [FIELDS.index(name) for name in self._columns]
        self._dropped = {i for i, name in enumerate(columns) if name in REFUSED}

    def header(self) -> str:
        """Return what the file begins with."""
        return "" if self._is_json else _csv_line((*REFUSED, *self._columns))

    def row(self, cells: Cells, *, why: str, key: str, readable: bool) -> str:
        """Return one row; `readable`: its cells are in the order of FIELDS, else as they were."""
        if not self._is_json:
            kept = [cell for i, cell in enumerate(cells) if i not in self._dropped]
            given = [cells[place] for place in self._places] if readable else kept
            return _csv_line((why, key, *given))
        named: dict[str, Any] = dict(zip(REFUSED, (why, key), strict=True))
        if readable:
            named |= {f: c for f, c in zip(FIELDS[:-1], cells, strict=False) if c or f in REQUIRED}
        else:
            named["line"] = cells[0]
        # It is JSON already, and may be nested deeper than this stack could read it again.
        metadata = named.pop("metadata", "")
        text = json.dumps(named, ensure_ascii=False)
        return (f'{text[:-1]}, "metadata": {metadata}}}' if metadata else text) + "\n"


def _csv_line(cells: Iterable[str]) -> str:
    # A cell with a lone CR is quoted only if the line's own end has one.
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"
