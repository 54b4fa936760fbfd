"""What is logged holds no personal data: no ids, texts, amounts or keys, whatever happens."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.api.conftest import Api, book, serve

from token_ledger.api.guard import JsonLines
from token_ledger.errors import DatabaseError
from token_ledger.ledger import Ledger
from token_ledger.ledger.queries import Supply

PRIVATE = ("Alice Liddell", "wonderland", "31.25", "k-private", "203.0.113")


class Broken(Ledger):
    """A ledger with two planted failures, whose words are personal data."""

    def get_supply(self) -> Supply:
        raise KeyError("Alice Liddell paid 31.25")

    def holds(self, account_id: str | None = None) -> list:
        raise DatabaseError("row (Alice Liddell, 31.25) is broken")


@pytest.fixture
def api(sqlite_url: str, tmp_path: Path) -> Iterator[Api]:
    """Yield an API on a ledger with bugs."""
    book(sqlite_url, tmp_path).close()
    yield from serve(Broken.open(sqlite_url, secret_file=tmp_path / "secret"))


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Yield what every logger of the process writes, the server's own too."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    ours = logging.getLogger("token_ledger.api")
    others = [logging.getLogger(name) for name in ("", "uvicorn", "asyncio")]
    plain = logging.StreamHandler(stream)
    for logger in others:
        logger.addHandler(plain)
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    yield stream
    for logger in others:
        logger.removeHandler(plain)
    ours.removeHandler(handler)


def test_nothing_private_is_logged(api: Api, log: io.StringIO) -> None:
    """Results, refusals, unreadable bodies, unknown paths, database errors and bugs: none tells."""
    body = {
        "account_id": "Alice Liddell",
        "amount": "31.25",
        "reason": "gift",
        "memo": "wonderland",
    }
    private = {"headers": {"Idempotency-Key": "k-private"}}
    calls = [
        (201, api.post("/api/token/credit", body | {"create_account": True}, **private)),
        (422, api.post("/api/token/spend", body | {"amount": "99"})),
        (200, api.get("/api/token/balance/Alice%20Liddell")),
        (404, api.get("/api/token/ledger?account=Alice%20Liddell%20wonderland")),
        (400, api.post("/api/token/mint", {"Alice Liddell": "31.25"})),
        (404, api.get("/Alice%20Liddell")),
        (401, api.get("/api/token/accounts/Alice%20Liddell", scope="k-private")),
        (503, api.get("/api/token/holds?account=Alice%20Liddell")),
        (500, api.get("/api/token/supply")),
    ]
    assert [status for status, _ in calls] == [answer.status_code for _, answer in calls]
    for status, answer in calls:
        if status >= 400:
            assert "application/problem+json" == answer.headers["Content-Type"]
        if status >= 500:
            assert not any(word in answer.text for word in PRIVATE)
    written = api.get("/metrics").text + log.getvalue()
    assert [] == [word for word in (*PRIVATE, api.keys["admin"]) if word in written]
    lines = [json.loads(line) for line in log.getvalue().splitlines() if line.startswith("{")]
    (bug,) = [line for line in lines if line["event"] == "unexpected"]
    assert "KeyError" == bug["error"]
    assert bug["at"].startswith("test_log.py:")
