"""Holds: money set aside by a real transfer to its holder's escrow account.

    hold      holder → escrow          the hold is known by the id of this entry
    capture   escrow → anybody         all or a part, as long as something is left
    release   escrow → holder          what is left: afterwards the hold has ended

Whatever moves a hold locks its holder and the escrow account first and reads the hold then, so that
no two of them see the same money. Expiry needs no daemon: from that instant capture is refused, and
the release is posted by whoever touches the hold next, by a payment of its holder that would fail
without it (`due`), or by `expire`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from token_ledger.core.parse import format_amount, format_timestamp
from token_ledger.core.strict import to_hex
from token_ledger.core.types import ESCROW_PREFIX, Record, Texts
from token_ledger.errors import (
    HoldError,
    SelfTransferError,
    TimestampError,
    UnknownHoldError,
)
from token_ledger.ledger import accounts, schema
from token_ledger.ledger.balances import CAPTURE, HOLD, RELEASE
from token_ledger.ledger.composite import Composite, Desk, lock, post_inside
from token_ledger.ledger.due import EXPIRED, REFERENCE, expiry_key
from token_ledger.ledger.posted import Posted
from token_ledger.ledger.poster import Poster

_TABLE = schema.token_holds.c


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as it stands: values in base units, times in microseconds.

    `remaining` is what can still be captured or released; `released_at` says that it ended by a
    release or an expiry, and a hold with nothing remaining has ended as well.
    """

    id: bytes
    account_id: str
    value: int
    remaining: int
    captured: int
    expires_at: int | None
    released_at: int | None
    decimals: int

    @property
    def amount(self) -> str:
        """What remains, in human units."""
        return format_amount(self.remaining, decimals=self.decimals)


@dataclass(frozen=True, slots=True)
class Asked:
    """The words of a verb on holds."""

    reason: str
    key: str | None
    memo: str = ""


def hold(
    desk: Desk, account_id: str, value: int, *, expires_at: int | None, words: Asked
) -> Posted:
    """Set a value of an account aside; return the entry, whose id is the hold's.

    Raises what a transfer raises, and TimestampError for an expiry that has passed.
    """
    arguments = [account_id, str(value), expires_at and str(expires_at), words.reason, words.memo]
    request = Composite(desk, "hold", words.key, arguments)
    prior = request.prior()
    if prior is not None:
        return prior
    holder = accounts.resolve(desk.connection, [account_id])[account_id]
    if holder.escrow_of is not None:
        raise HoldError("an escrow account holds for others", hint="name its holder")
    escrow = accounts.ensure_escrow(desk.connection, desk.context, account_id, holder)
    poster = lock(desk, {account_id, escrow})
    prior = request.prior()
    if prior is not None:
        return prior
    if expires_at is not None and expires_at <= poster.now():
        raise TimestampError(
            f"the hold would have expired at {format_timestamp(expires_at)}", hint="later than now"
        )
    record = Record(account_id, escrow, value, Texts(words.reason, memo=words.memo), request.key)
    posted = request.post(poster, record, waived=HOLD, escrow=escrow)
    poster.accounts[holder.number].stake(value)
    poster.close()
    desk.connection.execute(
        insert(schema.token_holds).values(
            entry_no=posted.entry_no,
            token_no=desk.token.token_no,
            holder_no=holder.number,
            value=value,
            remaining=value,
            captured=0,
            expires_at=expires_at,
            updated_at=poster.now(),
        )
    )
    return posted


def capture(
    desk: Desk, hold_id: bytes, *, value: int | None, to: str, words: Asked
) -> Posted | HoldError:
    """Pay a held value, or all that is left, to an account or `system`.

    Returns, not raises, the error of a hold that has expired: its release was posted in this
    transaction, which must be committed. Raises HoldError for one that has ended or holds less, and
    for an escrow account as the payee.
    """
    found = read(desk, hold_id)
    shown = to_hex(hold_id)
    arguments = [shown, None if value is None else str(value), to, words.reason, words.memo]
    request = Composite(desk, "capture", words.key, arguments)
    prior = request.prior()
    if prior is not None:
        return prior
    if to == found.account_id:
        raise SelfTransferError("a capture pays somebody else", hint="release it to the holder")
    poster, escrow = _lock(desk, found, to)
    prior = request.prior()
    if prior is not None:
        return prior
    found = read(desk, hold_id)
    _check_open(found)
    if _expired(found, poster):
        assert found.expires_at is not None
        _expire(desk, found, poster, escrow)
        return HoldError(
            f"hold {shown} expired at {format_timestamp(found.expires_at)}",
            hint="it was released to its holder",
        )
    taken = found.remaining if value is None else value
    if taken > found.remaining:
        raise HoldError(f"hold {shown} has {found.amount} left", hint="capture no more than that")
    holder = accounts.resolve(desk.connection, [found.account_id])[found.account_id]
    poster.accounts[holder.number].check_may_spend()
    record = _record(found, escrow, to, value=taken, words=words, key=request.key)
    posted = request.post(poster, record, waived=CAPTURE, escrow=escrow)
    _take(desk, found, poster, value=taken, captured=taken)
    return posted


def release(desk: Desk, hold_id: bytes, *, words: Asked) -> Posted:
    """Give what is left of a hold back to its holder. Raises HoldError for one that has ended."""
    found = read(desk, hold_id)
    request = Composite(desk, "release", words.key, [to_hex(hold_id), words.reason, words.memo])
    prior = request.prior()
    if prior is not None:
        return prior
    poster, escrow = _lock(desk, found)
    prior = request.prior()
    if prior is not None:
        return prior
    found = read(desk, hold_id)
    _check_open(found)
    record = _record(
        found, escrow, found.account_id, value=found.remaining, words=words, key=request.key
    )
    posted = request.post(poster, record, waived=RELEASE, escrow=escrow)
    _take(desk, found, poster, value=found.remaining, released=True)
    return posted


def expire(desk: Desk, hold_id: bytes) -> bool:
    """Release a hold if it has expired and not ended yet; return whether this did it."""
    poster, escrow = _lock(desk, read(desk, hold_id))
    found = read(desk, hold_id)
    if not found.remaining or found.released_at is not None or not _expired(found, poster):
        return False
    _expire(desk, found, poster, escrow)
    return True


def read(desk: Desk, hold_id: bytes) -> Hold:
    """Return a hold as this transaction sees it. Raises UnknownHoldError for an id that is none."""
    found = list_holds(desk, hold_id=hold_id)
    if not found:
        raise UnknownHoldError(f"no hold {to_hex(hold_id)}", hint="its id is that of its entry")
    return found[0]


def list_holds(
    desk: Desk,
    *,
    hold_id: bytes | None = None,
    account_id: str | None = None,
    expired_at: int | None = None,
    limit: int = 1_000,
) -> list[Hold]:
    """Return holds, the oldest first: all that have not ended, or the one of an id.

    `expired_at`: only those that had expired then. `account_id`: only this holder's.
    """
    entry, holder = schema.token_ledger.c, schema.accounts.c
    query = (
        select(schema.token_holds, entry.id, holder.account_id)
        .join(schema.token_ledger, entry.entry_no == _TABLE.entry_no)
        .join(schema.accounts, holder.account_no == _TABLE.holder_no)
        .where(_TABLE.token_no == desk.token.token_no)
        .order_by(_TABLE.entry_no)
        .limit(limit)
    )
    if hold_id is not None:
        query = query.where(entry.id == hold_id)
    else:
        query = query.where(_TABLE.released_at.is_(None), _TABLE.remaining > 0)
    if account_id is not None:
        query = query.where(holder.account_id == account_id)
    if expired_at is not None:
        query = query.where(_TABLE.expires_at <= expired_at)
    return [
        Hold(
            id=bytes(row.id),
            account_id=row.account_id,
            value=row.value,
            remaining=row.remaining,
            captured=row.captured,
            expires_at=row.expires_at,
            released_at=row.released_at,
            decimals=desk.token.decimals,
        )
        for row in desk.connection.execute(query)
    ]


def _lock(desk: Desk, found: Hold, *others: str) -> tuple[Poster, str]:
    """Lock holder, escrow and whoever is paid; return the poster and the escrow's id."""
    escrow = ESCROW_PREFIX + found.account_id
    return lock(desk, {found.account_id, escrow, *others}), escrow


def _check_open(found: Hold) -> None:
    if found.released_at is not None:
        raise HoldError(
            f"hold {to_hex(found.id)} was released at {format_timestamp(found.released_at)}",
            hint="nothing is left of it",
        )
    if not found.remaining:
        raise HoldError(f"hold {to_hex(found.id)} was captured whole", hint="nothing is left")


def _expired(found: Hold, poster: Poster) -> bool:
    return found.expires_at is not None and found.expires_at <= poster.now()


def _expire(desk: Desk, found: Hold, poster: Poster, escrow: str) -> None:
    """Post the release of an expired hold, under a key that only its id gives."""
    key = expiry_key(desk.context, found.id)
    words = Asked(reason=EXPIRED, key=key)
    record = _record(found, escrow, found.account_id, value=found.remaining, words=words, key=key)
    post_inside(desk, poster, record, waived=RELEASE, escrow=escrow)
    _take(desk, found, poster, value=found.remaining, released=True)


def _record(found: Hold, escrow: str, to: str, *, value: int, words: Asked, key: str) -> Record:
    texts = Texts(words.reason, REFERENCE, to_hex(found.id), words.memo)
    return Record(escrow, to, value, texts, key)


def _take(
    desk: Desk,
    found: Hold,
    poster: Poster,
    *,
    value: int,
    captured: int = 0,
    released: bool = False,
) -> None:
    """Write what a hold is after a value was taken from it, and its holder's stake."""
    holder = accounts.resolve(desk.connection, [found.account_id])[found.account_id]
    poster.accounts[holder.number].stake(-value)
    poster.close()
    now = poster.now()
    changes: dict[str, Any] = {
        "remaining": found.remaining - value,
        "captured": found.captured + captured,
        "updated_at": now,
    }
    if released:
        changes["released_at"] = now
    number = select(schema.token_ledger.c.entry_no).where(schema.token_ledger.c.id == found.id)
    desk.connection.execute(
        update(schema.token_holds)
        .where(_TABLE.entry_no == number.scalar_subquery())
        .values(**changes)
    )
