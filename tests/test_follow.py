"""Import --follow: stays with the chain, whatever it and its node do, and ends when it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests import books
from tests.chain import faults
from tests.chain.emitter import Emitter
from tests.chain.fake_node import FakeNode, Raw
from tests.chain.proxy import Proxy
from tests.onchain import TOKEN, a_chain, count
from tests.test_ingest_forks import check_as_fresh

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import Rpc
from token_ledger.errors import ChainError, UsageError, WrongChainError
from token_ledger.follow import Bell, News, _pause_s, follow
from token_ledger.ledger import Ledger

POLL_S = 0.05
PATIENCE_S = 60.0


@pytest.fixture
def empty(sqlite_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger without entries."""
    with books.create(sqlite_url, tmp_path) as ledger:
        yield ledger


@pytest.mark.parametrize("poll_s", [0.05, 5, 60, 3600])
def test_trouble_makes_it_ask_less_often_never_more(poll_s: float) -> None:
    """The pause grows with the failures up to a minute, and is never shorter than the interval."""
    pauses = [_pause_s(poll_s, failures) for failures in range(1, 40)]
    assert poll_s == pauses[0] == min(pauses)
    assert sorted(pauses) == pauses
    assert max(poll_s, min(60.0, poll_s * 1024)) == pauses[-1]


class Follower:
    """A follower in a thread of its own, and everything that it told."""

    def __init__(self, ledger: Ledger, urls: Any, **how: Any) -> None:
        self.bell = Bell()
        self.news: list[News] = []
        self.ended: Any = None
        self._work = lambda: follow(
            ledger, urls, bell=self.bell, news=self.news.append, **{"poll_s": POLL_S, **how}
        )
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.ended = self._work()
        except Exception as error:
            self.ended = error

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait for something, as long as the follower runs."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, self.news
            assert self._thread.is_alive(), self.ended
            time.sleep(0.01)

    def end(self) -> Any:
        """Stop it and return what it returned or raised."""
        self.bell.stop()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return self.ended

    @property
    def transfers(self) -> int:
        """How many transfers it told of, less those taken back."""
        return sum(news.transfers - news.orphaned for news in self.news)


@contextmanager
def following(ledger: Ledger, urls: Any, **how: Any) -> Iterator[Follower]:
    """Yield a follower, and end it however the test ends."""
    follower = Follower(ledger, urls, **how)
    try:
        yield follower
    finally:
        follower.end()


@pytest.fixture
def node() -> Iterator[str]:
    """Yield an Anvil of the test's own, whose chain is never begun anew."""
    with Anvil(args=("--chain-id", "7777")) as anvil:
        yield anvil.url


def test_new_blocks_are_taken_as_they_come(empty: Ledger, node: str, tmp_path: Path) -> None:
    """Transfers, a reorganisation and more transfers, each told when it is stored."""
    with Rpc(node) as rpc:
        emitter = Emitter(rpc)
        emitter.emit((1, 1), (2, 2))
        with following(empty, node, contracts=[emitter.address]) as follower:
            follower.wait_until(lambda: follower.transfers == 2)
            emitter.emit((3, 3))
            follower.wait_until(lambda: follower.transfers == 3)
            rpc.call("anvil_reorg", [2, []])
            follower.wait_until(lambda: follower.transfers == 0)
            emitter.emit((4, 4))
            follower.wait_until(lambda: follower.transfers == 1)
            [done] = follower.end()
        assert (4, 3) == (done.transfers, done.orphaned)
        check_as_fresh(empty, node, emitter.address, tmp_path)


def test_a_node_that_goes_and_comes_back_is_waited_for(empty: Ledger, node: str) -> None:
    """Refused, cut and nonsensical answers are told as trouble, and end nothing."""
    with Rpc(node) as rpc, Proxy(node) as proxy:
        emitter = Emitter(rpc)
        with following(empty, proxy.url, contracts=[emitter.address]) as follower:
            follower.wait_until(lambda: bool(follower.news))
            troubles = lambda: sum(1 for news in follower.news if news.trouble)  # noqa: E731
            for fault in (faults.CutConnection(), faults.Html(), faults.NullResult()):
                before, there = troubles(), follower.transfers
                with proxy.suffering(fault):
                    emitter.emit((1, 1))
                    follower.wait_until(lambda n=before: troubles() > n)
                follower.wait_until(lambda n=there: follower.transfers == n + 1)
        assert 3 == count(empty)


def test_a_restarted_node_is_followed_and_another_chain_is_not(empty: Ledger) -> None:
    """The same chain at the same address goes on; another one in its place ends it."""
    chain = a_chain()
    serving: list[Any] = [chain]

    def answer(method: str, params: list[Any]) -> Any:
        return serving[0](method, params)

    chain.head = 20
    with FakeNode(answer) as node, following(empty, node.url, contracts=[TOKEN]) as follower:
        follower.wait_until(lambda: bool(follower.news))
        serving[0] = lambda *_: Raw(hang_up=True)
        follower.wait_until(lambda: follower.news[-1].trouble is not None)
        chain.head = 45
        serving[0] = chain
        follower.wait_until(lambda: follower.transfers == len(chain.logs))
        other = a_chain()
        other.hashes |= {number: f"0x{number + 1:064x}" for number in range(50)}
        serving[0] = other
        follower._thread.join(PATIENCE_S)
        assert isinstance(follower.ended, WrongChainError)


def test_a_reorganisation_past_the_window_ends_it(empty: Ledger, node: str) -> None:
    """What only a person can decide is raised, and nothing was changed."""
    with Rpc(node) as rpc:
        emitter = Emitter(rpc)
        for i in range(12):
            emitter.emit((i, i))
        with following(empty, node, contracts=[emitter.address], window=3) as follower:
            follower.wait_until(lambda: follower.transfers == 12)
            rpc.call("anvil_reorg", [8, []])
            follower._thread.join(PATIENCE_S)
            assert isinstance(follower.ended, ChainError)
            assert "deeper than 3 blocks" in str(follower.ended)
    assert 12 == count(empty)


def test_it_ends_while_a_node_keeps_it_waiting(empty: Ledger, node: str) -> None:
    """Stopped in the middle of a question, it leaves whole ranges and does not wait for it."""
    with Rpc(node) as rpc, Proxy(node) as proxy:
        emitter = Emitter(rpc)
        emitter.emit((1, 1))
        stall = faults.Stall(methods=["eth_getLogs"])
        with (
            proxy.suffering(stall),
            following(empty, proxy.url, contracts=[emitter.address]) as follower,
        ):
            follower.wait_until(lambda: stall.struck > 0)
            began = time.monotonic()
            [done] = follower.end()
            assert time.monotonic() - began < faults.STALL_MAX_S / 2
    assert (0, 0) == (done.transfers, count(empty))


def test_a_websocket_wakes_it_up(empty: Ledger, node: str) -> None:
    """With a poll interval of an hour, new heads alone bring the transfers; broken, it returns."""
    with Rpc(node) as rpc:
        emitter = Emitter(rpc)
        urls = [node, node.replace("http://", "ws://")]
        with following(empty, urls, contracts=[emitter.address], poll_s=3600) as follower:
            follower.wait_until(lambda: bool(follower.news))
            for i in range(1, 4):
                emitter.emit((i, i))
                follower.wait_until(lambda n=i: follower.transfers == n)


def test_a_websocket_that_is_not_there_harms_nothing(empty: Ledger, node: str) -> None:
    """Polling goes on without it."""
    with Rpc(node) as rpc:
        emitter = Emitter(rpc)
        urls = [node, "ws://127.0.0.1:1/secret"]
        with following(empty, urls, contracts=[emitter.address]) as follower:
            follower.wait_until(lambda: bool(follower.news))
            emitter.emit((1, 1))
            follower.wait_until(lambda: follower.transfers == 1)


def test_what_cannot_be_followed_is_said_at_once(empty: Ledger, node: str) -> None:
    """No interval, no node beside a WebSocket, no WebSocket's name."""
    ring = Bell()
    with pytest.raises(UsageError, match="a poll interval"):
        follow(empty, node, bell=ring, poll_s=0)
    with pytest.raises(UsageError, match="only wakes up"):
        follow(empty, "ws://127.0.0.1:1", bell=ring)
