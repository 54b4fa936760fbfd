"""Anvil is found, started, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from token_ledger.chain.anvil import ANVIL_PACKAGE, Anvil, find_anvil
from token_ledger.chain.rpc import Rpc
from token_ledger.errors import ChainError


def _gone(pids: list[int], timeout_s: float = 20.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not any(
            psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE
            for p in pids
        ):
            return True
        time.sleep(0.02)
    return False


def _family(pid: int) -> list[int]:
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def test_it_answers_and_is_gone_afterwards() -> None:
    """Inside the block Anvil answers; after it, no process of it is left."""
    with Anvil() as node:
        family = _family(node.pid)
        with Rpc(node.url) as rpc:
            assert 31337 == rpc.quantity("eth_chainId")
    assert _gone(family)


def test_it_is_gone_after_an_exception() -> None:
    """An exception inside the block stops Anvil as well."""
    family: list[int] = []
    with pytest.raises(ZeroDivisionError), Anvil() as node:
        family += _family(node.pid)
        _ = 1 / 0
    assert _gone(family)


@pytest.mark.parametrize("with_signal", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_is_gone_when_its_starter_is_killed(with_signal: signal.Signals) -> None:
    """Whatever ends the process that started it ends Anvil, SIGKILL included."""
    code = (
        "from token_ledger.chain.anvil import Anvil; import time\n"
        "with Anvil() as node:\n    print(node.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    family = _family(int(starter.stdout.readline()))
    os.kill(starter.pid, with_signal)
    starter.wait()
    starter.stdout.close()
    assert len(family) >= 2
    assert _gone(family)


def test_two_at_once_do_not_meet() -> None:
    """Each Anvil has a port of its own."""
    with Anvil() as one, Anvil() as other:
        assert one.url != other.url


def test_arguments_reach_anvil() -> None:
    """Extra arguments are passed on."""
    with Anvil(args=("--chain-id", "5")) as node, Rpc(node.url) as rpc:
        assert 5 == rpc.quantity("eth_chainId")


def test_a_wrong_argument_is_told_in_anvils_words() -> None:
    """When Anvil does not start, the error says what it said."""
    with pytest.raises(ChainError, match="no-such-argument"):
        Anvil(args=("--no-such-argument",))


def test_it_is_looked_for_on_path_then_in_a_checkout_then_through_npx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PATH comes first, then contracts/node_modules, then npx with the pinned version."""
    native = tmp_path / "contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
    for program in (tmp_path / "bin/anvil", tmp_path / "npx/npx", native):
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("token_ledger.chain.anvil.__file__", str(tmp_path / "a/b/c/anvil.py"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{tmp_path / 'npx'}")
    assert [str(tmp_path / "bin/anvil")] == find_anvil()
    monkeypatch.setenv("PATH", str(tmp_path / "npx"))
    assert [str(native)] == find_anvil()
    native.unlink()
    assert [str(tmp_path / "npx/npx"), "--yes", ANVIL_PACKAGE] == find_anvil()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ChainError, match="not found"):
        find_anvil()


def test_the_pinned_version_is_the_one_of_the_contracts(project: Path) -> None:
    """`npx` would fetch exactly the Anvil that the contracts were tested with."""
    import orjson

    package = orjson.loads((project / "contracts/package.json").read_bytes())
    assert f"@foundry-rs/anvil@{package['devDependencies']['@foundry-rs/anvil']}" == ANVIL_PACKAGE
