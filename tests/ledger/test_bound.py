"""The ledger inside the caller's own transaction: same verbs, same ids, and the caller commits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.orm import Session
from tests import books

from token_ledger.errors import (
    InsufficientBalanceError,
    RetryableError,
    UnknownAccountError,
    UsageError,
)
from token_ledger.ledger import Ledger
from token_ledger.seal import seal


@pytest.fixture
def engine(ledger: Ledger) -> Iterator[Engine]:
    """Yield the application's own engine, as SQLAlchemy makes it, with a table of its own."""
    own = create_engine(ledger.engine.url)
    with own.begin() as connection:
        connection.execute(text("CREATE TABLE payout (id INTEGER PRIMARY KEY, who TEXT)"))
    yield own
    own.dispose()


def _payouts(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM payout")).scalar_one())


def _note(session: Session, who: str = "bob") -> None:
    session.execute(text("INSERT INTO payout (who) VALUES (:who)"), {"who": who})


def _payout_id(engine: Engine) -> None:
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE payout ALTER id ADD GENERATED ALWAYS AS IDENTITY"))


def test_the_caller_commits_both(ledger: Ledger, engine: Engine) -> None:
    """A posting and the caller's own row are committed together, with the id it always has."""
    _payout_id(engine)
    with Session(engine) as session, session.begin():
        _note(session)
        inside = ledger.bound_to(session)
        posted = inside.transfer("alice", "bob", 10, reason="prize", idempotency_key="k1")
        assert 60 * 10**18 == inside.get_balance("bob")
        assert 50 * 10**18 == ledger.get_balance("bob")
    again = ledger.transfer("alice", "bob", 10, reason="prize", idempotency_key="k1")
    assert (posted.id, True) == (again.id, again.repeated)
    assert (1, 60 * 10**18) == (_payouts(engine), ledger.get_balance("bob"))


def test_the_caller_rolls_back_both(ledger: Ledger, engine: Engine) -> None:
    """What the caller rolls back was never posted, and its key is free."""
    _payout_id(engine)
    with Session(engine) as session:
        _note(session)
        ledger.bound_to(session).transfer("alice", "bob", 10, reason="prize", idempotency_key="k1")
        session.rollback()
    assert (0, 50 * 10**18) == (_payouts(engine), ledger.get_balance("bob"))
    posted = ledger.transfer("alice", "bob", 11, reason="prize", idempotency_key="k1")
    assert not posted.repeated


def test_a_refused_posting_leaves_the_transaction_usable(ledger: Ledger, engine: Engine) -> None:
    """Refused postings leave nothing, not even the account made for one; the rest commits."""
    with engine.begin() as connection:
        inside = ledger.bound_to(connection)
        with pytest.raises(InsufficientBalanceError):
            inside.transfer("carol", "bob", 1, reason="prize")
        inside.mint("carol", 5, reason="prize", idempotency_key="k1")
        with pytest.raises(InsufficientBalanceError):
            inside.burn("carol", 6, reason="fee")
        inside.transfer("carol", "bob", 2, reason="prize")
    assert 3 * 10**18 == ledger.get_balance("carol")
    assert 52 * 10**18 == ledger.get_balance("bob")


def test_every_verb_is_there(ledger: Ledger, engine: Engine) -> None:
    """Accounts, statements, entries and supply are read from inside the transaction as well."""
    with engine.begin() as connection:
        inside = ledger.bound_to(connection)
        inside.create_account("dave", initial_balance=7)
        entry = inside.get_statement("dave").entries[0]
        assert entry == inside.get_entry(entry.id)
        assert 157 * 10**18 == inside.get_total_supply()
        with pytest.raises(UnknownAccountError):
            ledger.get_account("dave")
    assert 7 * 10**18 == ledger.get_account("dave").balance


def test_a_session_may_commit_and_go_on(ledger: Ledger, engine: Engine) -> None:
    """One bound ledger serves all transactions of a session."""
    with Session(engine) as session:
        inside = ledger.bound_to(session)
        for _ in range(3):
            inside.transfer("alice", "bob", 1, reason="prize")
            session.commit()
        inside.transfer("alice", "bob", 1, reason="prize")
    assert 53 * 10**18 == ledger.get_balance("bob")


def test_a_savepoint_takes_back_a_posting_and_the_sealer_still_waits(
    postgres_url: str, tmp_path: Path
) -> None:
    """After ROLLBACK TO the lock is taken again: no batch skips what commits later."""
    with books.create(postgres_url, tmp_path) as ledger:
        ledger.create_account("alice", initial_balance=100)
        ledger.create_account("bob")
        engine = create_engine(ledger.engine.url)
        with engine.connect() as connection:
            inside = ledger.bound_to(connection)
            nested = connection.begin_nested()
            inside.transfer("alice", "bob", 1, reason="undone", idempotency_key="k1")
            nested.rollback()
            late = inside.transfer("alice", "bob", 2, reason="kept", idempotency_key="k2")
            with ledger.engine.connect() as other:
                free = other.execute(
                    text("SELECT pg_try_advisory_xact_lock(:n)"), {"n": 0x746F6B656E5F6C67}
                ).scalar_one()
            assert not free
            connection.commit()
        engine.dispose()
        seal(ledger)
        assert late.id == ledger.get_statement("bob").entries[0].id
        assert 2 * 10**18 == ledger.get_balance("bob")


def test_sqlite_read_then_write_is_retryable(sqlite_url: str, tmp_path: Path) -> None:
    """A caller who read before another wrote is told to run again, and then it succeeds."""
    with books.create(sqlite_url, tmp_path) as ledger:
        ledger.create_account("alice", initial_balance=100)
        ledger.create_account("bob")
        engine = create_engine(ledger.engine.url)

        @event.listens_for(engine, "connect")
        def _no_begin(connection, _record) -> None:
            connection.isolation_level = None

        @event.listens_for(engine, "begin")
        def _begin(connection) -> None:
            connection.exec_driver_sql("BEGIN")

        with engine.connect() as connection:
            inside = ledger.bound_to(connection)
            assert 0 == inside.get_balance("bob")
            ledger.transfer("alice", "bob", 1, reason="meanwhile")
            with pytest.raises(RetryableError):
                inside.transfer("alice", "bob", 1, reason="late")
            connection.rollback()
            inside.transfer("alice", "bob", 1, reason="again")
            connection.commit()
        engine.dispose()
        assert 2 * 10**18 == ledger.get_balance("bob")


def test_postgres_deadlock_is_retryable(postgres_url: str, tmp_path: Path) -> None:
    """Of two transactions that lock each other out, one commits and one is told to run again."""
    with books.create(postgres_url, tmp_path) as ledger:
        for name in ("alice", "bob", "carol"):
            ledger.create_account(name, initial_balance=100)
        engine = create_engine(ledger.engine.url)
        barrier, outcomes = threading.Barrier(2), []

        def cross(first: str, second: str) -> None:
            try:
                with engine.begin() as connection:
                    inside = ledger.bound_to(connection)
                    inside.transfer(first, "carol" if first == "alice" else "dave", 1, reason="x")
                    barrier.wait(10)
                    inside.transfer(second, first, 1, reason="x")
                outcomes.append("committed")
            except RetryableError:
                outcomes.append("retryable")

        ledger.create_account("dave")
        threads = [
            threading.Thread(target=cross, args=pair)
            for pair in (("alice", "bob"), ("bob", "alice"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        engine.dispose()
        assert ["committed", "retryable"] == sorted(outcomes)
        assert 300 * 10**18 == ledger.get_total_supply()


def test_lost_updates_are_impossible(ledger: Ledger, engine: Engine) -> None:
    """Many transactions spending the same money: exactly what is there is spent."""
    done: list[int] = []

    def spend() -> None:
        for _ in range(10):
            try:
                with engine.begin() as connection:
                    ledger.bound_to(connection).transfer("bob", "carol", 2, reason="spend")
                done.append(1)
            except (InsufficientBalanceError, RetryableError):
                continue

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) * 2 * 10**18 == ledger.get_balance("carol")
    assert (50 - len(done) * 2) * 10**18 == ledger.get_balance("bob")
    assert 25 == len(done)


def test_unsafe_connections_are_refused(ledger: Ledger, engine: Engine, tmp_path: Path) -> None:
    """A connection that commits by itself, is too isolated or another database's is refused."""
    levels = {"AUTOCOMMIT": "commits every statement"}
    if engine.dialect.name == "postgresql":
        levels["REPEATABLE READ"] = "REPEATABLE READ"
    for level, words in levels.items():
        with (
            engine.connect().execution_options(isolation_level=level) as connection,
            pytest.raises(UsageError, match=words),
        ):
            ledger.bound_to(connection).mint("bob", 1, reason="x")
    folder = tmp_path / "other"
    folder.mkdir()
    with (
        Ledger.create(f"sqlite:///{folder / 'x.db'}", operator=b"\x01" * 20) as other,
        other.engine.connect() as connection,
        pytest.raises(UsageError, match="this ledger"),
    ):
        ledger.bound_to(connection).get_balance("bob")
    assert 50 * 10**18 == ledger.get_balance("bob")
