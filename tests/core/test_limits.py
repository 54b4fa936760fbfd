"""Limits of nodes: every wording understood, none believed blindly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import wordings
from tests.wordings import Wording

from token_ledger.core.limits import SHRINKS, LimitKind, NodeLimit, classify


def _name(wording: Wording) -> str:
    return f"{wording.kind}-{wording.who}"


@pytest.mark.parametrize("wording", wordings.ALL, ids=_name)
def test_every_known_wording_is_understood(wording: Wording) -> None:
    """Each provider's text is classified, with the number of blocks that it names, if any."""
    expected = NodeLimit(LimitKind(wording.kind), wording.blocks, lasting=wording.lasting)
    assert expected == classify(wording.text, code=wording.code, status=wording.status)


@pytest.mark.parametrize("wording", wordings.ALL, ids=_name)
def test_case_does_not_matter(wording: Wording) -> None:
    """A provider that changes its capitals is still understood."""
    for text in (wording.text.lower(), wording.text.capitalize()):
        assert wording.kind == classify(text, code=wording.code, status=wording.status).kind


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (-32005, 200, LimitKind.RESULTS),
        (429, 200, LimitKind.RATE),
        (0, 429, LimitKind.RATE),
        (0, 413, LimitKind.RESPONSE),
        (0, 504, LimitKind.TIMEOUT),
        (0, 503, LimitKind.RATE),
        (-32000, 200, LimitKind.OTHER),
        (-32603, 500, LimitKind.OTHER),
    ],
)
def test_codes_speak_where_the_text_is_silent(code: int, status: int, kind: LimitKind) -> None:
    """Without words, the JSON-RPC code decides, then the HTTP status; an unknown one is `other`."""
    assert NodeLimit(kind) == classify("something happened", code=code, status=status)


def test_a_suggestion_that_was_just_refused_is_not_believed() -> None:
    """A node that suggests the refused range again (Reth did) does not hold us there for ever."""
    text = "query exceeds max results 20000, retry with the range 25766988-25775072"
    limit = classify(text)
    assert 8_085 == limit.blocks
    assert 8_085 == limit.next_size(10_000)
    assert 4_042 == limit.next_size(8_085)
    assert 50 == limit.next_size(100)


@pytest.mark.parametrize(
    "text",
    [
        "query exceeds max results 20000, retry with the range 6000509-6000000",
        "query returned more than 10000 results. Try with this block range [0x10, 0x1].",
        "eth_getLogs is limited to a 0 range",
        "exceed maximum block range: 99999999999999999999",
    ],
)
def test_absurd_suggestions_are_dropped(text: str) -> None:
    """A reversed, empty or endless range is no suggestion, and the kind is still understood."""
    limit = classify(text)
    assert limit.kind in SHRINKS
    assert limit.blocks is None


@given(
    st.sampled_from(wordings.ALL),
    st.integers(min_value=1, max_value=10**6),
)
def test_shrinking_always_ends(wording: Wording, asked: int) -> None:
    """Whatever a node keeps saying, the next range is smaller until it is one block."""
    limit = classify(wording.text, code=wording.code, status=wording.status)
    steps = 0
    while asked > 1 and limit.kind in SHRINKS:
        smaller = limit.next_size(asked)
        assert 1 <= smaller < asked
        asked, steps = smaller, steps + 1
    assert steps <= 21
    assert limit.next_size(asked) == asked


@given(st.text(max_size=5_000), st.integers(), st.integers())
def test_any_text_is_classified(text: str, code: int, status: int) -> None:
    """No text, code or status makes it fail."""
    limit = classify(text, code=code, status=status)
    assert isinstance(limit.kind, LimitKind)
    assert limit.blocks is None or limit.blocks > 0
