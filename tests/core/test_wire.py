"""JSON-RPC values: read strictly, refused with a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_ledger.core.wire import DATA_BYTES_MAX, decode_data, decode_quantity, field

NOT_TEXT = [None, True, 1, 1.5, b"0x01", [], {}, ["0x01"]]


@given(st.integers(min_value=0, max_value=2**256 - 1))
def test_quantities_are_read_back(number: int) -> None:
    """A quantity of up to 256 bits is read, in upper case and with leading zeros as well."""
    assert number == decode_quantity(hex(number))
    assert number == decode_quantity("0x" + f"{number:064X}")


@given(st.binary(max_size=100))
def test_data_is_read_back(data: bytes) -> None:
    """Data is read in either case, and only of the size that was asked for."""
    assert data == decode_data("0x" + data.hex()) == decode_data("0x" + data.hex().upper())
    with pytest.raises(ValueError, match="hexadecimal data"):
        decode_data("0x" + data.hex(), size=len(data) + 1)


@pytest.mark.parametrize(
    "value", [*NOT_TEXT, "", "0x", "0x" + "1" * 65, "12", "-0x1", "0x1 ", "0x1_0", "0x１", "0xg"]
)
def test_what_is_no_quantity_is_refused(value: object) -> None:
    """Numbers, null, signs, blanks, other digits and endless texts are no quantities."""
    with pytest.raises(ValueError, match="not a quantity"):
        decode_quantity(value)


def test_a_quantity_too_wide_is_refused() -> None:
    """The width that was asked for is kept."""
    assert 255 == decode_quantity("0xff", bits=8)
    with pytest.raises(ValueError, match="wider than 8 bits"):
        decode_quantity("0x100", bits=8)


@pytest.mark.parametrize("value", [*NOT_TEXT, "", "0", "0x0", "0X00", "0x0g", "0x00 1", "0x 0 0"])
def test_what_is_no_data_is_refused(value: object) -> None:
    """Half bytes, blanks (which Python would skip) and other types are no data."""
    with pytest.raises(ValueError, match="hexadecimal data"):
        decode_data(value)


def test_endless_data_is_refused() -> None:
    """Data larger than any field of a block is refused before it is decoded."""
    with pytest.raises(ValueError, match="not hexadecimal data"):
        decode_data("0x" + "00" * (DATA_BYTES_MAX + 1))


def test_a_missing_field_is_named() -> None:
    """A field that is not there is refused by name; one that is null is the reader's to judge."""
    assert field({"gas": None}, "gas") is None
    with pytest.raises(ValueError, match="gas is missing"):
        field({}, "gas")
