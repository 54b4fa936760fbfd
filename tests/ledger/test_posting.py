"""Posting: idempotency, atomic lists, limits, texts, and what every entry is left with."""

from __future__ import annotations

import datetime as dt
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests import books, reference

from token_ledger.core.entry import EntryHasher
from token_ledger.core.types import UINT256_MAX
from token_ledger.errors import (
    InsufficientBalanceError,
    KeyConflictError,
    RuleError,
    SupplyExceededError,
    TimestampError,
)
from token_ledger.ledger import Ledger, posting, schema
from token_ledger.ledger.requests import fresh_key

ONE = 10**18
GIFT: dict[str, Any] = {"reason": "gift", "idempotency_key": "k"}


def figures(ledger: Ledger) -> list[tuple[Any, ...]]:
    """Return everything that a posting could have changed."""
    with ledger.read() as connection:
        return [
            tuple(row)
            for table in (schema.token_ledger, schema.token_accounts, schema.token_supply)
            for row in connection.execute(table.select())
        ]


def test_transfer_moves_and_says_what_became(ledger: Ledger) -> None:
    """The result carries id, entry number, value and both balances; the ledger agrees."""
    posted = ledger.transfer("alice", "bob", "12.5", reason="gift")
    assert (3, 125 * ONE // 10, "12.5", False) == (
        posted.entry_no,
        posted.value,
        posted.amount,
        posted.repeated,
    )
    expected = (875 * ONE // 10, 625 * ONE // 10)
    assert expected == (posted.balance_after_from, posted.balance_after_to)
    assert expected == (ledger.get_balance("alice"), ledger.get_balance("bob"))
    assert 150 * ONE == ledger.get_total_supply()
    assert posted.supply_after is None


def test_mint_and_burn_change_the_supply(ledger: Ledger) -> None:
    """A mint raises and a burn lowers the supply; the side of `system` has no balance."""
    minted = ledger.mint("carol", 7, reason="award")
    assert (None, 7 * ONE, 157 * ONE) == (
        minted.balance_after_from,
        minted.balance_after_to,
        minted.supply_after,
    )
    burned = ledger.burn("carol", 3, reason="fee")
    assert (4 * ONE, None, 154 * ONE) == (
        burned.balance_after_from,
        burned.balance_after_to,
        burned.supply_after,
    )
    supply = ledger.get_supply()
    assert (154 * ONE, 157 * ONE, 3 * ONE) == (
        supply.total_supply,
        supply.total_minted,
        supply.total_burned,
    )


def test_id_is_the_eip712_digest(ledger: Ledger) -> None:
    """Anybody recomputes the id of a stored row from its own columns."""
    posted = ledger.transfer("alice", "bob", 1, reason="gift", memo="ü", metadata={"n": 1})
    entry = ledger.get_entry(posted.id)
    expected = EntryHasher(ledger.token.uid).id(
        from_address=entry.from_address,
        to_address=entry.to_address,
        value=entry.value,
        nonce=entry.nonce,
        ref=entry.ref,
    )
    assert expected == posted.id == entry.id


def test_texts_come_back_as_given(ledger: Ledger) -> None:
    """Reason, reference, memo and metadata are stored unnormalised, metadata as RFC 8785."""
    memo = "e\u0301 \u00e9 \U0001f680\n\ttab"
    posted = ledger.transfer(
        "alice", "bob", 1, reason="r", reference=("t", "i"), memo=memo, metadata={"b": 1, "a": "é"}
    )
    entry = ledger.get_entry(posted.id)
    assert ("r", "t", "i", memo, '{"a":"é","b":1}') == (
        entry.reason,
        entry.reference_type,
        entry.reference_id,
        entry.memo,
        entry.metadata,
    )


def test_repeat_returns_the_first_result(ledger: Ledger) -> None:
    """The same request under the same key adds no row and answers as the first one did."""
    first = ledger.transfer("alice", "bob", 1, **GIFT)
    ledger.transfer("alice", "bob", 5, reason="other")
    before = figures(ledger)
    again = ledger.transfer("alice", "bob", "1.0", **GIFT)
    assert before == figures(ledger)
    assert again.repeated and not first.repeated
    for name in ("id", "entry_no", "timestamp", "balance_after_from", "balance_after_to"):
        assert getattr(first, name) == getattr(again, name)


@pytest.mark.parametrize("verb", ["mint", "burn"])
def test_repeated_mint_and_burn(verb: str, ledger: Ledger) -> None:
    """Mints and burns are idempotent too, with the supply of the first time."""
    first = getattr(ledger, verb)("alice", 1, **GIFT)
    again = getattr(ledger, verb)("alice", 1, **GIFT)
    assert (first.id, first.supply_after, True) == (again.id, again.supply_after, again.repeated)


@pytest.mark.parametrize(
    "other",
    [
        {"amount": 2},
        {"from_account": "bob", "to_account": "alice"},
        {"to_account": "carol"},
        {"reason": "bribe"},
        {"memo": "m"},
        {"metadata": {}},
        {"reference": ("a", "b")},
        {"timestamp": "2020-01-01T00:00:00Z"},
    ],
    ids=str,
)
def test_same_key_with_another_request_is_a_conflict(other: Any, ledger: Ledger) -> None:
    """Another amount, side, text or explicit time under a used key is refused, naming the key."""
    request: dict[str, Any] = {"from_account": "alice", "to_account": "bob", "amount": 1} | GIFT
    ledger.transfer(**request)
    before = figures(ledger)
    with pytest.raises(KeyConflictError, match="'k'"):
        ledger.transfer(**(request | other))
    assert before == figures(ledger)


def test_default_time_is_no_other_request(ledger: Ledger) -> None:
    """A repeat without a time takes the first one's; the same explicit time is a repeat too."""
    when = "2020-01-01T00:00:00.000001Z"
    first = ledger.transfer("alice", "bob", 1, **GIFT, timestamp=when)
    for again in ({}, {"timestamp": when}, {"timestamp": "2020-01-01T01:00:00.000001+01:00"}):
        assert first.timestamp == ledger.transfer("alice", "bob", 1, **GIFT, **again).timestamp


def test_refused_posting_leaves_its_key_free(ledger: Ledger) -> None:
    """After a refusal the key serves another request."""
    with pytest.raises(InsufficientBalanceError):
        ledger.transfer("alice", "bob", 1000, **GIFT)
    assert not ledger.transfer("alice", "bob", 1, **GIFT).repeated


def test_keys_are_each_tokens_own(ledger: Ledger) -> None:
    """One key serves once in every token, and makes entries with different ids."""
    first = ledger.mint("alice", 1, **GIFT)
    ledger.create_token("TWO", "Second", 2)
    ledger.use("TWO")
    second = ledger.mint("alice", 1, **GIFT)
    assert not second.repeated
    assert first.id != second.id
    assert (100, 1) == (second.value, ledger.get_supply().total_supply // 100)


def test_missing_key_is_made_and_returned(ledger: Ledger) -> None:
    """Without a key a fresh UUIDv7 is taken and returned, and serves for the repeat."""
    posted = ledger.transfer("alice", "bob", 1, reason="gift")
    assert 7 == uuid.UUID(posted.idempotency_key).version
    again = ledger.transfer(
        "alice", "bob", 1, reason="gift", idempotency_key=posted.idempotency_key
    )
    assert again.repeated


def test_fresh_keys_are_uuids_of_their_millisecond() -> None:
    """Fresh keys differ, are version 7 of the RFC 9562 variant, and begin with the time."""
    keys = [uuid.UUID(fresh_key()) for _ in range(100)]
    assert 100 == len(set(keys))
    assert {(7, uuid.RFC_4122)} == {(key.version, key.variant) for key in keys}
    now = dt.datetime.now(dt.UTC).timestamp() * 1000
    assert all(abs((key.int >> 80) - now) < 60_000 for key in keys)


def test_overdraft_names_account_balance_and_need(ledger: Ledger) -> None:
    """Spending more than there is is refused with the figures, and changes nothing."""
    before = figures(ledger)
    with pytest.raises(InsufficientBalanceError, match=r"'alice' holds 100 TKN, 100\.5 is needed"):
        ledger.transfer("alice", "bob", "100.5", reason="gift")
    with pytest.raises(InsufficientBalanceError):
        ledger.burn("carol", 1, reason="gift")
    assert before == figures(ledger)


def test_supply_cannot_exceed_the_maximum(database_url: str) -> None:
    """A mint up to the maximum passes, one base unit more is refused with the figures."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("T", "Token", 2, max_supply=100)
        ledger.create_account("a", initial_balance=60)
        with pytest.raises(SupplyExceededError, match=r"40\.01 T on top of 60 .* 100 "):
            ledger.mint("a", "40.01", reason="x")
        assert 10_000 == ledger.mint("a", 40, reason="x").supply_after


def test_full_uint256_range(database_url: str) -> None:
    """2**256 - 1 base units are minted, moved and burned exactly; one more is refused."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("T", "Token", 0)
        for name in ("a", "b"):
            ledger.create_account(name)
        ledger.mint("a", UINT256_MAX, reason="x")
        with pytest.raises(SupplyExceededError):
            ledger.mint("b", 1, reason="x")
        ledger.transfer("a", "b", UINT256_MAX - 1, reason="x")
        assert (1, UINT256_MAX - 1) == (ledger.get_balance("a"), ledger.get_balance("b"))
        for _ in range(3):  # cumulative figures go beyond 2**256
            ledger.transfer("b", "a", UINT256_MAX - 1, reason="x")
            ledger.transfer("a", "b", UINT256_MAX - 1, reason="x")
        assert UINT256_MAX + 3 * (UINT256_MAX - 1) == ledger.get_account("a").total_earned
        ledger.burn("b", UINT256_MAX - 1, reason="x")
        assert 1 == ledger.get_total_supply()


@pytest.mark.parametrize("power", [8, 53, 63, 64, 127, 128, 255])
def test_amounts_around_powers_of_two(power: int, database_url: str) -> None:
    """Amounts next to 2**k come back to the unit, in every column that holds them."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("T", "Token", 0)
        ledger.create_account("a")
        ledger.create_account("b")
        for value in (2**power - 1, 2**power, 2**power + 1):
            if 2**power + 1 + ledger.get_total_supply() > UINT256_MAX:
                ledger.burn("a", ledger.get_balance("a"), reason="x")
            posted = ledger.mint("a", value, reason="x")
            entry = ledger.get_entry(posted.id)
            balance = ledger.get_balance("a")
            assert (value, balance) == (entry.value, entry.balance_after_to)
            assert balance == ledger.get_total_supply() == entry.supply_after


def test_list_is_all_or_nothing(ledger: Ledger) -> None:
    """One refused record takes the whole list with it, whichever it is."""
    good = [ledger.record("alice", "bob", 1, reason="x") for _ in range(4)]
    bad = ledger.record("carol", "bob", 1000, reason="x")
    before = figures(ledger)
    for place in range(5):
        with pytest.raises(InsufficientBalanceError):
            ledger.post_many([*good[:place], bad, *good[place:]])
        assert before == figures(ledger)
    numbers = [posted.entry_no for posted in ledger.post_many(good)]
    assert numbers == sorted(numbers)


def test_list_runs_in_order(ledger: Ledger) -> None:
    """Later records spend what earlier ones brought; balances after are those in between."""
    records = [
        ledger.record("alice", "carol", 100, reason="x"),
        ledger.record("carol", "bob", 60, reason="x"),
        ledger.record("carol", "alice", 40, reason="x"),
        ledger.record("system", "carol", 5, reason="x"),
        ledger.record("bob", "system", 110, reason="x"),
    ]
    posted = ledger.post_many(records)
    found = [(p.balance_after_from, p.balance_after_to, p.supply_after) for p in posted]
    expected = [(0, 100, None), (40, 110, None), (0, 40, None), (None, 5, 155), (0, None, 45)]
    assert [tuple(n if n is None else n * ONE for n in row) for row in expected] == found
    assert sorted(p.entry_no for p in posted) == [p.entry_no for p in posted]
    with pytest.raises(InsufficientBalanceError):
        ledger.post_many([records[1], records[0]])


def test_repeat_inside_a_list(ledger: Ledger) -> None:
    """A key that comes twice in one list posts once; with another request it is a conflict."""
    record = ledger.record("alice", "bob", 1, **GIFT)
    first, second = ledger.post_many([record, record])
    assert (False, True) == (first.repeated, second.repeated)
    assert (first.id, first.balance_after_from) == (second.id, second.balance_after_from)
    assert 99 * ONE == ledger.get_balance("alice")
    other = ledger.record("alice", "bob", 2, **(GIFT | {"idempotency_key": "k2"}))
    clash = ledger.record("alice", "bob", 3, **(GIFT | {"idempotency_key": "k2"}))
    with pytest.raises(KeyConflictError):
        ledger.post_many([other, clash])


def test_list_of_old_and_new(ledger: Ledger) -> None:
    """Records posted before are answered as then, the new ones are added: no row twice."""
    records = [
        ledger.record("alice", "bob", 1, reason="x", idempotency_key=f"k{i}") for i in range(5)
    ]
    ledger.post_many(records[:3])
    assert [True] * 3 + [False] * 2 == [p.repeated for p in ledger.post_many(records)]
    assert 95 * ONE == ledger.get_balance("alice")


def test_empty_list_posts_nothing(ledger: Ledger) -> None:
    """Nothing in, nothing out."""
    assert [] == ledger.post_many([])


def test_long_list_equals_single_postings(ledger: Ledger) -> None:
    """A thousand records at once leave what a thousand single ones would: COPY and INSERT agree."""
    records = [
        ledger.record("alice", "bob", f"0.00{i:03}", reason="x", metadata={"i": i})
        for i in range(1, 1000)
    ]
    posted = ledger.post_many(records)
    total = sum(record.value for record in records)
    assert 100 * ONE - total == ledger.get_balance("alice") == posted[-1].balance_after_from
    entry = ledger.get_entry(posted[500].id)
    assert ('{"i":501}', posted[500].balance_after_to) == (entry.metadata, entry.balance_after_to)


def test_created_at_never_goes_back(database_url: str, tmp_path: Path) -> None:
    """A clock that is set back does not disturb the order of an account's history."""
    times = iter([9_000, 9_000, 9_000, 9_000, 5_000, 7_000, *[1] * 20])
    with Ledger.create(database_url, operator=b"\1" * 20, clock=lambda: next(times)) as ledger:
        ledger.create_token("T", "Token", 0)
        ledger.create_account("a")
        for _ in range(3):
            ledger.mint("a", 1, reason="x")
        page = ledger.get_statement("a")
        created = [entry.created_at for entry in reversed(page.entries)]
        assert sorted(created) == created


def test_past_and_future_times_are_kept(ledger: Ledger) -> None:
    """Entries may be dated from 1970 to 9999; the posting time is another matter."""
    for text in ("1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"):
        posted = ledger.transfer("alice", "bob", 1, reason="x", timestamp=text)
        assert ledger.get_entry(posted.id).created_at > 0
    with pytest.raises(TimestampError):
        ledger.transfer("alice", "bob", 1, reason="x", timestamp="9999-12-31T23:59:59-00:01")


def test_databases_own_time_is_taken_on_postgresql(postgres_url: str) -> None:
    """Without a clock of the test's, created_at is the server's time."""
    with Ledger.create(postgres_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("T", "Token", 0)
        ledger.create_account("a")
        posted = ledger.mint("a", 1, reason="x")
        entry = ledger.get_entry(posted.id)
        assert entry.timestamp == entry.created_at
        assert abs(entry.created_at - dt.datetime.now(dt.UTC).timestamp() * 1e6) < 600e6


def test_posting_inside_an_open_transaction(ledger: Ledger) -> None:
    """`post` neither commits nor rolls back: its caller's transaction decides."""
    record = ledger.record("alice", "bob", 1, **GIFT)
    before = figures(ledger)
    with pytest.raises(ZeroDivisionError), ledger.write() as connection:
        posting.post(connection, ledger.context, ledger.token, [record])
        raise ZeroDivisionError
    assert before == figures(ledger)
    with ledger.write() as connection:
        posting.post(connection, ledger.context, ledger.token, [record])
    assert 99 * ONE == ledger.get_balance("alice")


def test_sum_over_all_accounts_is_zero(ledger: Ledger) -> None:
    """`system` owes what all others hold: minus the total supply."""
    books.fill(ledger, 100)
    page, _ = ledger.accounts(limit=100)
    assert ledger.get_total_supply() == sum(account.balance for account in page)
    assert ledger.get_total_supply() == sum(a.total_earned - a.total_spent for a in page)


def test_rule_errors_are_the_callers_to_read(ledger: Ledger) -> None:
    """Every refusal is a RuleError with a stable code and a way out."""
    with pytest.raises(RuleError) as caught:
        ledger.transfer("alice", "bob", 1000, reason="x")
    assert "insufficient_balance" == caught.value.code
    assert caught.value.hint == "it lacks 900"


def test_naive_twin_agrees(ledger: Ledger) -> None:
    """Nonce and ref in the database are those of the naive transcription of the specification."""
    posted = ledger.transfer("alice", "bob", 1, **GIFT, memo="m", metadata=[1])
    entry = ledger.get_entry(posted.id)
    nonce = reference.entry_nonce(ledger.secret, "k")
    salt = reference.ref_salt(ledger.secret, nonce)
    assert nonce == entry.nonce
    assert reference.entry_ref(salt, "gift", "", "", "m", "[1]") == entry.ref
