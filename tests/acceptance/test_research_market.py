"""Acceptance, research-market ledger: 84 agents, 22,912 entries, from SQLite to PostgreSQL.

Called as that system's users call it: verbs of `Ledger`, three routes over HTTP, commands of an
operator. The shape of its tables, its seeds, its statement and its way to a chain are all here.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect
from tests import books
from tests.api.conftest import Api, serve

from token_ledger.cli import main
from token_ledger.core.address import to_checksum
from token_ledger.core.entry import EntryHasher
from token_ledger.core.files import proof_to_json
from token_ledger.errors import InsufficientBalanceError, UnknownAccountError
from token_ledger.ledger import Ledger
from token_ledger.move import move
from token_ledger.prove import prove
from token_ledger.seal import seal

AGENTS = tuple(f"agent:{number:02}" for number in range(84))
UNIT = 10**18
ENTRY_COLUMNS = {
    "id",
    "timestamp",
    "from_account",
    "to_account",
    "amount",
    "reason",
    "reference_type",
    "reference_id",
    "memo",
    "balance_after_from",
    "balance_after_to",
}
ACCOUNT_COLUMNS = {
    "balance",
    "total_earned",
    "total_spent",
    "total_staked",
    "created_at",
    "updated_at",
}


@pytest.fixture
def market(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger whose agents exist and hold nothing yet."""
    with books.create(database_url, tmp_path) as ledger:
        for agent in AGENTS:
            ledger.create_account(agent)
        yield ledger


def _trade(market: Ledger, entries: int) -> None:
    """Let the agents debate and bid until the ledger holds so many entries."""
    chance = random.Random(84)
    held = dict.fromkeys(AGENTS, 1000)
    records = []
    while len(records) < entries - len(AGENTS):
        bidder, author = chance.sample(AGENTS, 2)
        amount = chance.randint(1, 20)
        if held[bidder] < amount:
            continue
        held[bidder], held[author] = held[bidder] - amount, held[author] + amount
        number = len(records)
        records.append(
            market.record(
                bidder,
                author,
                amount,
                reason="bid:artifact" if number % 2 else "earn:debate",
                reference=("artifact", f"a{number % 977}"),
                memo="as agreed",
                idempotency_key=f"trade:{number}",
            )
        )
    market.post_many(records)


def test_tables_have_the_columns_of_the_field(market: Ledger) -> None:
    """`token_ledger` and `token_accounts` are made by migration, with the columns users query."""
    tables = inspect(market.engine)
    for table, columns in (("token_ledger", ENTRY_COLUMNS), ("token_accounts", ACCOUNT_COLUMNS)):
        assert set() == columns - {column["name"] for column in tables.get_columns(table)}


@pytest.mark.parametrize("column", ["from_account", "to_account", "timestamp", "reason"])
def test_entries_are_indexed(column: str, market: Ledger) -> None:
    """Entries are found by sender, receiver, time and reason through an index."""
    found = [index["column_names"] for index in inspect(market.engine).get_indexes("token_ledger")]
    assert any(column in names[:2] for names in found)


def test_every_agent_is_seeded_once(market: Ledger) -> None:
    """Every existing agent gets 1,000 tokens, once, however often and with whom it is done."""
    market.create_account("newcomer", initial_balance=1000)
    assert len(AGENTS) == market.seed_accounts(1000)
    assert 0 == market.seed_accounts(1000)
    assert {1000 * UNIT} == {market.get_balance(agent) for agent in (*AGENTS, "newcomer")}
    assert (len(AGENTS) + 1) * 1000 * UNIT == market.get_total_supply()


def test_verbs(market: Ledger) -> None:
    """create_account, transfer, mint, burn, get_balance, get_statement and get_total_supply."""
    assert 1000 * UNIT == market.create_account("new", initial_balance=1000).balance
    market.mint("new", "5.5", reason="earn:debate", reference=("debate", "d1"), memo="round 2")
    market.burn("new", "0.5", reason="fee")
    before = dt.datetime.fromtimestamp(market.now() / 1_000_000, dt.UTC)
    moved = market.transfer("new", AGENTS[0], 1, reason="bid:artifact", reference=("artifact", "7"))
    assert (1004 * UNIT, UNIT) == (moved.balance_after_from, moved.balance_after_to)
    assert 1005 * UNIT == market.get_total_supply()
    reasons = [entry.reason for entry in market.get_statement("new").entries]
    assert ["bid:artifact", "fee", "earn:debate", "endow"] == reasons
    (latest,) = market.get_statement("new", since=before).entries
    assert ("artifact", "7", moved.id) == (latest.reference_type, latest.reference_id, latest.id)
    with pytest.raises(InsufficientBalanceError):
        market.transfer("new", AGENTS[0], 2000, reason="bid:artifact")


def test_totals_follow_the_entries(market: Ledger) -> None:
    """total_earned, total_spent and total_staked are what the entries say."""
    market.seed_accounts(1000)
    market.transfer(AGENTS[0], AGENTS[1], 30, reason="bid:artifact")
    held = market.hold(AGENTS[1], 100, reason="stake")
    account = market.get_account(AGENTS[1])
    assert (1030, 100, 930) == (
        account.total_earned // UNIT,
        account.total_staked // UNIT,
        account.balance // UNIT,
    )
    market.release(held.id)
    assert 30 * UNIT == market.get_account(AGENTS[0]).total_spent


@pytest.fixture
def served(market: Ledger) -> Iterator[Api]:
    """Yield the market over HTTP."""
    market.seed_accounts(1000)
    market.transfer(AGENTS[0], AGENTS[1], "2.5", reason="bid:artifact")
    yield from serve(market)


def test_routes(served: Api) -> None:
    """Balance, supply and ledger answer under the paths that the agents call."""
    balance = served.get(f"/api/token/balance/{AGENTS[1]}").json()
    assert "1002.5" == balance["amount"]
    assert "84000" == served.get("/api/token/supply").json()["amount"]
    page = served.get(f"/api/token/ledger?account={AGENTS[0]}&limit=50").json()
    assert ["bid:artifact", "endow"] == [entry["reason"] for entry in page["entries"]]
    assert "0" == served.get("/api/token/balance/nobody").json()["amount"]


def test_production_size_survives_the_move(
    database_url: str,
    market: Ledger,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """84 accounts and 22,912 entries move to the other engine with the same ids, roots, proofs."""
    market.seed_accounts(1000)
    _trade(market, 22_912)
    seal(market)
    there_url = (
        request.getfixturevalue("postgres_url")
        if database_url.startswith("sqlite")
        else f"sqlite:///{tmp_path / 'there.db'}"
    )
    assert 22_912 == move(market, there_url).entries_copied
    with Ledger.open(there_url, secret_file=tmp_path / "secret") as there:
        assert market.get_supply() == there.get_supply()
        for agent in AGENTS[:5]:
            assert market.get_statement(agent) == there.get_statement(agent)
        entry = market.get_statement(AGENTS[3]).entries[0]
        assert proof_to_json(prove(market, entry.id)) == proof_to_json(prove(there, entry.id))
        again = there.record(AGENTS[0], AGENTS[1], 1, reason="x", idempotency_key="after the move")
        assert market.post_many([again])[0].id == there.post_many([again])[0].id


def test_a_row_is_a_transfer(market: Ledger, tmp_path: Path) -> None:
    """from, to and amount are the Transfer's; id is recomputed from them; names stay at home."""
    market.seed_accounts(1000)
    posted = market.transfer(AGENTS[0], AGENTS[1], 7, reason="bid:artifact", memo="mine")
    seal(market)
    proof = proof_to_json(prove(market, posted.id))
    entry = proof["entry"]
    sender, receiver = (market.get_account(agent).address for agent in AGENTS[:2])
    assert (to_checksum(sender), to_checksum(receiver)) == (entry["from"], entry["to"])
    assert str(7 * UNIT) == entry["value"]
    ref, nonce = bytes.fromhex(entry["ref"][2:]), bytes.fromhex(entry["nonce"][2:])
    again = EntryHasher(market.token.uid).id(
        from_address=sender, to_address=receiver, value=7 * UNIT, nonce=nonce, ref=ref
    )
    assert posted.id == again
    assert "agent:" not in json.dumps(proof)
    assert "mine" not in json.dumps(proof)


def test_a_missing_agent(market: Ledger, database_url: str, tmp_path: Path) -> None:
    """A missing wallet reads as 0; for get_account and the command `balance` it is an error."""
    assert 0 == market.get_balance("nobody")
    with pytest.raises(UnknownAccountError):
        market.get_account("nobody")
    where = ["--db", database_url, "--secret-file", str(tmp_path / "secret")]
    assert 1 == main([*where, "balance", "nobody"])
    assert 0 == main([*where, "balance", AGENTS[0]])
