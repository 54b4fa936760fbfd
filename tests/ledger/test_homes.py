"""Homes and imports in the database: what was final when it became an entry stays so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books
from tests.chain.fake_node import FakeNode
from tests.chain.living import NOBODY, LivingToken, log
from tests.entered import A, bring, take_in

from token_ledger.errors import DatabaseError
from token_ledger.ledger import Ledger


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger that has imported one mint, of block 3."""
    with (
        books.create(database_url, tmp_path) as ledger,
        FakeNode(LivingToken([log(3, 0, NOBODY, A, 9)], head=9)) as node,
    ):
        take_in(ledger, node.url)
        bring(ledger, node.url)
        yield ledger


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE token_homes SET next_block = next_block - 1",
        "UPDATE token_homes SET chain_id = 5",
        "UPDATE token_homes SET address = (SELECT address FROM accounts WHERE account_no = 0)",
        "UPDATE token_homes SET replayed_number = 3",
        "DELETE FROM token_homes",
        "UPDATE token_imports SET log_index = 1",
        "UPDATE token_imports SET broken = 'x'",
        "DELETE FROM token_imports",
    ],
)
def test_neither_is_taken_back(ledger: Ledger, statement: str) -> None:
    """A home stays and only moves on; which entry is which log does not change."""
    with pytest.raises(DatabaseError, match="append-only"), ledger.write() as connection:
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize("column", ["stopped_block", "stopped_index"])
def test_a_stop_has_both_block_and_log(ledger: Ledger, column: str) -> None:
    """Half a place is refused, and so is a stop elsewhere than at the next block."""
    with pytest.raises(DatabaseError), ledger.write() as connection:
        connection.exec_driver_sql(f"UPDATE token_homes SET {column} = 1")


def test_a_log_is_one_entry(ledger: Ledger) -> None:
    """The database refuses a second entry for the same log, whoever writes it."""
    copied = (
        "INSERT INTO token_imports (entry_no, token_no, block_number, log_index, block_hash,"
        " tx_hash) SELECT entry_no + {}, token_no, block_number, log_index, block_hash, tx_hash"
        " FROM token_imports"
    )
    for more in (0, 1):
        with pytest.raises(DatabaseError), ledger.write() as connection:
            connection.exec_driver_sql(copied.format(more))
