"""Numbers of things in words, for the people who read what a command answers. Knows no others."""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """Return a number of things: 1 batch, 2 batches, 3 entries."""
    if number == 1:
        return f"1 {what}"
    if what.endswith("y"):
        return f"{number} {what[:-1]}ies"
    return f"{number} {what}{'es' if what.endswith('ch') else 's'}"


def filled(entries: int, batches: int) -> str:
    """Return how much was sealed, exported or replayed: 5 entries in 1 batch."""
    return f"{counted(entries, 'entry')} in {counted(batches, 'batch')}"
