"""Cut-over in the books: closing a token for new entries, and remembering that it is final.

Closing happens under the lock that every writer shares, so that no entry is still on its way when
the books are looked at. What the contract says is `finalize`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text, update

from token_ledger.core.address import to_checksum
from token_ledger.core.counting import counted
from token_ledger.core.parse import format_amount, format_timestamp
from token_ledger.errors import NotReadyError, TokenFinalizedError
from token_ledger.ledger import mirror_schema, schema
from token_ledger.ledger.batches import count_unsealed
from token_ledger.ledger.tokens import StoredToken

_LOCK_TIMEOUT_MS = 2_000
_ONWARD = "`migrate`, `import` and `reconcile`, then finalize"


@dataclass(frozen=True, slots=True)
class Closing:
    """One closing of the books: `at` tells it from every other one, `were_open` from the first."""

    at: int
    were_open: bool


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something in the books that a cut-over would strand, and what clears it away."""

    what: str
    way_out: str


def obstacles(connection: Connection, token: StoredToken, *, now: int) -> list[Obstacle]:
    """Return everything in the books that stands in the way of closing them, in the order of work.

    What is cleared away first comes first: it posts entries, which must then be sealed.
    """
    return [
        *_open_holds(connection, token, now=now),
        *_debts(connection, token),
        *_unsealed(connection, token),
    ]


def _open_holds(connection: Connection, token: StoredToken, *, now: int) -> list[Obstacle]:
    """Money that is set aside could be neither captured nor released once the books are closed."""
    table = schema.token_holds.c
    found = connection.execute(
        select(func.count(), func.count().filter(table.expires_at <= now)).where(
            table.token_no == token.token_no, table.released_at.is_(None), table.remaining > 0
        )
    ).one()
    number, expired = map(int, found)
    if not number:
        return []
    what = f"{counted(number, 'hold')} of {token.symbol} open"
    if expired:
        what += f", {expired} of them expired"
    ways = ["`holds expire` for what has expired"] if expired else []
    ways += ["`release` or `capture` for each of `holds list`"] if number > expired else []
    return [Obstacle(what, f"run {', '.join(ways)}, then `seal --sign`")]


def _debts(connection: Connection, token: StoredToken) -> list[Obstacle]:
    """What is owed could be repaid no more: no entry takes it back once the books are closed."""
    table, supply = schema.token_accounts.c, schema.token_supply.c
    owed = connection.execute(
        select(supply.credit).where(supply.token_no == token.token_no)
    ).scalar_one()
    if not owed:
        return []
    number = connection.execute(
        select(func.count()).where(table.token_no == token.token_no, table.debt > 0)
    ).scalar_one()
    return [
        Obstacle(
            f"{format_amount(owed, decimals=token.decimals)} {token.symbol} owed by"
            f" {counted(number, 'account')}",
            "let each of `overdraft list` repay, or `overdraft write-off` it, then `seal --sign`",
        )
    ]


def _unsealed(connection: Connection, token: StoredToken) -> list[Obstacle]:
    number = count_unsealed(connection, token)
    if not number:
        return []
    return [
        Obstacle(
            f"{counted(number, 'entry')} of {token.symbol} not sealed yet", "run `seal --sign`"
        )
    ]


def check_closable(
    connection: Connection, token: StoredToken, *, now: int, onward: str = _ONWARD
) -> None:
    """Raise NotReadyError that names all that stands in the way, and the way out of the first.

    `onward`: what follows when it is cleared away.
    """
    found = obstacles(connection, token, now=now)
    if found:
        what = "; ".join(obstacle.what for obstacle in found)
        raise NotReadyError(what, hint=f"{found[0].way_out}, {onward}")


def close_books(
    connection: Connection, token: StoredToken, *, now: int, whatever_waits: bool = False
) -> Closing:
    """Refuse new entries of the token from now on, imported ones excepted. Closed, it stays so.

    Closed already, it is closed once more, a microsecond later: who had closed it before cannot
    `take_back` what another one relies on. Runs in a write transaction. Raises NotReadyError while
    something stands in the way (see `obstacles`; not with `whatever_waits`), and RetryableError
    while a long posting is under way.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}"))
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": schema.WRITERS_LOCK}
        )
    if not whatever_waits:
        check_closable(connection, token, now=now)
    before, final = read_state(connection, token)
    at = now if before is None else before if final is not None else before + 1
    if at != before:
        connection.execute(
            update(schema.tokens)
            .where(schema.tokens.c.token_no == token.token_no)
            .values(closing_at=at)
        )
    return Closing(at, were_open=before is None)


def take_back(connection: Connection, token: StoredToken, closing: Closing) -> bool:
    """Reopen the books where nobody else closed them, before or since; return whether they are."""
    tokens = schema.tokens.c
    if not closing.were_open:
        return False
    reopened = connection.execute(
        update(schema.tokens)
        .where(tokens.token_no == token.token_no, tokens.closing_at == closing.at)
        .values(closing_at=None)
    )
    return reopened.rowcount == 1


def reopen_books(connection: Connection, token: StoredToken) -> None:
    """Let new entries in again; the database refuses it once the token is finalized."""
    connection.execute(
        update(schema.tokens)
        .where(schema.tokens.c.token_no == token.token_no)
        .values(closing_at=None)
    )


def record_finalized(connection: Connection, token: StoredToken, *, now: int) -> None:
    """Remember for ever that the token left the ledger; again changes nothing."""
    tokens = schema.tokens.c
    mine = tokens.token_no == token.token_no
    connection.execute(
        update(schema.tokens).where(mine, tokens.closing_at.is_(None)).values(closing_at=now)
    )
    connection.execute(
        update(schema.tokens).where(mine, tokens.finalized_at.is_(None)).values(finalized_at=now)
    )


def read_state(connection: Connection, token: StoredToken) -> tuple[int | None, int | None]:
    """Return when the token's books were closed and when it was final, None while they are not."""
    tokens = schema.tokens.c
    row = connection.execute(
        select(tokens.closing_at, tokens.finalized_at).where(tokens.token_no == token.token_no)
    ).one()
    return row.closing_at, row.finalized_at


def closed_by_snapshot(
    connection: Connection, token: StoredToken, *, chain_id: int | None = None
) -> bool:
    """Return whether the books were closed by a snapshot: closed, with no contract of a replay.

    Looked for on the token's own chain and on `chain_id`; on any while it has none of its own.
    """
    tokens, contracts = schema.tokens.c, mirror_schema.chain_contracts.c
    row = connection.execute(
        select(tokens.closing_at, tokens.canonical_chain_id).where(
            tokens.token_no == token.token_no
        )
    ).one()
    if row.closing_at is None:
        return False
    query = select(contracts.contract_no).where(contracts.token_no == token.token_no)
    if row.canonical_chain_id is not None:
        query = query.where(contracts.chain_id.in_({row.canonical_chain_id, chain_id} - {None}))
    return connection.execute(query.limit(1)).first() is None


def refusal(connection: Connection, token: StoredToken, closing_at: int) -> TokenFinalizedError:
    """Return the error that tells an application what to call instead of the ledger."""
    if closed_by_snapshot(connection, token):
        return _refusal_after_snapshot(connection, token, closing_at)
    contracts = mirror_schema.chain_contracts.c
    row = connection.execute(
        select(contracts.address, contracts.chain_id, contracts.adopted)
        .where(contracts.token_no == token.token_no)
        .order_by(contracts.contract_no.desc())
        .limit(1)
    ).first()
    where = "its contract" if row is None else f"{to_checksum(row.address)} on chain {row.chain_id}"
    left = "lives on the chain since" if row and row.adopted else "left the ledger at"
    return TokenFinalizedError(
        f"{token.symbol} {left} {format_timestamp(closing_at)}: it takes no entries",
        hint=f"call transfer(address,uint256) of {where}, as the holder (a vault's owner: through "
        "the vault's execute); `import` brings it back into the books",
    )


def _refusal_after_snapshot(
    connection: Connection, token: StoredToken, closing_at: int
) -> TokenFinalizedError:
    tokens = schema.tokens.c
    chain_id = connection.execute(
        select(tokens.canonical_chain_id).where(tokens.token_no == token.token_no)
    ).scalar_one()
    where = "the snapshot's contract" + ("" if chain_id is None else f" on chain {chain_id}")
    return TokenFinalizedError(
        f"{token.symbol} left the ledger by a snapshot at {format_timestamp(closing_at)}: it takes"
        " no entries",
        hint=f"`snapshot claim` brings a balance to its holder, by claim() of {where}, once it is"
        " open; from then on call transfer(address,uint256) there, as the holder",
    )
