"""The verbs of whoever answers for the findings of `reconcile`. Methods of `Ledger`."""

from __future__ import annotations

import datetime as dt

from token_ledger.core.parse import parse_timestamp
from token_ledger.ledger import acknowledged
from token_ledger.ledger.acknowledged import StoredFinding
from token_ledger.ledger.verbs import Verbs


class Acknowledging(Verbs):
    """What `Ledger` gets from this module."""

    def findings(self, limit: int = 1000) -> list[StoredFinding]:
        """Return the findings that runs of `reconcile` saw, those seen last first."""
        token = self.token
        with self.read() as connection:
            return acknowledged.list_findings(connection, token, limit=limit)

    def acknowledge_finding(
        self, finding: str | bytes, *, reason: str, by: str, until: str | dt.datetime
    ) -> StoredFinding:
        """Acknowledge a finding as it was last seen: why, who, and until when.

        `finding`: its id, or at least 8 digits of it. Later runs list it apart until its figures
        change or the time is over. Raises UnknownFindingError, UsageError, TimestampError.
        """
        token, end = self.token, parse_timestamp(until)
        now = self.now()
        self.run(
            lambda c: acknowledged.acknowledge(
                c, token, finding, reason=reason, by=by, until=end, now=now
            )
        )
        with self.read() as connection:
            return acknowledged.get_finding(connection, token, finding)

    def withdraw_acknowledgement(
        self, finding: str | bytes, *, reason: str, by: str
    ) -> StoredFinding:
        """Take the acknowledgement of a finding back, so that it is open again.

        Both records stay. Raises UnknownFindingError, and UsageError where there is none.
        """
        token, now = self.token, self.now()
        self.run(lambda c: acknowledged.withdraw(c, token, finding, reason=reason, by=by, now=now))
        with self.read() as connection:
            return acknowledged.get_finding(connection, token, finding)
