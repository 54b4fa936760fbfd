"""The verbs of whoever keeps the books in order. Methods of `Ledger`."""

from __future__ import annotations

from token_ledger.core.progress import Progress, no_progress
from token_ledger.ledger import recalculation
from token_ledger.ledger.recalculation import Recalculation
from token_ledger.ledger.verbs import Verbs


class Upkeep(Verbs):
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
