"""Processes for tests that start fast: forked off one that has imported the ledger already.

None outlives the test process: the server that forks them ends with it, and they with the server.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from multiprocessing.context import ForkServerContext


def context() -> ForkServerContext:
    """Return where processes are made: `Process`, `Pipe` and `Barrier` as ever."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["tests.reliability.poster", "tests.reliability.crowd"])
    return made


def end_with_parent() -> None:
    """Ask the kernel to end this process with the one that forked it."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
