"""The API over a real server on loopback, on each engine, with a key for each scope."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn
from tests import books

from token_ledger.api import Limits, create_app
from token_ledger.ledger import Ledger, api_keys


@dataclass
class Api:
    """A served ledger, and how to call it."""

    url: str
    ledger: Ledger
    keys: dict[str, str]

    def call(
        self, method: str, path: str, *, scope: str | None = "admin", **options: Any
    ) -> requests.Response:
        """Send a request with the key of a scope."""
        headers = options.pop("headers", {})
        if scope is not None:
            headers["Authorization"] = f"Bearer {self.keys.get(scope, scope)}"
        return requests.request(method, f"{self.url}{path}", headers=headers, timeout=30, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET."""
        return self.call("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> requests.Response:
        """POST a JSON body."""
        return self.call("POST", path, json=body, **options)


def serve(ledger: Ledger, **options: Any) -> Iterator[Api]:
    """Serve a ledger while the fixture lives."""
    keys = {
        scope: ledger.run(lambda c, s=scope: api_keys.create_key(c, [s], now=ledger.now()))
        for scope in api_keys.SCOPES
    }
    config = uvicorn.Config(
        create_app(ledger, **options), host="127.0.0.1", port=0, log_level="error", ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Api(f"http://127.0.0.1:{port}", ledger, keys)
    server.should_exit = True
    thread.join(30)


def book(url: str, tmp_path: Path) -> Ledger:
    """Return a ledger where alice holds 100 and bob 50."""
    ledger = books.create(url, tmp_path)
    ledger.create_account("alice", initial_balance=100)
    ledger.create_account("bob", initial_balance=50)
    return ledger


@pytest.fixture
def api(database_url: str, tmp_path: Path) -> Iterator[Api]:
    """Yield an API, on each engine, where alice holds 100 and bob 50."""
    yield from serve(book(database_url, tmp_path))


@pytest.fixture
def public(sqlite_url: str, tmp_path: Path) -> Iterator[Api]:
    """Yield an API whose reading needs no key, and whose limits are low."""
    limits = Limits(body_bytes_max=500, requests_per_s=0.01, burst=12)
    yield from serve(book(sqlite_url, tmp_path), public_read=True, limits=limits)
