"""JSON-RPC values of a block, decoded strictly: quantities and data, nothing guessed.

Raises ValueError, as every reader of a node's answer does: `Rpc.decoding` turns it into an RpcError
that names method and node. Leading zeros and upper-case digits are read: some nodes write them.
"""

from __future__ import annotations

import re
from typing import NoReturn

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}", re.ASCII)
DATA_BYTES_MAX = 1 << 26
"""No field of a block is as large: a block's gas does not pay for it."""


def decode_quantity(value: object, *, bits: int = 256) -> int:
    """Return a quantity as an int below 2**bits."""
    if type(value) is not str or _QUANTITY.fullmatch(value) is None:
        raise ValueError(f"{value!r:.80} is not a quantity")
    number = int(value, 16)
    if number >> bits:
        raise ValueError(f"{value:.80} is wider than {bits} bits")
    return number


def decode_data(value: object, *, size: int | None = None) -> bytes:
    """Return data as bytes, exactly `size` of them where it is given."""
    if type(value) is not str or value[:2] != "0x" or len(value) > 2 * DATA_BYTES_MAX:
        raise ValueError(f"{value!r:.80} is not hexadecimal data")
    try:
        data = bytes.fromhex(value[2:])
    except ValueError:
        raise ValueError(f"{value!r:.80} is not hexadecimal data") from None
    # `fromhex` skips white space: the length tells.
    if 2 * len(data) + 2 != len(value) or (size is not None and len(data) != size):
        raise ValueError(f"{value!r:.80} is not {size or 'whole'} bytes of hexadecimal data")
    return data


def field(item: dict[str, object], name: str) -> object:
    """Return a field that must be there. Raises ValueError, with the name, where it is not."""
    try:
        return item[name]
    except KeyError:
        raise ValueError(f"{name} is missing") from None


def refuse(what: str) -> NoReturn:
    """Raise the ValueError that says why an answer is none, of whatever type it is."""
    raise ValueError(what)
