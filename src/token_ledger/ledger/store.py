"""What posting asks of an engine: rows in, rows out. Each engine's own words are in `store_*`.

Knows no rule: `posting` decides, a store locks, looks up, inserts and updates. Statements go to the
driver as they are, because a bulk load runs a million rows through them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

ENTRY_COLUMNS = (
    "entry_no, token_no, id, timestamp, from_account, to_account, amount, reason, reference_type,"
    " reference_id, memo, metadata, idempotency_key, nonce, ref, balance_after_from,"
    " balance_after_to, supply_after, created_at"
)
EntryRow = tuple[Any, ...]
"""One row in the order of ENTRY_COLUMNS, its numbers encoded by `Store.uint256`."""

PriorRow = tuple[bytes, int, bytes, int, int | None, int | None, int | None]
"""nonce, entry_no, id, timestamp, balance_after_from, balance_after_to, supply_after."""


class AccountRow(NamedTuple):
    """A locked account: its figures, and what it may do."""

    number: int
    balance: int = 0
    earned: int = 0
    spent: int = 0
    staked: int = 0
    updated_at: int = 0
    frozen_at: int | None = None
    closed_at: int | None = None
    balance_max: int | None = None
    spend_max: int | None = None
    spend_period: int | None = None
    window_start: int | None = None
    window_spent: int | None = None
    overdraft_max: int | None = None
    debt: int = 0
    latest_at: int = 0


ChangedRow = tuple[int, int, int, int, int, int, int, int | None, int | None, int]
"""account_no, balance, earned, spent, staked, debt, updated_at, window_start, window_spent,
latest_at."""

SupplyFigures = tuple[int, int, int, int]
"""total supply, minted, burned, and the credit that stands out."""

ACCOUNT_COLUMNS = (
    "account_no, balance, total_earned, total_spent, total_staked, updated_at, frozen_at,"
    " closed_at, balance_max, spend_max, spend_period, window_start, window_spent,"
    " overdraft_max, debt, latest_at"
)
"""In the order of AccountRow."""

T = TypeVar("T")


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield `items` in runs of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


class Prepared(NamedTuple):
    """What was locked, looked up and numbered before a list is entered; None: not done yet."""

    accounts: list[AccountRow]
    supply: SupplyFigures | None = None
    prior: list[PriorRow] | None = None
    reserved: tuple[Sequence[int], int] | None = None


class Store(ABC):
    """What posting asks of an engine, on one connection inside a write transaction."""

    def __init__(self, connection: Connection, token_no: int) -> None:
        self.connection = connection
        self.token_no = token_no
        self.closing_at: int | None = None  # known once `reserve` has looked
        self.balance_max: int | None = None  # of accounts without their own, as well
        self.keys_derived = False  # nobody else can take one: no lock is needed

    @staticmethod
    @abstractmethod
    def uint256(number: int) -> Any:
        """Return a number as the driver wants it in a row."""

    def prepare(
        self, numbers: Sequence[int], nonces: Sequence[bytes], *, now: int | None, supply: bool
    ) -> Prepared:
        """Lock, and do what else it saves round trips to do with it: find, and reserve for all."""
        del nonces
        rows = self.lock_accounts(numbers, now=now)
        return Prepared(rows, self.lock_supply() if supply else None)

    @abstractmethod
    def lock_accounts(self, numbers: Sequence[int], *, now: int | None) -> list[AccountRow]:
        """Lock the token's rows of these accounts, sorted, making those that are missing.

        `now`: when they are made; None for the database's own time.
        """

    @abstractmethod
    def lock_supply(self) -> SupplyFigures:
        """Lock the supply, after the accounts; return it, minted, burned, and the credit in it."""

    @abstractmethod
    def now(self) -> int:
        """Return the database's time in microseconds, not that of the transaction's begin."""

    @abstractmethod
    def lock_list_key(self, nonce: bytes) -> None:
        """Wait for postings that may bear a list's key, and let none be looked up, until the end.

        After the list's accounts, as each posting shares the lock after its own.
        """

    @abstractmethod
    def find(self, nonces: Sequence[bytes]) -> list[PriorRow]:
        """Return the entries that bear one of these nonces, and the first of each list's that does.

        A list's entries bear other ids than whatever is asked for under its key alone.
        """

    @abstractmethod
    def reserve(self, count: int) -> tuple[Sequence[int], int]:
        """Return the next entry numbers, ascending, taken after every lock, and the time.

        Sets `closing_at`: under that lock no cut-over can come in between any more.
        """

    @abstractmethod
    def insert(self, rows: Sequence[EntryRow]) -> None:
        """Insert entries."""

    @abstractmethod
    def update_accounts(self, rows: Sequence[ChangedRow]) -> None:
        """Write balances, cumulative figures and updated_at."""

    @abstractmethod
    def update_supply(self, figures: SupplyFigures, *, now: int) -> None:
        """Write the supply."""

    def write(
        self,
        entries: Sequence[EntryRow],
        accounts: Sequence[ChangedRow],
        supply: SupplyFigures | None,
        *,
        now: int,
    ) -> None:
        """Write what one list of postings changed, in as few round trips as the engine allows."""
        self.insert(entries)
        self.update_accounts(accounts)
        if supply is not None:
            self.update_supply(supply, now=now)
