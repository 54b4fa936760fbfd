"""`serve`, and the keys that open what it serves."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable

import requests
from tests.cli.conftest import Run


def test_a_key_is_made_shown_once_and_revoked(book: Run) -> None:
    """A key is printed when it is made and never again; revoked, it is listed as such."""
    made = book("key", "create", "--scope", "read", "--scope", "write", "--json").document
    listed = book("key", "list", "--json")
    assert made["key"].split("_")[2] not in listed.out
    (key,) = listed.document["keys"]
    assert (made["key_id"], "read write", None) == (
        key["key_id"],
        key["scopes"],
        key["revoked_at"],
    )
    assert made["key_id"] in book("key", "list").out
    assert 0 == book("key", "revoke", made["key_id"]).status
    assert book("key", "list", "--json").document["keys"][0]["revoked_at"]
    again = book("key", "revoke", made["key_id"], "--json")
    assert (2, "bad_usage") == (again.status, again.error["code"])
    assert book("key", "create", "--scope", "write").out.startswith("tl_")


def test_serve_answers_and_ends(book: Run, spawn: Callable[..., subprocess.Popen[bytes]]) -> None:
    """The command serves the ledger until it is told to stop, and logs no account."""
    key = book("key", "create", "--scope", "read", "--json").document["key"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = spawn("serve", "--port", port)
    url = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            assert {"status": "ok"} == requests.get(f"{url}/health", timeout=5).json()
            break
        except requests.ConnectionError:
            assert server.poll() is None
            time.sleep(0.1)
    headers = {"Authorization": f"Bearer {key}"}
    balance = requests.get(f"{url}/api/token/balance/alice", headers=headers, timeout=5)
    assert "100" == balance.json()["amount"]
    server.send_signal(signal.SIGINT)
    _, err = server.communicate(timeout=30)
    assert b'"route": "/api/token/balance/{account_id}"' in err
    assert b"alice" not in err
