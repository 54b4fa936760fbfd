"""What a person sees on a terminal of 80 columns: ids that can be copied."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

PROGRAM = "import sys; from token_ledger.cli import main; sys.exit(main())"


def seen(cwd: Path, *words: str, width: int = 80) -> str:
    """Return what a command writes to a terminal of this width, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=cwd,
        env={**environment, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
    )
    os.close(theirs)
    data = b""
    try:
        while part := os.read(ours, 65_536):
            data += part
    except OSError:  # Linux says so when the other side is closed
        pass
    os.close(ours)
    assert 0 == process.wait()
    return re.sub(r"\x1b\[[0-9;]*m", "", data.decode()).replace("\r\n", "\n")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_ids_and_addresses_are_never_folded(book, tmp_path: Path, width: int) -> None:
    """Whatever the width, entry ids, addresses, uids and account ids stand in one piece."""
    long = "someone-with-a-rather-long-account-id-of-60-characters-or-so"
    book("account", "create", long, "--initial", "5")
    book("transfer", "alice", long, "1", "--reason", "a reason of several words, as people write")
    statement = book("statement", "alice", "--json").document
    accounts = book("account", "list", "--json").document["accounts"]
    tokens = book("token", "list", "--json").document["tokens"]
    shown = seen(tmp_path, "statement", "alice", width=width)
    for entry in statement["entries"]:
        assert entry["id"] in shown
    assert long in shown
    shown = seen(tmp_path, "account", "list", width=width)
    for account in accounts:
        assert account["address"] in shown
        assert account["account_id"] in shown
    assert tokens[0]["uid"] in seen(tmp_path, "token", "list", width=width)
    assert "0x" in json.dumps(tokens)


def test_a_wide_terminal_shows_one_line_a_row(book, tmp_path: Path) -> None:
    """Where there is room an entry is one line under one header."""
    lines = seen(tmp_path, "statement", "alice", width=200).splitlines()
    assert ["time", "amount", "balance", "with", "reason", "id"] == lines[0].split()
    assert 2 == len(lines)
