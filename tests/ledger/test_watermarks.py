"""The watermark: it passes nothing that may still come, and no stream of writers can stop it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, make_url, text
from tests import books

from token_ledger.errors import RetryableError
from token_ledger.ledger import Ledger, rollups, sealing, watermarks
from token_ledger.ledger.watermarks import Holder, Seen, Watermark
from token_ledger.seal import seal

Begin = Callable[[str], Connection]


def seen(highest: int, *holders: Holder, server: str = "s") -> Seen:
    """Return one look."""
    return Seen(server, highest, frozenset(holders))


A, B, C = Holder(1, "3/1"), Holder(2, "4/1"), Holder(3, "5/1")
PREPARED = Holder(None, "-1/700")


def test_only_the_writers_of_the_moment_are_waited_for() -> None:
    """A number is accepted when those who were there have ended, whoever came after."""
    mark = Watermark()
    assert 0 == mark.take(mark.begin(), seen(5, A))
    assert 0 == mark.take(mark.begin(), seen(7, A, B))
    assert 5 == mark.take(mark.begin(), seen(9, B, C))
    assert 7 == mark.take(mark.begin(), seen(12, C))
    assert 20 == mark.take(mark.begin(), seen(20))


def test_writers_that_take_turns_do_not_starve_it() -> None:
    """With one writer there at every moment, the mark follows one writer's length behind."""
    mark = Watermark()
    marks = [
        mark.take(mark.begin(), seen(n, Holder(n, "x"), Holder(n + 1, "x"))) for n in range(1, 300)
    ]
    assert [0, 0, *range(1, 298)] == marks


def test_a_long_writer_keeps_what_was_seen_before_others() -> None:
    """However many looks pass, memory is bounded, and the first candidate is still there."""
    mark = Watermark()
    for n in range(1, 1000):
        assert 0 == mark.take(mark.begin(), seen(n, A))
    assert watermarks.CANDIDATES_MAX == mark.take(mark.begin(), seen(1000, B))


def test_a_prepared_transaction_is_not_passed() -> None:
    """A writer who prepares loses his name: while any prepared one is there, nothing moves on."""
    mark = Watermark()
    assert 0 == mark.take(mark.begin(), seen(5, A))
    assert 0 == mark.take(mark.begin(), seen(8, PREPARED))
    assert 0 == mark.take(mark.begin(), seen(8, PREPARED, B))
    assert 8 == mark.take(mark.begin(), seen(9, B))


def test_an_old_look_judges_no_newer_candidate() -> None:
    """A look that another thread began before a candidate was made does not show its holders."""
    mark = Watermark()
    begun = mark.begin()
    assert 0 == mark.take(mark.begin(), seen(5, B))
    assert 0 == mark.take(begun, seen(4, A))
    assert 5 == mark.take(mark.begin(), seen(6, C))


def test_another_server_is_begun_anew() -> None:
    """After a restart, a restore or a failover nothing of what was remembered counts."""
    mark = Watermark()
    assert 9 == mark.take(mark.begin(), seen(9))
    assert 0 == mark.take(mark.begin(), seen(7, A, server="t"))
    assert 7 == mark.take(mark.begin(), seen(8, B, server="t"))


@pytest.fixture
def shared(postgres_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger on PostgreSQL where six accounts hold 100 each."""
    with books.create(postgres_url, tmp_path) as ledger:
        for name in "abcdef":
            ledger.create_account(name, initial_balance=100)
            ledger.create_account(f"shop-{name}")
        yield ledger


@pytest.fixture
def begin(shared: Ledger) -> Iterator[Begin]:
    """Yield a function that begins a caller's transaction in which an account has paid 1."""
    engine = create_engine(shared.engine.url)
    with contextlib.ExitStack() as stack:

        def start(payer: str) -> Connection:
            connection = stack.enter_context(engine.connect())
            shared.bound_to(connection).transfer(payer, f"shop-{payer}", 1, reason=payer)
            return connection

        yield start
    engine.dispose()


def feed_on(ledger: Ledger, after: int) -> tuple[list[str | None], int]:
    """Return the reasons of the next page, and where it ends."""
    page = ledger.feed(after)
    return [entry.reason for entry in page.entries], page.after


def test_overlapping_transactions_do_not_starve_the_feed(shared: Ledger, begin: Begin) -> None:
    """With a caller's transaction open at every moment, entries are fed a turn later, in order."""
    _, after = feed_on(shared, 0)
    got: list[str | None] = []
    current = begin("a")
    for name in "bcdef":
        reasons, after = feed_on(shared, after)
        got += reasons
        following = begin(name)
        current.commit()
        current = following
        shared.mint("a", 1, reason=f"beside {name}")
    assert ["a", "b", "c", "d"] == [reason for reason in got if reason in set("abcdef")]
    current.commit()
    reasons, after = feed_on(shared, after)
    everything = shared.feed(0).entries
    assert [entry.reason for entry in everything][6:] == got + reasons
    assert sorted(e.entry_no for e in everything) == [e.entry_no for e in everything]


def test_an_entry_of_before_is_fed_once_earlier_writers_ended(shared: Ledger, begin: Begin) -> None:
    """What was committed before an open transaction began waits for those before it, not for it."""
    _, after = feed_on(shared, 0)
    first = begin("a")
    shared.transfer("b", "c", 1, reason="early")
    assert ([], after) == feed_on(shared, after)
    begin("d")
    shared.transfer("e", "f", 1, reason="late")
    first.commit()
    reasons, after = feed_on(shared, after)
    assert ["a", "early"] == reasons
    assert ([], after) == feed_on(shared, after)


def test_overlapping_transactions_do_not_starve_the_sealer(
    shared: Ledger, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a sealer could not have the first time it has when the writers of then are gone."""
    monkeypatch.setattr(sealing, "WATERMARK_ATTEMPTS_MAX", 2)
    first = begin("a")
    with pytest.raises(RetryableError, match="long posting"):
        seal(shared)
    second = begin("b")
    first.commit()
    assert 6 == seal(shared).entries
    second.commit()
    assert 2 == seal(shared).entries


def test_overlapping_transactions_do_not_stop_statistics(
    shared: Ledger, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exact while the mark cannot move, and the mark moves although a writer is always there."""
    monkeypatch.setattr(rollups, "TAIL_MAX", 2)
    first = begin("a")
    assert {"endow": 6} == {f.reason: f.entries for f in shared.get_statistics().reasons}
    begin("b")
    first.commit()
    assert {"endow": 6, "a": 1} == {f.reason: f.entries for f in shared.get_statistics().reasons}
    with shared.read() as connection:
        assert 6 == rollups.read_mark(connection, 1)


def test_no_writer_is_held_up(shared: Ledger, begin: Begin) -> None:
    """While the feed waits for one writer, no lock is asked for: a look is all that there is."""
    begin("a")
    with shared.engine.connect() as connection:
        watermarks.look(connection)
        mine = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = :pid")
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        assert 0 == connection.scalar(mine, {"pid": pid})


def test_locks_of_others_are_not_writers(shared: Ledger, postgres_server: str) -> None:
    """Another database, another key and the same halves as two keys are not the writers' lock."""
    halves = (watermarks.WRITERS_LOCK >> 32, watermarks.WRITERS_LOCK & 0xFFFFFFFF)
    elsewhere = postgres_server.format(database="postgres").replace("+psycopg", "")
    here = make_url(str(shared.engine.url.render_as_string(hide_password=False)))
    ours = here.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(elsewhere) as other, psycopg.connect(ours) as mine:
        other.execute("SELECT pg_advisory_xact_lock_shared(%s)", (watermarks.WRITERS_LOCK,))
        mine.execute("SELECT pg_advisory_xact_lock_shared(%s::int, %s::int)", halves)
        mine.execute("SELECT pg_advisory_xact_lock_shared(%s)", (halves[1],))
        with shared.engine.connect() as connection:
            assert frozenset() == watermarks.look(connection).holders
        mine.execute("SELECT pg_advisory_xact_lock_shared(%s)", (watermarks.WRITERS_LOCK,))
        with shared.engine.connect() as connection:
            held = watermarks.look(connection).holders
        assert [mine.info.backend_pid] == [holder.pid for holder in held]
