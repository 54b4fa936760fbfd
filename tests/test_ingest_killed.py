"""Import under SIGKILL: a hundred deaths at random instants leave the mirror as if there were none.

Method: one process that has everything loaded forks an importer, lets it run for a random moment,
and kills it, again and again, while the test lets the chain grow or reorganise. At the end one
more import runs, and its tables are held against a fresh import's.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import books
from tests.chain.emitter import Emitter
from tests.chain.fake_node import FakeNode
from tests.chain.log_node import LogChain, make_log
from tests.onchain import ERC20, TOKEN
from tests.test_ingest_forks import check_as_fresh, live

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import Rpc
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.ledger.mirror_schema import chain_cursors, chain_transfers

KILLS = 100
_KILLER = """
import os, random, signal, sys, time
from token_ledger.errors import TokenLedgerError
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger

url, secret, node, token, kills, longest_s = sys.argv[1:]
chance = random.Random(11)

def work():
    with Ledger.open(url, secret_file=secret) as ledger:
        os.write(ready, b".")
        while True:
            try:
                ingest(ledger, node, contract=bytes.fromhex(token))
            except TokenLedgerError:
                time.sleep(0.001)

for i in range(int(kills)):
    begun, ready = os.pipe()
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(3)
    os.close(ready)
    assert os.read(begun, 1) == b".", "the importer did not begin"
    os.close(begun)
    time.sleep(chance.uniform(0, float(longest_s)))
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, "the importer ended by itself"
    print(i, flush=True)
"""


@pytest.fixture
def empty(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger without entries, on each engine."""
    with books.create(database_url, tmp_path) as ledger:
        yield ledger


def killed(
    url: str, tmp_path: Path, node: str, token: bytes, *, kills: int, then: Callable[[int], None]
) -> None:
    """Have importers killed one after the other; `then` is called after each."""
    words = [url, str(tmp_path / "secret"), node, token.hex(), str(kills), "0.1"]
    with subprocess.Popen(
        [sys.executable, "-c", _KILLER, *words], stdout=subprocess.PIPE, text=True
    ) as killer:
        assert killer.stdout is not None
        for line in killer.stdout:
            then(int(line))
    assert 0 == killer.returncode


def test_killed_a_hundred_times(empty: Ledger, database_url: str, tmp_path: Path) -> None:
    """While the chain grows: transfers, headers and cursor are those of a fresh import."""
    logs = [
        make_log(block, i, bytes([i + 1]) * 20, bytes([i + 100]) * 20, block, address=ERC20)
        for block in range(6 * KILLS)
        for i in range(block % 4)
    ]
    chain = LogChain(logs, head=8, blocks_max=3)

    def grow(i: int) -> None:
        chain.head = 8 + 5 * i

    with FakeNode(chain) as node:
        killed(database_url, tmp_path, node.url, TOKEN, kills=KILLS, then=grow)
        ingest(empty, node.url, contract=TOKEN)
        with books.create(f"sqlite:///{tmp_path / 'fresh.db'}", tmp_path) as fresh:
            ingest(fresh, node.url, contract=TOKEN)
            assert live(fresh)["transfers"] == live(empty)["transfers"]
            assert cursor(fresh) == cursor(empty)
    headers = {number: block for number, block, _ in live(empty)["blocks"]}
    assert {n: bytes.fromhex(chain.hash(n)[2:]) for n in headers} == headers


def cursor(ledger: Ledger) -> tuple[int, bytes]:
    """Return where the only contract's import stands."""
    with ledger.read() as connection:
        row = connection.execute(chain_cursors.select()).one()
    return row.next_block, row.last_block_hash


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    """Yield an Anvil whose chain is never begun anew."""
    with Anvil(args=("--chain-id", "7777")) as anvil:
        yield anvil.url


def test_killed_while_the_chain_reorganises(
    empty: Ledger, database_url: str, node: str, tmp_path: Path
) -> None:
    """Reorganisations of every depth up to 64 between deaths and during them: as a fresh import."""
    chance = random.Random(5)
    with Rpc(node) as rpc:
        emitter = Emitter(rpc)
        for i in range(70):
            emitter.emit((i, i))

        def reorganise(i: int) -> None:
            for _ in range(2):
                rpc.call("anvil_reorg", [1 + chance.randrange(64), []])
                emitter.emit((i, chance.randrange(9)), (1, i))

        killed(database_url, tmp_path, node, emitter.address, kills=30, then=reorganise)
    ingest(empty, node, contract=emitter.address)
    check_as_fresh(empty, node, emitter.address, tmp_path)


def test_every_depth_up_to_sixty_four(tmp_path: Path, node: str) -> None:
    """After each reorganisation, by one block more each time, the mirror is what the node says."""
    with (
        Rpc(node) as rpc,
        books.create(f"sqlite:///{tmp_path / 'depths.db'}", tmp_path) as ledger,
    ):
        emitter = Emitter(rpc)
        for i in range(70):
            emitter.emit((i, i))
        first = rpc.quantity("eth_blockNumber") - 70
        for depth in range(1, 65):
            ingest(ledger, node, contract=emitter.address)
            rpc.call("anvil_reorg", [depth, []])
            if depth % 3:  # else the height stays the same
                emitter.emit((depth, depth), (1, 1))
            ingest(ledger, node, contract=emitter.address)
            logs = emitter.logs(rpc, first, rpc.quantity("eth_blockNumber"))
            expected = [(log["blockHash"], int(log["logIndex"], 16), log["data"]) for log in logs]
            assert sorted(expected) == sorted(said(ledger)), depth
        check_as_fresh(ledger, node, emitter.address, tmp_path)


def said(ledger: Ledger) -> list[tuple[str, int, str]]:
    """Return block, place and value of what the mirror holds, as a node writes them."""
    with ledger.read() as connection:
        rows = connection.execute(chain_transfers.select()).all()
    return [("0x" + r.block_hash.hex(), r.log_index, f"0x{r.value:064x}") for r in rows]
