"""A ledger with one token and three accounts, on each engine."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
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


@pytest.fixture
def purse(database_url: str) -> Iterator[Ledger]:
    """Yield a ledger of whole coins, 1,000 at most: alice holds 70 and may owe 50, bob nothing."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("T", "Token", 0, max_supply=1000)
        ledger.create_account("alice", initial_balance=70)
        ledger.create_account("bob")
        ledger.limit_overdraft("alice", 50)
        yield ledger


@pytest.fixture
def new_postgres_url(postgres_server: str) -> Iterator[Callable[[], str]]:
    """Yield a function that makes a fresh database each time: for one an example of a property."""
    made: list[str] = []
    admin = postgres_server.format(database="postgres").replace("+psycopg", "")
    with psycopg.connect(admin, autocommit=True) as connection:

        def make() -> str:
            made.append(f"example_{uuid.uuid4().hex}")
            connection.execute(f"CREATE DATABASE {made[-1]}")
            return postgres_server.format(database=made[-1])

        yield make
        for name in made:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
