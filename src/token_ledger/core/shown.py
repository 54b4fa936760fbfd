"""Text of strangers as people may see it: nothing in it moves a cursor or turns a line around."""

from __future__ import annotations

from token_ledger.core.joiners import joins


def printable(value: object) -> str:
    """Return a value as one line of text without control characters; None as an empty string."""
    text = "" if value is None else str(value)
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or joins(text, i) else repr(c)[1:-1] for i, c in enumerate(text)
    )
