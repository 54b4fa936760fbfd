"""A local Anvil: found, started on a free loopback port, stopped again whatever happens.

    with Anvil(args=("--enable-tx-gas-limit",)) as anvil:
        Rpc(anvil.url).call("eth_chainId")

Anvil is taken from PATH, from a checkout's `contracts/node_modules`, or through `npx` with a
pinned version. It runs under a shell that ends it as soon as this process is gone, even after
SIGKILL, so no node is ever left behind. Does not decide what runs on the chain.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from token_ledger.chain.rpc import Rpc
from token_ledger.errors import ChainError

ANVIL_PACKAGE = "@foundry-rs/anvil@1.7.1"
_START_TIMEOUT_S = 30.0
_NPX_TIMEOUT_S = 180.0
_STOP_TIMEOUT_S = 5.0
# The watcher reads a pipe whose other end this process holds: end of file means "stop".
_GUARD = (
    'exec 3<&0; "$@" </dev/null 3<&- & child=$!; '
    '{ read -r _ <&3; kill -TERM "$child"; } 2>/dev/null & exec 3<&- </dev/null; wait "$child"'
)


def find_anvil() -> list[str]:
    """Return the command that starts Anvil.

    From PATH, then from `contracts/node_modules` of this checkout or of the working directory,
    then `npx` with the pinned version. Raises ChainError when none of them is there.
    """
    on_path = shutil.which("anvil")
    if on_path:
        return [on_path]
    for root in (Path(__file__).resolve().parents[3], Path.cwd()):
        modules = root / "contracts" / "node_modules"
        # The native program, where npm has it: the wrapper beside it is one more Node process.
        candidates = [
            *sorted(modules.glob("@foundry-rs/anvil-*/bin/anvil")),
            modules / ".bin/anvil",
        ]
        for candidate in candidates:
            if os.access(candidate, os.X_OK):
                return [str(candidate)]
    npx = shutil.which("npx")
    if npx:
        return [npx, "--yes", ANVIL_PACKAGE]
    raise ChainError(
        "Anvil was not found on PATH, in contracts/node_modules, nor npx to fetch it",
        hint="install Node.js 20 or newer, or Foundry, or give the URL of a node with --rpc",
    )


class Anvil:
    """A running Anvil; `url` answers JSON-RPC. Use it as a context manager, or call `stop`."""

    def __init__(
        self, *, args: Sequence[str] = (), command: Sequence[str] | None = None, port: int = 0
    ) -> None:
        """Start Anvil on loopback and wait until it answers.

        `args` go to Anvil as they are; `port` 0 lets the system choose a free one. Raises
        ChainError with Anvil's last words when it does not start.
        """
        self._tail: deque[str] = deque(maxlen=40)
        self._port: queue.Queue[int | None] = queue.Queue()
        command = list(command or find_anvil())
        # `--hardfork` is left away on purpose: Anvil refuses the value `default`.
        words = [*command, "--host", "127.0.0.1", "--port", str(port), *args]
        self._process = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _GUARD, "anvil-guard", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for us: we stop Anvil after our own cleaning up
        )
        self._drain = threading.Thread(target=self._read_output, daemon=True, name="anvil-output")
        self._drain.start()
        try:
            fetched = Path(command[0]).name == "npx"
            self.url = self._await_url(_NPX_TIMEOUT_S if fetched else _START_TIMEOUT_S)
            with Rpc(self.url) as rpc:
                rpc.call("anvil_setLoggingEnabled", [False])  # else a line is printed per request
        except BaseException:
            self.stop()
            raise

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._tail.append(line.rstrip())
            if line.startswith("Listening on "):
                self._port.put(int(line.rsplit(":", 1)[1]))
        self._port.put(None)

    def _await_url(self, timeout_s: float) -> str:
        try:
            port = self._port.get(timeout=timeout_s)
        except queue.Empty:
            port = None
        if port is None:
            words = " | ".join(line for line in self._tail if line)[-600:]
            raise ChainError(f"Anvil did not start: {words or 'it said nothing'}")
        return f"http://127.0.0.1:{port}"

    @property
    def pid(self) -> int:
        """The process id of the guard that holds Anvil."""
        return self._process.pid

    def stop(self) -> None:
        """Stop Anvil; does nothing when it is stopped already."""
        process = self._process
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()  # the guard's watcher sees the end of file
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._drain.join(_STOP_TIMEOUT_S)
        assert process.stdout is not None
        if not self._drain.is_alive():
            process.stdout.close()

    def __enter__(self) -> Anvil:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
