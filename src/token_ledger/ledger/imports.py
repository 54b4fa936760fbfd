"""Final transfers of the mirror made entries: one run of whole blocks, in one transaction.

    lock the home → the next transfers → accounts by address → post → which entry is which log
          → the home moves on

So a run that is killed leaves nothing behind, and none is posted twice. What is final, `enter`
asks the chain; this module believes it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, func, insert, select

from token_ledger.core.address import to_checksum
from token_ledger.core.imports import import_key, import_texts
from token_ledger.core.match import MirroredTransfer
from token_ledger.core.transfers import BlockHeader
from token_ledger.core.types import SYSTEM, ZERO_ADDRESS
from token_ledger.errors import DatabaseError, ForkedError, InsufficientBalanceError, RuleError
from token_ledger.ledger import accounts, homes, mirror_reach, schema
from token_ledger.ledger.accounts import Known
from token_ledger.ledger.balances import NOTHING, Waived
from token_ledger.ledger.composite import Desk
from token_ledger.ledger.engine import translated
from token_ledger.ledger.homes import Home
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_joins import mirrored
from token_ledger.ledger.mirror_schema import chain_blocks, chain_transfers, token_imports
from token_ledger.ledger.posted import Outcome
from token_ledger.ledger.poster import Poster
from token_ledger.ledger.requests import PostingContext, Request, Requests
from token_ledger.ledger.store import chunks
from token_ledger.ledger.tokens import StoredToken

RUN_TRANSFERS = 2_000
"""About so many transfers a transaction; a block is never divided."""
TAKEN_PREFIX = "chain:"
_LOOKUP_SIZE = 500
_TABLE = chain_transfers.c
MOVES = and_(_TABLE.value > 0, _TABLE.from_address != _TABLE.to_address)
"""Which transfers become entries: not those of no value, nor those to oneself."""


class CannotEnterError(Exception):
    """A transfer that the books cannot take: the run's transaction is given up."""

    def __init__(self, block_number: int, log_index: int, error: RuleError) -> None:
        super().__init__(error.message)
        self.block_number, self.log_index = block_number, log_index


class Broken(NamedTuple):
    """A rule of the ledger that an imported entry did not keep: its code, and the entry."""

    code: str
    entry_id: bytes
    block_number: int
    log_index: int


@dataclass(slots=True)
class Run:
    """What one run made: `unmoved` counts transfers that move nothing and become no entry."""

    next_block: int
    entries: int = 0
    accounts: int = 0
    unmoved: int = 0
    broken: list[Broken] = field(default_factory=list)


class _ImportPoster(Poster):
    """A poster that asks of each transfer which rule it would have broken, and posts it anyway."""

    def __init__(self, connection: Connection, context: PostingContext, token: StoredToken) -> None:
        super().__init__(connection, context, token)
        self.broken: dict[bytes, str] = {}

    def _move(self, request: Request, waived: Waived) -> tuple[int | None, int | None, int | None]:
        try:
            return super()._move(request, NOTHING)
        except InsufficientBalanceError:
            raise
        except RuleError as error:
            self.broken[request.id] = error.code
            return super()._move(request, waived)


def enter_run(
    connection: Connection,
    context: PostingContext,
    token: StoredToken,
    contract: StoredContract,
    *,
    top: BlockHeader,
    up_to: int,
    now: int,
) -> Run | None:
    """Make entries of the next final transfers, up to block `up_to`; None where none is left.

    `top`: the block, not below `up_to`, that the chain was asked for. Runs in a write transaction.
    Raises CannotEnterError for a transfer that would overdraw its sender: the transaction must be
    rolled back, and may be run again up to the block before. ForkedError where the mirror no longer
    has `top`.
    """
    home = homes.read_home(connection, token, lock=True)
    assert home is not None, "a token without a home takes entries of the application's"
    if home.next_block > up_to:
        return None
    # Under the lock that whoever takes blocks back needs too: until the commit none is taken back.
    if not mirror_reach.knows_block(connection, contract.chain_id, top.hash):
        raise ForkedError(f"the mirror no longer has block {top.number}, which was final")
    rows, last = _next_rows(connection, contract, home.next_block, up_to, RUN_TRANSFERS)
    run = Run(next_block=last + 1)
    run.unmoved = _count_unmoved(connection, contract, home.next_block, last)
    if rows:
        with translated():
            desk = Desk(connection, replace(context, imported=True), token)
            _post(desk, contract, rows, run)
    homes.move_on(connection, token, run.next_block, now=now)
    return run


def count_waiting(connection: Connection, contract: StoredContract, next_block: int) -> int:
    """Return how many transfers from a block on will become entries once they are final."""
    return connection.execute(
        select(func.count())
        .select_from(chain_transfers)
        .where(*_of(contract), MOVES, _TABLE.block_number >= next_block)
    ).scalar_one()


def read_followed(connection: Connection, token: StoredToken) -> Home | None:
    """Return the token's home if nothing of the ledger was left behind on its way there."""
    home = homes.read_home(connection, token)
    if home is None or count_left_behind(connection, token, home.replayed_number):
        return None
    return home


def count_left_behind(connection: Connection, token: StoredToken, replayed_number: int) -> int:
    """Return how many entries were neither replayed, with batches up to a number, nor imported."""
    entry, link = schema.token_ledger.c, token_imports.c
    sealed = select(schema.token_batches.c.last_entry_no).where(
        schema.token_batches.c.token_no == token.token_no,
        schema.token_batches.c.number == replayed_number,
    )
    return connection.execute(
        select(func.count())
        .select_from(schema.token_ledger)
        .outerjoin(token_imports, link.entry_no == entry.entry_no)
        .where(
            entry.token_no == token.token_no,
            entry.entry_no > func.coalesce(sealed.scalar_subquery(), 0),
            link.entry_no.is_(None),
        )
    ).scalar_one()


def read_stopped(
    connection: Connection, token: StoredToken, contract: StoredContract, place: tuple[int, int]
) -> tuple[MirroredTransfer, int] | None:
    """Return the transfer at a block and log, and what its sender has by the entries.

    None where the mirror does not hold it (any more).
    """
    row = connection.execute(
        select(chain_transfers)
        .where(*_of(contract), _TABLE.block_number == place[0], _TABLE.log_index == place[1])
        .limit(1)
    ).first()
    if row is None:
        return None
    held = connection.execute(
        select(schema.token_accounts.c.balance)
        .join(schema.accounts, schema.accounts.c.account_no == schema.token_accounts.c.account_no)
        .where(
            schema.token_accounts.c.token_no == token.token_no,
            schema.accounts.c.address == row.from_address,
        )
    ).scalar()
    return mirrored(row), held or 0


def _of(contract: StoredContract) -> list[Any]:
    """Return what the token's own transfers are: of its contract, and made by no replay."""
    return [_TABLE.contract_no == contract.contract_no, _TABLE.seq.is_(None)]


def _next_rows(
    connection: Connection, contract: StoredContract, first: int, up_to: int, limit: int
) -> tuple[Sequence[Row[Any]], int]:
    """Return about `limit` transfers of whole blocks, and the block up to which they are all."""
    blocks = chain_blocks.c
    query = (
        select(chain_transfers, blocks.timestamp)
        .outerjoin(
            chain_blocks,
            and_(blocks.chain_id == contract.chain_id, blocks.hash == _TABLE.block_hash),
        )
        .where(*_of(contract), MOVES, _TABLE.block_number.between(first, up_to))
        .order_by(_TABLE.block_number, _TABLE.log_index)
    )
    rows = connection.execute(query.limit(limit + 1)).all()
    if len(rows) <= limit:
        return rows, up_to
    last = rows[-1].block_number
    whole = [row for row in rows if row.block_number < last]
    if whole:
        return whole, last - 1
    return connection.execute(query.where(_TABLE.block_number == last)).all(), last


def _count_unmoved(connection: Connection, contract: StoredContract, first: int, last: int) -> int:
    total, moving = (
        connection.execute(
            select(func.count())
            .select_from(chain_transfers)
            .where(*_of(contract), _TABLE.block_number.between(first, last), *more)
        ).scalar_one()
        for more in ((), (MOVES,))
    )
    return int(total - moving)


def _post(desk: Desk, contract: StoredContract, rows: Sequence[Row[Any]], run: Run) -> None:
    sides = {side for row in rows for side in (row.from_address, row.to_address)}
    known, run.accounts = _accounts_at(desk, sides)
    requests = _requests(desk, contract, rows, known)
    poster = _ImportPoster(desk.connection, desk.context, desk.token)
    names = {account.number: name for name, account in known.values()}
    poster.lock(names, supply=ZERO_ADDRESS in sides)

    def refuse(index: int, error: RuleError) -> None:
        raise CannotEnterError(rows[index].block_number, rows[index].log_index, error)

    outcomes = poster.enter(requests, refuse=refuse)
    poster.close()
    links = []
    for row, request, outcome in zip(rows, requests, outcomes, strict=True):
        assert outcome is not None, "what is refused is raised"
        code = poster.broken.get(request.id)
        if code is not None:
            run.broken.append(Broken(code, request.id, row.block_number, row.log_index))
        links.append(_link(desk, row, outcome, code))
    desk.connection.execute(insert(token_imports), links)
    run.entries = len(links)


def _requests(
    desk: Desk,
    contract: StoredContract,
    rows: Sequence[Row[Any]],
    known: dict[bytes, tuple[str, Known]],
) -> list[Request]:
    make, secret = Requests(desk.context, desk.token).make_raw, desk.context.secret
    requests = []
    for row in rows:
        if row.timestamp is None:
            raise DatabaseError(
                f"the mirror lacks the header of block {row.block_number}",
                hint="import into a copy of the database from before",
            )
        sender, receiver, tx_hash = row.from_address, row.to_address, bytes(row.tx_hash)
        texts = import_texts(
            sender, receiver, tx_hash=tx_hash, log_index=row.log_index, bridge=row.bridge
        )
        key = import_key(
            secret, chain_id=contract.chain_id, tx_hash=tx_hash, log_index=row.log_index
        )
        payer, payee = known[sender][1], known[receiver][1]
        requests.append(
            make(payer, payee, value=row.value, timestamp=row.timestamp, texts=texts, key=key)
        )
    return requests


def _link(desk: Desk, row: Row[Any], outcome: Outcome, broken: str | None) -> dict[str, Any]:
    """Return the row that says which entry is which log."""
    return {
        "entry_no": outcome.entry_no,
        "token_no": desk.token.token_no,
        "block_number": row.block_number,
        "log_index": row.log_index,
        "block_hash": row.block_hash,
        "tx_hash": row.tx_hash,
        "broken": broken,
    }


def _accounts_at(desk: Desk, addresses: set[bytes]) -> tuple[dict[bytes, tuple[str, Known]], int]:
    """Return id and account by address, and how many were made because nobody had the address."""
    connection, context = desk.connection, desk.context
    known = _find_at(connection, addresses)
    missing = sorted(addresses.difference(known))
    if missing:
        names = _free_names(connection, missing)
        connection.execute(
            insert(schema.accounts),
            [
                {
                    "account_id": name,
                    "address": address,
                    "derived": False,
                    "created_at": context.clock() if context.clock else time.time_ns() // 1000,
                }
                for address, name in names.items()
            ],
        )
        known |= _find_at(connection, missing)
    return known, len(missing)


def _find_at(
    connection: Connection, addresses: Sequence[bytes] | set[bytes]
) -> dict[bytes, tuple[str, Known]]:
    table = schema.accounts.c
    known: dict[bytes, tuple[str, Known]] = {}
    if ZERO_ADDRESS in addresses:
        known[ZERO_ADDRESS] = (SYSTEM, Known(schema.SYSTEM_ACCOUNT_NO, ZERO_ADDRESS))
    for part in chunks(sorted(set(addresses) - {ZERO_ADDRESS}), _LOOKUP_SIZE):
        rows = connection.execute(
            select(table.account_id, table.account_no, table.address, table.escrow_of).where(
                table.address.in_(part)
            )
        )
        for name, number, address, escrow_of in rows:
            known[bytes(address)] = (name, Known(number, bytes(address), escrow_of))
    return known


def _free_names(connection: Connection, addresses: Sequence[bytes]) -> dict[bytes, str]:
    """Return an id for each address: its EIP-55 text, or that behind a prefix where it is taken.

    An application may have given an account of another address that very name.
    """
    names = {address: to_checksum(address) for address in addresses}
    tries = 0
    while taken := accounts.find_known(connection, names.values()):
        tries += 1
        for address, name in names.items():
            if name in taken:
                names[address] = f"{TAKEN_PREFIX * tries}{to_checksum(address)}"
    return names
