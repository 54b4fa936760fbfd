"""Books that follow a token of a chain: what the tests of import, adopt and reconcile share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from tests.chain.living import NOBODY, TOKEN, LivingToken, log, sums

from token_ledger.adopt import adopt
from token_ledger.ingest import IngestResult, ingest
from token_ledger.ledger import Ledger
from token_ledger.ledger.schema import token_ledger

A, B, C = b"\xaa" * 20, b"\xbb" * 20, b"\xcc" * 20


def take_in(ledger: Ledger, url: str, **words: Any) -> None:
    """Take the test's token in, and mean it from now on."""
    token = adopt(ledger, url, TOKEN, **words)
    ledger.use(token.symbol)


def bring(ledger: Ledger, url: str) -> IngestResult:
    """Import the token that is meant."""
    return ingest(ledger, url, contract=TOKEN)


def held(ledger: Ledger) -> dict[bytes, int]:
    """Return who holds something of the token, by address."""
    page, cursor = ledger.accounts(1000)
    assert cursor is None
    return {account.address: account.balance for account in page if account.balance}


def expected(chain: LivingToken, last_block: int) -> dict[bytes, int]:
    """Return who holds something by naive sums."""
    left = sums(chain.logs, last_block)
    return {who: value for who, value in left.items() if value and who != NOBODY}


def entries(ledger: Ledger) -> list[Any]:
    """Return the entries of the token, in order."""
    with ledger.read() as connection:
        table = token_ledger
        query = select(table).where(table.c.token_no == ledger.token.token_no)
        return list(connection.execute(query.order_by(table.c.entry_no)))


def life() -> list[Any]:
    """Return the life of a small token, odd transfers among it, one every block."""
    moves = [
        (NOBODY, A, 100), (A, B, 30), (A, A, 5), (B, C, 0), (NOBODY, NOBODY, 7),
        (B, C, 30), (C, NOBODY, 10), (NOBODY, B, 2**200), (B, A, 2**199), (A, C, 1),
    ]  # fmt: skip
    return [log(i + 3, i % 3, *move) for i, move in enumerate(moves)]
