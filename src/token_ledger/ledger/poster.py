"""The poster: the only code that makes entries, for one posting as for a million.

    lock the accounts in order → find repeats → lock the supply where it changes → entry numbers
          → rules on balances in memory → insert → one update per account

`posting` drives it for lists, `load` for files, `composite` for requests of more than one entry.
Design sections 4 and 5. Does not begin, commit or retry transactions: its callers do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from sqlalchemy import Connection

from token_ledger.errors import InsufficientBalanceError, RuleError
from token_ledger.ledger import cutover
from token_ledger.ledger.balances import IMPORTED, NOTHING, RELEASE, LockedAccount, Waived
from token_ledger.ledger.credit import Credit
from token_ledger.ledger.dating import Dates
from token_ledger.ledger.due import DueHolds
from token_ledger.ledger.owed import DRAW, REPAY
from token_ledger.ledger.posted import Outcome, check_repeat
from token_ledger.ledger.requests import PostingContext, Request
from token_ledger.ledger.schema import SYSTEM_ACCOUNT_NO
from token_ledger.ledger.store import EntryRow, Prepared
from token_ledger.ledger.stores import open_store
from token_ledger.ledger.supply import LockedSupply
from token_ledger.ledger.tokens import StoredToken

Refuse = Callable[[int, RuleError], None]
"""Told the index of a request and why it is refused; when given, the others go on."""


class Poster:
    """Posts requests of one token inside one transaction.

    `lock` once, then any number of times `enter` and `write`, `close` once: until `close` the
    balances are only in memory. After an error the transaction must be rolled back.
    """

    def __init__(self, connection: Connection, context: PostingContext, token: StoredToken) -> None:
        self._clock = context.clock
        self._imported = context.imported
        self._token = token
        self._store = open_store(connection, token.token_no)
        self._store.keys_derived = context.keys_derived
        self.accounts: dict[int, LockedAccount] = {}
        self._credit = Credit(connection, context, token)
        self._supply = LockedSupply(token)
        self._latest = 0
        self._prepared: Prepared | None = None
        self._rows: list[EntryRow] = []
        self._dates = Dates(connection, token.token_no)
        self._due = DueHolds(connection, context, token)

    def lock(
        self,
        names: dict[int, str],
        *,
        supply: bool,
        requests: Sequence[Request] = (),
        many: bool = False,
    ) -> None:
        """Lock these accounts (id by number), then the supply if there will be mints or burns.

        `requests`: what will be entered next, exactly: it is looked up in the same go. `many`:
        `enter` will be called again and again, so any account that might draw locks the supply.
        """
        now = None if self._clock is None else self._clock()
        numbers = sorted(number for number in names if number != SYSTEM_ACCOUNT_NO)
        if requests:
            nonces = [request.nonce for request in requests]
            self._prepared = self._store.prepare(numbers, nonces, now=now, supply=supply)
            rows, figures = self._prepared.accounts, self._prepared.supply
        else:
            rows, figures = self._store.lock_accounts(numbers, now=now), None
        for row in rows:
            self.accounts[row.number] = LockedAccount(row, names[row.number])
            self._latest = max(self._latest, row.updated_at)
            if row.debt or row.overdraft_max is not None:
                self._credit.names[row.number] = names[row.number]
        if supply or (self._credit.names and many):
            self._supply.lock(self._store, figures)

    def enter(
        self,
        requests: Sequence[Request],
        *,
        refuse: Refuse | None = None,
        waived: Waived = NOTHING,
    ) -> list[Outcome | None]:
        """Decide the requests in order; return where each one stands, None if refused.

        Raises the RuleError of the first refused request unless `refuse` takes it.
        """
        if not requests:
            return []
        nonces = [request.nonce for request in requests]
        ready, self._prepared = self._prepared or Prepared([]), None
        found = self._store.find(nonces) if ready.prior is None else ready.prior
        # Where an entry and a list bear one key, as they once could, the entry is meant.
        prior = {row[0]: Outcome(*row[1:], repeated=True) for row in reversed(found)}
        fresh = len(set(nonces).difference(prior))
        numbers, now = self._number(requests, prior, ready, fresh) if fresh else ((), 0)
        if self._clock is not None:
            now = self._clock()
        # Never before an account's last posting: its history reads in one order.
        self._latest = max(now, self._latest)
        waived = IMPORTED if self._imported else waived
        free = iter(numbers)
        assert not self._rows, "what was entered before is written first: repeats are found there"
        outcomes: list[Outcome | None] = []
        for index, request in enumerate(requests):
            try:
                outcome: Outcome | None = prior.get(request.nonce)
                if outcome is None:
                    outcome = prior[request.nonce] = self._enter_new(request, free, waived)
                else:
                    check_repeat(request, outcome)
                    outcome = outcome._replace(repeated=True)
            except RuleError as error:
                if refuse is None:
                    raise
                refuse(index, error)
                outcome = None
            outcomes.append(outcome)
        return outcomes

    def _number(
        self, requests: Sequence[Request], prior: Mapping[bytes, Outcome], ready: Prepared, new: int
    ) -> tuple[Sequence[int], int]:
        """Return numbers for the requests that are new and what they bring, and the time.

        Raises TokenFinalizedError once the books are closed.
        """
        spare = due = 0
        if not self._imported:
            fresh = [request for request in requests if request.nonce not in prior]
            due = self._prepare_due(fresh)
            if self._credit.names:
                spare = due + self._prepare_credit(fresh)  # what is released may repay
        # Numbers that were taken before an escrow account was locked are left out.
        reserved = None if due else ready.reserved
        reserved = reserved or self._store.reserve(new + spare + due)
        if self._store.closing_at is not None and not self._imported:
            raise cutover.refusal(self._store.connection, self._token, self._store.closing_at)
        return reserved

    def write(self) -> None:
        """Insert what was entered."""
        self._store.insert(self._rows)
        self._dates.write()
        self._due.write(now=self._latest)
        self._rows = []

    def close(self) -> None:
        """Insert what was entered, then write each changed account once, and the supply."""
        if self._dates.noted or self._due.noted or self._credit.noted:
            self.write()  # what follows the entries: seldom
        self._credit.write(now=self._latest)
        changed = [
            account.changed_row(self._latest)
            for _, account in sorted(self.accounts.items())
            if account.changed
        ]
        supply = self._supply.figures() if self._supply.changed else None
        self._store.write(self._rows, changed, supply, now=self._latest)
        self._rows = []

    def forgive(self, number: int, *, now: int) -> int:
        """Let a locked account owe nothing, and close; return what it owed. Makes no entry."""
        account = self.accounts[number]
        value, account.debt, account.changed = account.debt, 0, True
        self._supply.credit -= value
        self._supply.changed = True
        self._latest = max(now, self._latest)
        self.close()
        return value

    def _enter_new(self, request: Request, free: Iterator[int], waived: Waived) -> Outcome:
        """Enter a request that is new, if need be after the release of what its payer's due holds
        keep; or change nothing and raise the RuleError that forbids it.
        """
        enter = self._enter_on_credit if self._credit.names and not self._imported else self._enter
        try:
            return enter(request, free, waived)
        except InsufficientBalanceError:
            payer = self.accounts[request.from_no]
            due = self._due.covering(payer, request.value)
            if not due:
                raise
            # What else refuses it does so before anything is released.
            value, now = request.value, self._latest
            payer.check_pay(value, self._token, now=now, waived=waived, credit=value)
        for hold in due:
            enter(self._due.release(hold, payer), free, RELEASE)
            self.accounts[request.from_no].stake(-hold.remaining)
        return enter(request, free, waived)

    def _prepare_due(self, requests: Sequence[Request]) -> int:
        """Learn the due holds of payers who may lack their money; return how many there are.

        Their escrow accounts are locked out of order: whoever wants one has locked its holder.
        """
        names = self._due.look(requests, self.accounts, now=self.now)
        rows = self._store.lock_accounts(sorted(names), now=None) if names else []
        for row in rows:
            self.accounts[row.number] = LockedAccount(row, names[row.number])
            self._latest = max(self._latest, row.updated_at)
        return self._due.count

    def _enter(self, request: Request, free: Iterator[int], waived: Waived) -> Outcome:
        """Enter one request, or change nothing and raise the RuleError that forbids it."""
        balances = self._move(request, waived)
        timestamp = self._latest if request.timestamp is None else request.timestamp
        outcome = Outcome(next(free), request.id, timestamp, *balances, False)
        self._rows.append(self._row(request, outcome))
        self._dates.note(self.accounts, request, outcome)
        return outcome

    def _prepare_credit(self, requests: Sequence[Request]) -> int:
        """Lock the supply if any request may draw or repay; return how many entries that may take.

        Judged as if nothing came in, because what is refused does not.
        """
        spare, is_needed, spent = 0, False, Counter[int]()
        for request in requests:
            if request.from_no in self._credit.names:
                payer, spare = self.accounts[request.from_no], spare + 1
                spent[request.from_no] += request.value
                is_needed |= spent[request.from_no] > payer.balance
            if request.to_no in self._credit.names:
                payee, spare = self.accounts[request.to_no], spare + 1
                is_needed |= payee.debt > 0
        if not is_needed:
            return 0
        self._supply.lock(self._store)
        self._credit.prepare()
        return spare

    def _enter_on_credit(self, request: Request, free: Iterator[int], waived: Waived) -> Outcome:
        """Enter one request after the draw that it takes and before the repayment it brings."""
        payer, payee = self.accounts.get(request.from_no), self.accounts.get(request.to_no)
        drawn = 0 if payer is None else payer.shortage(request.value)
        draw: Outcome | None = None
        if payer is not None and drawn:
            self._check_draw(request, payer, payee, drawn, waived)
            draw = self._bring(DRAW, request, payer, drawn, entry_no=next(free))
        outcome = self._enter(request, free, waived)
        if payer is not None and draw is not None:
            self._credit.note(DRAW, payer, drawn, draw.entry_no, cause_no=outcome.entry_no)
        outcome = outcome._replace(
            debt_from=0 if payer is None else payer.debt, debt_to=0 if payee is None else payee.debt
        )
        if payee is not None and payee.debt:
            repaid = min(payee.debt, payee.balance)
            repayment = self._bring(REPAY, request, payee, repaid, entry_no=next(free))
            self._credit.note(REPAY, payee, repaid, repayment.entry_no, cause_no=outcome.entry_no)
        return outcome

    def _check_draw(
        self,
        request: Request,
        payer: LockedAccount,
        payee: LockedAccount | None,
        drawn: int,
        waived: Waived,
    ) -> None:
        """Raise what would refuse the request or its draw: once drawn, nothing may any more."""
        if payee is not None:
            most = self._store.balance_max
            payee.check_receive(request.value, self._token, most=most, waived=waived)
        payer.check_pay(request.value, self._token, now=self._latest, waived=waived, credit=drawn)
        self._supply.check_mint(drawn)

    def _bring(
        self,
        kind: str,
        cause: Request,
        account: LockedAccount,
        value: int,
        *,
        entry_no: int,
    ) -> Outcome:
        """Enter the draw or the repayment that a request brings along."""
        request = self._credit.request(kind, account, cause, value)
        from_after = to_after = None
        if kind == DRAW:
            to_after, supply_after = account.draw(value), self._supply.mint(value)
            self._supply.credit += value
        else:
            from_after, supply_after = account.repay(value), self._supply.burn(value)
            self._supply.credit -= value
        timestamp = self._latest if cause.timestamp is None else cause.timestamp
        balances = (from_after, to_after, supply_after)
        outcome = Outcome(entry_no, request.id, timestamp, *balances, False)
        self._rows.append(self._row(request, outcome))
        self._dates.note(self.accounts, request, outcome)
        return outcome

    def _move(self, request: Request, waived: Waived) -> tuple[int | None, int | None, int | None]:
        """Change the figures in memory, or none of them; return balances and supply after."""
        from_no, to_no, value = request.from_no, request.to_no, request.value
        from_after = to_after = supply_after = None
        payee = None if to_no == SYSTEM_ACCOUNT_NO else self.accounts[to_no]
        if payee is not None:
            most = self._store.balance_max
            payee.check_receive(value, self._token, most=most, waived=waived)
        if from_no == SYSTEM_ACCOUNT_NO:
            supply_after = self._supply.mint(value, capped=not waived.supply)
        else:
            payer = self.accounts[from_no]
            from_after = payer.pay(value, self._token, now=self._latest, waived=waived)
        if payee is None:
            supply_after = self._supply.burn(value)
        else:
            to_after = payee.receive(value)
        return from_after, to_after, supply_after

    def now(self) -> int:
        """Return the time, not before an account's last posting."""
        now = self._store.now() if self._clock is None else self._clock()
        return max(now, self._latest)

    def _row(self, request: Request, outcome: Outcome) -> EntryRow:
        encode = self._store.uint256
        from_after, to_after = outcome.balance_after_from, outcome.balance_after_to
        supply_after = outcome.supply_after
        return (
            outcome.entry_no,
            self._token.token_no,
            request.id,
            outcome.timestamp,
            request.from_no,
            request.to_no,
            encode(request.value),
            *request[4:12],
            None if from_after is None else encode(from_after),
            None if to_after is None else encode(to_after),
            None if supply_after is None else encode(supply_after),
            self._latest,
        )
