"""Every combination of filters against a brute-force scan, on both engines."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import books

from token_ledger.core.parse import format_timestamp
from token_ledger.core.types import Record, Texts
from token_ledger.errors import TextError, UnknownAccountError, UsageError
from token_ledger.ledger import Ledger, StoredEntry, statements

SYSTEM = "system"
PEOPLE = ("alice", "bob", "carol")
REASONS = ("earn:publish", "earn:cite", "earn", "EARN:cite", "tip", "", "earn:%", "é:earn")
TYPES = ("", "paper", "Paper")
LAST = 12
TIMES = ("since", "until")
RECORDS = st.lists(
    st.tuples(
        st.sampled_from((SYSTEM, *PEOPLE)),
        st.sampled_from((SYSTEM, *PEOPLE)),
        st.integers(1, 3),
        st.sampled_from(REASONS),
        st.sampled_from(TYPES),
        st.sampled_from(("", "1", "2")),
        st.integers(0, LAST),
    ).filter(lambda row: row[0] != row[1]),
    max_size=30,
)
FILTERS: dict[str, st.SearchStrategy[Any]] = {
    "since": st.integers(0, LAST + 1),
    "until": st.integers(0, LAST + 1),
    "reason": st.sampled_from(REASONS),
    "reason_prefix": st.sampled_from(("earn:", "e", "", "E", "earn:%", "é", "nothing")),
    "reference": st.one_of(
        st.sampled_from(TYPES), st.tuples(st.sampled_from(TYPES), st.sampled_from(("", "1")))
    ),
}
WORDS = st.fixed_dictionaries({}, optional=FILTERS)
OWN_WORDS = st.fixed_dictionaries(
    {},
    optional={
        **FILTERS,
        "counterparty": st.sampled_from((SYSTEM, *PEOPLE)),
        "direction": st.sampled_from(("in", "out")),
    },
)
QUESTIONS = st.lists(
    st.tuples(st.sampled_from((None, *PEOPLE)), WORDS, OWN_WORDS, st.integers(1, 7)),
    min_size=1,
    max_size=12,
)


def wanted(entry: StoredEntry, account: str | None, words: dict[str, Any]) -> bool:
    """Return whether an entry is asked for, in the simplest words."""
    sides = (entry.from_account, entry.to_account)
    reference = words.get("reference")
    paid = entry.from_account == account
    checks = {
        "since": lambda value: entry.timestamp >= value,
        "until": lambda value: entry.timestamp < value,
        "reason": lambda value: entry.reason == value,
        "reason_prefix": lambda value: (
            (entry.reason or "").startswith(value) and entry.reason is not None
        ),
        "reference": lambda _: (
            reference in (entry.reference_type, (entry.reference_type, entry.reference_id))
        ),
        "counterparty": lambda value: sides[paid] == value,
        "direction": lambda value: value == ("out" if paid else "in"),
    }
    return account in (None, *sides) and all(checks[name](words[name]) for name in words)


def pages(ask: Callable[..., Any], **words: Any) -> Iterator[StoredEntry]:
    """Yield every page joined, and prove that none is longer than asked for."""
    cursor = None
    while True:
        page = ask(cursor=cursor, **words)
        assert len(page.entries) <= words["limit"]
        yield from page.entries
        cursor = page.cursor
        if cursor is None:
            return


_numbers = itertools.count(1)


def compare(ledger: Ledger, records: list[tuple], questions: list[tuple], *, redact: bool) -> None:
    """Ask a new token of the ledger, and go through all its entries to know better."""
    symbol = f"T{next(_numbers)}"
    ledger.create_token(symbol, "Token", 0)
    ledger.use(symbol)
    for name in PEOPLE:
        ledger.mint(name, 100, reason="endow", timestamp=format_timestamp(LAST // 2))
    ledger.post_many(
        [
            Record(payer, payee, value, Texts(reason, kind, name), timestamp=at)
            for payer, payee, value, reason, kind, name, at in records
        ]
    )
    for number, entry in enumerate(ledger.get_entries(limit=7).entries):
        if redact and number % 3 != 0:
            ledger.redact(entry.id, (["reason", "reference"], ["reference"])[number % 2])
    everything = ledger.get_entries(limit=1000).entries
    assert len(records) + len(PEOPLE) == len(everything)
    for account, words, own_words, limit in questions:
        asked = words if account is None else own_words
        expected = [entry for entry in everything if wanted(entry, account, asked)]
        ask = ledger.get_entries if account is None else ledger.get_statement
        chosen = {} if account is None else {"account_id": account}
        spoken = {n: format_timestamp(v) if n in TIMES else v for n, v in asked.items()}
        assert expected == list(pages(ask, **chosen, limit=limit, **spoken))


@pytest.mark.parametrize("scanned", [2, statements.SCAN_MAX])
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(RECORDS, QUESTIONS, st.booleans())
def test_filters_are_the_brute_force_scan(
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    scanned: int,
    records: list[tuple],
    questions: list[tuple],
    redact: bool,
) -> None:
    """Whatever is combined, and however few entries a page may look at, nothing is missing."""
    monkeypatch.setattr(statements, "SCAN_MAX", scanned)
    monkeypatch.setattr(statements, "SCAN_FIRST", (1 + scanned) // 2)
    compare(ledger, records, questions, redact=redact)


def test_a_rare_filter_is_looked_for_a_stretch_at_a_time(ledger: Ledger, monkeypatch) -> None:
    """A page of a filter that hardly anything meets is empty, and its cursor leads on."""
    monkeypatch.setattr(statements, "SCAN_MAX", 10)
    monkeypatch.setattr(statements, "SCAN_FIRST", 5)
    first = ledger.mint("alice", 1, reason="rare", reference=("paper", "1"))
    books.fill(ledger, 60)
    page = ledger.get_statement("alice", reason="rare")
    assert ((), True) == (page.entries, page.cursor is not None)
    for ask in (ledger.get_entries, lambda **words: ledger.get_statement("alice", **words)):
        for words in ({"reason": "rare"}, {"reason_prefix": "ra"}, {"reference": "paper"}):
            (found,) = pages(ask, limit=5, **words)
            assert first.id == found.id


def test_dates_lead_straight_to_their_entries(ledger: Ledger, monkeypatch) -> None:
    """A period long ago is one page, however much came after it."""
    monkeypatch.setattr(statements, "SCAN_MAX", 10)
    monkeypatch.setattr(statements, "SCAN_FIRST", 5)
    books.fill(ledger, 120)
    period = {
        "since": books.FIRST_PLAY + dt.timedelta(seconds=10),
        "until": books.FIRST_PLAY + dt.timedelta(seconds=15),
    }
    page = ledger.get_entries(**period)
    assert (5, None) == (len(page.entries), page.cursor)
    own = [entry for entry in page.entries if "alice" in (entry.from_account, entry.to_account)]
    page = ledger.get_statement("alice", **period)
    assert (own, None) == (list(page.entries), page.cursor)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"direction": "up"}, UsageError),
        ({"reference": ("a", "b", "c")}, UsageError),
        ({"counterparty": "nobody"}, UnknownAccountError),
        ({"reason": "\0"}, TextError),
        ({"reason_prefix": 5}, TextError),
        ({"reference": ("paper", 5)}, TextError),
    ],
    ids=str,
)
def test_bad_filters_are_refused(words: dict, error: type[Exception], ledger: Ledger) -> None:
    """What no entry can meet is a mistake of the caller's, and is said."""
    with pytest.raises(error):
        ledger.get_statement("alice", **words)


def test_a_counterparty_needs_an_account(ledger: Ledger) -> None:
    """Without an account there is no other one, and neither in nor out."""
    with ledger.read() as connection:
        for words in ({"counterparty": "bob"}, {"direction": "in"}):
            with pytest.raises(UsageError):
                statements.get_entries(
                    connection, ledger.token, filters=statements.Filters(**words)
                )
