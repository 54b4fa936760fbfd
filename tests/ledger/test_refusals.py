"""What posting refuses: amounts, words, sides and records, each with its own error."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from tests.ledger.test_posting import figures

from token_ledger.core.types import Record, Texts
from token_ledger.errors import (
    AmountError,
    AmountRangeError,
    InputError,
    MetadataError,
    SelfTransferError,
    SystemAccountError,
    TextError,
    TimestampError,
    TokenLedgerError,
    UnknownAccountError,
)
from token_ledger.ledger import Ledger


@pytest.mark.parametrize(
    ("amount", "error"),
    [
        (0, AmountRangeError),
        ("0.0", AmountRangeError),
        ("-1", AmountRangeError),
        (-1, AmountRangeError),
        (2**256, AmountRangeError),
        (Decimal("-0.5"), AmountRangeError),
        (1.5, AmountError),
        (True, AmountError),
        (None, AmountError),
        ("1e3", AmountError),
        ("NaN", AmountError),
        (Decimal("NaN"), AmountError),
        ("1,000", AmountError),
        (" 1", AmountError),
        ("", AmountError),
        ("0.0000000000000000001", AmountError),
        (Decimal("1E-19"), AmountError),
    ],
)
def test_bad_amounts_are_refused(
    amount: Any, error: type[TokenLedgerError], ledger: Ledger
) -> None:
    """Floats, NaN, exponents, too many decimals, zero, negative and huge ones are refused."""
    before = figures(ledger)
    with pytest.raises(error):
        ledger.transfer("alice", "bob", amount, reason="gift")
    assert before == figures(ledger)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"memo": "a\0b"}, TextError),
        ({"memo": "\ud800"}, TextError),
        ({"memo": "x" * 65_537}, TextError),
        ({"reason": "x" * 1_001}, TextError),
        ({"reason": "é" * 501}, TextError),
        ({"idempotency_key": ""}, TextError),
        ({"idempotency_key": "\0"}, TextError),
        ({"reference": ("a\0", "b")}, TextError),
        ({"metadata": {"a": 2**53}}, MetadataError),
        ({"metadata": {"a": float("nan")}}, MetadataError),
        ({"metadata": {"a": "\0"}}, MetadataError),
        ({"metadata": {1: 2}}, MetadataError),
        ({"timestamp": "2020-01-01"}, TimestampError),
        ({"timestamp": "2020-01-01T00:00:00"}, TimestampError),
        ({"timestamp": "2020-01-01T00:00:00.0000001Z"}, TimestampError),
        ({"timestamp": "1969-12-31T23:59:59Z"}, TimestampError),
        ({"timestamp": dt.datetime(2020, 1, 1)}, TimestampError),
    ],
    ids=lambda value: str(value)[:40].encode("unicode_escape").decode(),
)
def test_bad_words_are_refused(words: Any, error: type[InputError], ledger: Ledger) -> None:
    """Text that one engine could not hold, and times that are not exact, are refused."""
    before = figures(ledger)
    with pytest.raises(error):
        ledger.transfer("alice", "bob", 1, **({"reason": "gift"} | words))
    assert before == figures(ledger)


@pytest.mark.parametrize(
    ("sides", "error"),
    [
        (("alice", "alice"), SelfTransferError),
        (("alice", "nobody"), UnknownAccountError),
        (("nobody", "alice"), UnknownAccountError),
        (("system", "system"), SystemAccountError),
        (("system", "alice"), SystemAccountError),
        (("alice", "system"), SystemAccountError),
        (("alice", ""), TextError),
        (("alice", " bob"), TextError),
        (("alice", "bob\n"), TextError),
    ],
    ids=str,
)
def test_bad_sides_are_refused(
    sides: tuple[str, str], error: type[TokenLedgerError], ledger: Ledger
) -> None:
    """Self-transfers, unknown accounts and ids that look like another's are refused."""
    with pytest.raises(error):
        ledger.transfer(*sides, 1, reason="gift")


def test_mint_to_system_is_refused(ledger: Ledger) -> None:
    """`system` is no account to mint to or to burn from."""
    for verb in (ledger.mint, ledger.burn):
        with pytest.raises(SystemAccountError):
            verb("system", 1, reason="x")


def test_records_are_checked_where_they_are_posted(ledger: Ledger) -> None:
    """A record made by hand meets the same checks as one made from words."""
    for record, error in (
        (Record("alice", "bob", 0), AmountRangeError),
        (Record("alice", "bob", 2**256), AmountRangeError),
        (Record("system", "system", 1), SelfTransferError),
        (Record("alice", "bob", 1, Texts(metadata='{"a": 1}')), MetadataError),
        (Record("alice", "bob", 1, Texts(metadata="{")), MetadataError),
        (Record("alice", "bob", 1, timestamp=-1), TimestampError),
        (Record("alice", "bob", 1, timestamp=2**60), TimestampError),
        (Record("alice", "bob", 1, idempotency_key=""), TextError),
    ):
        with pytest.raises(error):
            ledger.post_many([record])
