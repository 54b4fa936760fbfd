"""The import command: several nodes and contracts, and a follower that signals end."""

from __future__ import annotations

import json
import signal
import threading

import pytest
from tests.chain.emitter import Emitter
from tests.chain.fake_node import FakeNode, Raw
from tests.chain.proxy import Proxy
from tests.onchain import TOKEN, a_chain

from token_ledger.chain.rpc import Rpc
from token_ledger.cli.app import split_urls
from token_ledger.core.address import to_checksum
from token_ledger.core.transfers import ODDITIES


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("http://a http://b", ["http://a", "http://b"]),
        (" https://a/?x=1,2 ,  wss://b\nhttp://c,", ["https://a/?x=1,2", "wss://b", "http://c,"]),
        ("http://a,https://b", ["http://a", "https://b"]),
        ("", []),
    ],
)
def test_an_environment_variable_holds_several_nodes(text: str, urls: list[str]) -> None:
    """By white space or by commas before a scheme; a comma inside a URL stays."""
    assert [url for url in split_urls(text) if url != ","] == urls


def test_several_nodes_and_contracts_in_one_run(
    book, fresh_anvil: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each contract has its own result; --all takes again what the ledger knows."""
    with Rpc(fresh_anvil) as rpc, Proxy(fresh_anvil) as proxy:
        emitters = [Emitter(rpc), Emitter(rpc)]
        for emitter in emitters:
            emitter.emit((1, 1), (2, 2))
        monkeypatch.setenv("TOKEN_LEDGER_RPC_URL", f"{fresh_anvil}, {proxy.url} ws://127.0.0.1:1")
        addresses = [to_checksum(emitter.address) for emitter in emitters]
        words = [word for address in addresses for word in ("--contract", address)]
        ended = book("import", *words, "--quorum", "2", "--json")
        assert 0 == ended.status, ended.out
        done = ended.document["contracts"]
        assert addresses == [one["contract"] for one in done]
        assert [2, 2] == [one["transfers"] for one in done]
        emitters[1].emit((3, 3))
        done = book("import", "--all", "--json").document["contracts"]
        assert [0, 1] == [one["transfers"] for one in done]
        assert 2 == book("import", "--all").out.count("no new block")
    for wrong in (
        ("--all", *words[:2]),
        ("--poll-interval", "3"),
        ("--quorum", "9"),
        ("--concurrency", "0"),
        ("--from-block", "-5"),
    ):
        ended = book("import", *wrong, "--json")
        assert (2, "bad_usage") == (ended.status, ended.error["code"]), wrong


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_follower_ends_cleanly_on_a_signal(
    book, spawn, fresh_anvil: str, number: signal.Signals
) -> None:
    """Exit status 0, one JSON document, everything stored."""
    with Rpc(fresh_anvil) as rpc:
        emitter = Emitter(rpc)
        emitter.emit((1, 1))
        words = ("--rpc", fresh_anvil, "--contract", to_checksum(emitter.address))
        child = spawn("import", "--follow", "--poll-interval", "0.1", "--json", *words)
        assert child.stderr.readline().endswith(b": 1 transfer\n")
        emitter.emit((2, 2), (3, 3))
        assert child.stderr.readline().endswith(b": 2 transfers\n")
        child.send_signal(number)
        out, _ = child.communicate(timeout=30)
    assert (0, 3) == (child.returncode, json.loads(out)["transfers"])
    assert "no new block" in book("import", *words).out


def test_odd_logs_are_told_with_their_place_and_reason(book) -> None:
    """Transfers of other standards are skipped; an auditor sees how many, why, and where first."""
    chain = a_chain()
    odd = [
        {**chain.logs[0], "logIndex": "0x7", "data": "0x"},
        {**chain.logs[0], "logIndex": "0x8", "topics": chain.logs[0]["topics"][:1]},
        {**chain.logs[0], "logIndex": "0x9", "topics": chain.logs[0]["topics"][:1]},
    ]
    odd[0]["topics"] = [*odd[0]["topics"], "0x" + "00" * 32]
    chain.logs[1:1] = odd
    words = ("import", "--contract", to_checksum(TOKEN))
    with FakeNode(chain) as node:
        done = book(*words, "--rpc", node.url, "--json").document
    told = {one["reason"]: one for one in reversed(done["odd"]["first"])}
    assert (3, {"malformed": 2, "not_fungible": 1}) == (done["skipped"], done["odd"]["reasons"])
    block = int(odd[0]["blockNumber"], 16)
    assert {"block": block, "log_index": 8, "tx": odd[0]["transactionHash"]}.items() <= (
        told["malformed"].items()
    )
    terms = ("--symbol", "X", "--name", "X", "--decimals", "0")
    with FakeNode(chain) as node:
        assert 0 == book("init", "--db", "sqlite:///x.db", *terms).status
        shown = book(*words, "--rpc", node.url, "--db", "sqlite:///x.db").out
    assert f"skipped 1 Transfer log: {ODDITIES['not_fungible']} (first: block {block}, " in shown
    assert "skipped 2 Transfer logs: " in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_look_interrupts(book, spawn, number: signal.Signals) -> None:
    """A node that does not answer when a follower starts keeps nobody from ending it at once."""
    asked, over = threading.Event(), threading.Event()

    def answer(_method: str, _params: list[object]) -> object:
        asked.set()
        over.wait(60)
        return Raw(hang_up=True)

    with FakeNode(answer) as node:
        child = spawn("import", "--follow", "--rpc", node.url)
        try:
            assert asked.wait(60)
            child.send_signal(number)
            child.communicate(timeout=30)
        finally:
            over.set()
    assert 130 == child.returncode
