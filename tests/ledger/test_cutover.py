"""The books' side of the cut-over: what keeps them open, and the column of an older database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from tests import books

from token_ledger.errors import NotReadyError
from token_ledger.ledger import Ledger, cutover, upgrade
from token_ledger.ledger import engine as engines
from token_ledger.ledger.schema import SCHEMA_VERSION
from token_ledger.seal import seal


class Clock:
    """A clock that a test sets, in microseconds; each look is later than the last."""

    def __init__(self) -> None:
        self.at = books.START

    def __call__(self) -> int:
        self.at += 1
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(database_url: str, clock: Clock) -> Iterator[Ledger]:
    """Yield a ledger on that clock where alice holds 100, all sealed."""
    with Ledger.create(database_url, operator=b"\1" * 20, clock=clock) as ledger:
        ledger.create_token("T", "Token", 0)
        ledger.create_account("alice", initial_balance=100)
        ledger.create_account("bob")
        seal(ledger)
        yield ledger


def refusal(ledger: Ledger) -> tuple[str, str]:
    """Return why the books cannot be closed, and the way out; they stay open."""
    with pytest.raises(NotReadyError) as caught:
        close(ledger)
    with ledger.read() as connection:
        assert (None, None) == cutover.read_state(connection, ledger.token)
    return caught.value.message, str(caught.value.hint)


def close(ledger: Ledger) -> None:
    ledger.run(lambda c: cutover.close_books(c, ledger.token, now=ledger.now()))


def test_open_holds_keep_the_books_open(ledger: Ledger, clock: Clock) -> None:
    """Each hold must be released, captured or expired, and that sealed, before the books close."""
    expires = dt.datetime.fromtimestamp((clock.at + 5_000_000) / 1e6, dt.UTC)
    held, other = ledger.hold("alice", 10), ledger.hold("alice", 20)
    ledger.hold("alice", 30, expires_at=expires)
    seal(ledger)
    message, hint = refusal(ledger)
    assert "3 holds of T open" == message
    assert hint.startswith(
        "run `release` or `capture` for each of `holds list`, then `seal --sign`"
    )
    clock.at += 10_000_000
    ledger.release(held.id)
    message, hint = refusal(ledger)
    assert "2 holds of T open, 1 of them expired; 1 entry of T not sealed yet" == message
    assert hint.startswith("run `holds expire` for what has expired, `release` or `capture`")
    ledger.capture(other.id, 5, to="bob")
    ledger.capture(other.id)
    assert refusal(ledger)[0].startswith("1 hold of T open, 1 of them expired; 3 entries of T")
    assert 1 == ledger.expire_holds()
    message, hint = refusal(ledger)
    assert "4 entries of T not sealed yet" == message
    assert "run `seal --sign`, `migrate`, `import` and `reconcile`, then finalize" == hint
    seal(ledger)
    close(ledger)


def test_holds_of_another_token_keep_nothing_open(ledger: Ledger) -> None:
    """A hold concerns its own token's books alone."""
    ledger.hold("alice", 10)
    mine, other = ledger.token, ledger.create_token("U", "Another", 0)
    with ledger.read() as connection:
        assert [] == cutover.obstacles(connection, other, now=ledger.now())
        assert 2 == len(cutover.obstacles(connection, mine, now=ledger.now()))


def test_a_database_of_the_first_schema_is_upgraded(database_url: str) -> None:
    """0001 gains the columns and the trigger of 0002, and is then this release's."""
    engine = engines.open_engine(database_url, create=True)
    with engines.writing(engine) as connection:
        engines.migrate(connection, revision="0001")
        assert "0001" == engines.schema_version(connection)
    assert SCHEMA_VERSION == upgrade(database_url)
    with engines.reading(engine) as connection:
        rows = connection.exec_driver_sql("SELECT closing_at, finalized_at FROM tokens").all()
    engine.dispose()
    assert [] == rows
