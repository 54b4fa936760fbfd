"""A node's WebSocket, listened to for one thing: that there may be a new block.

What it says of the block is not even read: everything is fetched over HTTP and checked there. While
it is silent or gone, polling goes on without it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from urllib.parse import urlsplit

import orjson
from websockets.sync.client import ClientConnection, connect

from token_ledger.chain.exchange import is_websocket, shown_url
from token_ledger.errors import RpcError

OPEN_TIMEOUT_S = 10.0
_PAUSE_S, _PAUSE_MAX_S = 1.0, 60.0
_MESSAGE_BYTES_MAX = 1 << 20
_SUBSCRIBE = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}


class Wakeup:
    """Calls `ring` from a thread of its own at whatever the node sends; a context manager.

    Connects again after every break, for as long as it is open.
    """

    def __init__(self, url: str, ring: Callable[[], object]) -> None:
        if not is_websocket(url) or not urlsplit(url).hostname:
            raise RpcError(f"not a WebSocket: {shown_url(url)}", hint="give ws:// or wss://")
        self._url = url
        self._ring = ring
        self._closed = threading.Event()
        self._socket: ClientConnection | None = None
        self._thread = threading.Thread(target=self._listen, name="wakeup", daemon=True)

    def __enter__(self) -> Wakeup:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        if (socket := self._socket) is not None:
            with contextlib.suppress(Exception):
                socket.close()

    def _listen(self) -> None:
        pause_s = _PAUSE_S
        while not self._closed.is_set():
            # Whatever breaks, and however it is called: polling goes on, and this tries again.
            with contextlib.suppress(Exception):
                self._hear()
                pause_s = _PAUSE_S
            self._ring()  # something may have been missed
            self._closed.wait(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)

    def _hear(self) -> None:
        with connect(
            self._url,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=1,
            max_size=_MESSAGE_BYTES_MAX,
        ) as socket:
            self._socket = socket
            try:
                socket.send(orjson.dumps(_SUBSCRIBE), text=True)
                for _ in socket:
                    if self._closed.is_set():
                        return
                    self._ring()
            finally:
                self._socket = None
