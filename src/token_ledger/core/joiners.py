"""Zero-width joiners: where they are part of writing, and where they only hide.

U+200D (joiner) and U+200C (non-joiner) have no picture. In some places they change how their
neighbours are drawn, and words of Persian, Hindi or joined emoji are misspelt without them;
anywhere else two texts that differ in one look the same. They count as text

    after a virama                             both     RFC 5892, appendix A.1 and A.2
    between Arabic letters that would connect  U+200C   RFC 5892, appendix A.1
    between two pictographs                    U+200D   UTS #51, as in a family of several persons

and nowhere else. Two pictographs that no font joins look as if nothing stood between them: that is
no more than what ids of any script can do with letters that look alike.
"""

from __future__ import annotations

import functools
import unicodedata

NON_JOINER, JOINER = "\u200c", "\u200d"
_VIRAMA = 9
_PICTOGRAPH_MIN = "\u203c"


def joins(text: str, index: int) -> bool:
    """Return whether the character there is a joiner that changes how its neighbours look."""
    if text[index] not in (NON_JOINER, JOINER) or not 0 < index < len(text) - 1:
        return False
    if unicodedata.combining(text[index - 1]) == _VIRAMA:
        return True
    before, after = _base_before(text, index), text[index + 1]
    if text[index] == JOINER:
        return _is_pictograph(before) and _is_pictograph(after)
    forwards, backwards = _connecting()
    return before in forwards and after in backwards


def without_joiners(text: str) -> str:
    """Return the text without the joiners that are part of its writing."""
    if text.isprintable():
        return text
    return "".join(c for i, c in enumerate(text) if not joins(text, i))


def _base_before(text: str, index: int) -> str:
    """Return the character that the marks before `index` sit on, '' for none."""
    for character in reversed(text[:index]):
        if unicodedata.category(character) not in ("Mn", "Sk"):  # Sk: tones of skin
            return character
    return ""


def _is_pictograph(character: str) -> bool:
    return character >= _PICTOGRAPH_MIN and unicodedata.category(character) == "So"


@functools.cache
def _connecting() -> tuple[frozenset[str], frozenset[str]]:
    """Return the Arabic letters that connect to what follows, and to what precedes.

    A letter of which Unicode knows an initial form does the first, one with a final form the
    second.
    """
    forwards, backwards = set(), set()
    for code in (*range(0xFB50, 0xFE00), *range(0xFE70, 0xFF00)):
        form, _, letter = unicodedata.decomposition(chr(code)).partition(" ")
        if form == "<initial>" and " " not in letter:
            forwards.add(chr(int(letter, 16)))
        if form == "<final>" and " " not in letter:
            backwards.add(chr(int(letter, 16)))
    return frozenset(forwards), frozenset(backwards)
