"""Tokens of a ledger: make one, find one, and the supply's ceiling."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Row, func, insert, select, update

from token_ledger.core.entry import token_uid
from token_ledger.core.parse import Amount, parse_amount, parse_text
from token_ledger.core.types import UINT256_MAX, Token
from token_ledger.errors import (
    AmountRangeError,
    CanonicalChainError,
    TextError,
    TokenExistsError,
    UnknownTokenError,
    UsageError,
)
from token_ledger.ledger import schema

NAME_BYTES_MAX = 31
"""What ERC20Permit's EIP-712 domain holds of a name: longer ones would not fit the contract."""
DECIMALS_MAX = 77
"""10**77 is the largest power of ten below 2**256: beyond it one whole token has no value."""


@dataclass(frozen=True, slots=True)
class TokenTerms:
    """What a token is to be. `max_supply` in human units; by default all that a uint256 counts."""

    symbol: str
    name: str
    decimals: int
    max_supply: Amount | None = None


@dataclass(frozen=True, slots=True)
class StoredToken(Token):
    """A token with its place in this database and its ceiling in base units.

    `closing_at`: when its books were closed for the chain, and `finalized_at`, when the chain was
    final about that; microseconds, as they were when the token was read.
    """

    token_no: int
    max_supply: int
    canonical_chain_id: int | None
    closing_at: int | None = None
    finalized_at: int | None = None


def create_token(
    connection: Connection, terms: TokenTerms, *, ledger_uid: bytes, now: int
) -> StoredToken:
    """Make a token.

    Raises TextError for a symbol or name that no contract could carry, UsageError for decimals
    outside 0 to 77 and a maximum out of range, as `parse_amount` for one that is no amount, and
    TokenExistsError for a taken symbol.
    """
    symbol, name, decimals = terms.symbol, terms.name, terms.decimals
    for what, value in (("symbol", symbol), ("name", name)):
        parse_text(value, what=what, bytes_max=NAME_BYTES_MAX)
        if not value or value != value.strip() or not value.isprintable():
            raise TextError(f"{what} {value!r} is empty or not printable", hint="name the token")
    if isinstance(decimals, bool) or not 0 <= decimals <= DECIMALS_MAX:
        raise UsageError(f"decimals {decimals} is out of range", hint="0 to 77; 18 is usual")
    ceiling = UINT256_MAX
    if terms.max_supply is not None:
        ceiling = _parse_ceiling(terms.max_supply, decimals)
    tokens = schema.tokens.c
    if connection.execute(select(tokens.token_no).where(tokens.symbol == symbol)).first():
        raise TokenExistsError(f"there is a token {symbol!r} already", hint="take another symbol")
    highest = connection.execute(select(func.max(tokens.token_no))).scalar()
    token = StoredToken(
        uid=token_uid(ledger_uid, symbol=symbol, name=name, decimals=decimals),
        ledger_uid=ledger_uid,
        symbol=symbol,
        name=name,
        decimals=decimals,
        token_no=(highest or 0) + 1,
        max_supply=ceiling,
        canonical_chain_id=None,
    )
    connection.execute(
        insert(schema.tokens).values(
            token_no=token.token_no,
            uid=token.uid,
            symbol=symbol,
            name=name,
            decimals=decimals,
            max_supply=ceiling,
            created_at=now,
        )
    )
    connection.execute(
        insert(schema.token_supply).values(
            token_no=token.token_no,
            total_supply=0,
            total_minted=0,
            total_burned=0,
            updated_at=now,
        )
    )
    return token


def _parse_ceiling(given: Amount, decimals: int) -> int:
    try:
        return parse_amount(given, decimals=decimals)
    except AmountRangeError:
        raise UsageError(
            f"a maximum supply of {str(given)[:100]} is out of range",
            hint="above 0, and below 2**256 base units; leave it away for the largest",
        ) from None


def list_tokens(connection: Connection, *, ledger_uid: bytes) -> list[StoredToken]:
    """Return the ledger's tokens, oldest first."""
    rows = connection.execute(select(schema.tokens).order_by(schema.tokens.c.token_no))
    return [_token(row, ledger_uid) for row in rows]


def choose_token(tokens: list[StoredToken], symbol: str | None) -> StoredToken:
    """Return the token of that symbol, or the only one. Raises UnknownTokenError."""
    names = ", ".join(token.symbol for token in tokens) or "none"
    if symbol is None and len(tokens) == 1:
        return tokens[0]
    if symbol is None:
        raise UnknownTokenError(f"which token? the ledger holds {names}", hint="give --token")
    for token in tokens:
        if token.symbol == symbol:
            return token
    raise UnknownTokenError(f"no token {symbol!r}; the ledger holds {names}", hint="check --token")


def set_canonical_chain(connection: Connection, token: StoredToken, chain_id: int) -> None:
    """Record the one chain of a token; again with the same chain does nothing.

    Raises CanonicalChainError if the token lives on another chain already.
    """
    tokens = schema.tokens.c
    known = connection.execute(
        select(tokens.canonical_chain_id).where(tokens.token_no == token.token_no).with_for_update()
    ).scalar_one()
    if known not in (None, chain_id):
        raise CanonicalChainError(
            f"{token.symbol} lives on chain {known}, not on {chain_id}", hint="one chain a token"
        )
    connection.execute(
        update(schema.tokens)
        .where(tokens.token_no == token.token_no)
        .values(canonical_chain_id=chain_id)
    )


def canonical_chain(connection: Connection, token: StoredToken) -> int | None:
    """Return the token's one chain as the database has it now: what a handle holds may be old."""
    tokens = schema.tokens.c
    found: int | None = connection.execute(
        select(tokens.canonical_chain_id).where(tokens.token_no == token.token_no)
    ).scalar_one()
    return found


def _token(row: Row[tuple[object, ...]], ledger_uid: bytes) -> StoredToken:
    return StoredToken(
        uid=row.uid,
        ledger_uid=ledger_uid,
        symbol=row.symbol,
        name=row.name,
        decimals=row.decimals,
        token_no=row.token_no,
        max_supply=row.max_supply,
        canonical_chain_id=row.canonical_chain_id,
        closing_at=row.closing_at,
        finalized_at=row.finalized_at,
    )
