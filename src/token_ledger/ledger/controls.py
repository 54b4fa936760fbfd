"""The verbs of an operator: reverse, limits, overdrafts, freeze, close. Methods of `Ledger`."""

from __future__ import annotations

import datetime as dt

from token_ledger.core.parse import Amount, parse_account_id, parse_amount
from token_ledger.ledger import limits, overdraft, queries, reversal
from token_ledger.ledger.accounts import Account
from token_ledger.ledger.composite import Desk
from token_ledger.ledger.overdraft import WriteOff
from token_ledger.ledger.posted import Posted
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
        before, for more than it moved, and for one of a hold or an overdraft;
        InsufficientBalanceError where the payee holds it no more and may not overdraw.
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

    def limit_overdraft(self, account_id: str, maximum: Amount | None) -> None:
        """Let an account go below zero, by `maximum` (human units) at most; None for not at all.

        What it spends beyond its balance is first credited to it by an entry of the issuer, a draw;
        what comes in repays that at once. A limit below what it owes already stops new draws.
        """
        token, name = self.token, parse_account_id(account_id)
        most = None if maximum is None else parse_amount(maximum, decimals=token.decimals)
        self.run(lambda c: limits.set_overdraft_limit(Desk(c, self.context, token), name, most))

    def debtors(
        self, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Account], str | None]:
        """Return a page of the accounts that owe something, and the cursor of the next or None."""
        token = self.token
        with self.read() as connection:
            desk = Desk(connection, self.context, token)
            return overdraft.debtors(desk, limit=limit, cursor=cursor)

    def write_off(self, account_id: str, *, by: str, reason: str) -> WriteOff:
        """Let an account owe nothing any more, knowingly: the tokens that it drew stay issued.

        Kept for ever with who did it (`by`), when and why; it makes no entry. Raises OverdraftError
        where nothing is owed.
        """
        token, name = self.token, parse_account_id(account_id)
        return self.run(
            lambda c: overdraft.write_off(Desk(c, self.context, token), name, by=by, reason=reason)
        )

    def write_offs(self, limit: int = 50) -> list[WriteOff]:
        """Return what was written off, the last first."""
        token = self.token
        with self.read() as connection:
            return overdraft.write_offs(Desk(connection, self.context, token), limit=limit)

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

        Its entries, its id and its address stay. Raises AccountClosedError while it has a balance,
        a hold or a debt.
        """
        token, name = self.token, parse_account_id(account_id)
        self.run(lambda c: limits.close(Desk(c, self.context, token), name, now=self.now()))
        return self.get_account(name)
