"""Whatever a node does wrong is one RpcError that names method and node, and no secret."""

from __future__ import annotations

import datetime as dt
import email.utils
import socket
from typing import Any

import pytest
from tests.chain.fake_node import Failure, FakeNode, Raw

from token_ledger.chain.rpc import (
    NodeError,
    Rpc,
    TooLargeError,
    decode_data,
    decode_quantity,
    shown_url,
)
from token_ledger.errors import RpcError

BUSY_THEN = [429, 502, 503, 504]


def in_turn(*answers: Any) -> Any:
    """Return an answer function that gives one answer after the other, the last for ever."""
    rest = list(answers)
    return lambda _method, _params: rest.pop(0) if len(rest) > 1 else rest[0]


def test_a_result_is_returned_as_json_gives_it() -> None:
    """`call` returns the result, whatever JSON it is, null included."""
    with FakeNode(in_turn({"a": [1]}, None)) as node, Rpc(node.url) as rpc:
        assert {"a": [1]} == rpc.call("x", ["y"])
        assert rpc.call("x") is None
        assert [("x", ["y"]), ("x", [])] == node.calls


def test_an_error_object_becomes_a_node_error() -> None:
    """Code, text and revert data of an error object are kept."""
    failure = Failure(3, "execution reverted", "0x08c379a0")
    with FakeNode(in_turn(failure)) as node, Rpc(node.url) as rpc:
        with pytest.raises(NodeError, match=r"x at http://127.*execution reverted") as caught:
            rpc.call("x")
        assert (3, "execution reverted", bytes.fromhex("08c379a0")) == (
            caught.value.rpc_code, caught.value.text, caught.value.data,
        )  # fmt: skip
        assert 1 == len(node.calls)


def test_a_refused_connection_is_an_rpc_error() -> None:
    """A node that is down is told as such, after a few attempts."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    pauses: list[float] = []
    with (
        Rpc(f"http://127.0.0.1:{port}/secret-key", sleep=pauses.append) as rpc,
        pytest.raises(RpcError, match=r"eth_chainId at .*refused") as caught,
    ):
        rpc.quantity("eth_chainId")
    assert "secret-key" not in str(caught.value)
    assert 3 == len(pauses)


@pytest.mark.parametrize("raw", [Raw(body=b"{}", hang_s=2.0), Raw(body=b" " * 50, drip_s=0.1)])
def test_a_slow_node_is_told_after_the_time_out(raw: Raw) -> None:
    """Neither silence nor a drip of bytes outlives the time-out."""
    with (
        FakeNode(in_turn(raw)) as node,
        Rpc(node.url, timeout_s=0.3) as rpc,
        pytest.raises(TooLargeError, match="no answer within"),
    ):
        rpc.call("x")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (Raw(body=b"<html><body>Sign in</body></html>"), "HTTP 200 and HTML"),
        (Raw(status=404, body=b"<html>"), "HTTP 404 and HTML"),
        (Raw(status=403, body=b"nope"), "HTTP 403 and no JSON"),
        (Raw(status=302, headers={"Location": "http://127.0.0.1:1/"}), "HTTP 302"),
        (Raw(body=b'{"jsonrpc":"2.0","id":1'), "HTTP 200 and no JSON"),
        (Raw(body=b"null"), "HTTP 200"),
        (Raw(body=b"[]"), "not the one to our question"),
        (Raw(body=b'{"jsonrpc":"2.0","id":77,"result":"0x1"}'), "not the one to our question"),
        (Raw(body=b'{"jsonrpc":"2.0","id":1}'), "neither result nor error"),
        (Raw(status=400, body=b'{"id":null,"error":{"code":-32600,"message":"bad"}}'), "bad"),
        (Raw(status=500, body=b'{"id":1,"error":{"code":-32000,"message":"odd"}}'), "odd"),
    ],
)
def test_an_answer_that_is_none_is_an_rpc_error(raw: Raw, words: str) -> None:
    """HTML, cut JSON, foreign ids and empty envelopes are never taken for an answer."""
    with FakeNode(in_turn(raw)) as node, Rpc(node.url, sleep=lambda _: None) as rpc:
        with pytest.raises(RpcError, match=words):
            rpc.quantity("eth_blockNumber")
        assert 1 == len(node.calls)


@pytest.mark.parametrize("answer", [None, 5, "5", "0x", "0xzz", [], {}, True, "0x" + "1" * 65])
def test_a_quantity_of_a_wrong_type_is_refused(answer: Any) -> None:
    """A null or mistyped quantity is an RpcError that names the method."""
    with (
        FakeNode(in_turn(answer)) as node,
        Rpc(node.url) as rpc,
        pytest.raises(RpcError, match=r"eth_blockNumber at .*not as it should be"),
    ):
        rpc.quantity("eth_blockNumber")


@pytest.mark.parametrize("status", BUSY_THEN)
def test_a_busy_node_is_asked_again(status: int) -> None:
    """429 and 5xx are tried again, and the answer then counts."""
    pauses: list[float] = []
    answers = in_turn(Raw(status=status, body=b"<html>"), Raw(status=status), "0x7")
    with FakeNode(answers) as node, Rpc(node.url, sleep=pauses.append) as rpc:
        assert 7 == rpc.quantity("eth_blockNumber")
    assert 2 == len(pauses)
    assert pauses[0] < pauses[1]


def test_retry_after_is_honoured_in_seconds_and_as_a_date() -> None:
    """The pause is what the node asks for, in either form of the header."""
    later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
    answers = in_turn(
        Raw(status=429, headers={"Retry-After": "7"}),
        Raw(status=503, headers={"Retry-After": email.utils.format_datetime(later, usegmt=True)}),
        "0x1",
    )
    pauses: list[float] = []
    with FakeNode(answers) as node, Rpc(node.url, sleep=pauses.append) as rpc:
        rpc.call("x")
    assert 6.5 < pauses[0] <= 7
    assert 25 < pauses[1] <= 30


def test_a_node_that_asks_to_wait_for_long_is_left() -> None:
    """A Retry-After beyond a minute is told, not slept through."""
    raw = Raw(status=429, headers={"Retry-After": "3600"})
    with (
        FakeNode(in_turn(raw)) as node,
        Rpc(node.url) as rpc,
        pytest.raises(RpcError, match="asks to wait 3600 s"),
    ):
        rpc.call("x")


def test_retries_are_bounded() -> None:
    """A node that stays busy is given up after a few attempts."""
    with FakeNode(in_turn(Raw(status=429))) as node, Rpc(node.url, sleep=lambda _: None) as rpc:
        with pytest.raises(RpcError, match="too many requests"):
            rpc.call("x")
        assert 4 == len(node.calls)


def test_a_lost_answer_is_asked_for_again_only_where_that_is_safe() -> None:
    """A dropped connection repeats a question, never eth_sendTransaction."""
    hang_up = Raw(hang_up=True)
    with FakeNode(in_turn(hang_up, "0x1")) as node, Rpc(node.url, sleep=lambda _: None) as rpc:
        assert 1 == rpc.quantity("eth_blockNumber")
        assert 2 == len(node.calls)
    with FakeNode(in_turn(hang_up, "0x1")) as node, Rpc(node.url, sleep=lambda _: None) as rpc:
        with pytest.raises(RpcError, match="connection failed"):
            rpc.call("eth_sendTransaction", [{}])
        assert 1 == len(node.calls)


def test_a_batch_keeps_its_order() -> None:
    """Results come in the order of the calls, whatever order the node answers in."""
    with FakeNode(lambda _, params: params[0], shuffle=True) as node, Rpc(node.url) as rpc:
        assert list(range(7)) == rpc.batch([("x", [i]) for i in range(7)], size=3)


def test_a_failure_in_a_batch_is_raised_or_returned() -> None:
    """`batch` raises the first refusal, `batch_settled` returns it in its place."""
    answer = lambda _, params: Failure(-1, "no") if params[0] == 1 else params[0]  # noqa: E731
    with FakeNode(answer) as node, Rpc(node.url) as rpc:
        calls = [("x", [i]) for i in range(3)]
        with pytest.raises(NodeError, match="no"):
            rpc.batch(calls)
        first, second, third = rpc.batch_settled(calls)
        assert (0, 2) == (first, third)
        assert isinstance(second, NodeError)


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no batches"}}',
        b'[{"jsonrpc":"2.0","id":1,"result":"0x1"}]',
        b"[1, 2]",
        b'"text"',
    ],
)
def test_a_batch_that_is_not_answered_whole_is_an_rpc_error(body: bytes) -> None:
    """A refused, short or mistyped batch is never taken for results."""
    with (
        FakeNode(in_turn(Raw(body=body))) as node,
        Rpc(node.url) as rpc,
        pytest.raises(RpcError, match="batch of x"),
    ):
        rpc.batch([("x", []), ("y", [])])


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@node.example:8545/v3/key?apikey=1", "https://node.example:8545/…"),
        ("https://node.example/", "https://node.example"),
        ("http://[::1]:8545", "http://[::1]:8545"),
        ("https://node.example?key=1", "https://node.example/…"),
    ],
)
def test_a_url_is_shown_without_secrets(url: str, shown: str) -> None:
    """User, password, path and query never appear."""
    assert shown == shown_url(url)


@pytest.mark.parametrize("url", ["", "node", "ftp://node", "ws://127.0.0.1:1", "http://"])
def test_what_is_no_url_of_a_node_is_refused(url: str) -> None:
    """Only http and https with a host are nodes."""
    with pytest.raises(RpcError, match=r"not the URL of a node|URL is empty"):
        Rpc(url)


def test_quantities_and_data_are_decoded_strictly() -> None:
    """Data has whole bytes and the size that was asked for; white space is no hexadecimal."""
    assert 255 == decode_quantity("0xff")
    assert b"\x01\x02" == decode_data("0x0102", size=2)
    for wrong in ("0x1", "0x 01", "0x01 ", "01", "0x010203", None, 5, "0xgg"):
        with pytest.raises(ValueError, match="hexadecimal"):
            decode_data(wrong, size=2)


RATED = [
    Failure(-32005, "daily request count exceeded, request rate limited"),
    Failure(429, "Your app has exceeded its compute units per second capacity"),
    Failure(-32005, "limit exceeded"),
    Failure(-32016, "over rate limit"),
    Failure(-32000, "Too Many Requests"),
]


@pytest.mark.parametrize("failure", RATED)
def test_a_rate_limit_under_http_200_is_waited_for(failure: Failure) -> None:
    """Whether HTTP says so or only the error object: the same is asked again, later."""
    pauses: list[float] = []
    with (
        FakeNode(in_turn(failure, failure, "0x7")) as node,
        Rpc(node.url, sleep=pauses.append) as rpc,
    ):
        assert 7 == rpc.quantity("eth_blockNumber")
    assert 2 == len(pauses)


def test_a_rate_limit_that_stays_is_told_in_the_nodes_words() -> None:
    """After a few attempts the node's own error is raised."""
    with (
        FakeNode(in_turn(RATED[0])) as node,
        Rpc(node.url, sleep=lambda _: None) as rpc,
    ):
        with pytest.raises(NodeError, match="rate limited"):
            rpc.call("eth_blockNumber")
        assert 4 == len(node.calls)


def test_too_many_results_are_no_rate_limit() -> None:
    """The same code on a question with a size is the caller's to make smaller, at once."""
    with (
        FakeNode(in_turn(Failure(-32005, "query returned more than 10000 results"))) as node,
        Rpc(node.url) as rpc,
    ):
        with pytest.raises(NodeError, match="10000"):
            rpc.call("eth_getLogs", [{}])
        assert 1 == len(node.calls)


def test_in_a_batch_only_the_limited_calls_are_asked_again() -> None:
    """What was answered is kept; the rest comes with the next attempt, in its place."""
    refused = {3, 5}

    def answer(_method: str, params: list[Any]) -> Any:
        if params[0] in refused:
            refused.discard(params[0])
            return RATED[0]
        return params[0]

    with FakeNode(answer) as node, Rpc(node.url, sleep=lambda _: None) as rpc:
        assert list(range(7)) == rpc.batch([("x", [i]) for i in range(7)])
        assert 9 == len(node.calls)


def test_a_batch_that_is_too_large_for_a_node_is_split() -> None:
    """A node that refuses a batch as a whole is asked in smaller ones from then on."""
    with FakeNode(lambda _, params: params[0]) as node:
        node.batch_max = 3
        with Rpc(node.url) as rpc:
            assert list(range(10)) == rpc.batch([("x", [i]) for i in range(10)])
            sizes = node.batches[:]
            assert list(range(10)) == rpc.batch([("x", [i]) for i in range(10)])
        assert [10, 5, 2, 2, 2, 2, 2] == sizes
        assert [2] * 5 == node.batches[len(sizes) :]
