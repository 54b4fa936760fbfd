"""A ledger with one token and three accounts, on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books

from token_ledger.ledger import Ledger


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger of one token, where alice holds 100, bob 50, and carol nothing."""
    with books.create(database_url, tmp_path) as ledger:
        ledger.create_account("alice", initial_balance=100)
        ledger.create_account("bob", initial_balance=50)
        ledger.create_account("carol")
        yield ledger
