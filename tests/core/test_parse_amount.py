"""Amounts at the edge: exact base units, or refused with a reason."""

from __future__ import annotations

import decimal
import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.samples import short, values

from token_ledger.core.parse import (
    check_value,
    format_amount,
    parse_amount,
)
from token_ledger.errors import (
    AmountError,
    AmountRangeError,
)

MAX = 2**256 - 1


@pytest.mark.parametrize(
    ("amount", "decimals", "value"),
    [
        ("1", 0, 1),
        ("12.5", 2, 1250),
        ("12.50", 2, 1250),
        ("12.500000", 1, 125),
        ("0.000001", 6, 1),
        ("007", 0, 7),
        ("1.0", 0, 1),
        (3, 18, 3 * 10**18),
        (Decimal("12.5"), 2, 1250),
        (Decimal("1E+3"), 2, 100_000),
        (Decimal("1E-18"), 18, 1),
        (Decimal("1.10"), 1, 11),
        ("373908.08", 18, 373_908_080_000_000_000_000_000),
        (str(MAX), 0, MAX),
        (MAX, 0, MAX),
        (Decimal(MAX), 0, MAX),
        (format_amount(MAX, decimals=18), 18, MAX),
        (format_amount(MAX, decimals=255), 255, MAX),
        ("0." + "0" * 254 + "1", 255, 1),
    ],
    ids=short,
)
def test_good_amounts(amount: Any, decimals: int, value: int) -> None:
    """Human units as text, Decimal or int become exact base units."""
    assert value == parse_amount(amount, decimals=decimals)


@given(values, st.integers(0, 255))
def test_amounts_round_trip(value: int, decimals: int) -> None:
    """Any value is written in human units and read back, as text and as Decimal."""
    text = format_amount(value, decimals=decimals)
    assert value == parse_amount(text, decimals=decimals)
    assert value == parse_amount(Decimal(text), decimals=decimals)


@given(values, st.integers(0, 30))
def test_decimal_context_does_not_matter(value: int, decimals: int) -> None:
    """A caller's low decimal precision rounds nothing."""
    amount = Decimal(format_amount(value, decimals=decimals))
    with decimal.localcontext() as context:
        context.prec = 3
        assert value == parse_amount(amount, decimals=decimals)


@pytest.mark.parametrize(
    "amount",
    [
        1.5,
        1.0,
        float("nan"),
        float("inf"),
        True,
        None,
        b"1",
        [1],
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("-Infinity"),
        "",
        " ",
        "nan",
        "NaN",
        "inf",
        "1e18",
        "1E5",
        "1e-7",
        "+1",
        "--1",
        "- 1",
        "−1",
        " 1",
        "1 ",
        "1\n",
        "\t1",
        "1 000",
        "1_000",
        "1,5",
        "1,000.00",
        "1'000",
        "0x10",
        ".5",
        "5.",
        ".",
        "1.2.3",
        "1.-2",
        "½",
        "１２",
        "٣",
        "१",
        "²",
        "1\x00",
        "\ud800",
        "$5",
        "5 DAI",
        "9" * 5000,
    ],
    ids=short,
)
def test_what_is_no_amount_is_refused(amount: Any) -> None:
    """Floats, NaN, exponents, signs, separators, white space, foreign digits, units: refused."""
    with pytest.raises(AmountError):
        parse_amount(amount, decimals=18)


@pytest.mark.parametrize(
    "amount",
    [
        "0",
        "0.0",
        "000",
        0,
        Decimal(0),
        Decimal("0E+90"),
        Decimal("-0"),
        "-1",
        "-0.5",
        "-0",
        -1,
        Decimal(-1),
        str(MAX + 1),
        MAX + 1,
        -MAX - 1,
        10**5000,
        Decimal(MAX + 1),
        Decimal("1E+100"),
        Decimal("1E+999999"),
        Decimal("1E-999999"),
        "9" * 79,
        "9" * 1000,
    ],
    ids=short,
)
def test_amounts_outside_the_range_are_refused(amount: Any) -> None:
    """Zero, negative amounts and those of 2**256 base units or more are refused as such."""
    with pytest.raises(AmountRangeError):
        parse_amount(amount, decimals=0)


@pytest.mark.parametrize(
    ("amount", "decimals"),
    [("0.1", 0), ("1.001", 2), (Decimal("0.001"), 2), ("0." + "0" * 18 + "1", 18)],
)
def test_more_decimals_than_the_token_has_are_refused(amount: Any, decimals: int) -> None:
    """Excess precision is an error that names both counts: nothing is rounded."""
    with pytest.raises(AmountError, match=rf"decimals, the token has {decimals} "):
        parse_amount(amount, decimals=decimals)


def test_the_bound_holds_in_base_units() -> None:
    """The largest amount of an 18-decimals token passes, one base unit more does not."""
    largest = format_amount(MAX, decimals=18)
    assert MAX == parse_amount(largest, decimals=18)
    with pytest.raises(AmountRangeError):
        parse_amount(format_amount(MAX + 1, decimals=18), decimals=18)


@given(st.text(max_size=30) | st.text("0123456789.+-eE_ ,", max_size=12))
def test_any_text_is_an_amount_or_an_error_of_ours(text: str) -> None:
    """Whatever text comes, the answer is a value that Decimal agrees with, or our error."""
    try:
        value = parse_amount(text, decimals=6)
    except (AmountError, AmountRangeError):
        return
    assert Decimal(value) == Decimal(text).scaleb(6)


@pytest.mark.parametrize("value", [0, -1, 2**256, -(10**100), 10**100], ids=short)
def test_values_outside_the_range_are_refused(value: int) -> None:
    """`0 < value < 2**256` is checked on base units too, without printing a novel."""
    with pytest.raises(AmountRangeError) as caught:
        check_value(value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [True, 1.0, "1", None, Decimal(1)])
def test_values_are_ints(value: Any) -> None:
    """Base units are `int`: nothing else is taken for one."""
    with pytest.raises(AmountError):
        check_value(value)


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0, 18, "0"),
        (1, 18, "0.000000000000000001"),
        (1250, 2, "12.5"),
        (1000, 2, "10"),
        (100, 0, "100"),
        (-1250, 2, "-12.5"),
        (MAX, 0, str(MAX)),
    ],
    ids=short,
)
def test_amounts_are_written_without_trailing_zeros(value: int, decimals: int, text: str) -> None:
    """Base units are written as the shortest exact human amount."""
    assert text == format_amount(value, decimals=decimals)


def test_amounts_agree_with_ethers(shared_data: Path) -> None:
    """The unit vectors of ethers come out both ways."""
    data = gzip.decompress((shared_data / "vectors/ethers/units.json.gz").read_bytes())
    units = {"kwei": 3, "mwei": 6, "gwei": 9, "szabo": 12, "finney": 15, "ether": 18}
    checked = 0
    for vector in json.loads(data):
        for unit, decimals in units.items():
            wei = int(vector["wei"])
            if unit not in vector:
                continue
            assert Decimal(vector[unit]) == Decimal(format_amount(wei, decimals=decimals))
            if wei > 0 and vector[unit][0] != ".":
                assert wei == parse_amount(vector[unit], decimals=decimals)
            checked += 1
    assert checked > 20
