"""Strict JSON: one spelling of a document, one of each value."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from tests.core.samples import short

from token_ledger.core import strict
from token_ledger.errors import FileFormatError

any_text = st.text(st.characters(codec="utf-8"), max_size=20)
documents = st.dictionaries(
    st.text(st.characters(codec="ascii"), max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 2**53 - 1) | any_text,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(st.characters(codec="ascii"), max_size=5), inner, max_size=4)
        ),
        max_leaves=10,
    ),
    max_size=5,
)
SPELLED = b'{"a":[1,null,true],"b":"\xc3\xa9\\n"}\n'


@given(documents)
def test_encoding_is_rfc_8785_and_a_newline(document: dict[str, Any]) -> None:
    """For what files carry (ASCII keys, any text, safe integers) the fast encoder is RFC 8785."""
    data = strict.encode(document)
    assert rfc8785.dumps(document) + b"\n" == data
    assert document == strict.decode(data)


def test_every_character_is_spelled_as_rfc_8785_says() -> None:
    """Control characters, quotes, and every plane of Unicode are escaped, or not, as they must."""
    characters = [*range(0x3000), *range(0xE000, 0xE200), *range(0xFE00, 0x10100), 0x10FFFF]
    document = {"text": "".join(map(chr, characters))}
    assert rfc8785.dumps(document) + b"\n" == strict.encode(document)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"null\n",
        b"[]\n",
        b'"text"\n',
        b"1\n",
        b"{}",
        b"{}\n\n",
        b"{}\r\n",
        b" {}\n",
        b"{ }\n",
        b"\xef\xbb\xbf{}\n",
        b'{"a":1}\0\n',
        b'{"b":1,"a":2}\n',
        b'{"a":1,"a":1}\n',
        b'{"a":1,"a":2}\n',
        b'{"a": 1}\n',
        b'{"a":1,}\n',
        b'{"a":01}\n',
        b'{"a":+1}\n',
        b'{"a":-0}\n',
        b'{"a":1e2}\n',
        b'{"a":NaN}\n',
        b'{"a":Infinity}\n',
        b'{"a":99999999999999999999999}\n',
        b'{"a":"\\u0041"}\n',
        b'{"a":"\\u00e9"}\n',
        b'{"a":"\\/"}\n',
        b'{"a":"\\u000A"}\n',
        b'{"a":"\\u001F"}\n',
        b'{"a":"\t"}\n',
        b'{"a":"\\ud800"}\n',
        b'{"a":"\xff"}\n',
        b'{"a":"\xed\xa0\x80"}\n',
        b'{"a":1}{"b":2}\n',
        b'{"a":1',
        b"{'a':1}\n",
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}\n",
        b'{"a":' + b"[" * 300 + b"]" * 300 + b"}\n",
        b'{"a":' + b"[" * 200_000,
        b"<html></html>",
        b"\x1f\x8b\x08\x00",
        SPELLED[:-1],
        SPELLED + b" ",
    ],
    ids=short,
)
def test_other_spellings_are_refused(data: bytes) -> None:
    """White space, order, duplicate keys, other escapes, BOM, cut-off or foreign: refused."""
    with pytest.raises(FileFormatError):
        strict.decode(data)


def test_every_prefix_is_refused() -> None:
    """A file cut off anywhere is refused."""
    assert strict.decode(SPELLED)
    for size in range(len(SPELLED)):
        with pytest.raises(FileFormatError):
            strict.decode(SPELLED[:size])


@given(st.binary(max_size=60))
def test_any_bytes_are_a_document_or_refused(data: bytes) -> None:
    """Whatever bytes come, the answer is their document or a FileFormatError."""
    try:
        document = strict.decode(data)
    except FileFormatError:
        return
    assert data == strict.encode(document)


@pytest.mark.parametrize(
    ("value", "keys"), [({}, {"a"}), ({"a": 1, "b": 2}, {"a"}), (None, {"a"}), ([], set())]
)
def test_objects_have_exactly_their_keys(value: object, keys: set[str]) -> None:
    """A missing key, an unknown key and what is no object are refused."""
    with pytest.raises(FileFormatError):
        strict.read_fields(value, "thing", frozenset(keys))


@pytest.mark.parametrize("value", [-1, 11, True, False, 1.0, "1", None, 2**64])
def test_integers_are_integers_within_bounds(value: object) -> None:
    """A bool, a float, text or a number outside is no integer."""
    with pytest.raises(FileFormatError):
        strict.read_integer(value, "thing", high=10)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "+1",
        "01",
        "00",
        "1.0",
        "1e3",
        "0x1",
        "1 ",
        " 1",
        "1\n",
        "1_0",
        "٣",
        "101",
        "9" * 80,
        5,
        None,
        True,
    ],
    ids=short,
)
def test_decimal_strings_have_one_spelling(value: object) -> None:
    """Leading zeros, signs, points, exponents, other digits and too large numbers are refused."""
    with pytest.raises(FileFormatError):
        strict.read_decimal(value, "thing", 100)


@given(st.integers(0, 2**256 - 1))
def test_decimal_strings_round_trip(value: int) -> None:
    """Any uint256 is read back from its decimal string."""
    assert value == strict.read_decimal(str(value), "thing", 2**256 - 1)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0x",
        "11" * 32,
        "0x" + "11" * 31,
        "0x" + "11" * 33,
        "0X" + "11" * 32,
        "0x" + "AA" * 32,
        "0x" + "1" * 63 + "g",
        "0x" + "1" * 63 + "\n",
        "0x" + "1" * 62 + "٣٣",
        None,
        5,
        b"0x",
    ],
    ids=short,
)
def test_hashes_have_one_spelling(value: object) -> None:
    """Only 0x and 64 lower-case digits are a hash."""
    with pytest.raises(FileFormatError):
        strict.read_bytes(value, "thing")


@pytest.mark.parametrize("value", ["", "0", "0x1", "0xAA", "0xgg", "aa", "0x 1", None, 1])
def test_blobs_have_one_spelling(value: object) -> None:
    """Only 0x and pairs of lower-case digits are bytes."""
    with pytest.raises(FileFormatError):
        strict.read_blob(value, "thing")


@given(st.binary(max_size=70))
def test_bytes_round_trip(data: bytes) -> None:
    """Any bytes are read back from their hex."""
    assert data == strict.read_blob(strict.to_hex(data), "thing")


@given(st.binary(min_size=20, max_size=20))
def test_addresses_have_one_spelling(address: bytes) -> None:
    """An address is read back from its EIP-55 text, and from no other spelling of it."""
    text = strict.address_text(address)
    assert address == strict.read_address(text, "thing")
    for other in {text.lower(), "0x" + text[2:].upper(), "0X" + text[2:]} - {text}:
        with pytest.raises(FileFormatError):
            strict.read_address(other, "thing")


@pytest.mark.parametrize("value", ["", "0x", "0x" + "00" * 19, "0x" + "00" * 21, "x" * 42, None, 0])
def test_what_is_no_address_is_refused(value: object) -> None:
    """Wrong lengths and other types are no address; the zero address is one."""
    with pytest.raises(FileFormatError):
        strict.read_address(value, "thing")
    assert bytes(20) == strict.read_address("0x" + "00" * 20, "thing")


@pytest.mark.parametrize("value", [None, {}, "ab", (1,)])
def test_what_is_no_list_is_refused(value: object) -> None:
    """Only a list is a list, not text and not an object."""
    with pytest.raises(FileFormatError):
        strict.read_list(value, "thing", lambda item: item)


@pytest.mark.parametrize("value", [None, 1, [], b"x"])
def test_what_is_no_text_is_refused(value: object) -> None:
    """Only text is text."""
    with pytest.raises(FileFormatError):
        strict.read_text(value, "thing")


def test_messages_stay_short() -> None:
    """However long the refused value is, the message is not."""
    with pytest.raises(FileFormatError) as caught:
        strict.read_bytes("0x" + "zz" * 10**6, "thing")
    assert len(str(caught.value)) < 300
