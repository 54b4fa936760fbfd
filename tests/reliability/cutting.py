"""A proxy before PostgreSQL's Unix socket that can lose a COMMIT, or the answer to it."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from typing import Literal

Mode = Literal["pass", "before", "after"]
_BEGIN, _READ_ONLY, _COMMIT = b"BEGIN", b"READ ONLY", b"COMMIT\0"


class CuttingProxy:
    """Passes everything on, until told to cut the next COMMIT of a transaction that may write.

    `before`: the server never sees it. `after`: the server has answered, the client never hears it.
    """

    def __init__(self, server: Path, folder: Path) -> None:
        self.folder = folder
        self.mode: Mode = "pass"
        self.cuts = 0
        self._server = str(server / ".s.PGSQL.5432")
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._server)
        silenced = threading.Event()
        answers = threading.Thread(target=self._answers, args=(server, client, silenced))
        answers.start()
        reading = True
        with contextlib.suppress(OSError), client, server:
            while data := client.recv(65536):
                if _BEGIN in data:
                    reading = _READ_ONLY in data
                cut = self._cut_now() if _COMMIT in data and not reading else "pass"
                if cut == "before":
                    break
                if cut == "after":
                    silenced.set()
                server.sendall(data)
                if cut == "after":
                    answers.join(timeout=30)  # it ends once the server has answered
                    break
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
                client.shutdown(socket.SHUT_RDWR)
        answers.join(timeout=30)

    @staticmethod
    def _answers(server: socket.socket, client: socket.socket, silenced: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if silenced.is_set():
                    return
                client.sendall(data)

    def _cut_now(self) -> Mode:
        with self._lock:
            mode, self.mode = self.mode, "pass"
            self.cuts += mode != "pass"
            return mode
