"""The questions about the books: balances as they were, statements, entries, supply.

Methods of `Ledger`, each a call of one function that asks the database.
"""

from __future__ import annotations

import datetime as dt

from token_ledger.core.parse import parse_timestamp
from token_ledger.errors import UsageError
from token_ledger.ledger import asof, queries
from token_ledger.ledger.asof import BalanceAt
from token_ledger.ledger.queries import StatementPage, StoredEntry, Supply
from token_ledger.ledger.verbs import Verbs


class Questions(Verbs):
    """What `Ledger` gets from this module."""

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
        that may be below zero, and the result says so. It is the balance of the books, as on the
        chain: what an account owes on an overdraft is not taken off. 0 for an account that does
        not exist. Raises UnknownEntryError for an id that no entry has.
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
    ) -> StatementPage:
        """Return a page of an account's entries, the last posted first.

        `since`: only entries dated then or later. `cursor`: the one of the page before; it stays
        good while new entries come in.
        """
        token = self.token
        moment = None if since is None else parse_timestamp(since)
        with self.read() as connection:
            return queries.get_statement(
                connection, token, account_id, since=moment, limit=limit, cursor=cursor
            )

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
