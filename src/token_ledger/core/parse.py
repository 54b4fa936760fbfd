"""Input at the edge: amounts, text, timestamps and metadata, read strictly or refused.

Every function returns the inner form or raises an InputError (or AmountRangeError) that names the
value, the rule and the way out. Nothing is rounded, trimmed, normalised or guessed.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from decimal import Decimal
from typing import Any

import orjson
import rfc8785

from token_ledger.core.joiners import without_joiners
from token_ledger.core.types import ESCROW_PREFIX, SYSTEM, UINT256_MAX
from token_ledger.errors import (
    AmountError,
    AmountRangeError,
    MetadataError,
    SystemAccountError,
    TextError,
    TimestampError,
)

ACCOUNT_ID_BYTES_MAX = 1_000
REASON_BYTES_MAX = 1_000
TEXT_BYTES_MAX = 65_536
TIMESTAMP_MAX = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z
SAFE_INTEGER_MAX = 2**53 - 1

Amount = str | int | Decimal
"""Human units of a token: `"12.5"`, `Decimal("12.5")` or a whole `int`. Never a float."""

_AMOUNT = re.compile(r"[0-9]{1,1000}(?:\.[0-9]{1,1000})?", re.ASCII)
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"([Zz]|[+-][0-9]{2}:?[0-9]{2})",
    re.ASCII,
)
_LONG_NUMBER = re.compile(r"[0-9]{16}", re.ASCII)
# What nearly every timestamp looks like, for the standard library's fast parser; hours below 24,
# because later Pythons read 24:00 as the next day.
_USUAL_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z",
    re.ASCII,
)
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def parse_amount(amount: Amount, *, decimals: int) -> int:
    """Return an amount of human units as base units, 0 < value < 2**256.

    Raises AmountError for floats, NaN, exponents, signs, separators and more decimals than the
    token has; AmountRangeError for zero, negative or too large ones.
    """
    text = _amount_text(amount)
    if text.startswith("-") and _AMOUNT.fullmatch(text[1:]):
        raise AmountRangeError(
            f"amount {text[:100]} is negative",
            hint="direction comes from the sides; amounts are above 0",
        )
    if not _AMOUNT.fullmatch(text):
        raise AmountError(f"not an amount: {text[:100]!r}", hint='write digits, as in "12.50"')
    whole, _, fraction = text.partition(".")
    significant = fraction.rstrip("0")
    if len(significant) > decimals:
        raise AmountError(
            f"amount {text[:100]} has {len(significant)} decimals, the token has {decimals}",
            hint="round it yourself: the ledger does not",
        )
    return check_value(int(whole + significant.ljust(decimals, "0")))


def _amount_text(amount: Amount) -> str:
    if isinstance(amount, str):
        return amount
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        raise AmountError(
            f"amount {amount!r} is a {type(amount).__name__}",
            hint="floats lose money: give a str, a Decimal or a whole int",
        )
    if isinstance(amount, Decimal):
        if not amount.is_finite():
            raise AmountError(f"amount {amount} is not a number", hint="give a finite Decimal")
        if amount.adjusted() > 80 or amount.as_tuple().exponent < -255:  # type: ignore[operator]
            raise AmountRangeError(
                f"amount {amount} is out of range", hint="0 < value < 2**256 base units"
            )
        return format(amount, "f")
    if abs(amount) > UINT256_MAX:  # str() of a hostile int would be quadratic, or refused
        raise AmountRangeError("amount is above 2**256 - 1", hint="split it, or check its units")
    return str(amount)


def check_value(value: int) -> int:
    """Return `value` if 0 < value < 2**256 base units; raise AmountRangeError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise AmountError(f"value {value!r} is not an int", hint="base units are whole")
    if not 0 < value <= UINT256_MAX:
        shown = value if abs(value) <= 10**80 else "of over 80 digits"
        raise AmountRangeError(
            f"value {shown} is out of range", hint="0 < value < 2**256 base units must hold"
        )
    return value


def format_amount(value: int, *, decimals: int) -> str:
    """Return base units as human units, with no trailing zeros: 373908.08, not 373908.0800."""
    sign, digits = ("-", -value) if value < 0 else ("", value)
    text = str(digits).rjust(decimals + 1, "0")
    if decimals == 0:
        return sign + text
    return sign + f"{text[:-decimals]}.{text[-decimals:]}".rstrip("0").rstrip(".")


def parse_text(text: str, *, what: str, bytes_max: int = TEXT_BYTES_MAX) -> str:
    """Return `text` unchanged if both engines can hold it.

    Raises TextError for U+0000, lone surrogates, and more than `bytes_max` bytes of UTF-8.
    """
    if not isinstance(text, str):
        raise TextError(f"{what} {text!r} is a {type(text).__name__}", hint="text is needed")
    if "\0" in text:
        raise TextError(f"{what} {text[:100]!r} holds U+0000", hint="PostgreSQL cannot store it")
    if text.isascii():
        size = len(text)
    else:
        try:
            size = len(text.encode("utf-8"))
        except UnicodeEncodeError:
            raise TextError(
                f"{what} {text[:100]!r} holds a lone surrogate", hint="it is not valid Unicode"
            ) from None
    if size > bytes_max:
        raise TextError(f"{what} is {size} bytes long", hint=f"at most {bytes_max} are kept")
    return text


def parse_account_id(text: str, *, allow_system: bool = False) -> str:
    """Return an account id: 1 to 1,000 bytes of text, any script, no control characters.

    A zero-width joiner or non-joiner counts as text where its neighbours are drawn otherwise
    without it (`core.joiners`). The prefix of the ledger's own ids is not counted, so that whoever
    has an id of full length may hold as well.
    """
    is_own = isinstance(text, str) and text.startswith(ESCROW_PREFIX)
    most = ACCOUNT_ID_BYTES_MAX + len(ESCROW_PREFIX) if is_own else ACCOUNT_ID_BYTES_MAX
    parse_text(text, what="account id", bytes_max=most)
    if not text or text != text.strip() or not without_joiners(text).isprintable():
        raise TextError(
            f"account id {text[:100]!r} is empty, has white space at an end, or is not printable",
            hint="it would look like another account",
        )
    if text == SYSTEM and not allow_system:
        raise SystemAccountError("`system` is not an account", hint="mint and burn deal with it")
    return text


def parse_key(text: str) -> str:
    """Return an idempotency key: text that is not empty."""
    parse_text(text, what="idempotency key")
    if not text:
        raise TextError("the idempotency key is empty", hint="leave it away to get a fresh one")
    return text


def parse_timestamp(given: str | dt.datetime) -> int:
    """Return microseconds since the epoch of a zoned time from 1970 to 9999.

    Takes ISO 8601 / RFC 3339 text or an aware datetime. Raises TimestampError for anything
    without a zone, finer than a microsecond, or outside.
    """
    if isinstance(given, dt.datetime):
        moment = given
        if moment.utcoffset() is None:
            raise TimestampError(
                f"timestamp {given.isoformat()} has no zone", hint="use an aware datetime"
            )
    else:
        moment = _read_iso(given)
    try:
        microseconds = (moment - _EPOCH) // _MICROSECOND
    except OverflowError:
        microseconds = -1
    if not 0 <= microseconds <= TIMESTAMP_MAX:
        raise TimestampError(f"timestamp {given} is out of range", hint="1970 to 9999, in UTC")
    return microseconds


def _read_iso(text: str) -> dt.datetime:
    if isinstance(text, str) and _USUAL_TIMESTAMP.fullmatch(text):
        try:
            return dt.datetime.fromisoformat(text)
        except ValueError:
            raise TimestampError(f"no such time: {text}", hint="check the day") from None
    match = _TIMESTAMP.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise TimestampError(
            f"not a timestamp with a zone: {str(text)[:100]!r}",
            hint="write 2024-05-01T12:00:00Z, or an offset such as +02:00",
        )
    *fields, fraction, zone = match.groups()
    digits = (fraction or "").rstrip("0")
    if len(digits) > 6:
        raise TimestampError(f"timestamp {text} is finer than a microsecond", hint="round it")
    try:
        offset = dt.timedelta()
        if zone not in "Zz":
            hours, minutes = int(zone[1:3]), int(zone[-2:])
            if hours > 23 or minutes > 59:
                raise ValueError(zone)  # noqa: TRY301
            offset = dt.timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)
        year, month, day, hour, minute, second = map(int, fields)
        return dt.datetime(
            year, month, day, hour, minute, second, int(digits.ljust(6, "0")), dt.timezone(offset)
        )
    except ValueError:
        raise TimestampError(f"no such time: {text}", hint="check the day and the hour") from None


def format_timestamp(microseconds: int) -> str:
    """Return RFC 3339 text in UTC, with as many decimals as needed: 2020-08-07T20:50:01.54Z."""
    moment = _EPOCH + dt.timedelta(microseconds=microseconds)
    text = moment.replace(tzinfo=None).isoformat(timespec="microseconds")
    return text.rstrip("0").rstrip(".") + "Z"


def canonical_metadata(metadata: Any) -> str:
    """Return the RFC 8785 text of a JSON value.

    Raises MetadataError for what JSON or RFC 8785 cannot hold without loss: NaN, infinities,
    integers beyond 2**53 - 1 (use a string; those that a float spells, as 1e20, too), keys that are
    not text, U+0000, lone surrogates.
    """
    try:
        text = rfc8785.dumps(metadata).decode("utf-8")
        orjson.loads(text)  # refuses nesting over 1,024 levels, of which `json` may die
        if _LONG_NUMBER.search(text):  # 1e20 comes out as an integer that could not be read again
            rfc8785.dumps(json.loads(text))
    except (ValueError, RecursionError, TypeError) as error:
        raise MetadataError(
            f"metadata cannot be canonicalized: {str(error)[:200]}",
            hint="RFC 8785 JSON; write integers beyond 2**53 as strings",
        ) from None
    if _ESCAPED_NUL.search(text):
        raise MetadataError("metadata holds U+0000", hint="PostgreSQL cannot store it")
    if len(text.encode("utf-8")) > TEXT_BYTES_MAX:
        raise MetadataError(
            f"metadata is over {TEXT_BYTES_MAX} bytes", hint="store it elsewhere; keep its hash"
        )
    return text


def parse_metadata(text: str) -> str:
    """Return the RFC 8785 text of JSON given as text.

    Raises MetadataError for what is not JSON, for duplicate keys, and as `canonical_metadata`.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) != len(keys):
            raise MetadataError(f"metadata repeats a key among {keys!r:.200}", hint="keep one")
        return dict(pairs)

    def refuse(constant: str) -> None:
        raise MetadataError(f"metadata holds {constant}", hint="JSON has no such number")

    try:
        orjson.loads(text)  # before `json`, whose nesting has no bound but the stack
        value = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"metadata is not JSON: {str(error)[:200]}", hint="check it") from None
    return canonical_metadata(value)
