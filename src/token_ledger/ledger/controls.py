"""The verbs of an operator: reverse, limits, freeze, close. Methods of `Ledger`."""

from __future__ import annotations

import datetime as dt

from token_ledger.core.parse import Amount, parse_account_id, parse_amount
from token_ledger.ledger import limits, queries, reversal
from token_ledger.ledger.accounts import Account
from token_ledger.ledger.composite import Desk
from token_ledger.ledger.posting import Posted
from token_ledger.ledger.queries import StoredEntry
from token_ledger.ledger.verbs import Verbs

_MICROSECOND = dt.timedelta(microseconds=1)


class Controls(Verbs):
    """What `Ledger` gets from this module."""

    def reverse(
        self,
        entry_id: bytes | str,
        amount: Amount | None = None,
        *,
        reason: str = "reversal",
        idempotency_key: str | None = None,
        memo: str = "",
    ) -> Posted:
        """Send an entry's value back, or a part of it: once, and linked to the entry.

        The link is the reference, type `reversal` and the id reversed. Neither a frozen account nor
        a limit of spending stands in the way. Raises ReversalError for an entry that was reversed
        before, for more than it moved, and for one of a hold; InsufficientBalanceError where the
        payee holds it no more.
        """
        token = self.token
        wanted = queries.parse_entry_id(entry_id) if isinstance(entry_id, str) else entry_id
        value = None if amount is None else parse_amount(amount, decimals=token.decimals)
        return self.run(
            lambda c: reversal.reverse(
                Desk(c, self.context, token),
                wanted,
                value=value,
                key=idempotency_key,
                reason=reason,
                memo=memo,
            )
        )

    def get_reversal(self, entry_id: bytes | str) -> StoredEntry | None:
        """Return the entry that reversed an entry, or None. Raises UnknownEntryError."""
        token = self.token
        wanted = queries.parse_entry_id(entry_id) if isinstance(entry_id, str) else entry_id
        with self.read() as connection:
            entry = queries.get_entry(connection, token, wanted)
            return reversal.reversal_of(Desk(connection, self.context, token), entry.entry_no)

    # --- limits ---------------------------------------------------------------------------

    def limit_balance(self, account_id: str | None, maximum: Amount | None) -> None:
        """Limit what an account may hold, its holds included, in human units.

        With account None: every account of the token that has no limit of its own. None takes the
        limit away (an account's own, so that the token's counts again). What is above it already
        stays, and takes no more.
        """
        token = self.token
        most = None if maximum is None else parse_amount(maximum, decimals=token.decimals)
        if account_id is None:
            self.run(lambda c: limits.set_token_limit(Desk(c, self.context, token), most))
            return
        name = parse_account_id(account_id)
        self.run(lambda c: limits.set_balance_limit(Desk(c, self.context, token), name, most))

    def limit_spending(
        self, account_id: str, maximum: Amount | None, period: dt.timedelta | None = None
    ) -> None:
        """Limit what an account may spend in each period, in human units; None for no limit.

        Periods are counted from 1970-01-01T00:00Z, so `timedelta(days=1)` is the UTC day.
        Transfers, burns and holds spend; reversals, releases and imports do not.
        """
        token, name = self.token, parse_account_id(account_id)
        most = None if maximum is None else parse_amount(maximum, decimals=token.decimals)
        length = None if period is None else period // _MICROSECOND
        self.run(lambda c: limits.set_spend_limit(Desk(c, self.context, token), name, most, length))

    def freeze_account(self, account_id: str) -> Account:
        """Let an account spend nothing until it is unfrozen; it may still be paid."""
        token, name = self.token, parse_account_id(account_id)
        self.run(lambda c: limits.freeze(Desk(c, self.context, token), name, now=self.now()))
        return self.get_account(name)

    def unfreeze_account(self, account_id: str) -> Account:
        """Let a frozen account spend again."""
        token, name = self.token, parse_account_id(account_id)
        self.run(lambda c: limits.unfreeze(Desk(c, self.context, token), name))
        return self.get_account(name)

    def close_account(self, account_id: str) -> Account:
        """Close an empty account for ever: it neither pays nor is paid any more.

        Its entries, its id and its address stay. Raises AccountClosedError while it has a balance
        or a hold.
        """
        token, name = self.token, parse_account_id(account_id)
        self.run(lambda c: limits.close(Desk(c, self.context, token), name, now=self.now()))
        return self.get_account(name)
