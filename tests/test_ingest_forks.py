"""Import under attack: whatever a chain takes back, the mirror ends as a fresh import would."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from tests import books
from tests.chain import faults
from tests.chain.emitter import Emitter
from tests.chain.proxy import Proxy
from tests.onchain import count

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import Rpc
from token_ledger.errors import ChainError
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.ledger.mirror_schema import chain_blocks, chain_orphans, chain_transfers

BLOCKS = 70


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    """Yield an Anvil that is no test chain by its id: nothing of it is ever begun anew."""
    with Anvil(args=("--chain-id", "7777")) as anvil:
        yield anvil.url


@pytest.fixture
def rpc(node: str) -> Iterator[Rpc]:
    """Yield a direct connection to the node."""
    with Rpc(node) as connection:
        yield connection


@pytest.fixture
def emitter(rpc: Rpc) -> Emitter:
    """Return a contract with two transfers in each of 70 blocks, and some blocks without."""
    made = Emitter(rpc)
    for i in range(BLOCKS):
        made.emit((i + 1, i), (i + 2, 10 * i))
    return made


@pytest.fixture
def empty(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger without entries, on each engine."""
    with books.create(database_url, tmp_path) as ledger:
        yield ledger


def live(ledger: Ledger) -> dict[str, list[tuple[Any, ...]]]:
    """Return what the mirror holds of the present chain."""
    transfers = [c for c in chain_transfers.c if c.name != "contract_no"]
    blocks = select(chain_blocks).where(chain_blocks.c.orphaned_at.is_(None))
    with ledger.read() as connection:
        rows = connection.execute(select(*transfers)).all()
        headers = connection.execute(blocks).all()
    return {
        "transfers": sorted(tuple(row) for row in rows),
        "blocks": sorted((row.number, row.hash, row.parent_hash) for row in headers),
    }


def check_as_fresh(ledger: Ledger, node: str, token: bytes, tmp_path: Path) -> None:
    """Check that the mirror equals a fresh import, and that its headers are one chain."""
    with books.create(f"sqlite:///{tmp_path / f'{time.time_ns()}.db'}", tmp_path) as fresh:
        ingest(fresh, node, contract=token)
        expected, found = live(fresh), live(ledger)
    assert expected["transfers"] == found["transfers"]
    known = {number: block_hash for number, block_hash, _ in found["blocks"]}
    assert len(known) == len(found["blocks"])
    assert {} == {n: h for n, h, _ in expected["blocks"] if known.get(n, h) != h}


@pytest.mark.parametrize("depth", [1, 2, 17, 64])
def test_a_reorganisation_is_followed(
    empty: Ledger, rpc: Rpc, node: str, emitter: Emitter, tmp_path: Path, depth: int
) -> None:
    """At each depth, the same height first: orphans are kept apart, the mirror is as if fresh."""
    token = emitter.address
    before = ingest(empty, node, contract=token)
    rpc.call("anvil_reorg", [depth, []])  # the replaced blocks are empty, the height is the same
    done = ingest(empty, node, contract=token)
    assert (0, 2 * depth) == (done.transfers, done.orphaned)
    assert (2 * depth, before.transfers - 2 * depth) == (count(empty, chain_orphans), count(empty))
    emitter.emit((9, 9))
    assert 1 == ingest(empty, node, contract=token).transfers
    check_as_fresh(empty, node, token, tmp_path)


def test_one_deeper_than_the_window_changes_nothing(
    empty: Ledger, rpc: Rpc, node: str, emitter: Emitter, tmp_path: Path
) -> None:
    """Past the window the import stops and says so; with a wider one it goes on."""
    token = emitter.address
    ingest(empty, node, contract=token, window=5)
    before = live(empty)
    rpc.call("anvil_reorg", [20, []])
    with pytest.raises(ChainError, match="deeper than 5 blocks"):
        ingest(empty, node, contract=token, window=5)
    assert (before, 0) == (live(empty), count(empty, chain_orphans))
    ingest(empty, node, contract=token, window=40)
    check_as_fresh(empty, node, token, tmp_path)


def test_a_node_that_is_behind_is_no_reorganisation(
    empty: Ledger, rpc: Rpc, node: str, emitter: Emitter
) -> None:
    """A head below what was imported, on the same chain, takes nothing back."""
    ingest(empty, node, contract=emitter.address)
    before, head = live(empty), rpc.quantity("eth_blockNumber")
    with Proxy(node) as proxy, proxy.suffering(faults.StaleHead(head=head - 10)):
        assert 0 == ingest(empty, proxy.url, contract=emitter.address).orphaned
    assert before == live(empty)


def test_a_reorganisation_in_the_middle_of_an_import_is_followed(
    rpc: Rpc, node: str, emitter: Emitter, tmp_path: Path
) -> None:
    """Between headers and logs, or between two ranges: the import goes back and ends right."""
    for skip in (0, 3, 12, 33):
        emitter.emit((skip, 1))
        emitter.emit((skip, 2))

        def reorganise(_: Any, result: Any) -> Any:
            rpc.call("anvil_reorg", [3, []])
            return result

        fault = faults.Alter(reorganise, methods=["eth_getLogs"], skip=skip, times=1)
        with books.create(f"sqlite:///{tmp_path / f'mid{skip}.db'}", tmp_path) as ledger:
            with Proxy(node) as proxy, proxy.suffering(fault):
                ingest(ledger, proxy.url, contract=emitter.address)
            ingest(ledger, node, contract=emitter.address)
            assert 1 == fault.struck
            check_as_fresh(ledger, node, emitter.address, tmp_path)


@pytest.mark.parametrize("verify", [False, True])
def test_a_block_that_is_gone_for_a_moment_is_asked_for_again(
    node: str, emitter: Emitter, tmp_path: Path, verify: bool
) -> None:
    """In the middle of a reorganisation a node has no block of a number that it had reached."""
    for skip in (1, 2, 5):
        url = f"sqlite:///{tmp_path / f'gone{skip}.db'}"
        gone = faults.Alter(lambda *_: None, methods=["eth_getBlockByNumber"], skip=skip, times=1)
        with books.create(url, tmp_path) as ledger, Proxy(node) as proxy, proxy.suffering(gone):
            ingest(ledger, proxy.url, contract=emitter.address, verify=verify)
            assert 1 == gone.struck
            check_as_fresh(ledger, node, emitter.address, tmp_path)


def test_two_contracts_go_back_together(
    empty: Ledger, rpc: Rpc, node: str, emitter: Emitter
) -> None:
    """The mirror of a chain is one chain: what one import finds out holds for all contracts."""
    other = Emitter(rpc)
    other.emit((1, 1), (2, 2))
    ingest(empty, node, contract=emitter.address)
    ingest(empty, node, contract=other.address)
    rpc.call("anvil_reorg", [4, []])
    done = ingest(empty, node, contract=emitter.address)
    assert 2 + 2 * 2 == done.orphaned  # one block of the other's, its deployment, two of ours
    with empty.read() as connection:
        left = connection.execute(text("SELECT count(DISTINCT contract_no) FROM chain_transfers"))
        assert 1 == left.scalar()
