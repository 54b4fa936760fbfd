"""Posting lists: all of a list or none of it, or each for itself.

    check → resolve accounts → `poster`: lock, find repeats, number, decide, insert, update

Design sections 4 and 5. Does not begin, commit or retry transactions: its callers do.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from token_ledger.core.types import SYSTEM, Record
from token_ledger.errors import RuleError, TokenLedgerError
from token_ledger.ledger import accounts
from token_ledger.ledger.credit import with_debts
from token_ledger.ledger.engine import translated
from token_ledger.ledger.posted import Posted, to_posted
from token_ledger.ledger.poster import Poster
from token_ledger.ledger.requests import PostingContext, Request, Requests, check_record
from token_ledger.ledger.tokens import StoredToken


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
        locked = {known[name].number: name for name in names}
        poster.lock(locked, supply=SYSTEM in names, requests=requests)
        outcomes = poster.enter(requests)
        poster.close()
        outcomes = with_debts(connection, token.token_no, requests, outcomes)
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
    results: list[Posted | TokenLedgerError | None] = [_fault(r, known) for r in records]
    with translated():
        sound = [r for r, fault in zip(records, results, strict=True) if fault is None]
        sides = {side for r in sound for side in (r.from_account, r.to_account)}
        if unseen := sides.difference(known):
            known.update(accounts.find_known(connection, unseen))
        make = Requests(context, token).make
        good: list[int] = []
        requests: list[Request] = []
        for index, record in enumerate(records):
            if results[index] is not None:
                continue
            if record.from_account not in known or record.to_account not in known:
                missing = {record.from_account, record.to_account}.difference(known)
                results[index] = accounts.unknown(min(missing))
                continue
            try:
                requests.append(make(record, known))
                good.append(index)
            except RuleError as error:
                results[index] = error
        if requests:
            poster = Poster(connection, context, token)
            touched = {s for i in good for s in (records[i].from_account, records[i].to_account)}
            locked = {known[name].number: name for name in touched}
            poster.lock(locked, supply=SYSTEM in touched, requests=requests)

            def refuse(position: int, error: RuleError) -> None:
                results[good[position]] = error

            outcomes = poster.enter(requests, refuse=refuse)
            poster.close()
            outcomes = with_debts(connection, token.token_no, requests, outcomes)
            for index, request, outcome in zip(good, requests, outcomes, strict=True):
                if outcome is not None:
                    results[index] = to_posted(token, records[index], request, outcome)
    return [result for result in results if result is not None]


def _fault(record: Record, known: dict[str, accounts.Known]) -> TokenLedgerError | None:
    """Return why no ledger could take a record."""
    try:
        check_record(record, known=known)
    except TokenLedgerError as error:
        return error
    return None
