"""The books against the mirror: joins that stream, and hold one batch or one page at a time.

The entry of `seq` n and the transfer of `seq` n must move the same amount between the same sides.
A window of batches is compared in the database by one aggregate; only where that disagrees are the
rows of a batch read and handed to `reconcile`, which says what the difference is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    FromClause,
    Row,
    Select,
    Subquery,
    and_,
    case,
    func,
    or_,
    select,
)

from token_ledger.core.match import Line, MirroredTransfer
from token_ledger.core.transfers import ReplayedBatch
from token_ledger.core.types import Transfer
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_schema import chain_batches, chain_transfers
from token_ledger.ledger.schema import (
    SYSTEM_ACCOUNT_NO,
    accounts,
    token_batches,
    token_ledger,
)
from token_ledger.ledger.tokens import StoredToken

WINDOW_ENTRIES = 20_000
_PAGE = 2_000
_SENDER = accounts.alias("sender")
_RECEIVER = accounts.alias("receiver")


@dataclass(frozen=True, slots=True)
class SealedRun:
    """Where the entries of one batch stand: entry numbers on one side, `seq` on the other."""

    number: int
    first_entry_no: int
    last_entry_no: int
    first_seq: int
    count: int

    @property
    def seqs(self) -> range:
        """The `seq` numbers that were sealed."""
        return range(self.first_seq, self.first_seq + self.count)


@dataclass(frozen=True, slots=True)
class AccountBalances:
    """What the ledger says of one account, in base units.

    `replayed` is what its last entry up to the replayed ones left.
    """

    address: bytes
    replayed: int


def read_runs(
    connection: Connection, token: StoredToken, *, number_min: int = 1, number_max: int
) -> Iterator[list[SealedRun]]:
    """Yield the runs of the batches of a range of numbers, in windows of bounded size.

    The batches of a window follow one another without a gap.
    """
    table = token_batches.c
    rows = connection.execute(
        select(
            table.number, table.first_entry_no, table.last_entry_no, table.first_seq, table.count
        )
        .where(table.token_no == token.token_no, table.number.between(number_min, number_max))
        .order_by(table.number)
    )
    window: list[SealedRun] = []
    entries = 0
    for row in rows:
        run = SealedRun(*row)
        if window and run.number != window[-1].number + 1:  # a header was deleted
            yield window
            window, entries = [], 0
        window.append(run)
        entries += run.count
        if entries >= WINDOW_ENTRIES:
            yield window
            window, entries = [], 0
    if window:
        yield window


def count_matches(
    connection: Connection, token: StoredToken, contract: StoredContract, window: list[SealedRun]
) -> int | None:
    """Return how many entries of a window match their transfers, if all do; None otherwise."""
    first, last = window[0], window[-1]
    expected = sum(run.count for run in window)
    entries = numbered(token, first, last.last_entry_no)
    transfers = chain_transfers.c
    same = and_(
        transfers.value == entries.c.amount,
        transfers.from_address == entries.c.from_address,
        transfers.to_address == entries.c.to_address,
    )
    its_own = [transfers.contract_no == contract.contract_no, transfers.seq == entries.c.seq]
    if connection.dialect.name == "postgresql":
        # Without it the whole table is hashed for each window; SQLite takes it for the better
        # index condition of the two and goes through the range for each entry.
        its_own.append(transfers.seq.between(first.first_seq, first.first_seq + expected - 1))
    joined = entries.outerjoin(chain_transfers, and_(*its_own))
    rows, matches, last_seq = connection.execute(
        select(
            func.count(),
            func.coalesce(func.sum(case((same, 1), else_=0)), 0),
            func.max(entries.c.seq),  # as many entries, and not one fewer with a transfer more
        ).select_from(joined)
    ).one()
    found = rows, matches, None if last_seq is None else last_seq + 1 - first.first_seq
    return expected if found == (expected, expected, expected) else None


def numbered(token: StoredToken, first: SealedRun, last_entry_no: int) -> Subquery:
    """Select entries from the first one of a run on, each with its `seq` and its sides."""
    table = token_ledger.c
    place = func.row_number().over(order_by=table.entry_no)
    return (
        select(
            (place + (first.first_seq - 1)).label("seq"),
            table.id,
            table.timestamp,
            _SENDER.c.address.label("from_address"),
            _RECEIVER.c.address.label("to_address"),
            table.amount,
        )
        .select_from(_with_sides())
        .where(table.token_no == token.token_no)
        .where(table.entry_no.between(first.first_entry_no, last_entry_no))
        .subquery()
    )


def _with_sides() -> FromClause:
    table = token_ledger.c
    return token_ledger.join(_SENDER, table.from_account == _SENDER.c.account_no).join(
        _RECEIVER, table.to_account == _RECEIVER.c.account_no
    )


def read_lines(connection: Connection, token: StoredToken, run: SealedRun) -> list[Line]:
    """Return the entries of one batch."""
    entries = numbered(token, run, run.last_entry_no)
    rows = connection.execute(select(entries).order_by(entries.c.seq))
    return [Line(r.seq, r.id, r.from_address, r.to_address, r.amount) for r in rows]


def read_transfers(
    connection: Connection, contract: StoredContract, run: SealedRun
) -> list[MirroredTransfer]:
    """Return the transfers that the mirror holds for the entries of one batch."""
    transfers = chain_transfers.c
    rows = connection.execute(
        _transfers(contract)
        .where(transfers.seq.between(run.first_seq, run.first_seq + run.count - 1))
        .order_by(transfers.seq, transfers.block_number, transfers.log_index)
    )
    return [mirrored(row) for row in rows]


def _transfers(contract: StoredContract) -> Select[Any]:
    return select(chain_transfers).where(chain_transfers.c.contract_no == contract.contract_no)


def mirrored(row: Row[Any]) -> MirroredTransfer:
    """Return a row of the mirror's transfers."""
    transfer = Transfer(
        block_number=row.block_number,
        block_hash=row.block_hash,
        log_index=row.log_index,
        tx_hash=row.tx_hash,
        tx_index=row.tx_index,
        from_address=row.from_address,
        to_address=row.to_address,
        value=row.value,
    )
    return MirroredTransfer(transfer, row.seq, row.bridge)


def read_strangers(
    connection: Connection,
    contract: StoredContract,
    *,
    next_seq: int,
    first_block: int,
    last_block: int,
    replays_only: bool = False,
) -> Iterator[MirroredTransfer]:
    """Yield the transfers in a range of blocks that replay no entry below `next_seq`, in order.

    Those that move nothing (no value, to oneself) become no entry, and are left out; a replay makes
    none of them.
    `replays_only`: so are those that no replay made.
    """
    table = chain_transfers.c
    moves = and_(table.value > 0, table.from_address != table.to_address)
    stranger = table.seq >= next_seq
    if not replays_only:
        stranger = or_(and_(table.seq.is_(None), moves), stranger)
    after: tuple[int, int] = (first_block, -1)
    while True:
        number, index = after
        page = connection.execute(
            _transfers(contract)
            .where(stranger, table.block_number.between(number, last_block))
            .where(
                or_(
                    table.block_number > number,
                    and_(table.block_number == number, table.log_index > index),
                )
            )
            .order_by(table.block_number, table.log_index)
            .limit(_PAGE)
        ).all()
        for row in page:
            yield mirrored(row)
        if len(page) < _PAGE:
            return
        after = (page[-1].block_number, page[-1].log_index)


def read_replayed(
    connection: Connection, contract: StoredContract, *, first: int, last: int
) -> list[ReplayedBatch]:
    """Return the BatchReplayed logs of the batches from `first` to `last`, both included."""
    table = chain_batches.c
    rows = connection.execute(
        select(chain_batches)
        .where(table.contract_no == contract.contract_no, table.number.between(first, last))
        .order_by(table.number, table.block_number, table.log_index)
    )
    return [
        ReplayedBatch(**{name: getattr(row, name) for name in ReplayedBatch.__slots__})
        for row in rows
    ]


def last_entry_no(connection: Connection, token: StoredToken, number: int) -> int:
    """Return the last entry number of a batch; 0 for batch 0, before all entries."""
    table = token_batches.c
    found = connection.execute(
        select(table.last_entry_no).where(table.token_no == token.token_no, table.number == number)
    ).scalar()
    return found or 0


def read_balances(
    connection: Connection, token: StoredToken, *, last_entry_no: int, page: int
) -> Iterator[list[AccountBalances]]:
    """Yield every account of the ledger with its balance, `page` of them at a time.

    `last_entry_no`: up to where entries count as replayed.
    """
    after = SYSTEM_ACCOUNT_NO
    while True:
        chosen = (
            select(accounts.c.account_no, accounts.c.address)
            .where(accounts.c.account_no > after)
            .order_by(accounts.c.account_no)
            .limit(page)
            .subquery()
        )
        query = with_balance_after(token, chosen, last_entry_no)
        rows = connection.execute(query.order_by(chosen.c.account_no)).all()
        if rows:
            yield [AccountBalances(row.address, row.balance or 0) for row in rows]
        if len(rows) < page:
            return
        after = rows[-1].account_no


def with_balance_after(
    token: StoredToken, chosen: Subquery, last_entry_no: int | None
) -> Select[Any]:
    """Select accounts with what their last entry left, up to an entry number or of all.

    `chosen`: a selection with their `account_no`.
    """
    newest = select(
        chosen.c.account_no,
        _newest_entry_no(token, chosen, last_entry_no).label("entry_no"),
    ).subquery()
    entry = token_ledger.alias()
    return (
        select(chosen, _balance_after(entry, chosen.c.account_no).label("balance"))
        .join(newest, newest.c.account_no == chosen.c.account_no)
        .outerjoin(entry, entry.c.entry_no == newest.c.entry_no)
    )


def _newest_entry_no(token: StoredToken, chosen: Subquery, up_to: int | None) -> Any:
    """Return the account's last entry number on either side, 0 for none: two index look-ups."""

    def newest(side: str) -> Any:
        table = token_ledger.alias()
        query = select(func.coalesce(func.max(table.c.entry_no), 0)).where(
            table.c.token_no == token.token_no, table.c[side] == chosen.c.account_no
        )
        if up_to is not None:
            query = query.where(table.c.entry_no <= up_to)
        return query.correlate(chosen).scalar_subquery()

    sent, received = newest("from_account"), newest("to_account")
    return case((sent > received, sent), else_=received)


def _balance_after(entry: Any, account_no: Any) -> Any:
    return case(
        (entry.c.from_account == account_no, entry.c.balance_after_from),
        else_=entry.c.balance_after_to,
    )
