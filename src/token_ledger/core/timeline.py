"""Value over time, in periods of one length: how they are chosen, and what they hold. Pure."""

from __future__ import annotations

from dataclasses import dataclass

SECOND = 1_000_000
_MINUTE = 60 * SECOND
_HOUR = 60 * _MINUTE
DAY = 24 * _HOUR
STEPS = (
    *(SECOND, 10 * SECOND, _MINUTE, 10 * _MINUTE, _HOUR, 6 * _HOUR),
    *(DAY, 7 * DAY, 30 * DAY, 90 * DAY, 365 * DAY),
)
PERIODS_MAX = 60


@dataclass(slots=True)
class Timeline:
    """Base units that entries moved in each period; times in microseconds.

    Period i begins at `start + i * step`. `matched`: of entries with their own transfer;
    `unmatched`: of those without.
    """

    start: int
    step: int
    matched: list[int]
    unmatched: list[int]

    def add(self, period: int, *, same: bool, value: int) -> None:
        """Count what entries of a period moved."""
        (self.matched if same else self.unmatched)[period] += value

    def to_json(self) -> dict[str, object]:
        """Return it as one JSON-ready object."""
        return {
            "start": self.start,
            "step": self.step,
            "matched": [str(value) for value in self.matched],
            "unmatched": [str(value) for value in self.unmatched],
        }


def plan(first: int, last: int) -> Timeline:
    """Return an empty timeline from `first` to `last`, in at most `PERIODS_MAX` round periods."""
    for step in STEPS:
        if last // step - first // step < PERIODS_MAX:
            break
    else:
        years = 365 * DAY
        step = years * ((last - first) // (years * (PERIODS_MAX - 1)) + 1)
    start = first // step * step
    periods = (last - start) // step + 1
    return Timeline(start, step, [0] * periods, [0] * periods)
