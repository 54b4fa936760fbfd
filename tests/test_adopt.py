"""A token that was always on a chain: taken in by its address, and moved by the chain alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests import books
from tests.chain.fake_node import Failure, FakeNode
from tests.chain.living import ADDRESS, NOBODY, TOKEN, LivingToken, log, sums
from tests.entered import A, B, bring, entries, life, take_in
from tests.onchain import count, found

from token_ledger.adopt import adopt
from token_ledger.chain.identity import read_identity
from token_ledger.chain.rpc import Rpc
from token_ledger.check import check
from token_ledger.core.address import to_checksum
from token_ledger.errors import (
    RpcError,
    TokenExistsError,
    TokenFinalizedError,
    UsageError,
    WrongChainError,
)
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, batches
from token_ledger.migrate import migrate
from token_ledger.move import move
from token_ledger.node import _start_anew
from token_ledger.plan import plan
from token_ledger.reconcile import reconcile
from token_ledger.seal import seal
from token_ledger.status import status


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger with a token of its own, beside which others are taken in."""
    with books.create(database_url, tmp_path) as ledger:
        yield ledger


def test_the_contract_says_its_terms(ledger: Ledger) -> None:
    """Symbol, name and decimals are the contract's own; given ones come first."""
    with FakeNode(LivingToken(life(), head=9)) as node:
        token = adopt(ledger, node.url, TOKEN)
        assert ("LIV", "Living Token", 18) == (token.symbol, token.name, token.decimals)
        with pytest.raises(TokenExistsError, match="is the contract of a token"):
            adopt(ledger, node.url, TOKEN, symbol="OTHER")


def test_whether_it_is_a_proxy_must_be_known(ledger: Ledger) -> None:
    """Taken in while no node says it, every later answer would look like an upgrade; later none
    at all is no finding, nor an upgrade that was there before.
    """
    chain = LivingToken(life(), head=12, depth=4)
    silent, runs = [True], {"latest": B.rjust(32, b"\0")}

    def answer(method: str, params: list[Any]) -> Any:
        if method != "eth_getStorageAt":
            return chain(method, params)
        if silent[0]:
            return Failure(-32601, "the method does not exist")
        return "0x" + runs.get(params[2], A.rjust(32, b"\0")).hex()

    with FakeNode(answer) as node:
        with pytest.raises(RpcError, match="does not say whether"):
            take_in(ledger, node.url)
        silent[0] = False
        take_in(ledger, node.url)
        for silent[0] in (False, True):
            entered = bring(ledger, node.url).entered
            assert entered is not None
            assert [] == entered.findings


def test_the_application_posts_nothing(ledger: Ledger) -> None:
    """The chain alone moves the token: a posting is refused, with what to call."""
    with FakeNode(LivingToken(life(), head=20)) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
    ledger.create_account("bob")
    with pytest.raises(TokenFinalizedError, match="lives on the chain") as caught:
        ledger.transfer(to_checksum(A), "bob", "1", reason="x")
    assert to_checksum(TOKEN) in str(caught.value.hint)
    ledger.use("TKN")
    ledger.mint("bob", 1, reason="the ledger's own token is open")


def test_a_mirror_that_began_too_late_is_refused(ledger: Ledger) -> None:
    """Entries need all transfers: a mirror without the first ones cannot be taken in."""
    with FakeNode(LivingToken(life(), head=9)) as node:
        ingest(ledger, node.url, contract=TOKEN, from_block=5)
        with pytest.raises(UsageError, match="from block 5 on, and it is of 0"):
            adopt(ledger, node.url, TOKEN)


def test_a_mirror_that_was_there_before_is_taken_in(ledger: Ledger) -> None:
    """A contract that was mirrored as any ERC-20 becomes a token's, with all that is mirrored."""
    chain = LivingToken(life(), head=20)
    with FakeNode(chain) as node:
        ingest(ledger, node.url, contract=TOKEN, from_block=0)
        take_in(ledger, node.url)
        done = bring(ledger, node.url)
    assert done.entered is not None
    assert (0, 7) == (done.transfers, done.entered.entries)


def test_imported_entries_are_sealed_for_audit(ledger: Ledger) -> None:
    """Batches of imported entries go on with the headers, and the supply that entries leave."""
    chain = LivingToken(life(), head=20)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
    assert 7 == seal(ledger).entries
    with ledger.read() as connection:
        header, _ = batches.read_header(connection, ledger.token, 1)
    assert -sums(chain.logs, 20)[NOBODY] == header.total_supply


def test_other_contracts_of_the_chain_stay_out(ledger: Ledger) -> None:
    """Ether's own Transfer logs (EIP-7708) are of another address, and never asked for."""
    ether = log(4, 9, A, B, 1, address="0x" + "ff" * 19 + "fe")
    chain = LivingToken([*life(), ether], head=20)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        assert 10 == bring(ledger, node.url).transfers
        asked = [params[0]["address"] for name, params in node.calls if name == "eth_getLogs"]
    assert {ADDRESS} == set(asked)


def test_there_is_nothing_to_migrate(ledger: Ledger) -> None:
    """Batches of imported entries are for audit: neither plan nor status waits for their replay."""
    with FakeNode(LivingToken(life(), head=20)) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        seal(ledger)
        with pytest.raises(TokenFinalizedError, match="was always on chain 1"):
            migrate(ledger, node.url)
    found = status(ledger)
    assert (1, 0, 0) == (found.batches, found.unreplayed, found.drift)
    assert found.home is not None
    assert (1, TOKEN, 19) == (found.home.chain_id, found.home.address, found.home.next_block)
    assert 0 == plan(ledger).transactions


def test_logs_of_other_shapes_are_counted(ledger: Ledger) -> None:
    """A Transfer whose sides are not indexed is no transfer that anybody could follow."""
    odd = log(4, 5, A, B, 1)
    odd |= {"topics": odd["topics"][:1], "data": "0x" + "00" * 96}
    with FakeNode(LivingToken([*life(), odd], head=20)) as node:
        take_in(ledger, node.url)
        done = bring(ledger, node.url)
    assert (10, 1, 1) == (done.transfers, done.skipped, done.odd.counts["unindexed"])


def test_a_followed_ledger_is_checked_recomputed_and_moved(
    sqlite_url: str, postgres_url: str, tmp_path: Path
) -> None:
    """Every invariant holds, no figure drifts, and after a move the import goes on where it was."""
    chain = LivingToken(life(), head=8)
    secret = tmp_path / "secret"
    with books.create(sqlite_url, tmp_path) as ledger, FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        seal(ledger)
        assert {"ok"} == {part.status for part in check(ledger).checks}
        assert 0 == ledger.recalc(dry_run=True).drifted
        move(ledger, postgres_url)
        chain.head = 20
        with Ledger.open(postgres_url, secret_file=secret, token="LIV") as moved:
            done = bring(moved, node.url)
            assert done.entered is not None
            assert 5 == done.entered.entries
            assert [] == found(reconcile(moved, node.url))


def test_a_test_chain_that_books_follow_is_not_forgotten(ledger: Ledger) -> None:
    """Whoever met another chain before the books began to follow this one still drops nothing."""
    with FakeNode(LivingToken(life(), head=20, chain_id=31337)) as node, Rpc(node.url) as rpc:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        this = read_identity(rpc)
    other = replace(this, genesis=replace(this.genesis, hash=A.rjust(32, b"\1")))
    before = entries(ledger), count(ledger)
    with pytest.raises(WrongChainError, match="serves another chain 31337"):
        _start_anew(ledger, other, "a node")
    assert before == (entries(ledger), count(ledger))
