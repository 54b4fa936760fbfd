"""Several nodes of one chain: who is asked, who is passed over, and what they must agree on."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.chain.fake_node import Failure, FakeNode, Raw
from tests.chain.log_node import LogChain, made_up_hash

from token_ledger.chain.endpoints import Nodes
from token_ledger.chain.exchange import Gate
from token_ledger.chain.logs import read_headers
from token_ledger.chain.rpc import NodeError, Rpc
from token_ledger.errors import DisagreementError, RpcError, UsageError, WrongChainError

WINDOW = 10


def chain(head: int = 100, **other: Any) -> LogChain:
    """Return an empty chain; all of them are one chain, as far as they reach."""
    return LogChain([], head=head, **other)


def forked(at: int, head: int = 100) -> LogChain:
    """Return a chain that is another one from a block on."""
    other = chain(head)
    other.hashes |= {number: made_up_hash(1000 + number) for number in range(at, head + 1)}
    return other


@pytest.fixture
def served() -> Iterator[Callable[..., list[FakeNode]]]:
    """Yield a function that serves answer functions as nodes."""
    with ExitStack() as stack:
        yield lambda *answers: [stack.enter_context(FakeNode(answer)) for answer in answers]


def down() -> str:
    """Return the URL of a node that is not there."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


def nodes_of(*nodes: FakeNode | str, quorum: int = 1) -> Nodes:
    """Return the nodes, which wait for nothing."""
    urls = [node if isinstance(node, str) else node.url for node in nodes]
    return Nodes(urls, quorum=quorum, sleep=lambda _: None)


def met(*nodes: FakeNode | str, quorum: int = 1) -> Nodes:
    """Return the nodes, met."""
    made = nodes_of(*nodes, quorum=quorum)
    made.meet(window=WINDOW)
    return made


Served = Callable[..., list[FakeNode]]


def block(number: int) -> Callable[[Rpc], Any]:
    """Return the work of reading one header."""
    return lambda rpc: read_headers(rpc, [number])[0].hash


# --- failover


BROKEN = [
    Raw(status=500, body=b"<html>"),
    Raw(status=200, body=b"<html>"),
    Raw(status=429),
    Raw(status=429, headers={"Retry-After": "3600"}),
    Raw(hang_up=True),
    Failure(-32005, "daily request count exceeded, request rate limited"),
    Failure(-32601, "the method does not exist"),
    None,
    "nonsense",
    {"number": "0x5", "hash": "0x1"},
]


@pytest.mark.parametrize("wrong", BROKEN)
def test_when_one_node_fails_the_next_one_is_asked(served: Served, wrong: Any) -> None:
    """Refused, overloaded, cut or nonsensical: the same question goes to the next node."""
    good = chain()
    broken = [False]

    def answer(method: str, params: list[Any]) -> Any:
        return wrong if broken[0] else good(method, params)

    first, second = served(answer, chain())
    with met(first, second) as nodes:
        broken[0] = True
        assert made_up_hash(5) == "0x" + nodes.run(block(5)).hex()
        asked = len(first.calls)
        nodes.run(block(6))
        assert asked == len(first.calls), "a node that failed rests"


def test_a_node_that_is_down_from_the_start_is_done_without(served: Served) -> None:
    """One of two may be missing when they are met."""
    [there] = served(chain())
    with met(down(), there) as nodes:
        assert 100 == nodes.head()


def test_when_all_fail_each_one_is_told_and_no_secret(served: Served) -> None:
    """The error says of every node what was wrong, and repeats no key of a URL."""
    broken = [False]
    good = chain()

    def answer(method: str, params: list[Any]) -> Any:
        return Raw(status=403, body=b"no") if broken[0] else good(method, params)

    first, second = served(answer, answer)
    with met(first.url + "/v3/secret-key", second.url + "/?apikey=hush") as nodes:
        broken[0] = True
        with pytest.raises(RpcError, match="0 of 2 nodes answered") as caught:
            nodes.run(block(5))
    told = str(caught.value)
    assert 2 == told.count("HTTP 403")
    assert "secret-key" not in told
    assert "hush" not in told


def test_one_node_alone_raises_what_is_wrong_with_it(served: Served) -> None:
    """With a single node its own error comes through unchanged."""
    [only] = served(lambda *_: Failure(-32000, "pruned"))
    with nodes_of(only) as nodes, pytest.raises(NodeError, match="pruned"):
        nodes.run(block(1))


def test_a_limit_is_the_callers_to_answer(served: Served) -> None:
    """A question that is too large is no failure of the node, and is not carried to the next."""
    wide = Failure(-32005, "query returned more than 10000 results")
    first, second = served(lambda m, p: wide if m == "eth_getLogs" else chain()(m, p), chain())
    with met(first, second) as nodes:
        before = len(second.calls)
        with pytest.raises(NodeError, match="10000 results"):
            nodes.run(lambda rpc: rpc.call("eth_getLogs", [{}]), shrinkable=True)
        assert before == len(second.calls)
        nodes.run(block(1))
        assert before == len(second.calls), "the first one is still the first to be asked"


def test_a_node_that_lags_is_asked_last(served: Served) -> None:
    """Without a quorum, the head is that of a node that has kept up."""
    behind, ahead = served(chain(head=20), chain(head=100))
    with met(behind, ahead) as nodes:
        assert 100 == nodes.head()
        asked = len(behind.calls)
        nodes.run(block(90))
        assert asked == len(behind.calls)


# --- who they are


def test_nodes_of_different_chains_are_refused(served: Served) -> None:
    """Another chain id or another block 0 is said before anything is asked."""
    for other in (chain(chain_id=5), forked(0)):
        first, second = served(chain(), other)
        with pytest.raises(WrongChainError, match="serve different chains"):
            met(first, second)


def test_nodes_on_different_branches_are_refused(served: Served) -> None:
    """Two heads that share no block at the depth of the window are not of one chain."""
    first, second = served(chain(), forked(at=80))
    with pytest.raises(DisagreementError, match="disagree on block 90"):
        met(first, second)
    first, second = served(chain(), forked(at=95))
    met(first, second).close()  # a fork within the window is what the import is made for


def test_a_node_that_comes_back_as_another_chain_is_not_asked(served: Served) -> None:
    """After a failure it is asked who it is, before anything else."""
    state: list[Any] = [chain()]

    def answer(method: str, params: list[Any]) -> Any:
        return state[0](method, params)

    first, second = served(answer, chain())
    with met(first, second) as nodes:
        state[0] = lambda *_: Raw(status=500)
        nodes.run(block(5))
        state[0] = forked(0)
        nodes._endpoints[0].rests_until = 0.0
        assert made_up_hash(5) == "0x" + nodes.run(block(5)).hex()
    with nodes_of(first) as alone:
        state[0] = chain()
        alone.meet(window=WINDOW)
        state[0] = forked(0)
        with pytest.raises(WrongChainError, match="now, not chain 1 from block"):
            alone.meet_again()


@pytest.mark.parametrize(("count", "quorum"), [(0, 1), (1, 2), (2, 0), (2, 3)])
def test_a_quorum_that_cannot_be_is_refused(count: int, quorum: int) -> None:
    """More than there are, none, or no node at all."""
    with pytest.raises(UsageError):
        Nodes([f"http://127.0.0.1:{port}" for port in range(1, count + 1)], quorum=quorum)


@pytest.mark.parametrize(
    "same",
    [
        "http://h:80", "http://h/", "HTTP://H", "http://h:80/", " http://h", "http://h.",
        "http://u@h", "http://u:secret@h", "http://h//", "http://h/./x/..", "http://h?",
        "http://h#x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("quorum", [1, 2])
def test_one_node_is_not_two(same: str, quorum: int) -> None:
    """URLs that ask the same of the same are one, however they are written, whoever asks."""
    with pytest.raises(UsageError, match="is named twice") as caught:
        Nodes(["http://h", same], quorum=quorum)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://127.0.0.1:8545", "http://localhost:8545/"),
        ("http://[::1]:8545", "http://LOCALHOST:8545"),
        ("https://münchen.example/k", "https://xn--mnchen-3ya.example:443/k/"),
        ("https://h/%6bey", "https://h/key"),
    ],
)
def test_a_host_has_several_names(one: str, other: str) -> None:
    """The loopback, a name beyond ASCII and an escaped path are each one."""
    with pytest.raises(UsageError, match="is named twice"):
        Nodes([one, other])


@pytest.mark.parametrize(
    "other", ["http://h:81", "https://h", "http://h2", "http://h/a", "http://h/?k=1"]
)
def test_two_nodes_are_not_one(other: str) -> None:
    """Another port, scheme, host, path or query may be another node."""
    Nodes(["http://h", other], quorum=2).close()


# --- quorum


def test_the_quorums_head_is_what_enough_of_them_reached(served: Served) -> None:
    """With two of three it is the second highest: one may be behind, one ahead."""
    served_nodes = served(chain(50), chain(100), chain(90))
    with met(*served_nodes, quorum=2) as nodes:
        assert 90 == nodes.head()
    with met(*served_nodes, quorum=3) as nodes:
        assert 50 == nodes.head()


def test_a_node_that_is_behind_is_no_disagreement(served: Served) -> None:
    """It is passed over for blocks that it has not got; the others make the quorum."""
    behind, one, other = served(chain(50), chain(100), chain(100))
    with met(behind, one, other, quorum=2) as nodes:
        nodes.head()
        asked = len(behind.calls)
        assert made_up_hash(95) == "0x" + nodes.headers([95])[0].hash.hex()
        assert asked == len(behind.calls)


def test_too_few_are_no_quorum(served: Served) -> None:
    """Where the only others are behind or down, nothing is taken, and each is told."""
    behind, one = served(chain(50), chain(100))
    with met(behind, one, quorum=2) as nodes:
        nodes.head()
        with pytest.raises(RpcError, match="1 of 2 nodes answered as they should, 2 must"):
            nodes.headers([95])
    with pytest.raises(RpcError, match="2 must"):
        met(down(), one, quorum=2)


@pytest.mark.parametrize("settled", [True, False])
def test_another_hash_is_a_disagreement(served: Served, settled: bool) -> None:
    """Two hashes at one height are told with both; near the head it may pass."""
    first, second = served(chain(), forked(at=95))
    with (
        met(first, second, quorum=2) as nodes,
        pytest.raises(DisagreementError, match=f"disagree on block 96: {made_up_hash(96)}") as e,
    ):
        nodes.headers([96], settled=settled)
    assert settled is not e.value.passing
    assert second.url.split(":")[-1] in str(e.value)


def test_the_final_block_is_the_quorums(served: Served) -> None:
    """Final is what enough nodes call final, and they must agree on what it is."""

    def finalizes(number: int) -> Callable[[str, list[Any]], Any]:
        made = chain()
        return lambda m, p: made(m, [hex(number)] if p[:1] == ["finalized"] else p)

    with met(*served(finalizes(40), finalizes(60), finalizes(80)), quorum=2) as nodes:
        assert 60 == nodes.final_block().number
    with met(*served(finalizes(40), chain()), quorum=1) as nodes:
        assert 40 == nodes.final_block().number


# --- the gate


def test_a_closed_gate_keeps_everybody_waiting() -> None:
    """What one connection is told to wait, all of a node's connections wait."""
    pauses: list[float] = []
    gate = Gate(pauses.append)
    gate.wait()
    gate.close_for(9)
    gate.close_for(1)
    gate.wait()
    assert 1 == len(pauses)
    assert 8 < pauses[0] <= 9


def test_retry_after_holds_for_all_connections_of_a_node(served: Served) -> None:
    """A second connection does not ask before the time that the first was told."""
    times: list[float] = []

    def answer(_method: str, _params: list[Any]) -> Any:
        times.append(time.monotonic())
        return Raw(status=429, headers={"Retry-After": "1"}) if len(times) == 1 else "0x1"

    [node] = served(answer)
    gate = Gate()
    with Rpc(node.url, gate=gate) as one, Rpc(node.url, gate=gate) as other:
        gate_closed = [False]
        original = gate.close_for

        def close_for(seconds: float) -> None:
            original(seconds)
            gate_closed[0] = True
            other.call("x")

        gate.close_for = close_for  # type: ignore[method-assign]
        one.call("x")
    assert gate_closed[0]
    assert times[1] - times[0] >= 0.95
