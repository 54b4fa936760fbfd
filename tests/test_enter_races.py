"""Entering while somebody else takes the mirror back: no entry is lost, none made of nothing.

Method: the other one acts in the very moment that matters, because the node that a test plays lets
it: between the block that was agreed on and the transaction that enters, or within one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from tests import books
from tests.chain.fake_node import FakeNode
from tests.chain.living import LivingToken, log
from tests.entered import B, C, bring, entries, expected, held, life, take_in
from tests.ledger.test_concurrency import _somebody_waits
from tests.onchain import TOKEN as CONTRACT
from tests.onchain import a_chain, count, found

from token_ledger.core.transfers import BlockHeader
from token_ledger.errors import ChainError, WrongChainError
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, imports, mirror, mirror_forks
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_schema import chain_contracts, chain_transfers, token_homes
from token_ledger.node import meet
from token_ledger.reconcile import reconcile

HEAD, FORK = 14, 8


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger with a token of its own, beside which others are taken in."""
    with books.create(database_url, tmp_path) as ledger:
        yield ledger


class Chain(LivingToken):
    """A token's chain that has one thing happen when it is asked something for the first time."""

    def __init__(self, logs: list[Any], **words: Any) -> None:
        super().__init__(logs, **words)
        self.method, self.happens = "", lambda: None

    def __call__(self, method: str, params: list[Any]) -> Any:
        """Answer one call."""
        if method == self.method:
            self.method = ""
            self.happens()
        return super().__call__(method, params)

    def fork(self) -> BlockHeader:
        """Replace the blocks above FORK, with one transfer among them; return that block."""
        self.logs = [item for item in self.logs if int(item["blockNumber"], 16) <= FORK]
        for number in range(FORK + 1, 40):
            self.hashes[number] = f"0x{number:064x}"
        self.logs.append(log(10, 0, C, B, 1) | {"blockHash": self.hash(10)})
        hashes = [bytes.fromhex(self.hash(number)[2:]) for number in (FORK, FORK - 1)]
        return BlockHeader(FORK, *hashes, (1_600_000_000 + 12 * FORK) * 1_000_000)


def take_back(ledger: Ledger, fork: BlockHeader) -> None:
    """Do what another import does that finds the fork."""
    ledger.run(lambda c: mirror_forks.take_back(c, 1, fork, now=ledger.now()))


def check(ledger: Ledger, chain: Chain) -> None:
    """Check that the books are what the chain says by now, each log once."""
    assert expected(chain, HEAD) == held(ledger)
    assert [] == found(reconcile(ledger))


def test_blocks_taken_back_after_they_were_agreed_on(ledger: Ledger) -> None:
    """Agreed as final and gone before the entries: they are read again, and then entered."""
    chain = Chain(life(), head=HEAD, depth=0)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        chain.happens = lambda: take_back(ledger, chain.fork())
        chain.method = "eth_getStorageAt"  # asked between the agreement and the first entry
        done = bring(ledger, node.url)
    assert done.entered is not None
    assert done.entered.entries == len(entries(ledger))
    check(ledger, chain)


def test_whoever_enters_waits_for_whoever_takes_back(ledger: Ledger) -> None:
    """While blocks are being taken back nothing of them becomes an entry."""
    chain = Chain(life(), head=HEAD, depth=0)
    asked, answered = threading.Event(), threading.Event()

    def happens() -> None:
        asked.set()
        assert answered.wait(60)

    with FakeNode(chain) as node, ThreadPoolExecutor(1) as pool:
        take_in(ledger, node.url)
        chain.happens, chain.method = happens, "eth_getStorageAt"
        bringing = pool.submit(bring, ledger, node.url)
        assert asked.wait(60)
        with ledger.write() as connection:
            mirror_forks.take_back(connection, 1, chain.fork(), now=ledger.now())
            answered.set()
            until = time.monotonic() + 60
            while not bringing.done() and not _somebody_waits(ledger) and time.monotonic() < until:
                wait([bringing], timeout=0.01)
        bringing.result()
    check(ledger, chain)


def test_whoever_takes_back_waits_for_whoever_enters(ledger: Ledger) -> None:
    """Blocks whose transfers are becoming entries are final: they are not taken back under them."""
    chain = Chain(life(), head=HEAD, depth=0)
    with FakeNode(chain) as node, ThreadPoolExecutor(1) as pool:
        take_in(ledger, node.url)
        chain.depth = HEAD
        bring(ledger, node.url)
        [contract] = stored(ledger)
        with ledger.read() as connection:
            top = mirror_forks.highest_block(connection, 1, HEAD)
        assert top is not None
        with ledger.write() as connection:
            made = imports.enter_run(
                connection,
                ledger.context,
                ledger.token,
                contract,
                top=top,
                up_to=top.number,
                now=ledger.now(),
            )
            taking = pool.submit(take_back, ledger, chain.fork())
            until = time.monotonic() + 60
            while not taking.done() and not _somebody_waits(ledger) and time.monotonic() < until:
                wait([taking], timeout=0.01)
        with pytest.raises(ChainError, match="their transfers are entries"):
            taking.result()
    assert made is not None
    assert made.entries == len(entries(ledger)) > 0
    assert [] == found(reconcile(ledger))


# --- a test chain that began anew


def test_a_chain_with_a_home_is_not_dropped(ledger: Ledger) -> None:
    """From block 0 on and without an entry yet: the home stays, and the other chain is refused."""
    chain = Chain([], head=HEAD, chain_id=31337)
    with FakeNode(chain) as node:
        take_in(ledger, node.url, from_block=0)
        chain.hashes = {number: f"0x{number + 1:064x}" for number in range(40)}
        with pytest.raises(WrongChainError, match="the one that a token lives on"):
            bring(ledger, node.url)
    assert (1, 1) == (count(ledger, token_homes), count(ledger, chain_contracts))


@pytest.mark.parametrize("known_again", [True, False])
def test_an_import_of_a_chain_that_was_dropped_stores_nothing(
    ledger: Ledger, known_again: bool
) -> None:
    """Another process met the chain that began anew: its contract has the old one's number."""
    old, new = a_chain(), a_chain()
    old.chain_id = new.chain_id = 31337
    new.hashes = {number: f"0x{number + 1:064x}" for number in range(60)}
    lock, met = threading.Lock(), []

    def answer(method: str, params: list[Any]) -> Any:
        with lock:
            if method == "eth_getLogs" and not met:
                with FakeNode(new) as node, meet(ledger, node.url) as (_, chain):
                    met.append(chain.genesis.hash)
                    if known_again:
                        record(ledger)
        return old(method, params)

    with FakeNode(answer) as node, pytest.raises(ChainError, match="began anew"):
        ingest(ledger, node.url, contract=CONTRACT, from_block=5)
    assert 0 == count(ledger, chain_transfers)
    with ledger.read() as connection:
        assert met == [mirror.genesis_hash(connection, 31337)]


def stored(ledger: Ledger) -> list[StoredContract]:
    """Return the contracts that the mirror knows."""
    with ledger.read() as connection:
        return mirror.contracts_of_chain(connection, 1)


def record(ledger: Ledger) -> None:
    """Have the mirror know the test's contract again."""
    ledger.run(
        lambda connection: mirror.record_contract(
            connection,
            chain_id=31337,
            address=CONTRACT,
            token=None,
            block_number=0,
            tx_hash=None,
            code_hash=None,
            now=ledger.now(),
        )
    )
