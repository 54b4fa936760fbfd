"""Where entries belong when some are gone: what was taken out or put in is told, and no other row.

Method: random histories with repeats, rows taken out and put in, held against what was done.
"""

from __future__ import annotations

import random

import pytest

from token_ledger.core.align import align


def test_what_is_whole_stays_where_it_is() -> None:
    """Equal sides, and none at all."""
    assert [0, 1, 2, 3] == align("abca", "abca")
    assert [] == align("", "abc")
    assert [None, None] == align("ab", "")


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ("acdefg", "abcdefg", [0, 2, 3, 4, 5, 6]),  # lost in the middle
        ("bcdefg", "abcdefg", [1, 2, 3, 4, 5, 6]),  # lost at the beginning
        ("abcdef", "abcdefg", [0, 1, 2, 3, 4, 5]),  # lost at the end
        ("abXcdefg", "abcdefg", [0, 1, None, 2, 3, 4, 5, 6]),  # added
        ("abcdefgX", "abcdefg", [0, 1, 2, 3, 4, 5, 6, None]),  # added at the end
        ("abXdefg", "abcdefg", [0, 1, 2, 3, 4, 5, 6]),  # altered
        ("adefgh", "abcdefgh", [0, 3, 4, 5, 6, 7]),  # two lost together
        ("acdefhij", "abcdefghij", [0, 2, 3, 4, 5, 7, 8, 9]),  # two lost apart
        ("aXcdefgi", "abcdefghi", [0, 1, 2, 3, 4, 5, 6, 8]),  # altered, and one lost
        ("cbadefg", "abcdefg", [0, 1, 2, 3, 4, 5, 6]),  # another order is another matter
    ],
)
def test_what_was_done_to_a_batch_is_told(
    ours: str, theirs: str, expected: list[int | None]
) -> None:
    """Rows lost, added and altered, at either end and between."""
    assert expected == align(ours, theirs)


@pytest.mark.parametrize("seed", range(40))
def test_rows_taken_out_of_a_long_batch_are_found(seed: int) -> None:
    """Everything that is left gets its own place again, up to rows that move the same."""
    chance = random.Random(seed)
    theirs = [chance.randrange(200) for _ in range(1000)]
    gone = set(chance.sample(range(1000), chance.randint(1, 8)))
    left = [place for place in range(1000) if place not in gone]
    places = align([theirs[place] for place in left], theirs)
    assert all(place is not None for place in places)
    assert [theirs[place] for place in left] == [theirs[p] for p in places if p is not None]
    assert sorted({p for p in places if p is not None}) == places


class Row:
    """A row that counts how often it is compared."""

    compared = 0

    def __init__(self, what: int) -> None:
        self.what = what

    def __eq__(self, other: object) -> bool:
        Row.compared += 1
        return isinstance(other, Row) and self.what == other.what

    def __hash__(self) -> int:
        return hash(self.what)


def test_a_batch_that_was_altered_throughout_takes_no_longer() -> None:
    """The work grows with the rows, not with their square: so many comparisons a row at most."""
    theirs = [Row(i % 7) for i in range(20_000)]
    ours = [Row((i * i) % 7) for i in range(19_000)]
    Row.compared = 0
    align(ours, theirs)
    assert Row.compared < 60 * len(theirs)
