"""The fixtures themselves: fresh databases, nothing left behind, and skips that cannot hide."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import requests

_HOLD = """
import sys, time
from tests import servers
with servers.postgres_server() as url:
    print(url, flush=True)
    time.sleep(600)
"""


def test_postgres_is_18_and_empty(postgres_url: str) -> None:
    """Every test that asks for PostgreSQL gets an empty database of PostgreSQL 18."""
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        version = connection.execute("SHOW server_version_num").fetchone()
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone()
    assert version is not None
    assert 18 == int(version[0]) // 10_000
    assert (0,) == tables


def test_postgres_dies_with_its_process(project: Path) -> None:
    """A test process that is killed leaves no server behind."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD], cwd=project, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder.stdout:
        directory = holder.stdout.readline().strip().partition("host=")[2]
    server = int((Path(directory) / "data" / "postmaster.pid").read_text().splitlines()[0])
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    deadline = time.monotonic() + 30
    while _runs(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    shutil.rmtree(directory, ignore_errors=True)
    assert not _runs(server)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_fresh_anvil_forgets(anvil: str, request) -> None:
    """What one test does to the shared chain is gone for the next."""
    before = _block_number(anvil)
    url = request.getfixturevalue("fresh_anvil")
    _call(url, "anvil_mine", "0x5")
    assert before + 5 == _block_number(url)


def test_fresh_anvil_forgot(fresh_anvil: str) -> None:
    """A test starts at the block that the chain had before the others."""
    assert 0 == _block_number(fresh_anvil)


def _call(url: str, method: str, *params: str):
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    return requests.post(url, json=body, timeout=30).json()["result"]


def _block_number(url: str) -> int:
    return int(_call(url, "eth_blockNumber"), 16)


def test_a_skip_fails_in_ci(project: Path, tmp_path: Path) -> None:
    """With CI=true a skipped test, and a skipped module, make the run fail."""
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    (tmp_path / "test_one.py").write_text("import pytest\ndef test_it(): pytest.skip('no')\n")
    (tmp_path / "test_two.py").write_text(
        "import pytest\npytest.skip('no', allow_module_level=True)\n"
    )
    for name in ("test_one.py", "test_two.py"):
        assert _pytest(project, tmp_path / name, ci="true") != 0
        assert _pytest(project, tmp_path / name, ci="") != 1


def _pytest(project: Path, path: Path, *, ci: str) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(project)}
    return subprocess.run(
        command, cwd=path.parent, env=environment, capture_output=True, check=False
    ).returncode
