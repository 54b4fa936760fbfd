"""`Ledger`: one database of tokens, accounts and entries, opened; what every verb is given.

A thin facade: each method opens a transaction and calls one function of this package.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy import Connection, Engine

from token_ledger.core.address import parse_address
from token_ledger.core.parse import (
    Amount,
    parse_amount,
)
from token_ledger.core.types import SYSTEM, Record, Texts
from token_ledger.ledger import accounts, identity, posting, tokens
from token_ledger.ledger import engine as engines
from token_ledger.ledger.accounts import Account
from token_ledger.ledger.acknowledging import Acknowledging
from token_ledger.ledger.composite import Desk, unposted
from token_ledger.ledger.controls import Controls
from token_ledger.ledger.earning import Earning
from token_ledger.ledger.holding import Holding
from token_ledger.ledger.identity import Identity
from token_ledger.ledger.questions import Questions
from token_ledger.ledger.requests import PostingContext, endowment_key
from token_ledger.ledger.schema import SCHEMA_VERSION
from token_ledger.ledger.tokens import StoredToken, TokenTerms
from token_ledger.ledger.upkeep import Upkeep
from token_ledger.ledger.ways import Ways

T = TypeVar("T")
Clock = Callable[[], int]


def system_clock() -> int:
    """Return the time in microseconds since the epoch."""
    return time.time_ns() // 1000


class Ledger(Acknowledging, Controls, Earning, Holding, Upkeep, Questions, Ways):
    """An open ledger, and the token that its methods speak of."""

    def __init__(
        self, engine: Engine, identity: Identity, *, token: str | None, clock: Clock | None
    ) -> None:
        self.engine = engine
        self._identity = identity
        self._clock = clock
        self._symbol = token
        self._token: StoredToken | None = None

    @classmethod
    def create(
        cls,
        url: str,
        *,
        operator: bytes,
        ledger_uid: bytes | None = None,
        secret_file: str | Path | None = None,
        token: TokenTerms | None = None,
        clock: Clock | None = None,
    ) -> Self:
        """Make the tables, the ledger and its first token if one is given; return it open.

        `operator`: the address that every derived vault obeys. `secret_file`: where the ledger's
        secret goes, instead of into the database. All or nothing.
        """

        def work(connection: Connection) -> Identity:
            engines.migrate(connection)
            now = (clock or system_clock)()
            made = identity.create_identity(
                connection,
                ledger_uid=ledger_uid,
                operator=operator,
                secret_file=secret_file,
                now=now,
            )
            if token is not None:
                tokens.create_token(connection, token, ledger_uid=made.ledger_uid, now=now)
            return made

        with engines.creating(url) as engine:
            return cls(engine, engines.run(engine, work), token=None, clock=clock)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        token: str | None = None,
        secret_file: str | Path | None = None,
        clock: Clock | None = None,
    ) -> Self:
        """Return the ledger of a database. `token`: the symbol of the one that is meant.

        Raises SchemaVersionError for a database without a ledger or of another version, and
        UnknownTokenError for a symbol that it does not hold.
        """
        engine = engines.open_engine(url)
        try:
            with engines.reading(engine) as connection:
                engines.check_schema(connection)
                who = identity.read_identity(connection, secret_file=secret_file)
            ledger = cls(engine, who, token=token, clock=clock)
            if token is not None:
                _ = ledger.token
        except BaseException:
            engine.dispose()
            raise
        return ledger

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- transactions ---------------------------------------------------------------------

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection on one unchanging snapshot, for reading alone."""
        with engines.reading(self.engine) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection in one write transaction, committed at the end."""
        with engines.writing(self.engine) as connection:
            yield connection

    def run(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, run in one write transaction, retried after deadlocks."""
        return engines.run(self.engine, work)

    # --- who it is ------------------------------------------------------------------------

    @property
    def ledger_uid(self) -> bytes:
        """The ledger's uid, 32 bytes."""
        return self._identity.ledger_uid

    @property
    def operator(self) -> bytes:
        """The operator's address, 20 bytes."""
        return self._identity.operator

    @property
    def secret(self) -> bytes:
        """The ledger's secret, 32 bytes: never to be printed or logged."""
        return self._identity.secret

    def now(self) -> int:
        """Return the ledger's time, microseconds since the epoch."""
        return (self._clock or system_clock)()

    # --- tokens ---------------------------------------------------------------------------

    @property
    def token(self) -> StoredToken:
        """The token that is meant: the one named at opening, or the only one.

        Raises UnknownTokenError where there is none, or several and none is named.
        """
        if self._token is None:
            self._token = tokens.choose_token(self.tokens(), self._symbol)
        return self._token

    def tokens(self) -> list[StoredToken]:
        """Return every token of the ledger, oldest first."""
        with self.read() as connection:
            return tokens.list_tokens(connection, ledger_uid=self.ledger_uid)

    def use(self, symbol: str) -> StoredToken:
        """Choose the token that the methods speak of from now on."""
        self._token = tokens.choose_token(self.tokens(), symbol)
        self._symbol = symbol
        return self._token

    def create_token(
        self, symbol: str, name: str, decimals: int, max_supply: Amount | None = None
    ) -> StoredToken:
        """Make a token; `max_supply` in human units. It is chosen if it is the ledger's first."""
        terms = TokenTerms(symbol, name, decimals, max_supply)
        token = self.run(
            lambda c: tokens.create_token(c, terms, ledger_uid=self.ledger_uid, now=self.now())
        )
        if self._symbol is None:
            self._token = token if token.token_no == 1 else None
        return token

    @property
    def context(self) -> PostingContext:
        """What posting needs of this ledger."""
        return PostingContext(operator=self.operator, secret=self.secret, clock=self._clock)

    def _maybe_token(self) -> StoredToken | None:
        """Return the chosen token, or None before the first one is made."""
        return self.token if self._symbol or self._token or self.tokens() else None

    def set_canonical_chain(self, chain_id: int) -> None:
        """Record the token's one chain. Raises CanonicalChainError if it is another one already."""
        self.run(lambda c: tokens.set_canonical_chain(c, self.token, chain_id))
        self._token = None

    # --- accounts -------------------------------------------------------------------------

    def create_account(
        self,
        account_id: str,
        *,
        address: bytes | str | None = None,
        initial_balance: Amount | None = None,
        exist_ok: bool = False,
    ) -> Account:
        """Make an account, at a registered address or a derived one, and endow it by a mint.

        `initial_balance` (human units) is minted in the same transaction under the key
        `endow:ID`, so it is minted once however often this runs. Raises AccountExistsError if the
        id or the address is taken; with `exist_ok` an existing account of that id (and address,
        where one is given) is taken as it is, and endowed if it never was, whatever the amount.
        """
        chosen = parse_address(address) if isinstance(address, str) else address
        token = None if initial_balance is None else self.token
        value = None if token is None else parse_amount(initial_balance, decimals=token.decimals)  # type: ignore[arg-type]

        def work(connection: Connection) -> None:
            accounts.create_account(
                connection, self.context, account_id, address=chosen, exist_ok=exist_ok
            )
            if token is not None and value is not None:
                key = endowment_key(account_id)
                endowment = Record(SYSTEM, account_id, value, Texts(reason="endow"), key)
                fresh, taken = unposted(Desk(connection, self.context, token), [endowment])
                if taken:
                    raise taken[0]
                posting.post(connection, self.context, token, fresh)

        self.run(work)
        return self.get_account(account_id)

    def get_account(self, account_id: str) -> Account:
        """Return an account with its figures in the token. Raises UnknownAccountError."""
        with self.read() as connection:
            return accounts.get_account(connection, self._maybe_token(), account_id)

    def accounts(
        self, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Account], str | None]:
        """Return a page of accounts, oldest first, and the cursor of the next page or None."""
        with self.read() as connection:
            return accounts.list_accounts(
                connection, self._maybe_token(), limit=limit, cursor=cursor
            )

    def get_balance(self, account_id: str) -> int:
        """Return a balance in base units; 0 for an account that does not exist."""
        token = self.token
        with self.read() as connection:
            return accounts.get_balance(connection, token, account_id)


def upgrade(url: str) -> str:
    """Bring a database to this release's schema; return the version it has then."""
    engine = engines.open_engine(url)
    try:
        with engines.writing(engine) as connection:
            version = engines.schema_version(connection)
            if version is not None and version <= SCHEMA_VERSION:
                engines.migrate(connection)
            engines.check_schema(connection)
            return SCHEMA_VERSION
    finally:
        engine.dispose()
