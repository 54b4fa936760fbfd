"""The posting engine: the only code that makes entries, for one posting as for a million.

    check → resolve accounts → lock them in order → lock the supply → find repeats
          → rules on balances in memory → entry numbers → insert → one update per account

`post` takes a list and posts all of it or nothing; `load` drives the same `Poster` in runs.
Design sections 4 and 5. Does not begin, commit or retry transactions: its callers do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection

from token_ledger.core.parse import format_amount, format_timestamp
from token_ledger.core.types import SYSTEM, Record
from token_ledger.errors import (
    KeyConflictError,
    RuleError,
    SupplyExceededError,
    TokenLedgerError,
)
from token_ledger.ledger import accounts, cutover
from token_ledger.ledger.balances import IMPORTED, NOTHING, LockedAccount, Waived
from token_ledger.ledger.dating import Dates
from token_ledger.ledger.engine import translated
from token_ledger.ledger.requests import PostingContext, Request, Requests, check_record
from token_ledger.ledger.schema import SYSTEM_ACCOUNT_NO
from token_ledger.ledger.store import EntryRow, open_store
from token_ledger.ledger.tokens import StoredToken

Refuse = Callable[[int, RuleError], None]
"""Told the index of a request and why it is refused; when given, the others go on."""


@dataclass(frozen=True, slots=True)
class Posted:
    """What a posting became, or had become when it was `repeated`.

    `value`, the balances and the supply are base units; a balance is None on the side of `system`,
    the supply None unless the entry is a mint or a burn. `timestamp`: microseconds.
    """

    id: bytes
    entry_no: int
    timestamp: int
    from_account: str
    to_account: str
    value: int
    decimals: int
    balance_after_from: int | None
    balance_after_to: int | None
    supply_after: int | None
    idempotency_key: str
    repeated: bool

    @property
    def amount(self) -> str:
        """The value in human units."""
        return format_amount(self.value, decimals=self.decimals)


class Outcome(NamedTuple):
    """Where a request stands in the ledger."""

    entry_no: int
    id: bytes
    timestamp: int
    balance_after_from: int | None
    balance_after_to: int | None
    supply_after: int | None
    repeated: bool


@dataclass(slots=True)
class _Supply:
    """The token's locked supply while postings are computed."""

    total: int = 0
    minted: int = 0
    burned: int = 0
    changed: bool = False


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
        self.accounts: dict[int, LockedAccount] = {}
        self._supply = _Supply()
        self._latest = 0
        self._rows: list[EntryRow] = []
        self._dates = Dates(connection, token.token_no)

    def lock(self, names: dict[int, str], *, supply: bool) -> None:
        """Lock these accounts (id by number), then the supply if there will be mints or burns."""
        now = None if self._clock is None else self._clock()
        numbers = sorted(number for number in names if number != SYSTEM_ACCOUNT_NO)
        for row in self._store.lock_accounts(numbers, now=now):
            self.accounts[row.number] = LockedAccount(row, names[row.number])
            self._latest = max(self._latest, row.updated_at)
        if supply:
            self._supply = _Supply(*self._store.lock_supply())

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
        prior = {
            row[0]: Outcome(*row[1:], repeated=True) for row in self._store.find(nonces)
        }  # fmt: skip
        fresh = len(set(nonces).difference(prior))
        numbers, now = self._store.reserve(fresh) if fresh else ((), 0)
        if self._store.closing_at is not None and not self._imported:
            raise cutover.refusal(self._store.connection, self._token, self._store.closing_at)
        if self._clock is not None:
            now = self._clock()
        # Never before an account's last posting: its history reads in one order.
        self._latest = max(now, self._latest)
        waived = IMPORTED if self._imported else waived
        free = iter(numbers)
        rows = self._rows
        assert not rows, "what was entered before is written first: repeats are looked up there"
        outcomes: list[Outcome | None] = []
        for index, request in enumerate(requests):
            outcome: Outcome | None
            try:
                outcome = prior.get(request.nonce)
                if outcome is None:
                    balances = self._move(request, waived)
                    timestamp = self._latest if request.timestamp is None else request.timestamp
                    outcome = Outcome(next(free), request.id, timestamp, *balances, False)
                    rows.append(self._row(request, outcome))
                    self._dates.note(self.accounts, request, outcome)
                    prior[request.nonce] = outcome
                else:
                    _check_repeat(request, outcome)
                    outcome = outcome._replace(repeated=True)
            except RuleError as error:
                if refuse is None:
                    raise
                refuse(index, error)
                outcome = None
            outcomes.append(outcome)
        return outcomes

    def write(self) -> None:
        """Insert what was entered."""
        self._store.insert(self._rows)
        self._dates.write()
        self._rows = []

    def close(self) -> None:
        """Insert what was entered, then write each changed account once, and the supply."""
        self.write()
        changed = [
            account.changed_row(self._latest)
            for _, account in sorted(self.accounts.items())
            if account.changed
        ]
        self._store.update_accounts(changed)
        supply = self._supply
        if supply.changed:
            self._store.update_supply(
                supply.total, supply.minted, supply.burned, now=self._latest
            )  # fmt: skip

    def _move(self, request: Request, waived: Waived) -> tuple[int | None, int | None, int | None]:
        """Change the figures in memory, or none of them; return balances and supply after."""
        from_no, to_no, value = request.from_no, request.to_no, request.value
        from_after = to_after = supply_after = None
        payee = None if to_no == SYSTEM_ACCOUNT_NO else self.accounts[to_no]
        if payee is not None:
            most = self._store.balance_max
            payee.check_receive(value, self._token, most=most, waived=waived)
        if from_no == SYSTEM_ACCOUNT_NO:
            supply_after = self._mint(value)
        else:
            payer = self.accounts[from_no]
            from_after = payer.pay(value, self._token, now=self._latest, waived=waived)
        if payee is None:
            supply_after = self._burn(value)
        else:
            to_after = payee.receive(value)
        return from_after, to_after, supply_after

    def now(self) -> int:
        """Return the time, not before an account's last posting."""
        now = self._store.now() if self._clock is None else self._clock()
        return max(now, self._latest)

    def _mint(self, value: int) -> int:
        supply, ceiling = self._supply, self._token.max_supply
        if supply.total + value > ceiling:
            decimals = self._token.decimals
            raise SupplyExceededError(
                f"minting {format_amount(value, decimals=decimals)} {self._token.symbol} on top of"
                f" {format_amount(supply.total, decimals=decimals)} would exceed the maximum of"
                f" {format_amount(ceiling, decimals=decimals)}",
                hint=f"{format_amount(ceiling - supply.total, decimals=decimals)} can be minted",
            )
        supply.total += value
        supply.minted += value
        supply.changed = True
        return supply.total

    def _burn(self, value: int) -> int:
        supply = self._supply
        assert supply.total >= value, "no balance is above the supply"
        supply.total -= value
        supply.burned += value
        supply.changed = True
        return supply.total

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


def _check_repeat(request: Request, prior: Outcome) -> None:
    """Raise KeyConflictError unless the request is the one that made the entry.

    The id commits to from, to, value, key and texts; the time is judged only where one is given.
    """
    if request.id != prior.id:
        raise KeyConflictError(
            f"the key {request.key[:100]!r} belongs to entry 0x{prior.id.hex()}, which moves"
            " something else, between others, or says something else",
            hint="a new posting needs a new key",
        )
    if request.timestamp is not None and request.timestamp != prior.timestamp:
        raise KeyConflictError(
            f"the key {request.key[:100]!r} belongs to entry 0x{prior.id.hex()}, which is dated"
            f" {format_timestamp(prior.timestamp)}, not {format_timestamp(request.timestamp)}",
            hint="a new posting needs a new key",
        )


def post(
    connection: Connection,
    context: PostingContext,
    token: StoredToken,
    records: Sequence[Record],
) -> list[Posted]:
    """Post all records, in order, or none of them; return what each one became.

    Runs inside the caller's write transaction. A record whose key was used before returns the
    first result if it asks for the same, and raises KeyConflictError otherwise. Raises the
    InputError or RuleError of the first record that is refused, and RetryableError after a
    deadlock: the transaction must then be rolled back and may be run again.
    """
    if not records:
        return []
    for record in records:
        check_record(record)
    with translated():
        names = {side for record in records for side in (record.from_account, record.to_account)}
        known = accounts.resolve(connection, names)
        make = Requests(context, token).make
        requests = [make(record, known) for record in records]
        poster = Poster(connection, context, token)
        poster.lock({known[name].number: name for name in names}, supply=SYSTEM in names)
        outcomes = poster.enter(requests)
        poster.close()
    return [
        to_posted(token, record, request, outcome)
        for record, request, outcome in zip(records, requests, outcomes, strict=True)
        if outcome is not None
    ]


def post_each(
    connection: Connection,
    context: PostingContext,
    token: StoredToken,
    records: Sequence[Record],
    *,
    known: dict[str, accounts.Known],
) -> list[Posted | TokenLedgerError]:
    """Post those records that may be posted; return for each what it became or why it may not.

    Runs inside the caller's write transaction. Raises RetryableError after a deadlock and
    DatabaseError, and then nothing is posted; RuleError when the token takes no posting at all.
    `known`: committed accounts that need not be looked up, and to which those found are added.
    """
    results: list[Posted | TokenLedgerError | None] = [_fault(record) for record in records]
    with translated():
        sound = [r for r, fault in zip(records, results, strict=True) if fault is None]
        sides = {side for r in sound for side in (r.from_account, r.to_account)}
        if unseen := sides.difference(known):
            known.update(accounts.find_known(connection, unseen))
        make = Requests(context, token).make
        good: list[int] = []
        requests: list[Request] = []
        for index, record in enumerate(records):
            missing = {record.from_account, record.to_account}.difference(known)
            if results[index] is None and missing:
                results[index] = accounts.unknown(min(missing))
            elif results[index] is None:
                try:
                    requests.append(make(record, known))
                    good.append(index)
                except RuleError as error:
                    results[index] = error
        if requests:
            poster = Poster(connection, context, token)
            touched = {s for i in good for s in (records[i].from_account, records[i].to_account)}
            poster.lock({known[name].number: name for name in touched}, supply=SYSTEM in touched)

            def refuse(position: int, error: RuleError) -> None:
                results[good[position]] = error

            outcomes = poster.enter(requests, refuse=refuse)
            poster.close()
            for index, request, outcome in zip(good, requests, outcomes, strict=True):
                if outcome is not None:
                    results[index] = to_posted(token, records[index], request, outcome)
    return [result for result in results if result is not None]


def _fault(record: Record) -> TokenLedgerError | None:
    """Return why no ledger could take a record."""
    try:
        check_record(record)
    except TokenLedgerError as error:
        return error
    return None


def to_posted(token: StoredToken, record: Record, request: Request, outcome: Outcome) -> Posted:
    """Return what a caller is told of a posting."""
    return Posted(
        id=outcome.id,
        entry_no=outcome.entry_no,
        timestamp=outcome.timestamp,
        from_account=record.from_account,
        to_account=record.to_account,
        value=record.value,
        decimals=token.decimals,
        balance_after_from=outcome.balance_after_from,
        balance_after_to=outcome.balance_after_to,
        supply_after=outcome.supply_after,
        idempotency_key=request.key,
        repeated=outcome.repeated,
    )
