"""The feed: every entry once, in order, none skipped that commits late; and statements as CSV."""

from __future__ import annotations

import csv
import io
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine
from tests import books

from token_ledger.core.spreadsheet import unescape_cell
from token_ledger.errors import UnknownAccountError, UsageError
from token_ledger.ledger import Ledger, posting
from token_ledger.ledger.queries import StoredEntry


def follow(ledger: Ledger, after: int = 0, limit: int = 1000) -> list[StoredEntry]:
    """Return all that a consumer gets who asks until there is nothing more."""
    found: list[StoredEntry] = []
    while (page := ledger.feed(after, limit)).entries:
        found += page.entries
        after = page.after
    return found


def test_every_entry_once_and_in_order(ledger: Ledger) -> None:
    """Pages of any size give the same entries, those of this token alone, whole."""
    for n in range(10):
        ledger.transfer("alice", "bob", 1, reason=f"x{n}", memo="m", metadata={"n": n})
    ledger.create_token("TWO", "Second", 0)
    ledger.use("TWO")
    ledger.mint("bob", 1, reason="other")
    ledger.use("TKN")
    whole = follow(ledger)
    assert list(range(1, 13)) == [entry.entry_no for entry in whole]
    assert [whole] * 3 == [follow(ledger, limit=limit) for limit in (1, 5, 12)]
    assert whole[7:] == follow(ledger, after=whole[6].entry_no)
    assert whole[3] == ledger.get_entry(whole[3].id)
    assert ((), 12) == (ledger.feed(12).entries, ledger.feed(12).after)


@pytest.mark.parametrize(("after", "limit"), [(-1, 5), (True, 5), (2**63, 5), (0, 0), (0, 1001)])
def test_nonsense_is_refused(after: int, limit: int, ledger: Ledger) -> None:
    """A number that no entry has, and a page out of range, are refused."""
    with pytest.raises(UsageError):
        ledger.feed(after, limit)


def test_what_commits_late_is_not_skipped(postgres_url: str, tmp_path: Path) -> None:
    """While a transaction with a lower number is open the feed waits before it, then gives it."""
    with books.create(postgres_url, tmp_path) as ledger:
        for name in ("a", "b"):
            ledger.create_account(name, initial_balance=100)
        before = follow(ledger)
        late = ledger.record("system", "a", 1, reason="late")
        with ledger.write() as connection:
            (posted,) = posting.post(connection, ledger.context, ledger.token, [late])
            early = Ledger.open(postgres_url, secret_file=tmp_path / "secret")
            with early:
                other = early.hold("b", 5)
                assert posted.entry_no < other.entry_no  # committed, and yet not given
                assert () == early.feed(before[-1].entry_no).entries
        after = [entry.entry_no for entry in follow(ledger, after=before[-1].entry_no)]
        assert [posted.entry_no, other.entry_no] == after


def test_a_follower_misses_nothing_under_load(database_url: str, tmp_path: Path) -> None:
    """Six writers post while one follows: in the end it has every entry, once, in order."""
    ledger = books.create(database_url, tmp_path)
    for name in "abcdef":
        ledger.create_account(name, initial_balance=100)

    def write(name: str, other: str) -> None:
        with Ledger.open(database_url, secret_file=tmp_path / "secret") as mine:
            for _ in range(25):
                mine.transfer(name, other, 1, reason="x")

    writers = [
        threading.Thread(target=write, args=pair) for pair in zip("abcdef", "bcdefa", strict=True)
    ]
    for writer in writers:
        writer.start()
    seen: list[int] = []
    after = 0
    while any(writer.is_alive() for writer in writers):
        page = ledger.feed(after, 7)
        seen += [entry.entry_no for entry in page.entries]
        after = page.after
    seen += [entry.entry_no for entry in follow(ledger, after)]
    with ledger.read() as connection:
        query = "SELECT entry_no FROM token_ledger ORDER BY entry_no"
        assert [row[0] for row in connection.exec_driver_sql(query)] == seen
    assert 6 + 150 == len(seen)
    ledger.close()


def test_a_bound_ledger_feeds_what_is_committed(ledger: Ledger) -> None:
    """Inside a caller's transaction its own postings are not in the feed: they may be undone."""
    engine: Engine = create_engine(ledger.engine.url)
    with engine.connect() as connection, connection.begin() as transaction:
        bound = ledger.bound_to(connection)
        posted = bound.transfer("alice", "bob", 1, reason="x")
        assert posted.entry_no not in {entry.entry_no for entry in bound.feed().entries}
        transaction.rollback()
    engine.dispose()
    assert 2 == len(follow(ledger))


# Statements as CSV.


def read(lines: str) -> list[dict[str, str]]:
    """Return the rows as Python's csv module reads them, by column, texts unescaped."""
    return [
        {name: unescape_cell(cell) for name, cell in row.items()}
        for row in csv.DictReader(io.StringIO(lines, newline=""), strict=True)
    ]


def test_a_statement_round_trips(ledger: Ledger) -> None:
    """Every entry of the statement comes back from the CSV, texts and amounts as they were."""
    evil = [
        '=HYPERLINK("http://x")',
        "+1",
        "-2",
        "@SUM(A1)",
        "\ttab",
        "\rcr",
        "'quoted",
        'a,"b"\nc',
    ]
    for n, text in enumerate(evil):
        ledger.transfer("alice", "bob", "1.5", reason=text, reference=(text, text), memo=text)
        ledger.transfer("bob", "alice", "0.000000000000000001", reason="x", metadata={"n": n})
    whole = "".join(ledger.statement_csv("alice"))
    rows = read(whole)
    entries = ledger.get_statement("alice").entries
    assert [e.memo or "" for e in entries] == [row["memo"] for row in rows]
    assert [e.reason for e in entries] == [row["reason"] for row in rows]
    assert [e.metadata or "" for e in entries] == [row["metadata"] for row in rows]
    assert {"1.5", "", "100", "0.000000000000000001"} == {r["in"] for r in rows} | {
        r["out"] for r in rows
    }
    assert "88.000000000000000008" == rows[0]["balance"]
    assert all(row["time"].endswith("Z") for row in rows)
    raw = csv.reader(io.StringIO(whole, newline=""))
    assert not any(c.startswith(("=", "+", "-", "@", "\t", "\r")) for row in raw for c in row)
    assert all(line.endswith("\r\n") for line in ledger.statement_csv("alice"))


def test_a_statement_is_whole_or_limited(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """All pages are in it, or the newest few; filters are those of the statement."""
    monkeypatch.setattr("token_ledger.ledger.accounting.PAGE_MAX", 3)
    for n in range(10):
        ledger.transfer("alice", "bob", 1, reason=f"x{n}")
    assert 1 + 11 == len(list(ledger.statement_csv("alice")))
    for limit in (0, 1, 3, 4, 7, 99):
        assert 1 + min(limit, 11) == len(list(ledger.statement_csv("alice", limit=limit)))
    assert 1 == len(list(ledger.statement_csv("alice", since="2200-01-01T00:00:00Z")))
    with pytest.raises(UnknownAccountError):
        list(ledger.statement_csv("nobody"))
