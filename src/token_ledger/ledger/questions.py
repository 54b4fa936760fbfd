"""The questions about the books: balances as they were, statements, entries, supply.

Methods of `Ledger`, each a call of one function that asks the database.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Engine

from token_ledger.core.parse import parse_timestamp
from token_ledger.errors import DatabaseError, UsageError
from token_ledger.ledger import asof, queries, rollups, sealing, statements
from token_ledger.ledger.asof import BalanceAt
from token_ledger.ledger.queries import StoredEntry, Supply
from token_ledger.ledger.statements import Filters, StatementPage
from token_ledger.ledger.statistics import DAYS_DEFAULT, EPOCH, Statistics, read_statistics
from token_ledger.ledger.tokens import StoredToken
from token_ledger.ledger.verbs import Verbs

_ATTEMPTS_MAX = 5
"""A statistic waits less than a tenth of a second for writers: it is exact without."""


class Questions(Verbs):
    """What `Ledger` gets from this module."""

    engine: Engine

    def get_balance_at(
        self,
        account_id: str,
        *,
        entry: int | bytes | str | None = None,
        time: str | dt.datetime | None = None,
    ) -> BalanceAt:
        """Return a balance as it was: after an entry, or at a time. Give one of the two.

        `entry` (number or id): after the account's last entry at or before it. `time` (zoned): the
        sum of all that is dated then or earlier, whenever it was posted; with back-dated entries
        that may be below zero, and the result says so. Less what was owed then on an overdraft,
        as `get_balance` shows it; a write-off is no entry, and counts as of the account's next
        one, or as of a time from when it was made. 0 for an account that does not exist. Raises
        UnknownEntryError for an id that no entry has.
        """
        token = self.token
        if (entry is None) == (time is None):
            raise UsageError("a balance as of what?", hint="give an entry or a time, not both")
        with self.read() as connection:
            if time is not None:
                return asof.at_time(connection, token, account_id, parse_timestamp(time))
            assert entry is not None
            wanted = queries.parse_entry_id(entry) if isinstance(entry, str) else entry
            return asof.at_entry(connection, token, account_id, wanted)

    def get_statement(
        self,
        account_id: str,
        since: str | dt.datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
        *,
        until: str | dt.datetime | None = None,
        reason: str | None = None,
        reason_prefix: str | None = None,
        reference: str | tuple[str, str] | None = None,
        counterparty: str | None = None,
        direction: str | None = None,
    ) -> StatementPage:
        """Return a page of an account's entries, the last posted first.

        `since`, `until`: dated then or later, and before then. `reference`: a type, or (type, id).
        `counterparty`: the other account, or `system`. `direction`: `in` or `out`. What is given
        must all hold. `cursor`: the one of the page before; it stays good while new entries come
        in. With filters a page may be short, even empty, and still have a cursor: no page looks at
        more than 10,000 entries. Raises UnknownAccountError and UsageError.
        """
        token = self.token
        filters = Filters(
            since=None if since is None else parse_timestamp(since),
            until=None if until is None else parse_timestamp(until),
            reason=reason,
            reason_prefix=reason_prefix,
            reference=reference,
            counterparty=counterparty,
            direction=direction,
        )
        with self.read() as connection:
            return statements.get_statement(
                connection, token, account_id, filters=filters, limit=limit, cursor=cursor
            )

    def get_entries(
        self,
        since: str | dt.datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
        *,
        until: str | dt.datetime | None = None,
        reason: str | None = None,
        reason_prefix: str | None = None,
        reference: str | tuple[str, str] | None = None,
    ) -> StatementPage:
        """Return a page of the token's entries, the last posted first, whoever's they are.

        Filters and pages as in `get_statement`. It shows what was there when its first page was
        read; what is posted later comes before it.
        """
        token = self.token
        filters = Filters(
            since=None if since is None else parse_timestamp(since),
            until=None if until is None else parse_timestamp(until),
            reason=reason,
            reason_prefix=reason_prefix,
            reference=reference,
        )
        with self.read() as connection:
            return statements.get_entries(
                connection, token, filters=filters, limit=limit, cursor=cursor
            )

    def get_history(self, account_id: str, limit: int = 50, offset: int = 0) -> list[StoredEntry]:
        """Return entries of an account, the last posted first, after skipping `offset` of them.

        Empty for an account that does not exist. A page costs what lies before it: to read far
        back, or while entries come in, use `get_statement` and its cursor. Raises UsageError for a
        limit or an offset out of range.
        """
        token = self.token
        with self.read() as connection:
            return statements.get_history(connection, token, account_id, limit=limit, offset=offset)

    def get_entry(self, entry_id: bytes | str) -> StoredEntry:
        """Return the entry of an id, 32 bytes or 0x-hex. Raises UnknownEntryError."""
        token = self.token
        wanted = queries.parse_entry_id(entry_id) if isinstance(entry_id, str) else entry_id
        with self.read() as connection:
            return queries.get_entry(connection, token, wanted)

    def get_supply(self) -> Supply:
        """Return the token's supply with its cumulative figures, in base units."""
        token = self.token
        with self.read() as connection:
            return queries.get_supply(connection, token)

    def get_total_supply(self) -> int:
        """Return the token's total supply, in base units."""
        return self.get_supply().total_supply

    def get_statistics(
        self,
        since: str | dt.date | None = None,
        until: str | dt.date | None = None,
        *,
        top: int = 10,
    ) -> Statistics:
        """Return supply and its parts, velocity, distribution and reasons, exact to the unit.

        The period of the velocity: whole UTC days, `since` up to before `until` (`2026-01-31`); by
        default the thirty days that end today. `top`: how many of the largest holders. Entries are
        added up by day as this is asked: the first time after a million of them takes seconds, and
        every later one does not grow with them. Raises UsageError.
        """
        token = self.token
        now = dt.datetime.fromtimestamp(self.now() // 1_000_000, dt.UTC).date()
        end = now + dt.timedelta(days=1) if until is None else _day(until)
        first = max(EPOCH.toordinal(), end.toordinal() - DAYS_DEFAULT)
        begin = dt.date.fromordinal(first) if since is None else _day(since)
        self._count_on(token)
        with self.read() as connection:
            return read_statistics(connection, token, since=begin, until=end, top=top)

    def _count_on(self, token: StoredToken) -> None:
        """Move the mark of the rollups on, where many entries lie beyond it."""
        with self.read() as connection:
            behind = rollups.is_behind(connection, token.token_no)
            mark = rollups.read_mark(connection, token.token_no)
        if not behind:
            return
        try:
            watermark = sealing.watermark(self.engine, beyond=mark, attempts=_ATTEMPTS_MAX)
            while behind:
                behind = self.run(
                    lambda c: rollups.move_on(c, token, watermark, now=self.now())
                )  # fmt: skip
        except DatabaseError:
            return  # a long posting is under way, or the role may not: read them one by one


def _day(day: str | dt.date) -> dt.date:
    if isinstance(day, dt.datetime) or not isinstance(day, str | dt.date):
        raise UsageError(f"not a day: {day!r:.50}", hint="a date, or text as in 2026-01-31")
    try:
        return day if isinstance(day, dt.date) else dt.date.fromisoformat(day)
    except ValueError:
        raise UsageError(f"not a day: {day!r:.50}", hint="as in 2026-01-31") from None
