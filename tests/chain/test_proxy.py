"""The fault-injecting proxy: honest by itself, and every fault occurs exactly as it claims."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from tests import wordings
from tests.chain import faults
from tests.chain.emitter import Emitter, values
from tests.chain.proxy import Call, Proxy
from tests.wordings import Wording

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import NodeError, Rpc, TooLargeError
from token_ledger.core.limits import LimitKind, classify
from token_ledger.errors import RpcError


@dataclass
class Scene:
    """A chain with logs 1, 2, 3 in one block and 4, 5 in the next two, and a proxy before it."""

    node: Rpc
    proxy: Proxy
    rpc: Rpc
    emitter: Emitter
    first: int

    @property
    def last(self) -> int:
        return self.first + 2

    def values(self, low: int | None = None, high: int | None = None) -> list[int]:
        """Return the values of the logs that the proxy tells of, by default of all blocks."""
        low, high = low or self.first, high or self.last
        return values(self.emitter.logs(self.rpc, low, high))


@pytest.fixture
def scene(fresh_anvil: str) -> Iterator[Scene]:
    """Yield the scene; its client neither waits nor tries again."""
    with (
        Rpc(fresh_anvil) as node,
        Proxy(fresh_anvil) as proxy,
        Rpc(proxy.url, attempts_max=1, timeout_s=5) as rpc,
    ):
        emitter = Emitter(node)
        first = emitter.emit((7, 1), (8, 2), (9, 3))
        emitter.emit((7, 4))
        emitter.emit((7, 5))
        yield Scene(node, proxy, rpc, emitter, first)


def _post(url: str, body: Any) -> requests.Response:
    return requests.post(url, json=body, timeout=5)


def test_without_faults_it_is_the_node(scene: Scene) -> None:
    """Results, error objects and batches pass unchanged, and every call is remembered."""
    assert [1, 2, 3, 4, 5] == scene.values()
    assert scene.node.call("eth_chainId") == scene.rpc.call("eth_chainId")
    calls = [("eth_blockNumber", []), ("eth_chainId", [])]
    assert scene.node.batch(calls) == scene.rpc.batch(calls)
    with pytest.raises(NodeError) as there:
        scene.node.call("eth_nonsense")
    with pytest.raises(NodeError) as here:
        scene.rpc.call("eth_nonsense")
    assert (there.value.rpc_code, there.value.text) == (here.value.rpc_code, here.value.text)
    methods = [call.method for call in scene.proxy.asked()]
    assert ["eth_getLogs", "eth_chainId", "eth_blockNumber", "eth_chainId"] == methods[:4]
    assert (scene.first, scene.last) == scene.proxy.asked("eth_getLogs")[0].span


def test_a_fault_ends_with_its_block(scene: Scene) -> None:
    """What was switched on is switched off again, also when the block is left by an error."""
    with pytest.raises(ZeroDivisionError), scene.proxy.suffering(faults.DropLogs()):
        assert [2, 3, 4, 5] == scene.values()
        raise ZeroDivisionError
    assert [1, 2, 3, 4, 5] == scene.values()


def test_skip_times_when_and_methods_choose_the_calls(scene: Scene) -> None:
    """A fault strikes the calls that it is told to, no more, and counts them."""
    fault = faults.NullResult(
        skip=1, times=2, methods=["eth_chainId"], when=lambda call: call.params == []
    )
    with scene.proxy.suffering(fault):
        answers = [scene.rpc.call("eth_chainId") for _ in range(5)]
        assert scene.rpc.call("eth_blockNumber") is not None
    assert [True, False, False, True, True] == [answer is not None for answer in answers]
    assert 2 == fault.struck


def test_faults_act_together(scene: Scene) -> None:
    """Faults that alter answers do so in turn, each seeing what the ones after it made."""
    with scene.proxy.suffering(faults.InventLogs(), faults.DropLogs(), faults.DropLogs()):
        assert [3, 4, 5, 7] == scene.values()


# --- lies


def test_logs_are_dropped(scene: Scene) -> None:
    """The first log of each answer is left out, or whichever a test picks; nothing else changes."""
    with scene.proxy.suffering(faults.DropLogs()):
        assert [2, 3, 4, 5] == scene.values()
    with scene.proxy.suffering(faults.DropLogs(which=lambda log: int(log["data"], 16) % 2 == 0)):
        assert [1, 3, 5] == scene.values()
        receipts = scene.rpc.call("eth_getBlockReceipts", [hex(scene.first)])
        assert [1, 2, 3] == values(receipts[0]["logs"])


def test_logs_are_dropped_from_receipts_as_well(scene: Scene) -> None:
    """The consistent liar leaves the log out of the receipts too, and numbers the others anew."""
    lie = faults.DropLogs(which=lambda log: int(log["data"], 16) == 2, receipts=True)
    with scene.proxy.suffering(lie):
        receipts = scene.rpc.call("eth_getBlockReceipts", [hex(scene.first)])
        assert [1, 3, 4, 5] == scene.values()
    assert [1, 3] == values(receipts[0]["logs"])
    assert ["0x0", "0x1"] == [log["logIndex"] for log in receipts[0]["logs"]]


def test_logs_are_invented(scene: Scene) -> None:
    """A log that nobody emitted follows the last one; an empty answer stays empty."""
    with scene.proxy.suffering(faults.InventLogs()):
        logs = scene.emitter.logs(scene.rpc, scene.first, scene.last)
        assert [1, 2, 3, 4, 5, 7] == values(logs)
        assert logs[-2]["blockHash"] == logs[-1]["blockHash"]
        assert [] == scene.values(1, 1)
    with scene.proxy.suffering(faults.InventLogs(make=lambda logs: [logs[0]])):
        assert [1, 2, 3, 4, 5, 1] == scene.values()


def test_answers_are_altered(scene: Scene) -> None:
    """A test can make any change of its own."""
    fault = faults.Alter(lambda _, logs: logs[::-1], methods=["eth_getLogs"])
    with scene.proxy.suffering(fault):
        assert [5, 4, 3, 2, 1] == scene.values()


def test_ranges_are_truncated_silently(scene: Scene) -> None:
    """A range is answered for its first blocks, without an error."""
    with scene.proxy.suffering(faults.TruncateRange(blocks=2)):
        assert [1, 2, 3, 4] == scene.values()
        assert [5] == scene.values(scene.last, scene.last)


def test_results_are_null(scene: Scene) -> None:
    """Null comes in place of a result."""
    with scene.proxy.suffering(faults.NullResult(methods=["eth_getLogs"])):
        assert scene.emitter.logs(scene.rpc, scene.first, scene.last) is None
        assert scene.rpc.call("eth_blockNumber") is not None


@pytest.mark.parametrize("silent", [False, True])
def test_the_head_is_stale(scene: Scene, silent: bool) -> None:
    """The node is behind in every answer, on the same chain: no later block by any name."""
    last = scene.rpc.call("eth_getBlockByNumber", [hex(scene.last), False])
    with scene.proxy.suffering(faults.StaleHead(head=scene.first, silent=silent)):
        assert scene.first == scene.rpc.quantity("eth_blockNumber")
        for tag in ("latest", "pending", "safe", "finalized"):
            block = scene.rpc.call("eth_getBlockByNumber", [tag, False])
            assert int(block["number"], 16) <= scene.first
        assert scene.rpc.call("eth_getBlockByNumber", [hex(scene.first), False]) is not None
        assert scene.rpc.call("eth_getBlockByNumber", [hex(scene.last), False]) is None
        assert scene.rpc.call("eth_getBlockByHash", [last["hash"], False]) is None
        assert scene.rpc.call("eth_getBlockReceipts", [hex(scene.last)]) is None
        assert [1, 2, 3] == scene.values(high=scene.first)
        query = scene.emitter.query(scene.first, 0) | {"toBlock": "latest"}
        assert [1, 2, 3] == values(scene.rpc.call("eth_getLogs", [query]))
        if silent:
            assert [1, 2, 3] == scene.values()
            assert [] == scene.values(scene.last, scene.last)
        else:
            with pytest.raises(NodeError) as caught:
                scene.values()
            kind = classify(caught.value.text, code=caught.value.rpc_code).kind
            assert LimitKind.UNKNOWN_BLOCK == kind


def test_the_chain_id_is_wrong(scene: Scene) -> None:
    """It names another chain, and answers everything else."""
    with scene.proxy.suffering(faults.WrongChainId(chain_id=10)):
        assert 10 == scene.rpc.quantity("eth_chainId")
        assert "10" == scene.rpc.call("net_version")
        assert [1, 2, 3, 4, 5] == scene.values()


def test_another_node_takes_over_in_the_middle(scene: Scene) -> None:
    """After so many calls the answers are another node's: other blocks at the same heights."""
    with Anvil() as other, Rpc(other.url) as there:
        there.call("anvil_mine", [hex(scene.last), "0x3"])
        with scene.proxy.suffering(faults.Switch(other.url, skip=2)):
            hashes = [
                scene.rpc.call("eth_getBlockByNumber", [hex(scene.last), False])["hash"]
                for _ in range(4)
            ]
        mine = scene.node.call("eth_getBlockByNumber", [hex(scene.last), False])["hash"]
        its = there.call("eth_getBlockByNumber", [hex(scene.last), False])["hash"]
        assert [mine, mine, its, its] == hashes
        assert mine != its


# --- refusals


def _limited(scene: Scene, **limit: int) -> NodeError:
    """Return the refusal of a query for all blocks under a limit in Alchemy's words."""
    wording = wordings.by("Alchemy", "range")
    with scene.proxy.suffering(faults.Refuse(wording=wording, **limit)):
        assert [4] == scene.values(scene.first + 1, scene.first + 1)
        with pytest.raises(NodeError) as caught:
            scene.values()
    return caught.value


@pytest.mark.parametrize("limit", [{"blocks": 2}, {"results": 4}, {"size": 1_500}])
def test_limits_are_kept(scene: Scene, limit: dict[str, int]) -> None:
    """Queries within the limit are answered, larger ones refused, by each of the three measures."""
    error = _limited(scene, **limit)
    assert -32600 == error.rpc_code
    assert "You can make eth_getLogs requests with up to a" in error.text


@pytest.mark.parametrize("wording", wordings.RANGE, ids=lambda wording: wording.who)
def test_refusals_are_in_the_providers_words(scene: Scene, wording: Wording) -> None:
    """The text, code and HTTP status are the provider's, its numbers those of the limit kept."""
    fault = faults.Refuse(wording=wording, blocks=2)
    body = {"jsonrpc": "2.0", "id": 5, "method": "eth_getLogs"}
    with scene.proxy.suffering(fault):
        query = scene.emitter.query(scene.first, scene.last)
        response = _post(scene.proxy.url, body | {"params": [query]})
    answer = response.json()
    assert (wording.status, 5) == (response.status_code, answer["id"])
    assert wording.code == answer["error"]["code"]
    limit = classify(answer["error"]["message"], code=wording.code)
    assert LimitKind.RANGE == limit.kind
    assert (2 if wording.blocks else None) == limit.blocks


@pytest.mark.parametrize("who", ["Infura", "Reth", "Arc"])
def test_suggested_ranges_would_work(scene: Scene, who: str) -> None:
    """A refusal for too many results suggests a range from the same block on, and it is right."""
    wording = wordings.by(who, "results")
    with scene.proxy.suffering(faults.Refuse(wording=wording, results=4)):
        with pytest.raises(NodeError) as caught:
            scene.values(scene.first - 1)
        limit = classify(caught.value.text, code=caught.value.rpc_code)
        assert (LimitKind.RESULTS, 2) == (limit.kind, limit.blocks)
        assert [1, 2, 3] == scene.values(scene.first - 1, scene.first)


@pytest.mark.parametrize("retry_after", [None, "3", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_too_many_requests(scene: Scene, retry_after: str | None) -> None:
    """HTTP 429 comes with the Retry-After that was asked for, or without, so often and no more."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    with scene.proxy.suffering(faults.TooManyRequests(times=2, retry_after=retry_after)):
        responses = [_post(scene.proxy.url, body) for _ in range(3)]
    assert [429, 429, 200] == [response.status_code for response in responses]
    assert retry_after == responses[0].headers.get("Retry-After")
    assert "Retry-After" not in responses[2].headers


# --- broken wires


def test_html_comes_for_json(scene: Scene) -> None:
    """A web page comes as an answer, under whatever status."""
    for status in (200, 502):
        with scene.proxy.suffering(faults.Html(status=status)):
            response = _post(scene.proxy.url, {"id": 1, "method": "eth_chainId"})
            assert (status, "text/html") == (response.status_code, response.headers["Content-Type"])
            with pytest.raises(RpcError, match="HTML"):
                scene.rpc.call("eth_chainId")


def test_half_an_answer(scene: Scene) -> None:
    """JSON that stops in the middle comes as it is."""
    half = faults.Body(b'{"jsonrpc":"2.0","id":1,"res')
    with scene.proxy.suffering(half), pytest.raises(RpcError, match="no JSON"):
        scene.rpc.call("eth_chainId")


def test_the_connection_is_cut(scene: Scene) -> None:
    """The connection ends without an answer, and the next one is served."""
    with scene.proxy.suffering(faults.CutConnection(times=1)):
        with pytest.raises(RpcError, match="connection"):
            scene.rpc.call("eth_chainId")
        assert scene.rpc.call("eth_chainId") is not None


def test_no_answer_comes_in_time(scene: Scene) -> None:
    """A client's time-out passes without an answer; leaving the block lets go of the stall."""
    stall = faults.Stall(methods=["eth_getLogs"])
    with (
        scene.proxy.suffering(stall),
        Rpc(scene.proxy.url, timeout_s=0.3, attempts_max=1) as hasty,
    ):
        with pytest.raises(TooLargeError, match="no answer within"):
            scene.emitter.logs(hasty, scene.first, scene.last)
        assert hasty.call("eth_chainId") is not None
    assert [1, 2, 3, 4, 5] == scene.values()


def test_an_answer_comes_late(scene: Scene) -> None:
    """A stall that then answers delays what it strikes, and nobody else."""
    fault = faults.Stall(then_answer=True, methods=["eth_getLogs"])
    found: list[list[int]] = []
    with scene.proxy.suffering(fault):
        waiting = threading.Thread(target=lambda: found.append(scene.values()))
        waiting.start()
        with Rpc(scene.proxy.url) as other:
            assert other.call("eth_chainId") is not None
        assert [] == found
    waiting.join(10)
    assert [[1, 2, 3, 4, 5]] == found


def test_a_stopped_proxy_answers_nobody(fresh_anvil: str) -> None:
    """After it stops, kept-alive connections are cut and new ones refused."""
    with Proxy(fresh_anvil) as proxy:
        rpc = Rpc(proxy.url, attempts_max=1)
        assert rpc.call("eth_chainId") is not None
    with rpc, pytest.raises(RpcError):
        rpc.call("eth_chainId")


def test_a_batch_is_refused_as_a_whole_or_in_part(scene: Scene) -> None:
    """In a batch, lies and refusals strike their own call, a broken wire all of them."""
    calls = [("eth_chainId", []), ("eth_getLogs", [scene.emitter.query(1, scene.last)])]
    wording = wordings.by("Ankr", "range")
    with scene.proxy.suffering(faults.Refuse(wording=wording, blocks=1)):
        chain_id, refusal = scene.rpc.batch_settled(calls)
    assert scene.node.call("eth_chainId") == chain_id
    assert isinstance(refusal, NodeError)
    assert wording.text == refusal.text
    with scene.proxy.suffering(faults.Html(methods=["eth_getLogs"])), pytest.raises(RpcError):
        scene.rpc.batch_settled(calls)
    assert [Call("eth_chainId", [])] == scene.proxy.asked("eth_chainId")[-1:]
