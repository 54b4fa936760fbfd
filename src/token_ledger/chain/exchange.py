"""One HTTP exchange with a node, bounded in time and size, and when the next one may be.

Knows HTTP and no JSON-RPC: `chain.rpc` does. Nothing that leaves this module carries what a node's
URL may hold of secrets.
"""

from __future__ import annotations

import email.utils
import posixpath
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
import urllib3

from token_ledger.errors import RpcError

ANSWER_BYTES_MAX = 1 << 30
RETRY_AFTER_MAX_S = 60.0
_BACKOFF_S = 0.2
_CHUNK_BYTES = 1 << 17
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class TooLargeError(RpcError):
    """The request took too long or its answer is too large: ask for less at once."""


def shown_url(url: str) -> str:
    """Return the URL without what may be secret: user, password, path, query."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or "?"
    except ValueError:
        return "?"
    host = f"[{host}]" if ":" in host else host
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{parts.scheme}://{host}{port}{'/…' if parts.path.strip('/') or parts.query else ''}"


def spelt_alike(url: str) -> tuple[object, ...]:
    """Return what the URLs of one node share, however they are written (RFC 3986, section 6.2).

    Who asks is left out: with other credentials a node is no other witness.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        host = (parts.hostname or "").rstrip(".").encode("idna").decode("ascii").lower()
    except ValueError:  # whoever connects to it says what is wrong
        return (url,)
    if host in _LOOPBACK:
        host = "localhost"
    path = posixpath.normpath(f"/{unquote(parts.path)}").lstrip("/")
    return (parts.scheme, host, port, path, parts.query)


def is_websocket(url: str) -> bool:
    """Return whether a URL names a WebSocket, which answers no questions of ours."""
    return url.split(":", 1)[0].lower() in ("ws", "wss")


class Gate:
    """When a node may be asked again. Shared by all who ask it, from any thread."""

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep
        self._lock = threading.Lock()
        self._opens_at = 0.0

    def close_for(self, seconds: float) -> None:
        """Let nobody through for so long; never less long than somebody else said."""
        with self._lock:
            self._opens_at = max(self._opens_at, time.monotonic() + seconds)

    def wait(self) -> None:
        """Return when the node may be asked."""
        waited_for = None
        while (opens_at := self._opens_at) != waited_for:
            if (pause := opens_at - time.monotonic()) > 0:
                self._sleep(pause)
            waited_for = opens_at  # again only where somebody closed it for longer meanwhile


class Exchange:
    """One connection to one node, kept alive. Not thread-safe."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        try:
            parts = urlsplit(url)
            host = parts.hostname
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https"):
            what = f"not the URL of a node: {shown_url(url)}" if url.strip() else "the URL is empty"
            raise RpcError(what, hint="give http:// or https:// and a host")
        self._url = url
        self._timeout_s = timeout_s
        self._shown = shown_url(url)
        self._session = requests.Session()
        # Proxies and .netrc are for the network; looking them up costs more than a local call.
        self._session.trust_env = host not in _LOOPBACK
        self._session.headers["Content-Type"] = "application/json"

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def post(self, body: bytes) -> tuple[int, Any, bytes]:
        """Return status, headers and body of the answer.

        Raises TooLargeError, and whatever requests and urllib3 raise: `reason` words those.
        """
        deadline = time.monotonic() + self._timeout_s
        response = self._session.post(
            self._url, data=body, timeout=self._timeout_s, stream=True, allow_redirects=False
        )
        try:
            content = b"".join(self._chunks(response, deadline))
            response.raw.release_conn()
        except BaseException:
            response.close()
            raise
        return response.status_code, response.headers, content

    def _chunks(self, response: requests.Response, deadline: float) -> Iterator[bytes]:
        # requests reads in 10 kB pieces; a large answer of logs is read several times as fast so.
        # Asked to decode, urllib3 copies each piece twice more, even where nothing is encoded.
        encoded = "Content-Encoding" in response.headers
        size = 0
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=encoded):
            size += len(chunk)
            if size > ANSWER_BYTES_MAX:
                raise TooLargeError(f"{self._shown} answers more than {ANSWER_BYTES_MAX} bytes")
            if time.monotonic() > deadline:
                raise requests.Timeout
            yield chunk


TIMEOUTS = (requests.Timeout, urllib3.exceptions.TimeoutError)
FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError)
"""What `Exchange.post` raises when no answer came; the time-outs among them first."""


def never_sent(error: Exception) -> bool:
    """Return whether a failed request cannot have reached the node."""
    return isinstance(error, requests.ConnectionError) and "NewConnectionError" in repr(error)


def reason(error: Exception) -> str:
    """Return what went wrong, without the URL that requests puts into its messages."""
    text = repr(error)
    if "NameResolution" in text or "getaddrinfo" in text:
        return "the host name is unknown"
    if "refused" in text:
        return "the connection was refused"
    return f"the connection failed ({type(error).__name__})"


def backoff_s(attempt: int) -> float:
    """Return how long to wait after the n-th failure: longer each time, with jitter."""
    return _BACKOFF_S * float(1 << (attempt - 1)) * (1 + random.random() / 4)  # noqa: S311


def retry_after_s(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110 §10.2.3), or None."""
    if header is None:
        return None
    if header.strip().isascii() and header.strip().isdigit():
        return float(header)
    try:
        pause_s: float = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, pause_s)
