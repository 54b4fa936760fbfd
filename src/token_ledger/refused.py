"""Where `load --keep-going` puts refused rows: a file that appears whole, after the commit."""

from __future__ import annotations

import contextlib
import fcntl
import filecmp
import glob
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from token_ledger.core.rowfile import Cells, RefusedRows
from token_ledger.errors import UsageError

_SUFFIX = ".loading"


class RefusedFile:
    """The file of refused rows: written beside its place, and put there after the commit."""

    def __init__(self, path: Path | None, rows: RefusedRows) -> None:
        self._path = path
        self._rows = rows
        self._file: IO[str] | None = None
        self._run: list[tuple[int, str]] = []

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                self._remove_stale(self._path)
                self._file = self._open(self._path)
            except OSError as error:
                raise UsageError(
                    f"cannot write {self._path}: {error.strerror}", hint="choose another place"
                ) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)

    @staticmethod
    def _open(path: Path) -> IO[str]:
        """Open a file of ours, locked: so long as it is, its writer lives."""
        while True:
            file = tempfile.NamedTemporaryFile(  # noqa: SIM115 — closed by __exit__
                "w", dir=path.parent, prefix=f".{path.name}.", suffix=_SUFFIX, delete=False,
                encoding="utf-8", errors="backslashreplace", newline="",
            )  # fmt: skip
            fcntl.flock(file, fcntl.LOCK_EX)
            if Path(file.name).exists():
                return file
            file.close()  # another run took it for stale before it was locked

    @staticmethod
    def _remove_stale(path: Path) -> None:
        """Remove what runs that were killed left here: nobody holds its lock any more."""
        for left in path.parent.glob(f".{glob.escape(path.name)}.*{_SUFFIX}"):
            with contextlib.suppress(OSError), left.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()

    def restart(self) -> None:
        """Begin again: the transaction does."""
        self._run = []
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()
            self._file.write(self._rows.header())

    def add(self, line: int, cells: Cells, *, why: str, key: str, readable: bool) -> None:
        """Keep a refused row of the present run."""
        self._run.append((line, self._rows.row(cells, why=why, key=key, readable=readable)))

    def end_run(self) -> None:
        """Write the rows of a run in the order of their lines."""
        if self._file is not None:
            self._file.writelines(text for _, text in sorted(self._run))
        self._run = []

    def check(self) -> None:
        """Raise UsageError if the place holds others: they may be being mended."""
        if self._file is not None and self._path is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            written = Path(self._file.name)
            if self._path.exists() and not filecmp.cmp(self._path, written, shallow=False):
                raise UsageError(
                    f"{self._path} holds other rows", hint="mend and load it, or move it away"
                )

    def publish(self) -> None:
        """Put the file in its place."""
        if self._file is not None and self._path is not None:
            Path(self._file.name).replace(self._path)
