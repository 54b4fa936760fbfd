"""Other ways into a ledger than owning the transaction: the caller's own, or one that is shared.

Only the doors: what is behind them is in `bound` and `coalesce`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from token_ledger.ledger.balance_cache import CachedLedger
    from token_ledger.ledger.bound import BoundLedger, Host
    from token_ledger.ledger.coalesce import CoalescedLedger


class Ways:
    """Mixed into `Ledger`: the same verbs, on a transaction of another kind."""

    def bound_to(self, host: Host) -> BoundLedger:
        """Return this ledger inside a caller's SQLAlchemy Session or Connection.

        Same verbs, same ids; the caller commits, or rolls back and nothing was posted. Deadlocks
        and such are raised as RetryableError: run your whole transaction again. Raises UsageError
        on the first write if the connection is another database's, commits by itself, or is not
        READ COMMITTED on PostgreSQL.
        """
        from token_ledger.ledger.bound import BoundLedger  # noqa: PLC0415 — it imports us

        return BoundLedger(self, host)  # type: ignore[arg-type]

    def coalesced(self, *, postings_max: int = 500) -> CoalescedLedger:
        """Return this ledger with single postings of many threads sharing commits.

        Same verbs; each caller gets its own result or error, after the commit. Close it, or use it
        in a `with`: what was handed in is still posted. `postings_max`: how many share a commit.
        """
        from token_ledger.ledger.coalesce import CoalescedLedger  # noqa: PLC0415 — it imports us

        return CoalescedLedger(self, postings_max=postings_max)  # type: ignore[arg-type]

    def cached(self, *, ttl_s: float = 1.0, accounts_max: int = 100_000) -> CachedLedger:
        """Return this ledger with balances remembered for `ttl_s` seconds.

        Never older than what was written through it, by whichever thread: `get_balance` includes
        every such write, and others' once the time is over. Share one among all who write and read.
        """
        from token_ledger.ledger.balance_cache import CachedLedger  # noqa: PLC0415 — it imports us

        return CachedLedger(self, ttl_s=ttl_s, accounts_max=accounts_max)  # type: ignore[arg-type]

    def _committed(self, outcome: object) -> None:
        """Hear what a shared commit became, before its callers do: for ledgers that remember."""
