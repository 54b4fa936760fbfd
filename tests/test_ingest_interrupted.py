"""Import: killed, broken off or overtaken, an importer leaves what the next one finishes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import books
from tests.chain.fake_node import FakeNode, Raw
from tests.onchain import ENTRIES, SMALL, TOKEN, a_chain, count, mirrored

from token_ledger.chain.endpoints import Nodes
from token_ledger.chain.logs import LogReader, Wanted
from token_ledger.errors import (
    ChainError,
    DatabaseError,
    RpcError,
)
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, mirror
from token_ledger.ledger.mirror_schema import chain_cursors
from token_ledger.seal import seal
from token_ledger.sign import sign


@pytest.fixture
def empty(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger without entries, on each engine."""
    with books.create(database_url, tmp_path) as ledger:
        yield ledger


@pytest.fixture
def sealed(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger with several signed batches, on each engine."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, ENTRIES)
        seal(ledger, gas_max=SMALL)
        sign(ledger, books.operator())
        yield ledger


def test_failing_at_any_call_leaves_a_mirror_to_go_on_from(empty: Ledger, tmp_path: Path) -> None:
    """Wherever the node breaks off, whole ranges are kept, and the end is as if it never had."""
    chain = a_chain(blocks=200, blocks_max=7)
    budget = [0]

    def answer(method: str, params: list[Any]) -> Any:
        budget[0] -= 1
        return Raw(status=400, body=b"broken") if budget[0] < 0 else chain(method, params)

    with FakeNode(answer) as node:
        for _ in range(60):
            budget[0] = 100
            try:
                ingest(empty, node.url, contract=TOKEN, from_block=0)
            except RpcError:
                continue
            break
        budget[0] = 10**6
        with books.create(f"sqlite:///{tmp_path / 'fresh.db'}", tmp_path) as fresh:
            assert len(chain.logs) == ingest(fresh, node.url, contract=TOKEN).transfers
            expected = mirrored(fresh)
    found = mirrored(empty)
    assert expected["chain_transfers"] == found["chain_transfers"]
    assert {b[1] for b in expected["chain_blocks"]} & {b[1] for b in found["chain_blocks"]}


def test_two_importers_at_once_do_not_double_anything(empty: Ledger) -> None:
    """A range that is not the next one is stored by nobody: the slower importer stops."""
    chain = a_chain(blocks_max=3)
    asked: list[bool] = []

    def answer(method: str, params: list[Any]) -> Any:
        asked.extend([True] * (method == "eth_getLogs"))
        if method == "eth_getLogs" and len(asked) == 12:
            ingest(empty, node.url, contract=TOKEN)
        return chain(method, params)

    with FakeNode(answer) as node:
        try:
            ingest(empty, node.url, contract=TOKEN, from_block=0)
        except ChainError as error:
            assert "another import" in str(error)
        ingest(empty, node.url, contract=TOKEN)
    assert len(chain.logs) == count(empty)


def test_rows_and_cursor_land_together(empty: Ledger) -> None:
    """When storing a range fails, neither its rows nor the cursor are there."""
    chain = a_chain()
    with FakeNode(chain) as node:
        chain.head = 10
        ingest(empty, node.url, contract=TOKEN, from_block=0)
        before = mirrored(empty), count(empty, chain_cursors)
        with empty.read() as connection:
            contract = mirror.find_contract(connection, 1, TOKEN)
        assert contract is not None
        chain.head = 20
        with Nodes([node.url]) as nodes:
            [found] = LogReader(nodes).read([Wanted(TOKEN, replayed=False)], 11, 20, head=20)
        found.transfers.value = [*list(found.transfers.value)[:-1], b"\1"]  # no 32 bytes
        found.transfers.block_hash = [*list(found.transfers.block_hash)[:-1], b"\1"]
        with pytest.raises(DatabaseError):
            empty.run(lambda c: mirror.store_range(c, contract, found, now=1))
        assert before == (mirrored(empty), count(empty, chain_cursors))
        with empty.read() as connection:
            assert mirror.read_cursor(connection, contract) == mirror.Cursor(
                11, bytes.fromhex(chain.hash(10)[2:])
            )
