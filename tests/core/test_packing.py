"""Rows: one form and no other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import reference
from tests.core.samples import movements, named, vectors
from tests.reference import hexed, unhexed

from token_ledger.core.address import to_checksum
from token_ledger.core.packing import Movement, pack, packed_size, unpack, value_width
from token_ledger.errors import FileFormatError

VECTORS = vectors("rows")


def _naive(rows: list[Movement]) -> bytes:
    return reference.pack_rows([(to_checksum(f), to_checksum(t), value) for f, t, value in rows])


@pytest.mark.parametrize("vector", named(VECTORS["valid"]))
def test_rows_of_the_vectors(vector: dict[str, Any]) -> None:
    """Movements are packed to the vector's bytes, and come back."""
    moves = [
        (unhexed(f.lower()), unhexed(t.lower()), int(value)) for f, t, value in vector["movements"]
    ]
    assert vector["rows"] == hexed(pack(moves))
    assert moves == unpack(unhexed(vector["rows"]), count=len(moves))


@pytest.mark.parametrize("vector", named(VECTORS["invalid"]))
def test_other_forms_are_refused(vector: dict[str, Any]) -> None:
    """What is not the canonical form of so many movements is refused, whatever the reason."""
    with pytest.raises(FileFormatError):
        unpack(unhexed(vector["rows"]), count=vector["count"])


@given(movements)
def test_round_trip(rows: list[Movement]) -> None:
    """Any movements are packed as the naive twin does it, in the planned size, and come back."""
    packed = pack(rows)
    assert _naive(rows) == packed
    assert rows == unpack(packed, count=len(rows))
    table = {side for row in rows for side in row[:2]}
    width = max(value_width(value) for *_, value in rows)
    assert len(packed) == packed_size(accounts=len(table), rows=len(rows), value_bytes=width)


@given(movements, st.data())
def test_altered_bytes_never_mean_the_same(rows: list[Movement], data: st.DataObject) -> None:
    """An altered byte is refused or gives other movements, of which it is the one form."""
    packed = bytearray(pack(rows))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    try:
        read = unpack(bytes(packed), count=len(rows))
    except FileFormatError:
        return
    assert rows != read
    assert bytes(packed) == pack(read)


@given(st.binary(max_size=200), st.integers(0, 10))
def test_any_bytes_are_read_or_refused(data: bytes, count: int) -> None:
    """Whatever bytes come, the answer is canonical movements or a FileFormatError."""
    try:
        read = unpack(data, count=count)
    except FileFormatError:
        return
    assert data == pack(read)


@given(movements, st.integers(2**31, 2**32 - 1))
def test_a_hostile_count_costs_nothing(rows: list[Movement], count: int) -> None:
    """A count of billions is refused by arithmetic, not by trying."""
    with pytest.raises(FileFormatError):
        unpack(pack(rows), count=count)


@pytest.mark.parametrize(
    ("value", "width"),
    [(0, 1), (1, 1), (255, 1), (256, 2), (2**64 - 1, 8), (2**64, 9), (2**256 - 1, 32)],
)
def test_value_width(value: int, width: int) -> None:
    """A value takes the least number of bytes that holds it, at least one."""
    assert width == value_width(value)


@pytest.mark.parametrize("accounts", [255, 256, 257, 258])
def test_reference_width_follows_the_number_of_accounts(accounts: int) -> None:
    """Up to 256 accounts a reference takes one byte, from 257 on two."""
    table = [i.to_bytes(20, "big") for i in range(accounts)]
    rows = [(table[0], side, 1) for side in table[1:]]
    reference_bytes = 1 if accounts <= 256 else 2
    packed = pack(rows)
    assert 4 + 20 * accounts + (2 * reference_bytes + 1) * len(rows) == len(packed)
    assert rows == unpack(packed, count=len(rows))
