"""What an action earns: base amount times multiplier times factor, exact, then rounded down once.

Multipliers and factors are whole numbers of 10**-18, so that no step of the product is rounded. The
one rounding, at the end, drops the fraction of a base unit: what is awarded in pieces never comes
to more than what the whole would have earned.
"""

from __future__ import annotations

from token_ledger.core.parse import Amount, format_amount, parse_amount, parse_text
from token_ledger.errors import AmountError, AmountRangeError, TextError, TokenLedgerError

FACTOR_DECIMALS = 18
ONE: int = 10**FACTOR_DECIMALS
ACTION_BYTES_MAX = 200
REASON_PREFIX = "earn:"


def parse_action(text: str) -> str:
    """Return the name of an action: 1 to 200 bytes of printable text."""
    parse_text(text, what="action", bytes_max=ACTION_BYTES_MAX)
    if not text or text != text.strip() or not text.isprintable():
        raise TextError(
            f"action {text!r} is empty, has white space at an end, or is not printable",
            hint="name it as in publish or daily_login",
        )
    return text


def parse_factor(given: Amount, *, what: str) -> int:
    """Return a multiplier or factor, above 0 and with 18 decimals at most, in units of 10**-18.

    Raises AmountError for what is no such number (floats too), AmountRangeError for 0 and below.
    """
    try:
        return parse_amount(given, decimals=FACTOR_DECIMALS)
    except TokenLedgerError as error:
        kind = AmountRangeError if isinstance(error, AmountRangeError) else AmountError
        raise kind(
            f"{what} {str(given)[:100]!r} is not a number above 0 with 18 decimals at most",
            hint='write digits, as in "1.5"',
        ) from None


def format_factor(factor: int) -> str:
    """Return a multiplier or factor as decimal text."""
    return format_amount(factor, decimals=FACTOR_DECIMALS)


def earned_value(base_value: int, *, multiplier: int, factor: int) -> int:
    """Return what an action earns in base units: the exact product, rounded down.

    May be 0, or more than a uint256: who books it judges that.
    """
    return base_value * multiplier * factor // (ONE * ONE)
