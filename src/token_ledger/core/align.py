"""Which entry of a batch belongs to which `seq`, where the database has lost or gained some. Pure.

Entries are numbered by their rows, so one that is gone moves all behind it by one place, and each
would seem to differ. Held against the transfers by what they move, only that one does.

A walk over both sides: where they differ, the nearer of the places in which either goes on is taken
for what is missing, if a few rows there agree. It holds the two lists and an index of them, and
looks at each row a bounded number of times; what is too much altered to be told is left where it
stands.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

M = TypeVar("M", bound=Hashable)
AGREEING = 3
"""So many rows that follow must agree before rows are taken for missing."""


class _Side(Generic[M]):
    """The rows of one side, and in which places each stands."""

    def __init__(self, rows: Sequence[M]) -> None:
        self.rows = rows
        self.places: dict[M, list[int]] = defaultdict(list)
        for place, row in enumerate(rows):
            self.places[row].append(place)

    def agrees(self, at: int, other: _Side[M], there: int, rows: int) -> bool:
        """Return whether so many rows that follow are the same, as far as both go."""
        rest = min(rows, len(self.rows) - at, len(other.rows) - there)
        return rest > 0 and self.rows[at : at + rest] == other.rows[there : there + rest]

    def ahead(self, at: int, other: _Side[M], after: int, rows: int) -> int:
        """Return how many rows further on the other one goes on as this does; 0 where it never."""
        found = other.places.get(self.rows[at], [])
        first = bisect_right(found, after)
        for place in found[first : first + AGREEING]:
            if self.agrees(at, other, place, rows):
                return place - after
        return 0


def align(ours: Sequence[M], theirs: Sequence[M]) -> list[int | None]:
    """Return for each of ours the place among theirs that it belongs to, in order.

    None for one that was added: nothing of theirs is its. Places that are left out were lost.
    """
    places: list[int | None] = []
    one, other = _Side(ours), _Side(theirs)
    i = j = 0
    while i < len(ours):
        if j < len(theirs) and ours[i] == theirs[j]:
            places.append(j)
            i, j = i + 1, j + 1
            continue
        lost, added = _gone(one, i, other, j)
        places += [None] * added
        i, j = i + added, j + lost
        if not lost and not added:  # altered in itself, or beyond telling
            places.append(j)
            i, j = i + 1, j + 1
    return places


def _gone(one: _Side[M], i: int, other: _Side[M], j: int) -> tuple[int, int]:
    """Return how many rows were lost and how many added where the two differ; one of them is 0."""
    if j >= len(other.rows):
        return 0, len(one.rows) - i
    for rows in range(AGREEING, 0, -1):
        if one.agrees(i + 1, other, j + 1, rows):
            break
        lost, added = one.ahead(i, other, j, rows), other.ahead(j, one, i, rows)
        if lost and (not added or lost <= added):
            return lost, 0
        if added:
            return 0, added
    return 0, 0
