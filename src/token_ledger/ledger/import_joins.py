"""The imported entries against the logs that they are: joins that stream, a window at a time.

`mirror_joins` does the same for what was replayed. Compares nothing itself: `compare_home` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, select

from token_ledger.core.match import Line, MirroredTransfer
from token_ledger.core.types import ZERO_ADDRESS
from token_ledger.ledger import schema
from token_ledger.ledger.imports import MOVES
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_joins import mirrored
from token_ledger.ledger.mirror_schema import chain_transfers, token_imports
from token_ledger.ledger.tokens import StoredToken

WINDOW_ENTRIES = 20_000
ENTRY_NO_MAX = (1 << 63) - 1
_PAGE = 2_000
_PLACE = ("block_number", "block_hash", "tx_hash", "log_index")
_LINK, _MOVED, _ENTRY = token_imports.c, chain_transfers.c, schema.token_ledger.c
_SENDER, _RECEIVER = schema.accounts.alias("sender"), schema.accounts.alias("receiver")

_SAME = and_(
    _MOVED.value == _ENTRY.amount,
    _MOVED.from_address == _SENDER.c.address,
    _MOVED.to_address == _RECEIVER.c.address,
)
"""An imported entry moves what its log moves."""


class Window(NamedTuple):
    """Some imported entries, by their numbers, and how they compare.

    `matched` of `entries` move what their logs move; `broken` would have broken a rule. `minted`
    and `burned` are those that a bridge made.
    """

    first_no: int
    last_no: int
    entries: int
    matched: int
    broken: int
    minted: int
    burned: int


class Imported(NamedTuple):
    """An imported entry, if it is there, its log if the mirror holds it, and where it should be.

    `broken`: the rule that it broke.
    """

    line: Line | None
    mirrored: MirroredTransfer | None
    broken: str | None
    link: dict[str, Any]


def read_windows(
    connection: Connection,
    token: StoredToken,
    contract: StoredContract,
    *,
    first_block: int,
    last_block: int,
    broken_only: bool = False,
) -> Iterator[Window]:
    """Yield the imported entries of a range of blocks, compared in the database.

    `broken_only`: only those that broke a rule of the ledger.
    """
    broken = [_LINK.broken.is_not(None)] if broken_only else []
    # Imported in the order of the blocks: what is before the range is not walked through.
    after = last_entry_no(connection, token, first_block - 1) if first_block else 0
    while True:
        chosen = (
            select(token_imports)
            .where(
                _LINK.token_no == token.token_no,
                _LINK.entry_no > after,
                _LINK.block_number.between(first_block, last_block),
                *broken,
            )
            .order_by(_LINK.entry_no)
            .limit(WINDOW_ENTRIES)
            .subquery()
        )
        bounds = connection.execute(
            select(func.min(chosen.c.entry_no), func.max(chosen.c.entry_no), func.count())
        ).one()
        if not bounds[2]:
            return
        bridged = _MOVED.bridge.is_not(None)
        counts = connection.execute(
            select(
                *(
                    func.coalesce(func.sum(case((what, 1), else_=0)), 0)
                    for what in (
                        _SAME,
                        chosen.c.broken.is_not(None),
                        and_(bridged, _MOVED.from_address == ZERO_ADDRESS),
                        and_(bridged, _MOVED.to_address == ZERO_ADDRESS),
                    )
                )
            ).select_from(_joined(chosen, contract))
        ).one()
        yield Window(*bounds, *(int(number) for number in counts))
        after = bounds[1]


def read_window(
    connection: Connection,
    token: StoredToken,
    contract: StoredContract,
    window: Window,
    *,
    broken_only: bool = False,
) -> Iterator[Imported]:
    """Yield the entries of a window one by one, each with its log."""
    broken = [_LINK.broken.is_not(None)] if broken_only else []
    chosen = (
        select(token_imports)
        .where(
            _LINK.token_no == token.token_no,
            _LINK.entry_no.between(window.first_no, window.last_no),
            *broken,
        )
        .subquery()
    )
    linked = {name: chosen.c[name].label(f"link_{name}") for name in _PLACE}
    beside: list[Any] = [chosen.c.broken, *linked.values()]
    rows = connection.execute(
        select(
            *beside,
            _ENTRY.id,
            _ENTRY.amount,
            _SENDER.c.address.label("sender_address"),
            _RECEIVER.c.address.label("receiver_address"),
            chain_transfers,
        )
        .select_from(_joined(chosen, contract))
        .order_by(chosen.c.entry_no)
    )
    for row in rows:
        line = None
        if None not in (row.id, row.sender_address, row.receiver_address):
            line = Line(0, bytes(row.id), row.sender_address, row.receiver_address, row.amount)
        found = None if row.block_number is None else mirrored(cast(Row[Any], row))
        link = {name: getattr(row, f"link_{name}") for name in _PLACE}
        yield Imported(line, found, row.broken, link)


def _joined(chosen: Any, contract: StoredContract) -> Any:
    """Join links with their entries and their logs, where books and mirror hold them."""
    log = and_(
        _MOVED.contract_no == contract.contract_no,
        _MOVED.block_number == chosen.c.block_number,
        _MOVED.log_index == chosen.c.log_index,
        _MOVED.block_hash == chosen.c.block_hash,
    )
    entry = and_(_ENTRY.entry_no == chosen.c.entry_no, _ENTRY.token_no == chosen.c.token_no)
    return (
        chosen.outerjoin(schema.token_ledger, entry)
        .outerjoin(_SENDER, _SENDER.c.account_no == _ENTRY.from_account)
        .outerjoin(_RECEIVER, _RECEIVER.c.account_no == _ENTRY.to_account)
        .outerjoin(chain_transfers, log)
    )


def joined_with_logs(contract: StoredContract) -> tuple[Any, ColumnElement[bool]]:
    """Return the links joined with entries and logs, and that an entry moves what its log does."""
    return _joined(token_imports, contract), _SAME


def own(contract: StoredContract) -> list[Any]:
    """Return the conditions of transfers that no replay made, and that move something."""
    return [_MOVED.contract_no == contract.contract_no, _MOVED.seq.is_(None), MOVES]


def read_not_entered(
    connection: Connection,
    token: StoredToken,
    contract: StoredContract,
    *,
    first_block: int,
    last_block: int,
) -> Iterator[MirroredTransfer]:
    """Yield the transfers of a range of blocks that move something and are no entry, in order."""
    same = and_(
        _LINK.token_no == token.token_no,
        _LINK.block_number == _MOVED.block_number,
        _LINK.log_index == _MOVED.log_index,
        _LINK.block_hash == _MOVED.block_hash,
    )
    rows = connection.execution_options(yield_per=_PAGE).execute(
        select(chain_transfers)
        .outerjoin(token_imports, same)
        .where(*own(contract), _LINK.entry_no.is_(None))
        .where(_MOVED.block_number.between(first_block, last_block))
        .order_by(_MOVED.block_number, _MOVED.log_index)
    )
    for row in rows:
        yield mirrored(row)


def read_left_behind(
    connection: Connection, token: StoredToken, *, after_entry_no: int
) -> Iterator[tuple[int, Line]]:
    """Yield the entries behind the last replayed one that were not imported, with their numbers."""
    rows = connection.execution_options(yield_per=_PAGE).execute(
        select(
            _ENTRY.entry_no,
            _ENTRY.id,
            _ENTRY.amount,
            _SENDER.c.address.label("sender_address"),
            _RECEIVER.c.address.label("receiver_address"),
        )
        .join(_SENDER, _SENDER.c.account_no == _ENTRY.from_account)
        .join(_RECEIVER, _RECEIVER.c.account_no == _ENTRY.to_account)
        .outerjoin(token_imports, _LINK.entry_no == _ENTRY.entry_no)
        .where(
            _ENTRY.token_no == token.token_no,
            _ENTRY.entry_no > after_entry_no,
            _LINK.entry_no.is_(None),
        )
        .order_by(_ENTRY.entry_no)
    )
    for row in rows:
        line = Line(0, bytes(row.id), row.sender_address, row.receiver_address, row.amount)
        yield row.entry_no, line


def first_entry_no(connection: Connection, token: StoredToken) -> int:
    """Return the number of the first entry that was imported; above all numbers for none."""
    found = connection.execute(
        select(func.min(_LINK.entry_no)).where(_LINK.token_no == token.token_no)
    ).scalar()
    return ENTRY_NO_MAX if found is None else found


def last_entry_no(connection: Connection, token: StoredToken, last_block: int) -> int:
    """Return the number of the last entry imported from a block up to this one; 0 for none."""
    found = connection.execute(
        select(_LINK.entry_no)
        .where(_LINK.token_no == token.token_no, _LINK.block_number <= last_block)
        .order_by(_LINK.block_number.desc(), _LINK.log_index.desc())
        .limit(1)
    ).scalar()
    return found or 0


def pending(
    connection: Connection, contract: StoredContract, *, first_block: int, last_block: int
) -> tuple[int, dict[bytes, int]]:
    """Return how many transfers of a range of blocks are no entries yet, and what they will change.

    By address; at the zero address that is minus what they issue.
    """
    changes: dict[bytes, int] = {}
    count = 0
    rows = connection.execution_options(yield_per=_PAGE).execute(
        select(_MOVED.from_address, _MOVED.to_address, _MOVED.value).where(
            *own(contract), _MOVED.block_number.between(first_block, last_block)
        )
    )
    for sender, receiver, value in rows:
        count += 1
        changes[sender] = changes.get(sender, 0) - value
        changes[receiver] = changes.get(receiver, 0) + value
    return count, changes


def supply_after(connection: Connection, token: StoredToken, entry_no: int) -> int:
    """Return the supply that the last mint or burn up to an entry left."""
    newest = [
        connection.execute(
            select(func.max(_ENTRY.entry_no)).where(
                _ENTRY.token_no == token.token_no,
                side == schema.SYSTEM_ACCOUNT_NO,
                _ENTRY.entry_no <= entry_no,
            )
        ).scalar()
        for side in (_ENTRY.from_account, _ENTRY.to_account)
    ]
    last = max(number or 0 for number in newest)
    if not last:
        return 0
    found = connection.execute(select(_ENTRY.supply_after).where(_ENTRY.entry_no == last)).scalar()
    return int(found or 0)


def read_uncovered(connection: Connection, token: StoredToken) -> list[tuple[bytes, int, int]]:
    """Return the escrow accounts that hold less than their open holds claim: address, claim, held.

    Empty as long as only the ledger moves the token.
    """
    hold, wallet = schema.token_holds.c, schema.token_accounts.c
    escrow = schema.accounts.c
    rows = connection.execute(
        select(escrow.address, wallet.balance, hold.remaining)
        .join(schema.accounts, escrow.escrow_of == hold.holder_no)
        .outerjoin(
            schema.token_accounts,
            and_(wallet.token_no == hold.token_no, wallet.account_no == escrow.account_no),
        )
        .where(hold.token_no == token.token_no, hold.released_at.is_(None), hold.remaining > 0)
    )
    claims: dict[bytes, int] = {}
    held: dict[bytes, int] = {}
    for address, balance, remaining in rows:
        claims[address] = claims.get(address, 0) + remaining
        held[address] = balance or 0
    return [
        (address, claim, held[address])
        for address, claim in sorted(claims.items())
        if claim > held[address]
    ]


__all__ = [
    "Imported",
    "Window",
    "first_entry_no",
    "joined_with_logs",
    "last_entry_no",
    "own",
    "pending",
    "read_left_behind",
    "read_not_entered",
    "read_uncovered",
    "read_window",
    "read_windows",
    "supply_after",
]
