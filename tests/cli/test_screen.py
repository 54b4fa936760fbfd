"""What people see: plain text when piped, progress on standard error."""

from __future__ import annotations

import pytest

from token_ledger.cli import progress as progress_module
from token_ledger.cli.progress import ProgressReport
from token_ledger.cli.screen import Screen, printable
from token_ledger.core.counting import counted
from token_ledger.core.types import Finding


def test_piped_tables_are_plain_and_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    """A piped table has no colours and no lines, its numbers right-aligned, nothing cut off."""
    long = "x" * 300
    Screen().table(["name", "amount"], [["alice", "1"], [long, "100"]], right=["amount"])
    lines = capsys.readouterr().out.splitlines()
    assert [f"{'name':300}  amount", f"{'alice':300}       1", f"{long}     100"] == lines


def test_a_pair_without_a_value_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """None is left out; every other value is shown."""
    Screen().pairs([("one", 1), ("three", None), ("no", 0)])
    assert "one  1\nno   0\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("کتاب\u200cخانه 👩\u200d🚀", "کتاب\u200cخانه 👩\u200d🚀"),
        ("al\u200cice", r"al\u200cice"),
        ("plain", "plain"),
        ("é 漢", "é 漢"),
        ("a\tb", r"a\tb"),
        ("\x1b[0m", r"\x1b[0m"),
        (None, ""),
    ],
)
def test_only_control_characters_are_escaped(text: object, shown: str) -> None:
    """Letters of any script are shown as they are; what moves a cursor is escaped."""
    assert shown == printable(text)


def test_quick_work_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """Within the first second no progress is shown."""
    with ProgressReport() as report:
        for done in range(10):
            report("stage", done, 10)
    assert ("", "") == tuple(capsys.readouterr())


def test_long_work_tells_rate_and_rest(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a second a piped command tells how far it is, how fast, and how long it still takes."""
    now = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    with ProgressReport() as report:
        report("load", 0, 1000)
        now[0] = 2.0
        report("load", 500, 1000)
        now[0] = 3.0
        report("load", 600, 1000)
        now[0] = 13.0
        report("seal", 70, None)
    expected = "load: 500 of 1,000 (50 %), 250/s, 2 s left\nseal: 70 done, "
    assert capsys.readouterr().err.startswith(expected)


def test_details_of_a_finding_are_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Details are shown without brackets, quotes and names of a programming language."""
    inner = {"from": "0x01", "value": "5"}
    details = {"expected": inner, "numbers": [1, 2], "final": False, "actual": None, "none": []}
    Screen().finding(Finding("value_differs", "an entry differs", details))
    assert [
        "",
        "value_differs: an entry differs",
        "  expected  from 0x01, value 5",
        "  numbers   1, 2",
        "  final     no",
        "  actual    none",
        "  none      none",
    ] == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("number", "what", "words"),
    [(0, "batch", "0 batches"), (1, "batch", "1 batch"), (2, "entry", "2 entries"),
     (1, "entry", "1 entry"), (3, "batch file", "3 batch files")],
)  # fmt: skip
def test_counted(number: int, what: str, words: str) -> None:
    """One thing is singular, none and several are plural."""
    assert words == counted(number, what)
