"""What people see: plain text when piped, progress on standard error."""

from __future__ import annotations

import pytest

from token_ledger.cli import progress as progress_module
from token_ledger.cli.progress import ProgressReport
from token_ledger.cli.screen import Screen, printable


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
    [("plain", "plain"), ("é 漢", "é 漢"), ("a\tb", r"a\tb"), ("\x1b[0m", r"\x1b[0m"), (None, "")],
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
