"""Import from several nodes: whatever one of them does, the mirror is right or untouched.

Method: a real Anvil behind fault-injecting proxies; the mirror is held against a fresh import from
the node itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests import books
from tests.chain import faults
from tests.chain.emitter import Emitter
from tests.chain.proxy import Fault, Proxy, RefusedError
from tests.onchain import count
from tests.test_ingest_forks import check_as_fresh, live

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import Rpc
from token_ledger.errors import ChainError, DisagreementError, RpcError, WrongChainError
from token_ledger.ingest import ingest, ingest_several
from token_ledger.ledger import Ledger

BLOCKS = 24


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    """Yield an Anvil whose chain is never begun anew."""
    with Anvil(args=("--chain-id", "7777")) as anvil:
        yield anvil.url


@pytest.fixture
def rpc(node: str) -> Iterator[Rpc]:
    """Yield a direct connection to the node."""
    with Rpc(node) as connection:
        yield connection


@pytest.fixture
def emitter(rpc: Rpc) -> Emitter:
    """Return a contract with two transfers in each of some blocks."""
    made = Emitter(rpc)
    for i in range(BLOCKS):
        made.emit((i + 1, i), (i + 2, 10 * i))
    return made


@pytest.fixture
def empty(sqlite_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger without entries."""
    with books.create(sqlite_url, tmp_path) as ledger:
        yield ledger


@contextmanager
def proxies(node: str, *faulty: Fault | None) -> Iterator[list[str]]:
    """Yield as many URLs of the node as there are faults; each suffers its own, for ever."""
    with ExitStack() as stack:
        urls = []
        for fault in faulty:
            proxy = stack.enter_context(Proxy(node))
            if fault is not None:
                stack.enter_context(proxy.suffering(fault))
            urls.append(proxy.url)
        yield urls


REFUSALS: dict[str, Callable[[], Fault]] = {
    "cut": faults.CutConnection,
    "html": faults.Html,
    "half an answer": lambda: faults.Body(body=b'{"jsonrpc":"2.0","id":1,"res'),
    "null": faults.NullResult,
    "429": faults.TooManyRequests,
    "429 for long": lambda: faults.TooManyRequests(retry_after="3600"),
    "bad gateway": lambda: faults.Html(status=502),
    "another's answer": lambda: faults.Body(body=b'{"jsonrpc":"2.0","id":999999,"result":"0x1"}'),
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("skip", [0, 9, 23])
def test_a_node_that_breaks_in_the_middle_is_left_for_the_next(
    empty: Ledger, node: str, emitter: Emitter, tmp_path: Path, name: str, skip: int
) -> None:
    """At the first call or later: what the other node says is the whole mirror."""
    fault = REFUSALS[name]()
    fault.skip = skip
    with proxies(node, fault, None) as urls:
        done = ingest(empty, urls, contract=emitter.address, concurrency=2)
    assert 2 * BLOCKS == done.transfers
    assert fault.struck > 0
    check_as_fresh(empty, node, emitter.address, tmp_path)


def test_a_node_that_does_not_answer_in_time_is_left_for_the_next(
    empty: Ledger, node: str, emitter: Emitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence counts as failure after the time-out; the other node is asked for the same."""
    monkeypatch.setitem(Rpc.__init__.__kwdefaults__, "timeout_s", 0.5)
    stall = faults.Stall(methods=["eth_getLogs"])
    with proxies(node, stall, None) as urls:
        done = ingest(empty, urls, contract=emitter.address)
    assert (2 * BLOCKS, True) == (done.transfers, stall.struck > 0)


TRUNCATED_NOWHERE = ("truncates ranges", 128)
LIES: dict[str, Callable[[], Fault]] = {
    "drops logs": faults.DropLogs,
    "invents logs": faults.InventLogs,
    "truncates ranges": lambda: faults.TruncateRange(blocks=1),
    "another value": lambda: faults.Alter(
        change=lambda _, logs: [log | {"data": "0x" + "11" * 32} for log in logs],
        methods=["eth_getLogs"],
    ),
}


# Near the head logs are asked for by block hash: there is no range to truncate.
@pytest.mark.parametrize(
    ("name", "window"),
    [(name, window) for name in LIES for window in (4, 128) if (name, window) != TRUNCATED_NOWHERE],
)
@pytest.mark.parametrize("liar", [0, 1])
def test_a_node_that_lies_is_outvoted_by_none_and_nothing_is_written(
    empty: Ledger, node: str, emitter: Emitter, name: str, liar: int, window: int
) -> None:
    """With --quorum 2 a lie of either node is told with both sides; the mirror stays as it was."""
    pair = [None, None]
    pair[liar] = LIES[name]()  # type: ignore[call-overload]
    with proxies(node, *pair) as urls, pytest.raises(DisagreementError, match="disagree on block"):
        ingest(empty, urls, contract=emitter.address, quorum=2, window=window, from_block=0)
    assert 0 == count(empty)


def codes(change: Callable[[int], bool]) -> Fault:
    """Return the fault of a node that denies the contract at blocks of which `change` holds."""

    def denies(call: Any) -> bool:
        return call.params[1] != "latest" and change(int(call.params[1], 16))

    return faults.Alter(change=lambda *_: "0x", methods=["eth_getCode"], when=denies)


@pytest.mark.parametrize("liar", [0, 1])
@pytest.mark.parametrize("told", ["deployed in block", "no contract"])
def test_no_node_alone_says_where_a_contract_begins(
    empty: Ledger, node: str, rpc: Rpc, emitter: Emitter, liar: int, told: str
) -> None:
    """With --quorum 2 too late a beginning, or none, is a disagreement; nothing is written."""
    head = rpc.quantity("eth_blockNumber")
    late = codes(lambda number: number < head - 5 or told == "no contract")
    pair = [None, None]
    pair[liar] = late  # type: ignore[call-overload]
    with proxies(node, *pair) as urls, pytest.raises(DisagreementError, match=told):
        ingest(empty, urls, contract=emitter.address, quorum=2)
    assert (0, True) == (count(empty), late.struck > 0)
    assert 2 * BLOCKS == ingest(empty, node, contract=emitter.address).transfers


@pytest.mark.parametrize("forgetful", [0, 1])
def test_a_node_without_old_states_is_no_disagreement(
    empty: Ledger, node: str, rpc: Rpc, emitter: Emitter, forgetful: int
) -> None:
    """It does not know where a contract begins: the import then begins at the beginning."""
    head = rpc.quantity("eth_blockNumber")

    def refuse(call: Any, _: Any) -> Any:
        raise RefusedError({"code": -32000, "message": "missing trie node"})

    pruned = faults.Alter(
        change=refuse,
        methods=["eth_getCode"],
        when=lambda call: call.params[1] not in ("latest", hex(head)),
    )
    pair = [None, None]
    pair[forgetful] = pruned  # type: ignore[call-overload]
    with proxies(node, *pair) as urls:
        done = ingest(empty, urls, contract=emitter.address, quorum=2)
    assert (2 * BLOCKS, 0, True) == (done.transfers, done.from_block, pruned.struck > 0)


@pytest.mark.parametrize("depth", [3, 12])
def test_a_node_on_a_branch_of_its_own_is_a_disagreement(
    empty: Ledger, node: str, rpc: Rpc, emitter: Emitter, depth: int
) -> None:
    """Two nodes that never come to agree: of the blocks in dispute nothing is written."""
    with Anvil(args=("--chain-id", "7777")) as other, Rpc(other.url) as elsewhere:
        elsewhere.call("anvil_loadState", [rpc.call("anvil_dumpState")])
        elsewhere.call("anvil_mine", [hex(depth)])
        for i in range(depth):
            emitter.emit((i, i))
        with pytest.raises(DisagreementError, match="disagree on block") as caught:
            ingest(empty, [node, other.url], contract=emitter.address, quorum=2, window=8)
    assert (depth < 8, True) == (caught.value.passing, count(empty) <= 2 * BLOCKS)


def test_heads_that_differ_for_a_while_are_waited_for(
    empty: Ledger, node: str, emitter: Emitter, tmp_path: Path
) -> None:
    """A reorganisation that reaches one node later than the other is no lasting disagreement."""

    def other_branch(_: Any, block: Any) -> Any:
        return block and block | {"hash": "0x" + "77" * 32}

    late = faults.Alter(
        change=other_branch,
        methods=["eth_getBlockByNumber"],
        when=lambda call: call.params[0] != "0x0" and call.params[1] is False,
        skip=2,
        times=30,
    )
    with proxies(node, late, None) as urls:
        done = ingest(empty, urls, contract=emitter.address, quorum=2, concurrency=1)
    assert (2 * BLOCKS, True) == (done.transfers, late.struck > 0)
    check_as_fresh(empty, node, emitter.address, tmp_path)


@pytest.mark.parametrize("silent", [False, True])
def test_a_node_that_lags_is_no_disagreement(
    empty: Ledger, node: str, rpc: Rpc, emitter: Emitter, tmp_path: Path, silent: bool
) -> None:
    """Two of three agree on everything; with two nodes the import goes as far as both reach."""
    head = rpc.quantity("eth_blockNumber")
    lags = faults.StaleHead(head=head - 5, silent=silent)
    with proxies(node, lags, None, None) as urls:
        assert 2 * BLOCKS == ingest(empty, urls, contract=emitter.address, quorum=2).transfers
    check_as_fresh(empty, node, emitter.address, tmp_path)
    with books.create(f"sqlite:///{tmp_path / 'two.db'}", tmp_path) as ledger:
        with proxies(node, lags, None) as urls:
            done = ingest(ledger, urls, contract=emitter.address, quorum=2)
        assert (head - 5, 2 * (BLOCKS - 5)) == (done.to_block, done.transfers)


def test_a_node_of_another_chain_is_refused(empty: Ledger, node: str, emitter: Emitter) -> None:
    """A wrong chain id among several is said at once; it is never a fallback."""
    with (
        proxies(node, None, faults.WrongChainId(chain_id=1)) as urls,
        pytest.raises(WrongChainError, match="serve different chains"),
    ):
        ingest(empty, urls, contract=emitter.address)
    assert 0 == count(empty)


def test_a_node_that_becomes_another_in_the_middle_of_a_range(
    empty: Ledger, node: str, emitter: Emitter, tmp_path: Path
) -> None:
    """Behind one URL another node's branch appears and goes: the mirror is of one chain."""
    for skip in (6, 15, 30, 44):
        branch = faults.Alter(
            change=lambda call, block: (
                block
                and block
                | {
                    "hash": f"0x{'5' * 56}{int(call.params[0], 16):08x}",
                    "parentHash": f"0x{'5' * 56}{int(call.params[0], 16) - 1:08x}",
                }
            ),
            methods=["eth_getBlockByNumber"],
            when=lambda call: call.params[0].startswith("0x") and int(call.params[0], 16) > 0,
            skip=skip,
            times=6,
        )
        with books.create(f"sqlite:///{tmp_path / f'{skip}.db'}", tmp_path) as ledger:
            with proxies(node, branch) as urls:
                try:
                    ingest(ledger, urls, contract=emitter.address, concurrency=1)
                except ChainError:
                    assert count(ledger) <= 2 * BLOCKS
            ingest(ledger, node, contract=emitter.address)
            check_as_fresh(ledger, node, emitter.address, tmp_path)


def test_when_every_node_fails_nothing_is_written(
    empty: Ledger, node: str, emitter: Emitter
) -> None:
    """The error names each of them; the next import goes on."""
    with proxies(node, faults.Html(skip=8), faults.CutConnection(skip=8)) as urls:
        with pytest.raises(RpcError, match="of 2 nodes answered") as caught:
            ingest(empty, urls, contract=emitter.address)
        assert all(url in str(caught.value) for url in urls)
    assert 0 == count(empty)
    assert 2 * BLOCKS == ingest(empty, node, contract=emitter.address).transfers


# --- several contracts


def test_contracts_of_different_ages_share_one_run(
    empty: Ledger, node: str, rpc: Rpc, emitter: Emitter, tmp_path: Path
) -> None:
    """One that lags is caught up, then all are read together; headers are fetched once."""
    other = Emitter(rpc)
    for i in range(6):
        other.emit((i, i))
        emitter.emit((i, i))
    ingest(empty, node, contract=other.address)
    for i in range(5):
        other.emit((i, i))
        emitter.emit((i, i))
    with Proxy(node) as proxy:
        first, second = ingest_several(
            empty, proxy.url, contracts=[emitter.address, other.address], window=4
        )
        together = [call for call in proxy.asked("eth_getLogs") if is_shared(call.params[0])]
        asked = [call.params[0] for call in proxy.asked("eth_getBlockByNumber")]
    assert {2 * BLOCKS + 11, 5} == {first.transfers, second.transfers}
    assert together
    assert len(set(asked)) + 12 >= len(asked), "no header is fetched for each contract anew"
    check_each_as_fresh(empty, node, [emitter.address, other.address], tmp_path)


def is_shared(query: dict[str, Any]) -> bool:
    """Return whether a query asks for several contracts."""
    return isinstance(query["address"], list)


def check_each_as_fresh(ledger: Ledger, node: str, tokens: list[bytes], tmp_path: Path) -> None:
    """Check that the mirror holds what fresh imports of each contract alone hold together."""
    with books.create(f"sqlite:///{tmp_path / 'each.db'}", tmp_path) as fresh:
        for token in tokens:
            ingest(fresh, node, contract=token)
        assert live(fresh)["transfers"] == live(ledger)["transfers"]


def test_verified_imports_take_several_contracts(
    empty: Ledger, node: str, rpc: Rpc, emitter: Emitter, tmp_path: Path
) -> None:
    """Receipts prove the logs of all of them, in the order of the block."""
    other = Emitter(rpc)
    other.emit((5, 5))
    rpc.call("evm_setAutomine", [False])
    try:
        for to in (other, emitter, other):
            call = {
                "from": rpc.call("eth_accounts")[0],
                "to": "0x" + to.address.hex(),
                "data": "0x" + "00" * 63 + "01",
                "gas": hex(1_000_000),
            }
            rpc.call("eth_sendTransaction", [call])
    finally:
        rpc.call("anvil_mine", ["0x1"])
        rpc.call("evm_setAutomine", [True])
    done = ingest_several(empty, node, contracts=[emitter.address, other.address], verify=True)
    assert [2 * BLOCKS + 1, 3] == [one.transfers for one in done]
    check_each_as_fresh(empty, node, [emitter.address, other.address], tmp_path)
