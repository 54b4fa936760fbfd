"""Two callers with one key: the second waits for the first, and is told what became of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from tests import books

from token_ledger.errors import SystemAccountError, UsageError
from token_ledger.ledger import Ledger, Posted, verbs

Verb = Callable[[Ledger], Posted]


@pytest.fixture
def held(postgres_url: str, tmp_path: Path) -> Iterator[tuple[Ledger, bytes, bytes]]:
    """Yield a ledger, a hold of alice's, and an entry from alice to bob."""
    with books.create(postgres_url, tmp_path, ticking=False) as ledger:
        ledger.create_account("alice", initial_balance=100)
        ledger.create_account("bob")
        held = ledger.hold("alice", 10)
        paid = ledger.transfer("alice", "bob", 5, reason="gift")
        yield ledger, held.id, paid.id


@pytest.mark.parametrize("verb", ["hold", "capture", "release", "reverse"])
def test_the_second_waits_and_hears_the_first(verb: str, held: tuple[Ledger, bytes, bytes]) -> None:
    """While the first is not committed the second waits; then it is a repeat, and one entry."""
    ledger, hold_id, entry_id = held
    ask: dict[str, Verb] = {
        "hold": lambda on: on.hold("alice", 3, idempotency_key="k"),
        "capture": lambda on: on.capture(hold_id, to="bob", idempotency_key="k"),
        "release": lambda on: on.release(hold_id, idempotency_key="k"),
        "reverse": lambda on: on.reverse(entry_id, idempotency_key="k"),
    }
    engine, began = create_engine(ledger.engine.url), threading.Event()

    def second() -> Posted:
        began.set()
        return ask[verb](ledger)

    with ThreadPoolExecutor(1) as pool:
        with Session(engine) as session, session.begin():
            first = ask[verb](ledger.bound_to(session))
            answer = pool.submit(second)
            began.wait()
            with pytest.raises(TimeoutError):
                answer.result(0.5)
        again = answer.result(30)
    engine.dispose()
    assert (first.id, False, True) == (again.id, first.repeated, again.repeated)


def test_a_repeat_beside_a_draw(ledger: Ledger) -> None:
    """In a list, what was posted before draws nothing; what is new draws what it lacks."""
    ledger.limit_overdraft("carol", 50)
    old = ledger.record("carol", "bob", 10, reason="old", idempotency_key="old")
    ledger.post_many([old])
    new = ledger.record("carol", "bob", 20, reason="new", idempotency_key="new")
    repeated = [posted.repeated for posted in ledger.post_many([old, new])]
    assert ([True, False], -30 * 10**18) == (repeated, ledger.get_balance("carol"))


def test_system_neither_holds_nor_is_limited(ledger: Ledger) -> None:
    """`system` has no balance that could be set aside or limited."""
    with pytest.raises(SystemAccountError):
        ledger.hold("system", 1)
    with pytest.raises(SystemAccountError):
        ledger.limit_balance("system", 1)


def test_a_misspelt_keyword_is_refused(ledger: Ledger) -> None:
    """A keyword that nobody knows is not passed over: without its key a repeat would pay twice."""
    with pytest.raises(UsageError) as caught:
        ledger.record("alice", "bob", 1, reason="x", idempotencykey="k")  # type: ignore[call-arg]
    assert "idempotencykey" in str(caught.value)


def test_seeding_goes_on_from_page_to_page(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """More accounts than one transaction takes are all endowed, once."""
    monkeypatch.setattr(verbs, "_SEED_RUN", 2)
    for number in range(5):
        ledger.create_account(f"new:{number}")
    assert 6 == ledger.seed_accounts(7)  # carol, who has nothing yet, and the five
    assert {7 * 10**18} == {ledger.get_balance(f"new:{number}") for number in range(5)}
    assert 0 == ledger.seed_accounts(7)
