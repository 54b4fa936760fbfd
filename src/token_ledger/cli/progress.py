"""Progress of long work on standard error: a bar on a terminal, a line now and then elsewhere.

Nothing is shown for the first second, so quick commands stay quiet. Standard output is untouched.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

QUIET_S = 1.0
LINE_EVERY_S = 10.0


class _RateColumn(ProgressColumn):
    """Done per second since the stage began."""

    def render(self, task: Task) -> Text:
        """Return the rate."""
        elapsed = task.elapsed or 0
        return Text(f"{task.completed / elapsed:,.0f}/s" if elapsed else "")


class ProgressReport:
    """A `core.progress.Progress` that people can watch; use it as a context manager."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._stage = ""
        self._began = time.monotonic()
        self._stage_began = self._began
        self._line_due = self._began + QUIET_S
        self._terminal = sys.stderr.isatty()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Show that `done` of `total` of a stage are done."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._stage_began = stage, now
        if self._terminal:
            self._draw(stage, done, total, now)
        elif now >= self._line_due:
            self._line_due = now + LINE_EVERY_S
            print(self._line(stage, done, total, now), file=sys.stderr, flush=True)  # noqa: T201

    def tell(self, line: str) -> None:
        """Say something in between, in a line of its own that stays."""
        if self._bar is not None:
            self._bar.stop()
            self._bar, self._tasks = None, {}
        print(line, file=sys.stderr, flush=True)  # noqa: T201

    def _draw(self, stage: str, done: int, total: int | None, now: float) -> None:
        if self._bar is None:
            if now - self._began < QUIET_S:
                return
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                _RateColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(stage, total=total)
        self._bar.update(self._tasks[stage], completed=done, total=total)

    def _line(self, stage: str, done: int, total: int | None, now: float) -> str:
        elapsed = max(now - self._stage_began, 1e-6)
        rate = done / elapsed
        if not total:
            return f"{stage}: {done:,} done, {rate:,.0f}/s"
        left = f", {max(total - done, 0) / rate:,.0f} s left" if rate else ""
        return f"{stage}: {done:,} of {total:,} ({100 * done // total} %), {rate:,.0f}/s{left}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
