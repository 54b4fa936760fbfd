"""What stands before the routes: keys and scopes, limits, counts and the log.

A log line holds method, route, status, milliseconds and the key's id: no account, no amount, no
query, so no personal data.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from token_ledger.api.problems import Refusal, answer
from token_ledger.ledger import api_keys

log = logging.getLogger("token_ledger.api")
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGI = Callable[[Message, Receive, Send], Awaitable[None]]

CALLERS_MAX = 10_000
_bearer = HTTPBearer(auto_error=False, description="A key made by `token-ledger key create`.")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one caller may ask for: bytes in a body, requests a second, and a burst of them."""

    body_bytes_max: int = 65_536
    requests_per_s: float = 200.0
    burst: int = 400
    upkeep_entries_max: int = 500_000
    """Of a ledger that is checked or recomputed over HTTP, which takes longer with each entry."""

    @property
    def too_large(self) -> str:
        """What is said of a body that is larger."""
        return f"a body has {self.body_bytes_max} bytes at most"


@dataclass(slots=True)
class Rates:
    """A bucket of tokens for each caller, of those who asked last."""

    limits: Limits
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)
    _key_ids: dict[bytes, str] = field(default_factory=dict)

    def caller(self, offered: str | None, host: str) -> str:
        """Return whose bucket a request takes from: a key's that is known to be one, or a host's.

        So that made-up keys are as many as a host has requests, and each is looked up once at most.
        """
        known = None if offered is None else self._key_ids.get(_digest(offered))
        return f"address {host}" if known is None else known

    def note(self, offered: str, key_id: str | None) -> None:
        """Remember what was found to be a key, and forget what no longer is."""
        if key_id is None:
            self._key_ids.pop(_digest(offered), None)
            return
        if len(self._key_ids) >= CALLERS_MAX:
            del self._key_ids[next(iter(self._key_ids))]
        self._key_ids[_digest(offered)] = key_id

    def spend(self, caller: str) -> float:
        """Take one request; return 0, or the seconds after which there will be one."""
        now = self.clock()
        left, at = self._buckets.pop(caller, (float(self.limits.burst), now))
        if len(self._buckets) >= CALLERS_MAX:
            del self._buckets[next(iter(self._buckets))]  # who has not asked for the longest time
        left = min(float(self.limits.burst), left + (now - at) * self.limits.requests_per_s)
        if left < 1:
            self._buckets[caller] = (left, now)
            return (1 - left) / self.limits.requests_per_s
        self._buckets[caller] = (left - 1, now)
        return 0.0


def _digest(offered: str) -> bytes:
    return hashlib.sha256(offered.encode("utf-8", "surrogateescape")).digest()


class Counts:
    """Requests by method, route and status, for Prometheus."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str, int], tuple[int, float]] = {}

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        with self._lock:
            count, total = self._counts.get((method, route, status), (0, 0.0))
            self._counts[method, route, status] = (count + 1, total + seconds)

    def text(self) -> str:
        """Return the counts in Prometheus' text format."""
        lines = [
            "# HELP token_ledger_request_seconds Time to answer a request.",
            "# TYPE token_ledger_request_seconds summary",
        ]
        with self._lock:
            for (method, route, status), (count, total) in sorted(self._counts.items()):
                labels = f'{{method="{method}",route="{route}",status="{status}"}}'
                lines.append(f"token_ledger_request_seconds_count{labels} {count}")
                lines.append(f"token_ledger_request_seconds_sum{labels} {total:.6f}")
        return "\n".join(lines) + "\n"


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = getattr(record, "fields", {})
        said = {"time": record.created, "level": record.levelname, "event": record.getMessage()}
        return json.dumps({**said, **fields})


class Guard:
    """ASGI middleware: refuses bodies that are too large, counts and logs requests, and bugs."""

    def __init__(self, app: ASGI, *, limits: Limits, counts: Counts) -> None:
        self._app, self._limits, self._counts = app, limits, counts

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, read, started = time.perf_counter(), 500, 0, False

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._limits.body_bytes_max:
                raise HTTPException(413, self._limits.too_large)
            return message

        async def noted(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
            await send(message)

        try:
            if self._announced(scope) > self._limits.body_bytes_max:
                refusal = answer(413, "http_413", self._limits.too_large)
                await refusal(scope, receive, noted)  # type: ignore[arg-type]
                return
            await self._app(scope, counted, noted)
        except Exception as error:
            _tell_of_bug(error)
            if not started:
                unexpected = answer(500, "unexpected", "this is a bug")
                await unexpected(scope, receive, noted)  # type: ignore[arg-type]
        finally:
            route = getattr(scope.get("route"), "path_format", "unknown")
            method = scope["method"] if scope["method"].isalpha() else "unknown"
            took = time.perf_counter() - start
            self._counts.add(method, route, status, took)
            key = scope.get("state", {}).get("key_id")
            fields = {"method": method, "route": route, "status": status, "key": key}
            log.info("request", extra={"fields": {**fields, "ms": round(took * 1000, 3)}})

    @staticmethod
    def _announced(scope: Message) -> int:
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit():
                return int(value)
        return 0


def _tell_of_bug(error: Exception) -> None:
    """Log what kind of error it was and where: its words, and those of a traceback, may be data."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames[-4:]))
    log.error("unexpected", extra={"fields": {"error": type(error).__name__, "at": where}})


def need(scope: str) -> Any:
    """Return the dependency that lets only keys with this scope through."""

    async def check(
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
    ) -> None:
        state = request.app.state
        key, offered = None, None if credentials is None else credentials.credentials
        host = request.client.host if request.client else ""
        caller = state.rates.caller(offered, host)
        _spend(state.rates, caller)  # before the database is asked
        if offered is not None:
            key = await state.ledger.call(lambda ledger: _find(ledger, offered))
            state.rates.note(offered, None if key is None else key.key_id)
        if key is not None:
            request.state.key_id = key.key_id
            if caller != key.key_id:
                _spend(state.rates, key.key_id)
        if credentials is None and scope == "read" and state.public_read:
            return
        if key is None:
            words = {"WWW-Authenticate": "Bearer"}
            raise Refusal(401, "no_key", "give a key: Authorization: Bearer …", headers=words)
        require(key, scope)
        request.state.key = key

    return Depends(check)


def _spend(rates: Rates, caller: str) -> None:
    """Take one request, or raise the refusal of a caller who has none left."""
    if wait := rates.spend(caller):
        retry = {"Retry-After": str(int(wait) + 1)}
        raise Refusal(429, "too_many_requests", "slow down", headers=retry)


def require(key: api_keys.ApiKey, scope: str) -> None:
    """Raise the refusal of a key that lacks a scope."""
    if not key.allows(scope):
        raise Refusal(403, "scope_missing", f"the key lacks the scope {scope}")


def _find(ledger: Any, offered: str) -> api_keys.ApiKey | None:
    with ledger.read() as connection:
        return api_keys.find_key(connection, offered)
