"""A node that a test plays: real HTTP on loopback, answers by a function. No mocks of our own code.

`FakeNode(answer)` asks `answer(method, params)` for every call; what it returns is the result. A
`Failure` becomes a JSON-RPC error object, a `Raw` the whole HTTP answer. `forward(url)` is an
answer function that asks a real node, for tests that come in between.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import requests

Answer = Callable[[str, list[Any]], Any]


@dataclass
class Failure:
    """A JSON-RPC error object."""

    code: int
    message: str
    data: str | None = None


@dataclass
class Raw:
    """An HTTP answer as it goes over the wire; `drip_s` seconds between its bytes."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    drip_s: float = 0.0
    hang_s: float = 0.0
    hang_up: bool = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        node: FakeNode = self.server.node  # type: ignore[attr-defined]
        body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
        calls = body if isinstance(body, list) else [body]
        if isinstance(body, list):
            node.batches.append(len(calls))
            if node.batch_max is not None and len(calls) > node.batch_max:
                refusal = _envelope(None, Failure(-32600, "the batch is too large"))
                self._send(Raw(body=orjson.dumps(refusal)))
                return
        answers = []
        for call in calls:
            with node.lock:
                node.calls.append((call["method"], call["params"]))
            result = node.answer(call["method"], call["params"])
            if isinstance(result, Raw):
                self._send(result)
                return
            answers.append(_envelope(call["id"], result))
        if node.shuffle:
            answers.reverse()
        self._send(Raw(body=orjson.dumps(answers if isinstance(body, list) else answers[0])))

    def _send(self, raw: Raw) -> None:
        time.sleep(raw.hang_s)
        if raw.hang_up:
            self.close_connection = True
            return
        with contextlib.suppress(OSError):
            self.send_response(raw.status)
            for name, value in raw.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw.body)))
            self.end_headers()
            if not raw.drip_s:
                self.wfile.write(raw.body)
                return
            for byte in raw.body:
                self.wfile.write(bytes([byte]))
                time.sleep(raw.drip_s)


def _envelope(identity: Any, result: Any) -> dict[str, Any]:
    if isinstance(result, Failure):
        error: dict[str, Any] = {"code": result.code, "message": result.message}
        if result.data is not None:
            error["data"] = result.data
        return {"jsonrpc": "2.0", "id": identity, "error": error}
    return {"jsonrpc": "2.0", "id": identity, "result": result}


class FakeNode:
    """An HTTP JSON-RPC server for the length of a `with` block; `calls` holds what was asked.

    `batches` holds the sizes of batches; larger ones than `batch_max` are refused as a whole.
    """

    def __init__(self, answer: Answer, *, shuffle: bool = False) -> None:
        self.answer = answer
        self.shuffle = shuffle
        self.calls: list[tuple[str, list[Any]]] = []
        self.batches: list[int] = []
        self.batch_max: int | None = None
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.node = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def count(self, method: str) -> int:
        """Return how often a method was called."""
        return sum(1 for name, _ in self.calls if name == method)

    def __enter__(self) -> FakeNode:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def forward(url: str) -> Answer:
    """Return an answer function that asks the node at `url`."""
    session = requests.Session()

    def answer(method: str, params: list[Any]) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        reply = orjson.loads(
            session.post(
                url,
                data=orjson.dumps(body),
                timeout=60,
                headers={"Content-Type": "application/json"},
            ).content
        )
        if "error" in reply:
            error = reply["error"]
            return Failure(error["code"], error["message"], error.get("data"))
        return reply["result"]

    return answer
