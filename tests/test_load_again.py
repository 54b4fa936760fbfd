"""`load --keep-going`, generation after generation: a refused row keeps its one key."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from token_ledger.core.rowfile import COLUMNS, RefusedRows
from token_ledger.errors import UsageError
from token_ledger.ledger import Ledger
from token_ledger.load import Loaded, load
from token_ledger.refused import RefusedFile

HEADER = "timestamp,from_account,to_account,amount,reason\n"
DAY = "2024-01-01T00:00:00Z"
BAD = [
    f"{DAY},system,ann,1O,award\n",  # readable, refused for what it says
    f"{DAY},system,ann,1,000,award\n",  # too many cells
    f'{DAY},system,ann,1,"award\n',  # an open quotation mark
    f"{DAY},system,bea,1,award\n",  # no such account
]
ROW = {"timestamp": DAY, "from_account": "system", "to_account": "ann", "amount": "1"}
BAD_JSON = [
    json.dumps(ROW | {"amount": "1O", "reason": "award"}) + "\n",
    json.dumps(ROW) + "\n",  # no reason
    json.dumps(ROW | {"amount": 1, "reason": "award"}) + "\n",
    '{"timestamp": "x\n',
]


@pytest.fixture
def ledger(sqlite_url: str) -> Iterator[Ledger]:
    """Yield a ledger of one token and one account."""
    with Ledger.create(sqlite_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("TKN", "Token", 2)
        ledger.create_account("ann")
        yield ledger


def again(ledger: Ledger, path: Path) -> Loaded:
    """Load what was refused once more, unmended."""
    return load(ledger, path, keep_going=True)


def keys(path: Path) -> list[str]:
    text = path.read_text()
    if path.suffix == ".csv":
        return [row["refused_key"] for row in csv.DictReader(io.StringIO(text))]
    return [json.loads(line)["refused_key"] for line in text.splitlines()]


@pytest.mark.parametrize(
    ("name", "text"), [("r.csv", HEADER + "".join(BAD)), ("r.jsonl", "".join(BAD_JSON))]
)
def test_a_row_that_is_still_bad_keeps_its_key(
    name: str, text: str, ledger: Ledger, tmp_path: Path
) -> None:
    """Refused a second and a third time, every row has the key and the cells of the first time."""
    path = tmp_path / name
    if path.suffix == ".jsonl":
        text = json.dumps(ROW | {"reason": "ok"}) + "\n" + text
    path.write_text(text)
    first = again(ledger, path).refused_path
    assert first is not None
    second = again(ledger, first).refused_path
    assert second is not None
    third = again(ledger, second).refused_path
    assert third is not None
    assert (4, keys(first), keys(first)) == (len(set(keys(first))), keys(second), keys(third))
    if path.suffix == ".jsonl":
        assert second.read_text().splitlines()[3].endswith('"line": "{\\"timestamp\\": \\"x"}')


def test_two_generations_mended_post_once(ledger: Ledger, tmp_path: Path) -> None:
    """A row mended in the file of the first load and in that of the second lands once."""
    path = tmp_path / "r.csv"
    path.write_text(HEADER + BAD[1])
    first = again(ledger, path).refused_path
    assert first is not None
    second = again(ledger, first).refused_path
    assert second is not None
    mended = f"refused,refused_key,{HEADER}x,{keys(first)[0]},{DAY},system,ann,1000,award\n"
    first.write_text(mended)
    second.write_text(mended.replace(keys(first)[0], keys(second)[0]))
    assert (1, 0) == (load(ledger, first).posted, load(ledger, second).posted)
    assert 100_000 == ledger.get_balance("ann")


def test_a_line_broken_while_it_was_mended_keeps_its_key(ledger: Ledger, tmp_path: Path) -> None:
    """A key survives a line whose cells, or whose JSON, can no longer be told apart."""
    key = f"load-refused:{'ab' * 32}:0"
    (tmp_path / "r.csv").write_text(f'refused,refused_key,{HEADER}x,{key},{DAY},system,ann,1,"o\n')
    good = json.dumps(ROW | {"reason": "ok"})
    (tmp_path / "r.jsonl").write_text(f'{good}\n{{"refused_key": "{key}", "amount": "1\n')
    for name in ("r.csv", "r.jsonl"):
        found = again(ledger, tmp_path / name).refused_path
        assert found is not None
        assert [key] == keys(found)


def test_metadata_nested_deep_is_set_aside(ledger: Ledger, tmp_path: Path) -> None:
    """A refused row whose metadata is nested as deep as may be is written, and read again."""
    metadata = '{"a":' * 100 + "1" + "}" * 100
    row = json.dumps(ROW | {"amount": "x", "reason": "r"})
    (tmp_path / "r.jsonl").write_text(f'{row[:-1]}, "metadata": {metadata}}}\n')
    first = again(ledger, tmp_path / "r.jsonl").refused_path
    assert first is not None
    assert json.loads(metadata) == json.loads(first.read_text())["metadata"]
    first.write_text(first.read_text().replace('"amount": "x"', '"amount": "1"'))
    assert 1 == load(ledger, first).posted


def test_a_place_for_refused_rows_needs_keep_going(ledger: Ledger, tmp_path: Path) -> None:
    """A place for refused rows without keep_going is a mistake that is told."""
    (tmp_path / "r.csv").write_text(HEADER)
    with pytest.raises(UsageError, match="none are let by") as caught:
        load(ledger, tmp_path / "r.csv", refused_path=tmp_path / "x.csv")
    assert "add --keep-going" == caught.value.hint


KILLED = """
import os, signal, sys
from token_ledger.ledger import Ledger
from token_ledger.load import load

def stop(stage, done, total):
    if stage == "post":
        os.kill(os.getpid(), signal.SIGKILL)

with Ledger.open(sys.argv[1]) as ledger:
    load(ledger, sys.argv[2], create_accounts=True, keep_going=True, progress=stop)
"""


def test_what_a_killed_load_left_is_removed(
    ledger: Ledger, sqlite_url: str, tmp_path: Path
) -> None:
    """The next run removes the temporary file of one that was killed, and nobody else's files."""
    source = tmp_path / "rows.csv"
    source.write_text(HEADER + "".join(BAD))
    (tmp_path / ".rows.refused.csv.swp").write_text("an editor's")
    before = {path.name for path in tmp_path.iterdir()}
    words = [sys.executable, "-c", KILLED, sqlite_url, str(source)]
    assert -signal.SIGKILL == subprocess.run(words, check=False, timeout=120).returncode
    (left,) = {path.name for path in tmp_path.iterdir()} - before
    assert left.startswith(".rows.refused.csv.")
    load(ledger, source, create_accounts=True, keep_going=True)
    after = {path.name for path in tmp_path.iterdir()}
    assert before | {"rows.refused.csv"} == after


def test_a_load_leaves_the_temporary_file_of_a_living_one(tmp_path: Path) -> None:
    """Two loads to one place at once: neither takes the other's file for stale."""
    place, rows = tmp_path / "rows.refused.csv", RefusedRows(COLUMNS, is_json=False)
    with RefusedFile(place, rows) as living:
        living.restart()
        with RefusedFile(place, rows):
            assert 2 == len(list(tmp_path.iterdir()))
        living.publish()
    assert [place] == list(tmp_path.iterdir())
