"""One key asked for at once by a list and by a single posting: one of them lands."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import create_engine, insert, select, text

from token_ledger.check import check
from token_ledger.errors import KeyConflictError
from token_ledger.ledger import Ledger, schema
from token_ledger.ledger.posted import Posted

ONE = 10**18


def _list(ledger: Ledger) -> list[Posted]:
    return ledger.post_many([ledger.record("alice", "bob", 1, reason="gift")], idempotency_key="K")


def _single(ledger: Ledger) -> list[Posted]:
    return [ledger.transfer("carol", "dora", 1, reason="gift", idempotency_key="K")]


def _hold(ledger: Ledger) -> list[Posted]:
    return [ledger.hold("carol", 1, idempotency_key="K")]


def _wait_for_waiter(ledger: Ledger, thread: threading.Thread) -> None:
    """Return once the other transaction waits for a lock, or is done."""
    if ledger.engine.dialect.name == "sqlite":
        return  # it waits for the one writer before it has read anything
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with ledger.engine.connect() as connection:
        while thread.is_alive() and not connection.execute(text(waiting)).scalar():
            connection.rollback()
            time.sleep(0.01)


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize(
    ("first", "second"), [(_list, _single), (_single, _list), (_list, _hold), (_hold, _list)]
)
def test_a_list_and_a_posting_never_share_a_key(
    ledger: Ledger,
    first: Callable[[Ledger], list[Posted]],
    second: Callable[[Ledger], list[Posted]],
    commits: bool,
) -> None:
    """Whoever comes while the other is open waits; it lands only where that one was undone."""
    for name in ("carol", "dora"):
        ledger.create_account(name, initial_balance=9, exist_ok=True)
    landed: list[list[Posted]] = []
    refused: list[KeyConflictError] = []

    def come() -> None:
        try:
            landed.append(second(ledger))
        except KeyConflictError as error:
            refused.append(error)

    own = create_engine(ledger.engine.url)
    thread = threading.Thread(target=come)
    with own.connect() as connection:
        mine = first(ledger.bound_to(connection))
        thread.start()
        _wait_for_waiter(ledger, thread)
        connection.commit() if commits else connection.rollback()
        thread.join(60)
    own.dispose()
    assert (int(not commits), int(commits)) == (len(landed), len(refused))
    won = first if commits else second
    (again,) = won(ledger)
    assert ((mine if commits else landed[0])[0].id, True) == (again.id, again.repeated)
    assert [] == check(ledger).findings


def test_a_key_that_is_borne_twice_is_found(ledger: Ledger) -> None:
    """`check` names an entry whose key a list bears too; the entry is still answered as itself."""
    listed = _list(ledger)[0]
    words = {"reason": "gift", "idempotency_key": "other"}
    posted = ledger.transfer("alice", "bob", 2, **words)
    with ledger.write() as connection:
        table = schema.token_ledger.c
        nonce = connection.execute(
            select(table.nonce).where(table.entry_no == posted.entry_no)
        ).scalar_one()
        connection.execute(
            insert(schema.token_requests).values(
                token_no=1, nonce=nonce, digest=bytes(32), entry_no=listed.entry_no
            )
        )
    assert "request_differs" in [finding.kind for finding in check(ledger).findings]
    again = ledger.transfer("alice", "bob", 2, **words)
    assert (posted.id, True) == (again.id, again.repeated)
