"""Import from one node that breaks: it ends right or with an error, and the next one goes on.

Method: a real Anvil behind a fault-injecting proxy, and every refusal that `test_ingest_nodes` has
for several nodes. The table of all attacks, and which test makes each, is in docs/reliability.md.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books
from tests.chain import faults
from tests.chain.emitter import Emitter
from tests.chain.proxy import Proxy
from tests.test_ingest_forks import check_as_fresh
from tests.test_ingest_nodes import REFUSALS

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import Rpc
from token_ledger.errors import RpcError
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger

BLOCKS = 8
_NAMED = re.compile(r"`(tests/[\w/]+)\.py::(\w+)`")


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    """Yield an Anvil whose chain is never begun anew."""
    with Anvil(args=("--chain-id", "7777")) as anvil:
        yield anvil.url


@pytest.fixture(scope="module")
def token(node: str) -> bytes:
    """Return a contract with a transfer in each of some blocks."""
    with Rpc(node) as rpc:
        emitter = Emitter(rpc)
        for i in range(BLOCKS):
            emitter.emit((i + 1, i))
    return emitter.address


@pytest.fixture
def empty(sqlite_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger without entries."""
    with books.create(sqlite_url, tmp_path) as ledger:
        yield ledger


@pytest.mark.parametrize("name", REFUSALS)
def test_one_node_that_breaks_and_comes_back(
    empty: Ledger, node: str, token: bytes, tmp_path: Path, name: str
) -> None:
    """Broken for good it is an error; whole again it is gone on from where the mirror stood."""
    fault = REFUSALS[name]()
    fault.methods = ["eth_getLogs"]
    with Proxy(node) as proxy:
        with proxy.suffering(fault), pytest.raises(RpcError):
            ingest(empty, proxy.url, contract=token)
        assert fault.struck > 0
        ingest(empty, proxy.url, contract=token)
        assert 0 == ingest(empty, proxy.url, contract=token).transfers
    check_as_fresh(empty, node, token, tmp_path)


@pytest.mark.parametrize("retry_after", [None, "1"])
def test_a_node_that_is_busy_for_a_moment_is_waited_for(
    empty: Ledger, node: str, token: bytes, tmp_path: Path, retry_after: str | None
) -> None:
    """With Retry-After and without, the import goes on by itself."""
    busy = faults.TooManyRequests(times=2, retry_after=retry_after)
    with Proxy(node) as proxy, proxy.suffering(busy):
        assert BLOCKS == ingest(empty, proxy.url, contract=token).transfers
    assert 2 == busy.struck
    check_as_fresh(empty, node, token, tmp_path)


def test_the_table_of_attacks_names_tests_that_there_are(project: Path) -> None:
    """Every row of the table names at least one test, and each of them exists."""
    page = (project / "docs" / "reliability.md").read_text(encoding="utf-8")
    section = page.split("## Attacks on the importer", 1)[1]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    for row in rows:
        named = _NAMED.findall(row)
        assert named, row
        for module, test in named:
            assert callable(getattr(importlib.import_module(module.replace("/", ".")), test)), row
