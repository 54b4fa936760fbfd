"""Strict JSON: canonical bytes, and readers of one value each that name what they refuse.

The grammar of every file this package reads (docs/spec.md, "Files"): hashes in lower-case 0x-hex,
addresses in EIP-55, big numbers as decimal strings, small ones as JSON integers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import orjson

from token_ledger.core.address import to_checksum
from token_ledger.core.parse import SAFE_INTEGER_MAX
from token_ledger.errors import FileFormatError

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)
_HEX = re.compile(r"0x(?:[0-9a-f]{2})*", re.ASCII)
_T = TypeVar("_T")


def to_hex(data: bytes) -> str:
    """Return lower-case 0x-hex."""
    return "0x" + data.hex()


def encode(document: dict[str, Any]) -> bytes:
    """Return a document's file bytes: its RFC 8785 form and one newline.

    Holds for what these files carry: ASCII keys, text, and integers within 2**53.
    """
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def decode(data: bytes) -> dict[str, Any]:
    """Return the JSON object of a file's bytes, which must be exactly its canonical form."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FileFormatError(f"not JSON: {error}", hint="the file is cut off or foreign") from None
    if not isinstance(document, dict):
        raise FileFormatError("not a JSON object", hint="the file is foreign")
    try:
        canonical = encode(document)
    except orjson.JSONEncodeError:
        canonical = b""
    if canonical != data:
        raise FileFormatError(
            "not in canonical form (RFC 8785 and one newline)",
            hint="the file was altered or reformatted: get it again as exported",
        )
    return document


def refuse(what: str, value: object, rule: str) -> FileFormatError:
    """Return the error that says what `what` is, and what it must be."""
    return FileFormatError(f"{what} is {value!r:.120}", hint=f"it must be {rule}")


def read_fields(value: object, what: str, keys: frozenset[str]) -> dict[str, Any]:
    """Return an object that has exactly `keys`. Raises FileFormatError, as all readers do."""
    if not isinstance(value, dict):
        raise refuse(what, value, "an object")
    if value.keys() != keys:
        odd = sorted(value.keys() ^ keys)
        raise FileFormatError(
            f"{what} has unknown or missing keys: {', '.join(odd):.200}",
            hint=f"exactly {', '.join(sorted(keys))}",
        )
    return value


def read_text(value: object, what: str) -> str:
    """Return text."""
    if not isinstance(value, str):
        raise refuse(what, value, "text")
    return value


def read_integer(value: object, what: str, *, low: int = 0, high: int = SAFE_INTEGER_MAX) -> int:
    """Return an integer, low ≤ integer ≤ high; a float or a bool is none."""
    if type(value) is not int or not low <= value <= high:
        raise refuse(what, value, f"an integer from {low} to {high}")
    return value


def read_decimal(value: object, what: str, high: int) -> int:
    """Return the int of a decimal string without leading zeros, at most `high`."""
    if type(value) is not str or not _DECIMAL.fullmatch(value) or int(value) > high:
        raise refuse(what, value, f"a decimal string of at most {high}")
    return int(value)


def read_bytes(value: object, what: str, size: int = 32) -> bytes:
    """Return exactly `size` bytes of lower-case 0x-hex."""
    if type(value) is not str or len(value) != 2 + 2 * size or not _HEX.fullmatch(value):
        raise refuse(what, value, f"0x and {2 * size} lower-case hexadecimal digits")
    return bytes.fromhex(value[2:])


def read_blob(value: object, what: str) -> bytes:
    """Return bytes of lower-case 0x-hex, of any length."""
    if type(value) is not str or not _HEX.fullmatch(value):
        raise refuse(what, value, "lower-case 0x-hex")
    return bytes.fromhex(value[2:])


@lru_cache(maxsize=1 << 16)
def address_text(address: bytes) -> str:
    """Return the EIP-55 text of an address, remembered: a ledger has few accounts."""
    return to_checksum(address)


@lru_cache(maxsize=1 << 16)
def _parse_address(value: str) -> bytes | None:
    if len(value) != 42 or not _HEX.fullmatch(value.lower()):
        return None
    address = bytes.fromhex(value[2:])
    return address if to_checksum(address) == value else None


def read_address(value: object, what: str) -> bytes:
    """Return the 20 bytes of an EIP-55 address, the zero address included."""
    address = _parse_address(value) if type(value) is str else None
    if address is None:
        raise refuse(what, value, "an EIP-55 address")
    return address


def read_list(value: object, what: str, read: Callable[[object], _T]) -> tuple[_T, ...]:
    """Return a list, each item read by `read`."""
    if not isinstance(value, list):
        raise refuse(what, value, "a list")
    return tuple(map(read, value))
