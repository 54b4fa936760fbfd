"""Lists under a key of their own, on both engines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from token_ledger.check import check
from token_ledger.errors import KeyConflictError, TokenLedgerError, UsageError
from token_ledger.ledger import Ledger

ONE = 10**18


def test_a_list_is_posted_once_under_its_key(ledger: Ledger) -> None:
    """The same list again returns the first results; any other words under the key are refused."""
    give = ledger.record("alice", "bob", 1, reason="gift")
    much = ledger.record("alice", "bob", 10_000, reason="gift")
    for atomic, key, records in ((True, "a", [give, give]), (False, "b", [much, give])):
        first = ledger.post_many(records, atomic=atomic, idempotency_key=key)
        again = ledger.post_many(records, atomic=atomic, idempotency_key=key)
        assert [getattr(p, "id", None) for p in first] == [getattr(p, "id", None) for p in again]
        balance = ledger.get_balance("bob")
        others = [([*records, give], atomic), (records[:1], atomic), ([give, much], atomic)]
        for other, how in [*others, (records, not atomic)]:
            with pytest.raises(KeyConflictError):
                ledger.post_many(other, atomic=how, idempotency_key=key)
        assert balance == ledger.get_balance("bob")
    with pytest.raises(UsageError):
        own = ledger.record("alice", "bob", 1, reason="gift", idempotency_key="k")
        ledger.post_many([own], idempotency_key="c")
    ledger.transfer("alice", "bob", 1, reason="gift", idempotency_key="t")
    with pytest.raises(KeyConflictError):
        ledger.post_many([give], idempotency_key="t")
    assert not check(ledger).findings


def test_of_two_lists_at_once_one_is_posted(ledger: Ledger) -> None:
    """Different lists race for one key: one lands whole, the others are conflicts."""
    lists = [[ledger.record("alice", "bob", n, reason="gift")] * n for n in (1, 2, 3, 4)]

    def post(records: list[object]) -> int:
        try:
            return len(ledger.post_many(records, idempotency_key="race"))  # type: ignore[arg-type]
        except TokenLedgerError as error:
            assert isinstance(error, KeyConflictError)
            return 0

    with ThreadPoolExecutor(4) as pool:
        (won,) = [n for n in pool.map(post, lists) if n]
    assert (50 + won * won) * ONE == ledger.get_balance("bob")
