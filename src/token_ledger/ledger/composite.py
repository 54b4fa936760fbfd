"""Requests that are more than the words of one entry: reversals, holds, captures, releases.

A repeat of such a request is judged on verb, arguments and key, because the entry alone does not
say what was asked for ("all that is left"). The entry bears the request's key; entries that a
request brings along bear keys derived from it. Runs in its callers' transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from token_ledger.core.entry import entry_nonce
from token_ledger.core.hashing import encode_tuple, keccak
from token_ledger.core.parse import canonical_metadata, parse_key
from token_ledger.core.types import SYSTEM, Record
from token_ledger.errors import KeyConflictError
from token_ledger.ledger import accounts, queries, schema
from token_ledger.ledger.balances import NOTHING, Waived
from token_ledger.ledger.posted import Posted, to_posted
from token_ledger.ledger.poster import Poster
from token_ledger.ledger.requests import PostingContext, Requests, check_record, fresh_key
from token_ledger.ledger.tokens import StoredToken


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a verb works: the transaction, the ledger's words, and the token."""

    connection: Connection
    context: PostingContext
    token: StoredToken


class Composite:
    """One such request."""

    def __init__(self, desk: Desk, verb: str, key: str | None, arguments: Sequence[Any]) -> None:
        self.desk = desk
        self.key = fresh_key() if key is None else parse_key(key)
        self._nonce = entry_nonce(desk.context.secret, self.key)
        words = canonical_metadata([verb, *arguments])
        self._digest = keccak(encode_tuple(desk.context.secret, words))

    def prior(self) -> Posted | None:
        """Return what it became if it was made before. Raises KeyConflictError for another one."""
        table = schema.token_requests.c
        row = self.desk.connection.execute(
            select(table.digest, table.entry_no).where(
                table.token_no == self.desk.token.token_no, table.nonce == self._nonce
            )
        ).first()
        if row is None:
            return None
        if bytes(row.digest) != self._digest:
            raise self._conflict()
        return prior_posted(self.desk, row.entry_no, self.key)

    def post(
        self,
        poster: Poster,
        record: Record,
        *,
        waived: Waived = NOTHING,
        escrow: str | None = None,
    ) -> Posted:
        """Post the request's entry, whose accounts are locked, and remember the request.

        `escrow`: as in `post_inside`.
        """
        desk = self.desk
        posted = post_inside(desk, poster, record, waived=waived, escrow=escrow)
        if posted.repeated:  # an entry of the same words that was not asked for so
            raise self._conflict()
        desk.connection.execute(
            insert(schema.token_requests).values(
                token_no=desk.token.token_no,
                nonce=self._nonce,
                digest=self._digest,
                entry_no=posted.entry_no,
            )
        )
        return posted

    def _conflict(self) -> KeyConflictError:
        return KeyConflictError(
            f"the key {self.key[:100]!r} belongs to another request",
            hint="a new request needs a new key",
        )


def lock(desk: Desk, names: set[str]) -> Poster:
    """Return a poster that has locked these accounts, and the supply if `system` is among them."""
    known = accounts.resolve(desk.connection, names)
    poster = Poster(desk.connection, desk.context, desk.token)
    poster.lock({known[name].number: name for name in names}, supply=SYSTEM in names)
    return poster


def post_inside(
    desk: Desk, poster: Poster, record: Record, *, waived: Waived, escrow: str | None = None
) -> Posted:
    """Post one record with the poster that locked its accounts.

    `escrow`: the one escrow account that it may move, which only a hold of its holder names.
    Raises HoldError for any other.
    """
    check_record(record)
    known = accounts.resolve(desk.connection, [record.from_account, record.to_account])
    escrow_no = None if escrow is None else known[escrow].number
    request = Requests(desk.context, desk.token, escrow_no=escrow_no).make(record, known)
    (outcome,) = poster.enter([request], waived=waived)
    poster.write()  # what links to the entry comes after it
    assert outcome is not None, "nobody asked to go on without it"
    return to_posted(desk.token, record, request, outcome)


def unposted(desk: Desk, records: Sequence[Record]) -> tuple[list[Record], list[KeyConflictError]]:
    """Return those of the records, each with a key, whose key no entry has yet.

    And what stands in the way of those whose key an entry between other accounts has: they are
    not posted, and must not pass for it. Locks the accounts and the supply before it looks: of two
    who endow at once, with whatever amounts, the second finds what the first did.
    """
    if not records:
        return [], []
    lock(desk, {SYSTEM, *(record.to_account for record in records)})
    secret, entry = desk.context.secret, schema.token_ledger.c
    nonces = [entry_nonce(secret, record.idempotency_key or "") for record in records]
    known = accounts.resolve(desk.connection, {r.to_account for r in records} | {SYSTEM})
    prior = {
        bytes(row.nonce): row
        for row in desk.connection.execute(
            select(entry.nonce, entry.id, entry.from_account, entry.to_account).where(
                entry.token_no == desk.token.token_no, entry.nonce.in_(nonces)
            )
        )
    }
    fresh, taken = [], []
    for record, nonce in zip(records, nonces, strict=True):
        row = prior.get(nonce)
        if row is None:
            fresh.append(record)
        elif (row.from_account, row.to_account) != (
            known[record.from_account].number,
            known[record.to_account].number,
        ):
            taken.append(_taken(record, bytes(row.id)))
    return fresh, taken


def _taken(record: Record, entry_id: bytes) -> KeyConflictError:
    return KeyConflictError(
        f"the key {(record.idempotency_key or '')[:100]!r} belongs to entry 0x{entry_id.hex()}, "
        f"which does not endow {record.to_account[:100]!r}",
        hint="endow that account by a mint under a key of its own; nobody else went without",
    )


def prior_posted(desk: Desk, entry_no: int, key: str) -> Posted:
    """Return an entry of the ledger as the repeated result that it is."""
    entry = queries.get_entry_by_number(desk.connection, desk.token, entry_no)
    return Posted(
        id=entry.id,
        entry_no=entry.entry_no,
        timestamp=entry.timestamp,
        from_account=entry.from_account,
        to_account=entry.to_account,
        value=entry.value,
        decimals=entry.decimals,
        balance_after_from=entry.balance_after_from,
        balance_after_to=entry.balance_after_to,
        supply_after=entry.supply_after,
        idempotency_key=key,
        repeated=True,
    )
