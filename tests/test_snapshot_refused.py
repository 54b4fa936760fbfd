"""Snapshots that are not taken: of balances that are not the supply, until a slip of the pen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests import books

from token_ledger.core.snapshot import make_snapshot
from token_ledger.errors import DatabaseError, UsageError
from token_ledger.ledger import Ledger
from token_ledger.outgoing import compose_publish
from token_ledger.seal import seal
from token_ledger.snapshot import publish, take

LATER = 4_000_000_000


@pytest.fixture
def ledger(sqlite_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with books.create(sqlite_url, tmp_path) as ledger:
        books.fill(ledger, 20)
        seal(ledger)
        yield ledger


def test_balances_that_are_not_the_supply_are_no_snapshot(ledger: Ledger) -> None:
    """A balance that is missing, or is another: refused, with both sums told."""
    made = take(ledger, deadline=LATER)
    (account, amount), *rest = made.holdings
    for holdings in ([], rest, [(account, amount + 1), *rest]):
        total = sum(held for _, held in holdings)
        with pytest.raises(DatabaseError, match=f"are {total} base units in all") as caught:
            make_snapshot(made.token_uid, made.header, made.digest, holdings, deadline=LATER)
        assert f"header says {made.header.total_supply}" in str(caught.value)


def test_milliseconds_are_no_deadline(ledger: Ledger, fresh_anvil: str) -> None:
    """A deadline in milliseconds is refused when it is taken, published and written down."""
    slip = LATER * 1000
    with pytest.raises(UsageError, match="a hundred years ahead"):
        take(ledger, deadline=slip)
    made = replace(take(ledger, deadline=slip, over=True), signature=bytes(65))
    for attempt in (publish, compose_publish):
        with pytest.raises(UsageError, match="a hundred years ahead"):
            attempt(ledger, fresh_anvil, made)
    ledger.transfer("alice", "bob", 1, reason="the books are open")
