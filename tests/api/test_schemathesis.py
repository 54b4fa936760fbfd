"""The API against its own OpenAPI document: a bounded, repeatable run of schemathesis."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.api.conftest import Api, book, serve

from token_ledger.api import Limits
from token_ledger.seal import seal

EXAMPLES = "6"
SETTINGS = """
[checks]
# Not in the document, because they depend on what the ledger holds: any of these is a refusal.
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 413, 422]
"""


@pytest.fixture
def served(database_url: str, tmp_path: Path) -> Iterator[Api]:
    """Yield an API with something of everything: a batch, a rule, a hold, room for requests."""
    ledger = book(database_url, tmp_path)
    ledger.set_rule("publish", 1)
    ledger.award("alice", "publish")
    seal(ledger)
    ledger.hold("alice", 5)
    yield from serve(ledger, limits=Limits(requests_per_s=100_000, burst=100_000))


def test_every_operation_is_as_documented(served: Api, tmp_path: Path) -> None:
    """Whatever the document allows, and much that it does not, is answered as it says.

    No 5xx, no status, type, header or body that is not documented, no unsupported method let
    through, nothing that breaks the schema taken.
    """
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(SETTINGS)
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(settings)),
        *("run", f"{served.url}/openapi.json", "--checks", "all", "--seed", "7"),
        *("--header", f"Authorization: Bearer {served.keys['admin']}"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES),
        *("--generation-database", "none"),
        # A ledger refuses much that is well formed: an unknown account, too low a balance.
        *("--exclude-checks", "positive_data_acceptance"),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=3000
    )
    assert 0 == done.returncode, (done.stdout + done.stderr)[-8_000:]
    assert f"Tested: {_operations(served)}" in done.stdout


def _operations(served: Api) -> int:
    paths = served.get("/openapi.json", scope=None).json()["paths"]
    return sum(len(operations) for operations in paths.values())
