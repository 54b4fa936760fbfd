"""Zero-width joiners: allowed where writing needs them, refused where they only hide."""

from __future__ import annotations

import pytest

from token_ledger.core.joiners import joins, without_joiners
from token_ledger.core.parse import parse_account_id
from token_ledger.errors import TextError

WRITTEN = [
    "می\u200cخواهم",  # Persian: the non-joiner parts prefix and verb
    "کِتاب\u200cخانه",
    "یِ\u200cخ",  # a mark sits on the letter before
    "क्\u200dष",  # Devanagari: half a letter
    "क्\u200cष",
    "ශ්\u200dරී",  # Sinhala
    "👩\u200d👩\u200d👧",
    "👩🏽\u200d🚀",
    "❤\ufe0f\u200d🔥",
    "🏳\ufe0f\u200d🌈",
]
HIDDEN = [
    "al\u200cice",
    "al\u200dice",
    "\u200calice",
    "alice\u200d",
    "а\u200dб",
    "漢\u200d字",
    "د\u200cر",  # dal never connects to what follows
    "می\u200c",
    "می\u200c\u200cخ",
    "می\u200dخ",
    "👩\u200c👩",
    "👩\u200d",
    "👩\u200da",
    "1\u200d2",
    "®\u200d®",
]


@pytest.mark.parametrize("text", WRITTEN, ids=ascii)
def test_what_is_written_with_joiners_is_an_id(text: str) -> None:
    """Persian, Indic words and joined emoji are account ids, unchanged."""
    assert text == parse_account_id(text)


@pytest.mark.parametrize("text", HIDDEN, ids=ascii)
def test_a_joiner_that_nobody_sees_is_refused(text: str) -> None:
    """An id that looks like another one because a joiner in it has no effect is refused."""
    assert not without_joiners(text).isprintable()
    with pytest.raises(TextError, match="not printable"):
        parse_account_id(text)


def test_only_joiners_join() -> None:
    """Any other character, and a joiner at an end, joins nothing."""
    assert [False] * 3 == [joins("a\u200cb", i) for i in range(3)]
    assert "plain" == without_joiners("plain")
