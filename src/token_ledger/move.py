"""`move`: a whole ledger from SQLite to PostgreSQL or back, with the same ids, roots and proofs.

The source is only read. Run it again after an interruption: it goes on where it stood. Stop the
writers first; a source that changed meanwhile is noticed, because at the end every row of every
table is held against its copy and every batch's root is rebuilt from the copied entries.
"""

from __future__ import annotations

from dataclasses import dataclass

from token_ledger.core.progress import Progress, no_progress
from token_ledger.ledger import Ledger, copying
from token_ledger.ledger.engine import open_engine


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move did: entries copied in this run, rows and batches proved the same."""

    entries_copied: int
    rows_compared: int
    batches_recomputed: int


def move(ledger: Ledger, url: str, *, progress: Progress = no_progress) -> Moved:
    """Copy a ledger with all its tokens into the database of `url`, and prove it the same.

    A secret that lives in a file stays there. Raises UsageError if the target holds another
    ledger, and NotReadyError if source and target differ in the end.
    """
    engine = open_engine(url, create=True)
    try:
        whole = copying.prepare(engine, ledger.ledger_uid)
        with ledger.read() as source:
            copied = 0 if whole else copying.copy(source, engine, progress)
        with ledger.read() as source:  # a fresh look: was something written meanwhile?
            compared = copying.compare(source, engine, progress)
        recomputed = copying.recompute(engine, ledger.ledger_uid, progress)
    finally:
        engine.dispose()
    return Moved(copied, compared, recomputed)
