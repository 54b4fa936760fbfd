"""Files that stand whole or not at all, and never in the place of something else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from token_ledger.wholefile import write_whole, writing_whole


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    """What was there is gone, what is new is whole."""
    path = tmp_path / "f"
    for text in (b"old", b"new"):
        write_whole(path, text)
        assert text == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    """The old file stands as it was."""
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), writing_whole(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert b"old" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What it leads to is written."""
    (tmp_path / "data").mkdir()
    target, link = tmp_path / "data" / "target", tmp_path / "link"
    link.symlink_to(target)
    write_whole(link, b"text")
    assert link.is_symlink()
    assert b"text" == target.read_bytes()


def test_a_pipe_is_refused_and_stays(tmp_path: Path) -> None:
    """A pipe or a device is no place for a whole file: OSError with the name as given."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(OSError, match="Not a regular file") as caught:
            write_whole(path, b"text")
        assert str(path) == caught.value.filename
    assert pipe.is_fifo()
