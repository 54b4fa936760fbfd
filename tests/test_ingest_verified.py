"""Import with --verify receipts: nothing that a block does not prove enters the mirror."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import books
from tests.chain import faults
from tests.chain.emitter import Emitter
from tests.chain.proxy import Call, Fault, Proxy
from tests.onchain import count

from token_ledger.chain.rpc import Rpc
from token_ledger.errors import ChainError, UnprovenError, UsageError
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger


@pytest.fixture
def empty(sqlite_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger without entries."""
    with books.create(sqlite_url, tmp_path) as ledger:
        yield ledger


@pytest.fixture
def token(fresh_anvil: str) -> bytes:
    """Return the address of a contract with 1, 2, 3, 4 transfers in four blocks."""
    with Rpc(fresh_anvil) as rpc:
        emitter = Emitter(rpc)
        for i in range(1, 5):
            emitter.emit(*((7, 10 * i + k) for k in range(i)))
    return emitter.address


def head(url: str) -> bytes:
    """Return the hash of the node's latest block."""
    with Rpc(url) as rpc:
        block = rpc.call("eth_getBlockByNumber", ["latest", False])
    return bytes.fromhex(block["hash"][2:])


def test_an_honest_node_is_imported(empty: Ledger, token: bytes, fresh_anvil: str) -> None:
    """What is proven, to a trusted block, is the same as what is told."""
    done = ingest(empty, fresh_anvil, contract=token, verify=True, trust_block=head(fresh_anvil))
    assert (10, 10) == (done.transfers, count(empty))
    with pytest.raises(UsageError, match="is imported already"):
        ingest(empty, fresh_anvil, contract=token, verify=True, trust_block=head(fresh_anvil))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.DropLogs(), "log_omitted"),
        (faults.DropLogs(receipts=True), "receipts_root_differs"),
        (faults.InventLogs(), "log_invented"),
        (faults.TruncateRange(blocks=2), "log_omitted"),
    ],
)
def test_a_node_that_lies_is_found_out(
    empty: Ledger, token: bytes, fresh_anvil: str, fault: Fault, kind: str
) -> None:
    """Omitted, invented and truncated logs stop the import, and nothing of them is stored."""
    with (
        Proxy(fresh_anvil) as proxy,
        proxy.suffering(fault),
        pytest.raises(UnprovenError, match=kind),
    ):
        ingest(empty, proxy.url, contract=token, verify=True)
    assert 0 == count(empty)


def test_nothing_below_a_trusted_block_is_stored_before_it_is_proven(
    empty: Ledger, token: bytes, fresh_anvil: str
) -> None:
    """A node that has the trusted block by its hash, and another chain by its numbers."""
    with Rpc(fresh_anvil) as rpc:
        before = rpc.call("evm_snapshot", [])
        rpc.call("anvil_mine", [hex(300)])
        trusted = head(fresh_anvil)
        block = rpc.call("eth_getBlockByHash", ["0x" + trusted.hex(), False])
        rpc.call("evm_revert", [before])
        rpc.call("anvil_mine", [hex(301), hex(7)])  # other times, so other hashes
    two_chains = faults.Alter(lambda *_: block, methods=["eth_getBlockByHash"])
    with (
        Proxy(fresh_anvil) as proxy,
        proxy.suffering(two_chains),
        pytest.raises(UnprovenError, match="not the trusted one"),
    ):
        ingest(empty, proxy.url, contract=token, verify=True, trust_block=trusted)
    assert 0 == count(empty)
    done = ingest(empty, fresh_anvil, contract=token, verify=True, trust_block=head(fresh_anvil))
    assert (10, 10) == (done.transfers, count(empty))


def test_the_blocks_that_are_stored_are_those_that_were_proven(
    empty: Ledger, token: bytes, fresh_anvil: str
) -> None:
    """What a node says of a block later must be what was proven of it before."""
    trusted = head(fresh_anvil)

    def reorganise(call: Call, result: Any) -> Any:
        if result["hash"] == "0x" + trusted.hex() and not call.params[1]:
            with Rpc(fresh_anvil) as rpc:
                rpc.call("anvil_reorg", [3, []])
        return result

    once = faults.Alter(reorganise, methods=["eth_getBlockByNumber"])
    with (
        Proxy(fresh_anvil) as proxy,
        proxy.suffering(once),
        pytest.raises(UnprovenError, match="not the one that the trusted block follows"),
    ):
        ingest(empty, proxy.url, contract=token, verify=True, trust_block=trusted)
    assert 0 == count(empty)


def test_a_trusted_block_that_the_node_has_not_got_stops_it(
    empty: Ledger, token: bytes, fresh_anvil: str
) -> None:
    """Another chain, or a node that is behind: nothing is imported."""
    with pytest.raises(ChainError, match="does not know the trusted block"):
        ingest(empty, fresh_anvil, contract=token, verify=True, trust_block=b"\1" * 32)
    with pytest.raises(UsageError, match="for verified imports"):
        ingest(empty, fresh_anvil, contract=token, trust_block=b"\1" * 32)
