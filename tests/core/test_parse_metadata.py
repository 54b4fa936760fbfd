"""Metadata at the edge: RFC 8785 text that loses nothing, or refused with a reason."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from tests.core.samples import named, short, vectors

from token_ledger.core.parse import (
    TEXT_BYTES_MAX,
    canonical_metadata,
    parse_metadata,
)
from token_ledger.errors import (
    MetadataError,
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_canonical_metadata_can_be_read_again(value: Any) -> None:
    """What is canonicalized is RFC 8785 text that is its own canonical form, or it is refused."""
    try:
        text = canonical_metadata(value)
    except MetadataError:
        return
    assert rfc8785.dumps(value).decode("utf-8") == text
    assert text == parse_metadata(text)


@given(st.dictionaries(st.text("ab\ue000\U00010000", max_size=3), st.integers(0, 9), max_size=6))
def test_key_order_does_not_matter(value: dict[str, int]) -> None:
    """Two spellings of the same object have one canonical text."""
    backwards = dict(reversed(value.items()))
    assert canonical_metadata(value) == canonical_metadata(backwards)
    assert canonical_metadata(value) == parse_metadata(json.dumps(backwards, indent=3))


@pytest.mark.parametrize(
    "metadata",
    [
        float("nan"),
        float("inf"),
        {"a": float("-inf")},
        2**53,
        -(2**53),
        [10**30],
        1e20,
        {"a": [2.0**53]},
        {1: "a"},
        {None: 1},
        {"a": b"bytes"},
        {"a": {1, 2}},
        {"a": Ellipsis},
        {"a": Decimal(1)},
        "\0",
        {"a\0": 1},
        {"a": ["\0"]},
        "\ud800",
        {"\udc00": 1},
        "x" * TEXT_BYTES_MAX,
        "é" * (TEXT_BYTES_MAX // 2),
    ],
    ids=short,
)
def test_bad_metadata(metadata: Any) -> None:
    """What RFC 8785 or either engine cannot hold without loss is refused."""
    with pytest.raises(MetadataError):
        canonical_metadata(metadata)


def test_endless_nesting_is_refused() -> None:
    """Nesting beyond the interpreter's depth is an error of ours, as value and as text."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(MetadataError):
        canonical_metadata(deep)
    with pytest.raises(MetadataError):
        parse_metadata("[" * 100_000 + "]" * 100_000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "{}x",
        "{'a': 1}",
        '{"a": 1,}',
        '{"a": 1, "a": 1}',
        '{"b": {"a": 1, "\\u0061": 2}}',
        "NaN",
        "[Infinity]",
        "-Infinity",
        "9007199254740992",
        "9007199254740993.0",
        "1e20",
        "1" * 5000,
        "01",
        "+1",
        ".5",
        "\ufeff{}",
        '"\\u0000"',
        '"\\ud800"',
        '"a\nb"',
        "undefined",
    ],
    ids=short,
)
def test_bad_metadata_text(text: str) -> None:
    """What is not JSON, repeats a key, or loses precision is refused."""
    with pytest.raises(MetadataError):
        parse_metadata(text)


@pytest.mark.parametrize(
    "vector", named([v for v in vectors("entries")["entries"] if v["metadata"] is not None])
)
def test_metadata_of_the_vectors(vector: dict[str, Any]) -> None:
    """Canonical texts written down by hand come out."""
    assert vector["metadataText"] == parse_metadata(vector["metadata"])


def test_a_backslash_before_u0000_is_text() -> None:
    """The six characters of an escape, themselves escaped, are no U+0000."""
    assert r'"\\u0000"' == canonical_metadata("\\u0000")
    with pytest.raises(MetadataError):
        canonical_metadata("\\\0")
