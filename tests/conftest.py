"""Fixtures that every test may use: both engines, a chain, and the real input data.

With `CI=true` a skip is a failure: nothing goes untested unseen.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
from tests import servers

PROJECT = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, print_blob=True
)
hypothesis.settings.load_profile("ci" if IN_CI else "dev")


def _skip_is_failure(report: pytest.TestReport | pytest.CollectReport) -> None:
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which in CI is a failure: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Turn a skipped test into a failed one in CI."""
    report = yield
    _skip_is_failure(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """Turn a skipped module into a failed one in CI."""
    report = yield
    _skip_is_failure(report)
    return report


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> Iterator[None]:
    """Keep a developer's own settings out of the tests."""
    patch = pytest.MonkeyPatch()
    for name in os.environ:
        if name.startswith("TOKEN_LEDGER_"):
            patch.delenv(name)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def project() -> Path:
    """Return the root of the checkout."""
    return PROJECT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real input, laid beside the checkout; skip where there is none."""
    path = PROJECT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("no ../shared/data beside this checkout")
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Yield the URL template of a PostgreSQL 18 of this test process: `{database}` to fill in."""
    with servers.postgres_server() as url:
        yield url


_database_numbers = itertools.count(1)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """Yield the URL of a fresh, empty PostgreSQL database."""
    name = f"test_{next(_database_numbers)}"
    admin = postgres_server.format(database="postgres").replace("+psycopg", "")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres_server.format(database=name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return the URL of a SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'token_ledger.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a fresh database, once on each engine."""
    name = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param]
    return request.getfixturevalue(name)


@pytest.fixture(scope="session")
def anvil() -> Iterator[str]:
    """Yield the URL of this test process's Anvil: shared, so never assume that it is empty."""
    from token_ledger.chain.anvil import Anvil

    with Anvil(args=("--enable-tx-gas-limit",)) as node:  # as mainnet: EIP-7825
        yield node.url


@pytest.fixture
def fresh_anvil(anvil: str) -> Iterator[str]:
    """Yield the shared Anvil's URL, and take back afterwards what the test did to the chain.

    A test that changes the node's settings (mining, gas limits) starts one of its own.
    """
    import requests

    def call(method: str, *params: str) -> str:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = requests.post(anvil, json=body, timeout=30).json()
        return answer["result"]

    snapshot = call("evm_snapshot")
    yield anvil
    assert call("evm_revert", snapshot)
