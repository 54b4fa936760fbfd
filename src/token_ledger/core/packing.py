"""Rows, version 1: the bytes that a replay transaction carries for one batch (docs/spec.md "Rows").

    byte  0      version, 1
    byte  1      V, bytes per value, 1 to 32: the least that holds the largest value
    bytes 2-3    A, number of accounts, big-endian, 2 to 65,535
    A × 20       account table: every address that a row names, strictly ascending
    N × 2 × R    references: from, to, as indexes into the table; R = 1 if A ≤ 256, else 2
    N × V        values, big-endian

A pure function of the entries: equal entries give equal bytes, and `unpack` refuses any other
form. The contract reads the same layout (`contracts/src`).
"""

from __future__ import annotations

from collections.abc import Sequence

from token_ledger.core.types import UINT256_MAX
from token_ledger.errors import FileFormatError

ROWS_VERSION = 1
HEADER_BYTES = 4
ACCOUNTS_MAX = 65_535
_WIDE = 256

Movement = tuple[bytes, bytes, int]
"""From address, to address, value: what one row says."""


def packed_size(*, accounts: int, rows: int, value_bytes: int) -> int:
    """Return the size in bytes of packed rows."""
    reference_bytes = 1 if accounts <= _WIDE else 2
    return HEADER_BYTES + 20 * accounts + rows * (2 * reference_bytes + value_bytes)


def value_width(value: int) -> int:
    """Return the least number of bytes that holds `value`, at least 1."""
    return (value.bit_length() + 7) // 8 or 1


def pack(movements: Sequence[Movement]) -> bytes:
    """Return the rows of a batch. At least one movement; at most 65,535 accounts."""
    table = sorted({side for movement in movements for side in movement[:2]})
    assert movements, "a batch is never empty"
    assert len(table) <= ACCOUNTS_MAX, "the planner keeps a batch small"
    width = value_width(max(value for _, _, value in movements))
    reference_bytes = 1 if len(table) <= _WIDE else 2
    index = {address: i.to_bytes(reference_bytes, "big") for i, address in enumerate(table)}
    parts = [bytes((ROWS_VERSION, width)), len(table).to_bytes(2, "big"), *table]
    for from_address, to_address, _ in movements:
        parts.append(index[from_address])
        parts.append(index[to_address])
    parts += [value.to_bytes(width, "big") for _, _, value in movements]
    return b"".join(parts)


def unpack(rows: bytes, *, count: int) -> list[Movement]:
    """Return the movements of packed rows, `count` of them.

    Raises FileFormatError unless the bytes are exactly what `pack` makes of those movements:
    version, size, order of the table, references, and no byte more than needed.
    """
    if len(rows) < HEADER_BYTES or rows[0] != ROWS_VERSION:
        raise FileFormatError(
            f"rows begin with 0x{rows[:1].hex()}, not with version {ROWS_VERSION}",
            hint="this release replays rows of version 1",
        )
    width, accounts = rows[1], int.from_bytes(rows[2:4], "big")
    expected = packed_size(accounts=accounts, rows=count, value_bytes=width)
    if not 1 <= width <= 32 or accounts < 2 or len(rows) != expected:
        raise FileFormatError(
            f"rows of {len(rows)} bytes do not hold {count} rows among {accounts} accounts",
            hint=f"{expected} bytes of {width}-byte values would",
        )
    reference_bytes = 1 if accounts <= _WIDE else 2
    table = [rows[i : i + 20] for i in range(4, 4 + 20 * accounts, 20)]
    references = _read_column(rows, start=4 + 20 * accounts, width=reference_bytes, n=2 * count)
    values_start = 4 + 20 * accounts + 2 * count * reference_bytes
    values = _read_column(rows, start=values_start, width=width, n=count)
    if references and max(references) >= accounts:
        raise FileFormatError(
            f"a row names account {max(references)} of {accounts}", hint="the rows were altered"
        )
    movements = [
        (table[references[2 * i]], table[references[2 * i + 1]], value)
        for i, value in enumerate(values)
    ]
    if not movements or any(not 0 < v <= UINT256_MAX for v in values) or pack(movements) != rows:
        raise FileFormatError("rows are not in canonical form", hint="the rows were altered")
    return movements


def _read_column(rows: bytes, *, start: int, width: int, n: int) -> list[int]:
    if width == 1:
        return list(rows[start : start + n])
    from_bytes = int.from_bytes
    return [from_bytes(rows[i : i + width], "big") for i in range(start, start + n * width, width)]
