"""How a long loop tells how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""Called with the stage, how much is done, and the total or None where nobody knows it."""


def no_progress(_stage: str, _done: int, _total: int | None) -> None:
    """Tell nobody."""
