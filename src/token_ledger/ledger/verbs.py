"""The verbs that post, and those that applications know: credit, debit, spend, endow.

Each is one of `Ledger`'s methods and comes down to entries through `posting`. Opens transactions
through the ledger it is a part of, and queries nothing itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Literal, TypeVar, Unpack, overload

from sqlalchemy import Connection, Engine

from token_ledger.core.parse import (
    Amount,
    canonical_metadata,
    parse_account_id,
    parse_amount,
    parse_timestamp,
)
from token_ledger.core.types import SYSTEM, Record, Texts
from token_ledger.errors import KeyConflictError, TokenLedgerError, UsageError
from token_ledger.ledger import accounts, lists, posting
from token_ledger.ledger.composite import Desk, unposted
from token_ledger.ledger.posted import Posted
from token_ledger.ledger.requests import PostingContext, Words, endowment_key
from token_ledger.ledger.tokens import StoredToken

T = TypeVar("T")
_SEED_RUN = 500


class Verbs(ABC):
    """What `Ledger` gets from this module, and what it gives for it."""

    engine: Engine

    @property
    @abstractmethod
    def token(self) -> StoredToken:
        """The token that is meant."""

    @property
    @abstractmethod
    def context(self) -> PostingContext:
        """What posting needs of this ledger."""

    @abstractmethod
    def read(self) -> AbstractContextManager[Connection]:
        """Yield a connection for reading."""

    @abstractmethod
    def run(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, run in one write transaction."""

    @abstractmethod
    def now(self) -> int:
        """Return the ledger's time, microseconds since the epoch."""

    @abstractmethod
    def tokens(self) -> list[StoredToken]:
        """Return every token of the ledger, oldest first."""

    @abstractmethod
    def get_account(self, account_id: str) -> accounts.Account:
        """Return an account."""

    # --- postings -------------------------------------------------------------------------

    def transfer(
        self, from_account: str, to_account: str, amount: Amount, **words: Unpack[Words]
    ) -> Posted:
        """Move an amount (human units) from one account to another.

        Keywords: reason, idempotency_key, reference=(type, id), memo, metadata (a JSON value),
        timestamp (zoned). Posted again under the same key, it returns the first result. Raises
        InputErrors for what cannot be read and RuleErrors for what the ledger refuses.
        """
        parse_account_id(from_account)
        parse_account_id(to_account)
        return self.post_many([self.record(from_account, to_account, amount, **words)])[0]

    def mint(self, account_id: str, amount: Amount, **words: Unpack[Words]) -> Posted:
        """Issue an amount to an account: `system → account`. Keywords as in `transfer`."""
        parse_account_id(account_id)
        return self.post_many([self.record(SYSTEM, account_id, amount, **words)])[0]

    def burn(self, account_id: str, amount: Amount, **words: Unpack[Words]) -> Posted:
        """Take an amount back from an account: `account → system`. Keywords as in `transfer`."""
        parse_account_id(account_id)
        return self.post_many([self.record(account_id, SYSTEM, amount, **words)])[0]

    @overload
    def post_many(
        self,
        records: Sequence[Record],
        *,
        atomic: Literal[True] = True,
        idempotency_key: str | None = None,
    ) -> list[Posted]: ...

    @overload
    def post_many(
        self, records: Sequence[Record], *, atomic: bool, idempotency_key: str | None = None
    ) -> list[Posted | TokenLedgerError]: ...

    def post_many(
        self,
        records: Sequence[Record],
        *,
        atomic: bool = True,
        idempotency_key: str | None = None,
    ) -> list[Posted] | list[Posted | TokenLedgerError]:
        """Post all records, in order and in one transaction, or none of them.

        With `atomic=False` those land that may, and each other's place holds the error, not raised,
        that refused it: an InputError or a RuleError. What is nobody's fault is raised, and then
        none was posted.

        `idempotency_key`: of the whole list, whose postings then bear none of their own. The same
        list again under it returns the first results, and what was refused before is tried anew;
        another list, or another `atomic`, raises KeyConflictError if anything of it was posted.
        """
        token = self.token
        if idempotency_key is not None:
            key = idempotency_key
            return self.run(
                lambda c: lists.post(Desk(c, self.context, token), records, atomic=atomic, key=key)
            )
        if atomic:
            return self.run(lambda c: posting.post(c, self.context, token, records))
        return self.run(lambda c: posting.post_each(c, self.context, token, records, known={}))

    def record(
        self, from_account: str, to_account: str, amount: Amount, **words: Unpack[Words]
    ) -> Record:
        """Return the record of a posting in human units: for `post_many`.

        Raises UsageError for a keyword that it does not know: a misspelt `idempotency_key` that was
        passed over would pay twice.
        """
        if unknown := words.keys() - Words.__annotations__.keys():
            raise UsageError(
                f"a posting knows no {', '.join(sorted(unknown))}",
                hint=f"it takes {', '.join(sorted(Words.__annotations__))}",
            )
        reference_type, reference_id = words.get("reference") or ("", "")
        metadata, timestamp = words.get("metadata"), words.get("timestamp")
        texts = Texts(
            reason=words["reason"],
            reference_type=reference_type,
            reference_id=reference_id,
            memo=words.get("memo", ""),
            metadata=None if metadata is None else canonical_metadata(metadata),
        )
        return Record(
            from_account=from_account,
            to_account=to_account,
            value=parse_amount(amount, decimals=self.token.decimals),
            texts=texts,
            idempotency_key=words.get("idempotency_key"),
            timestamp=None if timestamp is None else parse_timestamp(timestamp),
        )

    def credit(
        self,
        account_id: str,
        amount: Amount,
        *,
        create_account: bool = False,
        **words: Unpack[Words],
    ) -> Posted:
        """Issue an amount to an account, as `mint` does, and make the account if it may be missing.

        The account and the entry land together or not at all. Raises what `mint` raises.
        """
        parse_account_id(account_id)
        record, token = self.record(SYSTEM, account_id, amount, **words), self.token
        if not create_account:
            return self.post_many([record])[0]

        def work(connection: Connection) -> Posted:
            accounts.create_account(
                connection, self.context, account_id, address=None, exist_ok=True
            )
            return posting.post(connection, self.context, token, [record])[0]

        return self.run(work)

    def debit(self, account_id: str, amount: Amount, **words: Unpack[Words]) -> Posted:
        """Take an amount back from an account, as `burn` does."""
        return self.spend(account_id, amount, **words)

    def spend(
        self, account_id: str, amount: Amount, *, to: str = SYSTEM, **words: Unpack[Words]
    ) -> Posted:
        """Let an account pay: to `to`, or to the issuer where nobody is named.

        Of two that spend the same money at once exactly one succeeds; the other raises
        InsufficientBalanceError.
        """
        parse_account_id(account_id)
        parse_account_id(to, allow_system=True)
        return self.post_many([self.record(account_id, to, amount, **words)])[0]

    def seed_accounts(self, amount: Amount, *, reason: str = "endow") -> int:
        """Endow every account that was never endowed; return how many were now.

        Each gets `amount` (human units) under the key `endow:ID`, which is also the key of
        `create_account(initial_balance=…)`: nobody is endowed twice, by whichever way and whatever
        the amount was. In transactions of 500 accounts: interrupted, it is run again. Raises
        KeyConflictError, once all others are endowed, where an entry that is no endowment of the
        account bears its key.
        """
        token = self.token
        value = parse_amount(amount, decimals=token.decimals)
        seeded, cursor = 0, "0"
        conflict: KeyConflictError | None = None

        def work(connection: Connection) -> tuple[int, list[KeyConflictError], str | None]:
            page, following = accounts.list_accounts(
                connection, token, limit=_SEED_RUN, cursor=cursor
            )
            records = [
                Record(SYSTEM, name, value, Texts(reason=reason), endowment_key(name))
                for name in (a.account_id for a in page if not a.escrow and a.closed_at is None)
            ]
            fresh, taken = unposted(Desk(connection, self.context, token), records)
            return len(posting.post(connection, self.context, token, fresh)), taken, following

        while True:
            count, taken, following = self.run(work)
            seeded += count
            conflict = conflict or next(iter(taken), None)
            if following is None:
                break
            cursor = following
        if conflict is not None:
            raise conflict
        return seeded
