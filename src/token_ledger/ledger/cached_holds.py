"""What the entries say of each hold: how much was captured, what is left, whether it was released.

An entry that takes from a hold leaves its holder's escrow account and names the hold as its
reference; that reference is the ledger's own word and is never redacted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, select, tuple_

from token_ledger.core.strict import to_hex
from token_ledger.ledger import schema
from token_ledger.ledger.due import REFERENCE
from token_ledger.ledger.store import chunks
from token_ledger.ledger.tokens import StoredToken

Key = tuple[Any, ...]
"""What names a row of figures within a token."""

_PAGE = 1_000
_LOOKUP_SIZE = 500
_HOLD = schema.token_holds.c
_ENTRY = schema.token_ledger.c


class Recomputed(NamedTuple):
    """A row of figures: as stored (None where it is missing), and as the entries demand."""

    key: Key
    subject: dict[str, object]
    stored: Mapping[str, int | None] | None
    right: Mapping[str, int | None]


class _Taken(NamedTuple):
    captured: int = 0
    released: int = 0
    released_at: int | None = None


def hold_rows(
    connection: Connection, token: StoredToken, keys: Sequence[Key] | None
) -> Iterator[Recomputed]:
    """Yield every hold of the token, or those of some keys."""
    for page in _pages(connection, token, keys):
        taken = _taken(connection, token, page)
        for row in page:
            sums = taken.get(to_hex(row.id), _Taken())
            kept = row.released_at if sums.released_at and row.released_at else None
            yield Recomputed(
                key=(row.entry_no,),
                subject={"hold": to_hex(row.id)},
                stored={n: getattr(row, n) for n in ("remaining", "captured", "released_at")},
                right={
                    "remaining": row.amount - sums.captured - sums.released,
                    "captured": sums.captured,
                    "released_at": kept or sums.released_at,
                },
            )


def accounts_of(connection: Connection, token: StoredToken, keys: Sequence[Key]) -> set[int]:
    """Return holders and escrow accounts of some holds: whoever moves a hold locks them."""
    found: set[int] = set()
    for page in _pages(connection, token, keys):
        found.update(row.holder_no for row in page)
        found.update(row.escrow_no for row in page if row.escrow_no is not None)
    return found


def _pages(
    connection: Connection, token: StoredToken, keys: Sequence[Key] | None
) -> Iterator[Sequence[Row[Any]]]:
    """Yield holds with their entries, holder by holder, so that a holder's moves are read once."""
    escrow = schema.accounts.alias("escrow")
    query: Select[Any] = (
        select(
            *(_HOLD.entry_no, _HOLD.holder_no, _HOLD.remaining, _HOLD.captured, _HOLD.released_at),
            *(_ENTRY.id, _ENTRY.amount, escrow.c.account_no.label("escrow_no")),
        )
        .select_from(schema.token_holds)
        .join(schema.token_ledger, _ENTRY.entry_no == _HOLD.entry_no)
        .outerjoin(escrow, escrow.c.escrow_of == _HOLD.holder_no)
        .where(_HOLD.token_no == token.token_no)
    )
    if keys is not None:
        for part in chunks(sorted(key[0] for key in keys), _LOOKUP_SIZE):
            yield connection.execute(query.where(_HOLD.entry_no.in_(part))).all()
        return
    place = tuple_(_HOLD.holder_no, _HOLD.entry_no)
    after = (0, 0)
    while True:
        page = connection.execute(
            query.where(place > after).order_by(_HOLD.holder_no, _HOLD.entry_no).limit(_PAGE)
        ).all()
        if page:
            yield page
        if len(page) < _PAGE:
            return
        after = (page[-1].holder_no, page[-1].entry_no)


def _taken(
    connection: Connection, token: StoredToken, page: Sequence[Row[Any]]
) -> dict[str, _Taken]:
    """Return what was taken from each hold of a page, by its id as the entries spell it."""
    holders = {row.escrow_no: row.holder_no for row in page if row.escrow_no is not None}
    sums: dict[str, _Taken] = {}
    for ids in chunks([to_hex(row.id) for row in page], _LOOKUP_SIZE):
        moves = connection.execute(
            select(
                *(_ENTRY.from_account, _ENTRY.to_account, _ENTRY.amount),
                *(_ENTRY.reference_id, _ENTRY.created_at),
            ).where(
                _ENTRY.token_no == token.token_no,
                _ENTRY.from_account.in_(list(holders)),
                _ENTRY.reference_type == REFERENCE,
                _ENTRY.reference_id.in_(ids),
            )
        )
        for payer, payee, amount, hold_id, at in moves:
            so_far = sums.get(hold_id, _Taken())
            if payee == holders[payer]:
                sums[hold_id] = so_far._replace(released=so_far.released + amount, released_at=at)
            else:
                sums[hold_id] = so_far._replace(captured=so_far.captured + amount)
    return sums
