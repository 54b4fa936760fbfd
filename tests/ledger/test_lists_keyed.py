"""Lists under a key of their own, on both engines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.damage import damage

from token_ledger.check import check
from token_ledger.errors import KeyConflictError, TokenLedgerError, UsageError
from token_ledger.ledger import Ledger
from token_ledger.ledger.posted import Posted

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


def test_the_key_of_a_list_is_no_other_request_s(ledger: Ledger) -> None:
    """Under a list's key nothing else is posted, by whichever verb, nor a list under theirs."""
    give = ledger.record("alice", "bob", 1, reason="gift")
    much = ledger.record("alice", "bob", 10_000, reason="gift")
    ledger.post_many([much, give], atomic=False, idempotency_key="list")
    held = ledger.hold("alice", 1, idempotency_key="held")
    ledger.set_rule("publish", 1)
    balance = ledger.get_balance("alice")
    words = {"reason": "gift", "idempotency_key": "list"}
    with ledger.coalesced() as fast:
        for attempt in (
            lambda: ledger.transfer("alice", "bob", 1, **words),
            lambda: ledger.mint("bob", 1, **words),
            lambda: fast.transfer("alice", "bob", 1, **words),
            lambda: ledger.hold("alice", 1, **words),
            lambda: ledger.capture(held.id, to="bob", **words),
            lambda: ledger.award("alice", "publish", idempotency_key="list"),
            lambda: ledger.reverse(held.id, idempotency_key="list"),
            lambda: ledger.post_many([give], idempotency_key="held"),
        ):
            with pytest.raises(KeyConflictError):
                attempt()
    (refused,) = ledger.post_many([ledger.record("alice", "bob", 1, **words)], atomic=False)
    assert isinstance(refused, KeyConflictError)
    assert balance == ledger.get_balance("alice")


@pytest.mark.parametrize("erased", [False, True])
@pytest.mark.parametrize("atomic", [False, True])
def test_what_a_list_became_is_computed_anew(ledger: Ledger, erased: bool, atomic: bool) -> None:
    """`check` holds a list's key against its first entry's, erased or not; another's is found."""
    records = [ledger.record("alice", "bob", n, reason="gift") for n in (10_000, 1, 2)]
    first = ledger.post_many(records[atomic:], atomic=atomic, idempotency_key="a")
    other = ledger.post_many(records[1:], idempotency_key="b")
    landed = [posted for posted in (*first, *other) if isinstance(posted, Posted)]
    for posted in landed if erased else ():
        ledger.redact(posted.id, ["key"])
    assert [] == check(ledger).findings
    wrong = f"SET entry_no = {landed[-2].entry_no} WHERE entry_no = {landed[0].entry_no}"
    damage(ledger, "token_requests", f"UPDATE token_requests {wrong}")
    assert ["request_differs"] == [finding.kind for finding in check(ledger).findings]
