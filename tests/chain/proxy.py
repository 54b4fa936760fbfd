"""A JSON-RPC proxy that lies, stalls and breaks as nodes do, in front of a real Anvil.

The importer is tested through it: it sees a URL, HTTP and JSON like any node's, and what is wrong
with them is what a test switches on, for as long as it wants:

    from tests.chain.faults import DropLogs, TooManyRequests

    with Proxy(anvil) as proxy:
        with proxy.suffering(DropLogs(), TooManyRequests(times=2, retry_after="1")):
            with pytest.raises(...):
                ingest(ledger, proxy.url, contract=token)
        ingest(ledger, proxy.url, contract=token)      # the node has recovered
        assert proxy.asked("eth_getLogs") ...

Every fault takes `skip` (let so many matching calls pass first), `times` (then strike so often, by
default always), `methods` and `when` (strike only calls of these names, that it says yes to). So a
node that changes its mind in the middle of a range is `Switch(other_url, skip=3)`. Several faults
may be on at once: the first that answers for the node wins, all that alter an answer do so in turn.
The faults that there are stand in `tests.chain.faults`. Nothing is forwarded anywhere but to the
URLs given, and no fault lasts longer than `STALL_MAX_S`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import urllib3

STALL_MAX_S = 20.0
_FORWARD_TIMEOUT_S = 60.0
Result = Any


@dataclass(frozen=True)
class Call:
    """One JSON-RPC call as the client made it."""

    method: str
    params: list[Any]

    @property
    def span(self) -> tuple[int, int] | None:
        """The numbered block range of an `eth_getLogs`, or None."""
        query = self.params[0] if self.params and isinstance(self.params[0], dict) else {}
        try:
            return int(query["fromBlock"], 16), int(query["toBlock"], 16)
        except (KeyError, ValueError):
            return None

    def with_range(self, low: int, high: int) -> Call:
        """Return the same query over another range."""
        return Call(self.method, [self.params[0] | {"fromBlock": hex(low), "toBlock": hex(high)}])


class RefusedError(Exception):
    """The node's answer is a JSON-RPC error object, under an HTTP status of its own."""

    def __init__(self, error: dict[str, Any], status: int = 200) -> None:
        super().__init__(str(error))
        self.error, self.status = error, status


@dataclass(eq=False)
class RawAnswerError(Exception):
    """The answer is no JSON-RPC at all: status, headers and body as they are, or a cut wire."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


class Node:
    """A node behind the proxy."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(
            timeout=_FORWARD_TIMEOUT_S, retries=False, maxsize=8, block=False
        )

    def ask(self, call: Call) -> Result:
        """Return the node's result. Raises RefusedError with its error object."""
        body = {"jsonrpc": "2.0", "id": 1, "method": call.method, "params": call.params}
        response = self._pool.request(
            "POST", self._url, body=json.dumps(body), headers={"Content-Type": "application/json"}
        )
        answer = json.loads(response.data)
        if "error" in answer:
            raise RefusedError(answer["error"])
        return answer["result"]

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()


@dataclass
class Fault:
    """Something wrong with the node. By itself it does nothing, to any call of any method."""

    skip: int = field(default=0, kw_only=True)
    times: int | None = field(default=None, kw_only=True)
    when: Callable[[Call], bool] | None = field(default=None, kw_only=True)
    methods: Sequence[str] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self.struck = 0
        self._seen = 0
        self._lock = threading.Lock()

    def strikes(self, call: Call) -> bool:
        """Return whether this call is one to strike, and count it."""
        if self.methods is not None and call.method not in self.methods:
            return False
        if self.when is not None and not self.when(call):
            return False
        with self._lock:
            self._seen += 1
            past = self._seen - self.skip
            if past < 1 or (self.times is not None and past > self.times):
                return False
            self.struck += 1
            return True

    def answer(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        """Return the answer in the place of the next one in line, which is `ask`."""
        return ask(call)

    def stop(self) -> None:
        """Let go of whoever waits."""


# --- the proxy itself


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self._wires: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._wires.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._wires.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that gave up is what some tests are about."""

    def cut_all(self) -> None:
        """Close every connection that a client keeps alive."""
        for wire in list(self._wires):
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            status, answer = self.server.proxy.handle(json.loads(body))
            raw = RawAnswerError(
                json.dumps(answer).encode(), status, {"Content-Type": "application/json"}
            )
        except RawAnswerError as error:
            raw = error
        if raw.cut:
            self.close_connection = True
            return
        self.send_response(raw.status)
        for name, value in raw.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw.body)))
        self.end_headers()
        self.wfile.write(raw.body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Proxy:
    """A lying node on loopback; `url` is its address. Use it as a context manager."""

    def __init__(self, node_url: str) -> None:
        self._node = Node(node_url)
        self._faults: list[Fault] = []
        self._calls: list[Call] = []
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop answering, and cut what is still connected."""
        for fault in self._faults:
            fault.stop()
        self._server.shutdown()
        self._server.cut_all()
        self._server.server_close()
        self._thread.join(STALL_MAX_S)
        self._node.close()

    @contextlib.contextmanager
    def suffering(self, *faults: Fault) -> Iterator[None]:
        """Have these faults, beside those already there, while the block lasts."""
        with self._lock:
            self._faults = [*self._faults, *faults]
        try:
            yield
        finally:
            over = set(map(id, faults))
            with self._lock:
                self._faults = [fault for fault in self._faults if id(fault) not in over]
            for fault in faults:
                fault.stop()

    def asked(self, method: str | None = None) -> list[Call]:
        """Return what clients asked so far, of one method or of all, in order."""
        with self._lock:
            return [call for call in self._calls if method in (None, call.method)]

    def handle(self, request: Any) -> tuple[int, Any]:
        """Return HTTP status and JSON for a request or a batch. Raises RawAnswerError."""
        if isinstance(request, list):
            answers = [self._answer(item) for item in request]
            return max(status for status, _ in answers), [answer for _, answer in answers]
        return self._answer(request)

    def _answer(self, request: dict[str, Any]) -> tuple[int, Any]:
        call = Call(request["method"], request.get("params", []))
        with self._lock:
            self._calls.append(call)
            faults = list(self._faults)
        ask = self._node.ask
        for fault in reversed(faults):
            if fault.strikes(call):
                ask = _bound(fault, ask)
        answer = {"jsonrpc": "2.0", "id": request.get("id")}
        try:
            return 200, answer | {"result": ask(call)}
        except RefusedError as error:
            return error.status, answer | {"error": error.error}


def _bound(fault: Fault, ask: Callable[[Call], Result]) -> Callable[[Call], Result]:
    return lambda call: fault.answer(call, ask)
