"""PostgreSQL's binary COPY, by the column: fields of many rows, joined into rows in one go.

Half the server's work of the text format, and a quarter fewer bytes. A field is its size in four
bytes and its data, -1 and nothing for NULL (PostgreSQL's manual, COPY, "Binary Format"). Knows no
table: `mirror_rows` does.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from token_ledger.core.transfers import Cut

HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TAIL = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
# Two decimal digits, as hexadecimal would have them, to the number that they say.
_OF_BCD = bytes(
    10 * (byte >> 4) + (byte & 15) if byte & 15 < 10 > byte >> 4 else 0 for byte in range(256)
)


def row(fields: int) -> bytes:
    """Return what begins a row."""
    return fields.to_bytes(2, "big")


def size(length: int) -> bytes:
    """Return what begins a field of so many bytes."""
    return length.to_bytes(4, "big")


def binary(data: bytes) -> bytes:
    """Return a field of bytes."""
    return size(len(data)) + data


def integer(number: int) -> bytes:
    """Return a field of an INTEGER."""
    return size(4) + number.to_bytes(4, "big", signed=True)


@functools.lru_cache(maxsize=4096)  # places within a block, most of which come in every block
def bigint(number: int | None) -> bytes:
    """Return a field of a BIGINT."""
    return _NULL if number is None else size(8) + number.to_bytes(8, "big", signed=True)


def bigints(numbers: Sequence[int | None]) -> list[bytes]:
    """Return fields of BIGINTs, most of which come more than once."""
    made = {number: bigint(number) for number in set(numbers)}
    return [made[number] for number in numbers]


def numerics(values: Sequence[bytes]) -> tuple[bytes, Sequence[bytes]]:
    """Return what begins the field of a NUMERIC, and how each of these big-endian numbers ends it.

    The server takes digits to the base of 10,000, two bytes each; leading zeros do not matter.
    """
    numbers = [int.from_bytes(value, "big") for value in values]
    digits = -(-len(str(max(numbers))) // 4)
    decimal = (f"%0{4 * digits}d" * len(numbers)) % tuple(numbers)
    hundreds = bytes.fromhex(decimal).translate(_OF_BCD)
    # All digits at once, as lanes of one long number: 256 a + b becomes 100 a + b.
    lanes = int.from_bytes(hundreds, "big")
    upper = (lanes >> 8) & int.from_bytes(b"\0\xff" * (len(hundreds) // 2), "big")
    raw = (lanes - 156 * upper).to_bytes(len(hundreds), "big")
    weight, sign, scale = digits - 1, 0, 0
    head = b"".join(number.to_bytes(2, "big") for number in (digits, weight, sign, scale))
    return size(8 + 2 * digits) + head, Cut(raw, size=2 * digits, start=0, step=2 * digits)[:]


def joined(*columns: bytes | Sequence[bytes]) -> bytes:
    """Return rows: of each column the next part, or ever the same one."""
    count = max(len(column) for column in columns if not isinstance(column, bytes))
    parts = [b""] * (len(columns) * count)
    for place, column in enumerate(columns):
        parts[place :: len(columns)] = [column] * count if isinstance(column, bytes) else column
    return b"".join(parts)
