"""What a benchmark says: a figure of ours beside a floor or peer that was measured just before."""

from __future__ import annotations

import gc
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One answer. `ratio` is ours to the floor's; `aim` says which ratio was promised."""

    question: str
    ours: str
    floor: str
    ratio: float | None
    aim: str
    held: bool | None


def rate(name: str, *, ours: float, floor: float, unit: str, at_least: float) -> Figure:
    """Return the figure of two rates, of which ours should be `at_least` times the floor's."""
    ratio = ours / floor
    return Figure(
        name,
        f"{ours:,.0f} {unit}",
        f"{floor:,.0f} {unit}",
        ratio,
        f"≥ {at_least:g}",
        ratio >= at_least,
    )


def cost(name: str, *, ours: float, floor: float, unit: str, at_most: float) -> Figure:
    """Return the figure of two costs, of which ours should be `at_most` times the floor's."""
    ratio = ours / floor
    return Figure(
        name,
        f"{ours:,.4g} {unit}" if ours < 1000 else f"{ours:,.0f} {unit}",
        f"{floor:,.4g} {unit}" if floor < 1000 else f"{floor:,.0f} {unit}",
        ratio,
        f"≤ {at_most:g}",
        ratio <= at_most,
    )


def seconds(work: Callable[[], object], *, runs: int = 1) -> float:
    """Return the median wall time of `work` in seconds, with the collector off as timeit does."""
    times = []
    for _ in range(runs):
        gc.collect()
        gc.disable()
        start = time.perf_counter()
        try:
            work()
        finally:
            gc.enable()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak_memory_mib() -> float:
    """Return this process's peak resident memory in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def at_least(name: str, *, ours: float, unit: str, aim: float) -> Figure:
    """Return the figure of a rate that was promised as such, not as a ratio."""
    return Figure(name, f"{ours:,.0f} {unit}", "", None, f"≥ {aim:,.0f}", ours >= aim)
