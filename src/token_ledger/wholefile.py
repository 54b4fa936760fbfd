"""A file that is written whole or not at all, whatever kills its writer."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` beside `path` and rename it there, synced first. Raises OSError."""
    with writing_whole(path) as file:
        file.write(data)


def check_writable(path: Path) -> None:
    """Raise OSError, with the path as given, where no file can be put. Writes nothing."""
    folder = path.parent
    if not folder.is_dir():
        code = errno.ENOTDIR if folder.exists() else errno.ENOENT
    elif path.is_dir():
        code = errno.EISDIR
    elif path.exists() and not path.is_file():  # a pipe or a device would be replaced by a file
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    elif not os.access(folder, os.W_OK | os.X_OK):
        code = errno.EACCES
    else:
        return
    raise OSError(code, os.strerror(code), str(path))


@contextmanager
def writing_whole(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write, which stands at `path` once the block ends well. Raises OSError."""
    check_writable(path)
    target = path.resolve()  # what a link leads to is written, and the link stays
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except OSError as error:
        if error.filename == str(beside):  # the name that the user gave, not ours
            error.filename = str(path)
        raise
    finally:
        beside.unlink(missing_ok=True)
