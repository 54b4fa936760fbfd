"""Reversal: once, no more than the original, linked to it, also when many try at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from token_ledger.errors import (
    DatabaseError,
    InsufficientBalanceError,
    KeyConflictError,
    ReversalError,
    UnknownEntryError,
)
from token_ledger.ledger import Ledger

ONE = 10**18


def test_a_transfer_is_sent_back_and_linked(ledger: Ledger) -> None:
    """The reversal goes the other way, names the entry, and is found from it."""
    paid = ledger.transfer("alice", "bob", 10, reason="x")
    assert ledger.get_reversal(paid.id) is None
    back = ledger.reverse(paid.id, reason="mistake", idempotency_key="r1")
    entry = ledger.get_entry(back.id)
    assert ("bob", "alice", 10 * ONE) == (entry.from_account, entry.to_account, entry.value)
    assert ("reversal", "0x" + paid.id.hex()) == (entry.reference_type, entry.reference_id)
    found = ledger.get_reversal(paid.id)
    assert found is not None
    assert back.id == found.id
    assert 100 * ONE == ledger.get_balance("alice")


def test_mints_and_burns_are_reversed_too(ledger: Ledger) -> None:
    """The reversal of a mint burns, that of a burn mints: the supply is what it was."""
    before = ledger.get_total_supply()
    minted, burned = ledger.mint("bob", 5, reason="x"), ledger.burn("alice", 7, reason="x")
    ledger.reverse(minted.id)
    ledger.reverse(burned.id)
    assert before == ledger.get_total_supply()


def test_an_entry_is_reversed_once(ledger: Ledger) -> None:
    """In part or in whole: a second reversal is refused, and more than there was as well."""
    paid = ledger.transfer("alice", "bob", 10, reason="x")
    with pytest.raises(ReversalError, match="moved 10"):
        ledger.reverse(paid.id, "10.1")
    ledger.reverse(paid.id, 4)
    for amount in (1, 6, None):
        with pytest.raises(ReversalError, match="was reversed by"):
            ledger.reverse(paid.id, amount)
    with pytest.raises(UnknownEntryError):
        ledger.reverse(b"\1" * 32)


def test_a_repeat_is_judged_on_the_request(ledger: Ledger) -> None:
    """The same request repeats its result; the key with another amount or entry is a conflict."""
    paid = ledger.transfer("alice", "bob", 10, reason="x")
    other = ledger.transfer("alice", "bob", 10, reason="y", idempotency_key="plain")
    first = ledger.reverse(paid.id, idempotency_key="k")
    again = ledger.reverse(paid.id, idempotency_key="k")
    assert (first.id, first.balance_after_to, True) == (
        again.id, again.balance_after_to, again.repeated,
    )  # fmt: skip
    for entry_id, amount, key in (
        (paid.id, 10, "k"),
        (other.id, None, "k"),
        (other.id, None, "plain"),
    ):
        with pytest.raises(KeyConflictError):
            ledger.reverse(entry_id, amount, idempotency_key=key)
    with pytest.raises(KeyConflictError):
        ledger.transfer("bob", "alice", 10, reason="z", idempotency_key="k")


def test_a_refused_reversal_leaves_its_key_free(ledger: Ledger) -> None:
    """What the payee has spent does not come back, until he has it again."""
    paid = ledger.transfer("alice", "carol", 10, reason="x")
    spent = ledger.transfer("carol", "bob", 1, reason="x")
    with pytest.raises(InsufficientBalanceError):
        ledger.reverse(paid.id, idempotency_key="k")
    ledger.reverse(spent.id)
    assert not ledger.reverse(paid.id, idempotency_key="k").repeated


def test_one_of_many_at_once_succeeds(ledger: Ledger) -> None:
    """Concurrent reversals of one entry: exactly one lands."""
    paid = ledger.transfer("alice", "bob", 10, reason="x")

    def attempt(key: int) -> bool:
        try:
            ledger.reverse(paid.id, 5, idempotency_key=f"k{key}")
        except ReversalError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert 1 == sum(pool.map(attempt, range(16)))
    assert 55 * ONE == ledger.get_balance("bob")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE token_reversals SET reversed_entry_no = 1",
        "DELETE FROM token_reversals",
        "INSERT INTO token_reversals VALUES (6, 1, 3)",  # reversed already
        "INSERT INTO token_reversals VALUES (6, 1, 5)",  # goes the same way
        "INSERT INTO token_reversals VALUES (7, 1, 5)",  # is more
        "DELETE FROM token_requests",
    ],
)
def test_the_database_keeps_it(ledger: Ledger, statement: str) -> None:
    """Links are append-only; one that is doubled, not the other way round, or more is refused."""
    paid = ledger.transfer("alice", "bob", 10, reason="x")  # 3
    ledger.reverse(paid.id)  # 4
    ledger.transfer("alice", "bob", 2, reason="x")  # 5
    ledger.transfer("alice", "bob", 1, reason="x")  # 6
    ledger.transfer("bob", "alice", 3, reason="x")  # 7
    with pytest.raises(DatabaseError), ledger.write() as connection:
        connection.exec_driver_sql(statement)
