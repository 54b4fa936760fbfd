"""The verbs of whoever keeps the books in order, or passes them on. Methods of `Ledger`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from token_ledger.core.progress import Progress, no_progress
from token_ledger.ledger import accounting, feeding, queries, recalculation, redaction
from token_ledger.ledger.accounts import PAGE_MAX
from token_ledger.ledger.composite import Desk
from token_ledger.ledger.feeding import FeedPage
from token_ledger.ledger.questions import Questions
from token_ledger.ledger.recalculation import Recalculation
from token_ledger.ledger.redaction import Redaction


class Upkeep(Questions):
    """What `Ledger` gets from this module."""

    def recalc(self, *, dry_run: bool = False, progress: Progress = no_progress) -> Recalculation:
        """Recompute every cached figure of every token from the entries; correct what drifted.

        With `dry_run` nothing is changed. Writers may be at work: figures are compared on one
        snapshot, and what drifted is recomputed under its accounts' locks and corrected in one
        transaction a token. Raises DatabaseError where the role may not, or where the entries
        themselves give a figure below zero: nothing is corrected then.
        """
        return recalculation.recalculate(
            self.tokens(), read=self.read, run=self.run, dry_run=dry_run, progress=progress
        )

    def redact(
        self,
        entry_id: bytes | str,
        fields: Collection[str] = redaction.USUAL,
        *,
        actor: str = "",
    ) -> Redaction:
        """Erase words of an entry for ever: reference, memo and metadata, or the `fields` named.

        `fields`: of reason, reference, memo, metadata and key. `actor`: who did it, kept with the
        time. Sides, amount, id and every root stay, a repeat under an erased key still returns the
        first result, and the texts of the entry cannot be opened in a proof any more. What was
        erased before stays so. Raises UnknownEntryError, UsageError for a field that there is not.
        """
        token = self.token
        wanted = queries.parse_entry_id(entry_id) if isinstance(entry_id, str) else entry_id
        result = self.run(
            lambda c: redaction.redact(
                Desk(c, self.context, token), wanted, fields=fields, actor=actor, now=self.now()
            )
        )
        redaction.forget(self.engine)
        return result

    def get_redaction(self, entry_id: bytes | str) -> Redaction | None:
        """Return what of an entry was erased, when and by whom; None while nothing was.

        Raises UnknownEntryError.
        """
        token, entry = self.token, self.get_entry(entry_id)
        with self.read() as connection:
            return redaction.get_redaction(Desk(connection, self.context, token), entry.id)

    def feed(self, after: int = 0, limit: int = PAGE_MAX) -> FeedPage:
        """Return the entries after an entry number, the first posted first: every one, once.

        Ask again with the page's own `after`; an empty page says that there is nothing yet. Unlike
        numbers that one reads oneself it never skips an entry that commits late. What is committed
        alone, in a caller's transaction as well. Raises UsageError, and UnavailableError on a
        standby.
        """
        return feeding.read_feed(self.engine, self.token, after=after, limit=limit)

    def statement_csv(
        self, account_id: str, *, limit: int | None = None, **filters: Any
    ) -> Iterator[str]:
        """Yield an account's statement as lines of RFC 4180 CSV, header first, newest entry next.

        `filters`: those of `get_statement`. `limit`: so many entries; all by default. A cell of
        text that a spreadsheet would take for a formula gets an apostrophe before it.
        """

        def page(count: int, cursor: str | None) -> Any:
            return self.get_statement(account_id, limit=count, cursor=cursor, **filters)

        return accounting.statement_lines(page, account_id, limit=limit)
