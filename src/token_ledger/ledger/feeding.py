"""The change feed: entries in the order of their numbers, none ever skipped.

A number is taken before its entry is committed, so a reader who trusts what he sees skips one that
commits late. A page ends at the sealer's watermark: nothing at or below it can appear any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, select

from token_ledger.errors import RetryableError, UsageError
from token_ledger.ledger import engine as engines
from token_ledger.ledger import queries, schema, sealing
from token_ledger.ledger.accounts import check_limit
from token_ledger.ledger.queries import StoredEntry
from token_ledger.ledger.tokens import StoredToken

_ATTEMPTS_MAX = 10
_ENTRY = schema.token_ledger.c


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Entries, the first posted first; `after` is what to ask for next, also of an empty page."""

    entries: tuple[StoredEntry, ...]
    after: int


def _check_after(after: int) -> None:
    """Raise UsageError for what is no entry number."""
    if isinstance(after, bool) or not isinstance(after, int) or not 0 <= after < 2**63:
        raise UsageError(f"after {after!r:.50} is no entry number", hint="0, or what a page gave")


def read_feed(engine: Engine, token: StoredToken, *, after: int, limit: int) -> FeedPage:
    """Return the committed entries after a number, up to where nothing can come between any more.

    On connections of its own: a caller's transaction may be older than the watermark, or hold it
    up. An empty page while a long posting (a load) is under way; asked again in the same process,
    it goes on waiting for the writers of then alone. Raises UnavailableError on a standby, which
    cannot tell what may still come, and UsageError.
    """
    _check_after(after)
    size = check_limit(limit)
    newest = select(_ENTRY.entry_no).where(
        _ENTRY.token_no == token.token_no, _ENTRY.entry_no > after
    )
    with engines.reading(engine) as connection:
        if connection.execute(newest.limit(1)).first() is None:
            return FeedPage((), after)  # nothing is asked of the writers
    try:
        up_to = sealing.watermark(engine, beyond=after, attempts=_ATTEMPTS_MAX)
    except RetryableError:
        return FeedPage((), after)
    # A new snapshot: one of before the watermark would lack what was committed meanwhile.
    with engines.reading(engine) as connection:
        found = queries.read_entries(connection, token, after=after, up_to=up_to, limit=size)
    return FeedPage(tuple(found), found[-1].entry_no if found else after)
