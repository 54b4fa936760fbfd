"""Rows of a load: what they say, and the key of a row without one."""

from __future__ import annotations

import json

import pytest
import rfc8785
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from token_ledger.core.loadrow import BadRowKeys, ContentKeys, RowParser
from token_ledger.errors import (
    AmountError,
    InputError,
    MetadataError,
    SelfTransferError,
    TextError,
    TimestampError,
)

CELLS = ("2020-01-01T00:00:00.5Z", "system", "ann", "1.50", "r", "t", "i", "m", "", '{"a":1}', "")


def changed(**cells: str) -> tuple[str, ...]:
    names = ("timestamp", "from_account", "to_account", "amount", "reason", "reference_type",
             "reference_id", "memo", "idempotency_key", "metadata", "refused_key")  # fmt: skip
    return tuple(cells.get(name, old) for name, old in zip(names, CELLS, strict=True))


def test_row_is_read_into_the_inner_form() -> None:
    """Times become microseconds, amounts base units, account ids their indexes."""
    parser = RowParser(decimals=2)
    row = parser.parse(7, changed(idempotency_key="k"))
    time = 1_577_836_800_500_000
    assert (7, time, 0, 1, 150, "r", "t", "i", "m", '{"a":1}', "k", None) == row
    assert ["system", "ann"] == parser.names
    assert parser.mints_or_burns
    parser.parse(8, changed(from_account="ann", to_account="bea"))
    assert ["system", "ann", "bea"] == parser.names
    assert [0, 7, 8] == list(parser.first_lines)


def test_content_is_the_hash_of_canonical_json() -> None:
    """The content of a row without a key is the documented hash, made here word by word."""
    row = RowParser(decimals=2).parse(2, CELLS)
    array = ["1577836800500000", "system", "ann", "150", "r", "t", "i", "m", '{"a":1}']
    text = json.dumps(array, separators=(",", ":"), ensure_ascii=False)
    assert keccak(text.encode()) == row[11]


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=50))
def test_content_is_rfc_8785_for_any_text(memo: str) -> None:
    """Control characters, quotes and every script are hashed in their RFC 8785 form."""
    row = RowParser(decimals=2).parse(2, changed(memo=memo))
    array = ["1577836800500000", "system", "ann", "150", "r", "t", "i", memo, '{"a":1}']
    assert keccak(rfc8785.dumps(array)) == row[11]


def test_spelling_does_not_change_the_content() -> None:
    """1.5 and 1.50, Z and +00:00, spaces in JSON: the same row."""
    parser = RowParser(decimals=2)
    spellings = [
        CELLS,
        changed(amount="1.5", timestamp="2020-01-01T01:00:00.500000+01:00", metadata='{"a": 1}'),
    ]
    assert 1 == len({parser.parse(2, cells)[11] for cells in spellings})


@pytest.mark.parametrize(
    "cell",
    [
        {"timestamp": "2020-01-01T00:00:01Z"},
        {"to_account": "bea"},
        {"amount": "1.51"},
        {"reason": "rt", "reference_type": ""},
        {"reason": "", "reference_type": "rt"},
        {"memo": "M"},
        {"metadata": ""},
        {"metadata": "null"},
    ],
    ids=str,
)
def test_every_word_changes_the_content(cell: dict[str, str]) -> None:
    """Another time, side, amount or text is another row, and text cannot be shifted."""
    parser = RowParser(decimals=2)
    assert parser.parse(2, CELLS)[11] != parser.parse(3, changed(**cell))[11]


def test_identical_rows_are_numbered() -> None:
    """The second of two identical rows is another payment: it gets ordinal 1."""
    parser = RowParser(decimals=2)
    contents = [
        parser.parse(i, changed(memo=memo))[11] for i, memo in enumerate(["x", "y", "x", "x"])
    ]
    keys = ContentKeys(parser.fingerprints)
    found = [keys.key(content) for content in contents if content]
    assert ["0", "0", "1", "2"] == [key.rpartition(":")[2] for key in found]
    assert f"load:{contents[1].hex()}:0" == found[1]  # type: ignore[union-attr]


@given(st.lists(st.integers(0, 4), max_size=30))
def test_ordinals_count_all_that_came_before(numbers: list[int]) -> None:
    """Counting only what may repeat gives the ordinals that counting everything gives."""
    parser = RowParser(decimals=0)
    contents = [
        parser.parse(i, changed(amount="1", memo=str(n)))[11] for i, n in enumerate(numbers)
    ]
    keys = ContentKeys(parser.fingerprints)
    found = [int(keys.key(content).rpartition(":")[2]) for content in contents if content]
    assert [numbers[:i].count(n) for i, n in enumerate(numbers)] == found


def test_bad_rows_get_keys_of_their_own() -> None:
    """The key of a row that could not be read is of its cells and their ordinal."""
    keys = BadRowKeys()
    first, other, again = (keys.key(cells) for cells in (("a",), ("b",), ("a",)))
    assert 3 == len({first, other, again})
    assert first.replace(":0", ":1") == again
    assert first.startswith("load-refused:")
    assert keys.key(("\ud800",))


@pytest.mark.parametrize(
    ("cell", "error", "column"),
    [
        ({"timestamp": ""}, TimestampError, "timestamp"),
        ({"from_account": ""}, TextError, "from_account"),
        ({"to_account": " x"}, TextError, "to_account"),
        ({"to_account": "system"}, SelfTransferError, "to_account"),
        ({"amount": "1.005"}, AmountError, "amount"),
        ({"amount": "1e2"}, AmountError, "amount"),
        ({"reason": "x" * 1001}, TextError, "reason"),
        ({"reference_type": "\0"}, TextError, "reference_type"),
        ({"reference_id": "\ud800"}, TextError, "reference_id"),
        ({"memo": "é" * 40_000}, TextError, "memo"),
        ({"idempotency_key": "\0"}, TextError, "idempotency_key"),
        ({"metadata": "{"}, MetadataError, "metadata"),
        ({"metadata": '{"a":1,"a":2}'}, MetadataError, "metadata"),
    ],
    ids=str,
)
def test_bad_cell_is_refused_with_its_column(
    cell: dict[str, str], error: type[InputError], column: str
) -> None:
    """The parser says which column it was reading, and keeps nothing of the row."""
    parser = RowParser(decimals=2)
    with pytest.raises(error):
        parser.parse(2, changed(**cell))
    assert column == parser.column
    assert (["system"], 0, False) == (
        parser.names,
        len(parser.fingerprints),
        parser.mints_or_burns,
    )


def test_cells_again() -> None:
    """A row is written back in the normal spelling, and reads as the same row."""
    parser = RowParser(decimals=2)
    row = parser.parse(2, changed(idempotency_key="k"))
    assert row == parser.parse(2, parser.cells(row))
    assert "1.5" == parser.cells(row)[3]


def test_spare_key_serves_where_there_is_none() -> None:
    """`refused_key` is the key of a row that has none of its own, and of no other."""
    parser = RowParser(decimals=2)
    assert "rk" == parser.parse(2, changed(refused_key="rk"))[10]
    assert "k" == parser.parse(2, changed(idempotency_key="k", refused_key="rk"))[10]
