"""Text, ids, keys and timestamps at the edge: kept exactly, or refused with a reason."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.samples import short

from token_ledger.core.parse import (
    ACCOUNT_ID_BYTES_MAX,
    TEXT_BYTES_MAX,
    TIMESTAMP_MAX,
    format_timestamp,
    parse_account_id,
    parse_key,
    parse_text,
    parse_timestamp,
)
from token_ledger.errors import (
    SystemAccountError,
    TextError,
    TimestampError,
)

# Text


@pytest.mark.parametrize(
    "text", ["", "a", "\n\t", "é", "e\u0301", "🚀", "\u202e", " ", "x" * 65536]
)
def test_text_is_kept_as_given(text: str) -> None:
    """Text comes back unchanged: nothing is trimmed or normalised."""
    assert text == parse_text(text, what="memo")


@pytest.mark.parametrize(
    "text",
    ["\0", "a\0b", "\ud800", "a\udfff", "x" * (TEXT_BYTES_MAX + 1), "é" * 32769, None, 5, b"x"],
)
def test_text_that_cannot_be_stored_is_refused(text: Any) -> None:
    """U+0000, lone surrogates, too long text and what is no text are refused."""
    with pytest.raises(TextError, match="memo"):
        parse_text(text, what="memo")


@pytest.mark.parametrize(
    "account_id",
    ["a", "user:1", "Zoë", "研究者", "🚀", "a b", "x" * 1000, "escrow:" + "x" * 1000],
    ids=short,
)
def test_good_account_ids(account_id: str) -> None:
    """Any printable text of 1 to 1,000 bytes is an account id; an escrow's has its prefix more."""
    assert account_id == parse_account_id(account_id)


@pytest.mark.parametrize(
    "account_id",
    [
        "",
        " ",
        " a",
        "a ",
        "a\n",
        "a\tb",
        "a\x7f",
        "a\u200bb",
        "a\u202eb",
        "a\u00a0b",
        "\ufeffa",
        "a\0",
        "\ud800",
        "x" * (ACCOUNT_ID_BYTES_MAX + 1),
        "escrow:" + "x" * (ACCOUNT_ID_BYTES_MAX + 1),
        None,
        1,
    ],
    ids=short,
)
def test_bad_account_ids(account_id: Any) -> None:
    """Empty, padded, invisible, control and overlong ids are refused."""
    with pytest.raises(TextError):
        parse_account_id(account_id)


def test_system_is_refused_unless_asked_for() -> None:
    """`system` is an account id only where the caller expects it."""
    with pytest.raises(SystemAccountError):
        parse_account_id("system")
    assert "system" == parse_account_id("system", allow_system=True)
    assert "System" == parse_account_id("System")


def test_keys_are_text_that_is_not_empty() -> None:
    """An empty idempotency key is refused, any other text is kept."""
    with pytest.raises(TextError):
        parse_key("")
    assert " k\n" == parse_key(" k\n")


# Timestamps


@pytest.mark.parametrize(
    ("given_text", "microseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000001Z", 1),
        ("2020-08-07T19:03:26.702Z", 1_596_827_006_702_000),
        ("2020-08-07T21:03:26.702+02:00", 1_596_827_006_702_000),
        ("2020-08-07 21:03:26.702+0200", 1_596_827_006_702_000),
        ("2020-08-07t19:03:26.702000000z", 1_596_827_006_702_000),
        ("2020-08-07T19:03:26.702-00:00", 1_596_827_006_702_000),
        ("1969-12-31T23:00:00-01:00", 0),
        ("2000-02-29T00:00:00Z", 951_782_400_000_000),
        ("9999-12-31T23:59:59.999999Z", TIMESTAMP_MAX),
        (dt.datetime(1970, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))), 0),
        (dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC), TIMESTAMP_MAX),
    ],
    ids=short,
)
def test_good_timestamps(given_text: Any, microseconds: int) -> None:
    """Zoned times from 1970 to 9999 become exact microseconds."""
    assert microseconds == parse_timestamp(given_text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-05-01",
        "2024-05-01T12:00:00",
        "2024-05-01T12:00Z",
        "2024-05-01T12:00:00.0000001Z",
        "2024-05-01T12:00:00.1234567Z",
        "2024-05-01T12:00:00,5Z",
        "2024-05-01T12:00:00.Z",
        "2024-05-01T24:00:00Z",
        "2024-05-01T23:59:60Z",
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "10000-01-01T00:00:00Z",
        "2024-05-01T12:00:00+24:00",
        "2024-05-01T12:00:00+02:60",
        "2024-05-01T12:00:00+2",
        "2024-05-01T12:00:00 +02:00",
        "2024-05-01T12:00:00UTC",
        " 2024-05-01T12:00:00Z",
        "2024-05-01T12:00:00Z\n",
        "٢٠٢٤-05-01T12:00:00Z",
        "20240501T120000Z",
        "1714564800",
        "yesterday",
        1714564800,
        1.5,
        None,
        dt.date(2024, 5, 1),
        dt.datetime(2024, 5, 1),
        dt.datetime(1969, 12, 31, tzinfo=dt.UTC),
        dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=23))),
        dt.datetime(9999, 12, 31, 23, tzinfo=dt.timezone(dt.timedelta(hours=-23))),
    ],
    ids=short,
)
def test_bad_timestamps(text: Any) -> None:
    """Without zone, too fine, impossible, outside 1970 to 9999, or no time at all: refused."""
    with pytest.raises(TimestampError):
        parse_timestamp(text)


@given(st.integers(0, TIMESTAMP_MAX))
def test_timestamps_round_trip(microseconds: int) -> None:
    """Any stored time is written in UTC and read back exactly."""
    text = format_timestamp(microseconds)
    assert text.endswith("Z")
    assert microseconds == parse_timestamp(text)
    assert microseconds == parse_timestamp(dt.datetime.fromisoformat(text))


@given(
    st.datetimes(
        min_value=dt.datetime(1970, 1, 2),
        max_value=dt.datetime(9999, 12, 30),
        timezones=st.integers(-1439, 1439)
        .map(lambda minutes: st.just(dt.timezone(dt.timedelta(minutes=minutes))))
        .flatmap(lambda zone: zone),
    )
)
def test_text_and_datetime_agree(moment: dt.datetime) -> None:
    """A datetime and its ISO text are the same instant."""
    assert parse_timestamp(moment) == parse_timestamp(moment.isoformat())


def test_timestamps_are_written_short() -> None:
    """As many decimals as needed, none where none are."""
    assert "1970-01-01T00:00:00Z" == format_timestamp(0)
    assert "2020-08-07T20:50:01.54Z" == format_timestamp(1_596_833_401_540_000)


@given(
    st.datetimes(min_value=dt.datetime(1970, 1, 1), max_value=dt.datetime(9999, 12, 31)),
    st.integers(0, 6),
)
def test_usual_and_unusual_spellings_are_one_time(moment: dt.datetime, digits: int) -> None:
    """The fast path for `…Z` reads what the slow one reads for `…+00:00`, digit for digit."""
    text = moment.isoformat(timespec="microseconds")
    text = text[: 19 + digits + 1] if digits else text[:19]
    assert parse_timestamp(text + "+00:00") == parse_timestamp(text + "Z")
