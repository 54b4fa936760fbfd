"""What a mirror already holds, against what the chain says now; set right where it differs.

A range at a time, in one transaction, so that the mirror is whole at every instant: what a node no
longer serves stays. Cursors stand where they are, and the books are not touched. Asks no node:
`token_ledger.again` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, or_, select, update

from token_ledger.core.transfers import BlockHeader, ChainRange, TransferColumns
from token_ledger.errors import ForkedError
from token_ledger.ledger import mirror, mirror_forks, mirror_rows
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_locks import lock_chain, lock_contract
from token_ledger.ledger.mirror_schema import (
    chain_batches,
    chain_blocks,
    chain_contracts,
    chain_cursors,
    chain_transfers,
)
from token_ledger.ledger.store import chunks

_LOOKUP_SIZE = 500
_PLACE = ("block_number", "block_hash", "log_index")
_TRANSFER = (*_PLACE, "tx_hash", "tx_index", "from_address", "to_address", "value", "seq", "bridge")
_BATCH = (*_PLACE, "tx_hash", "number", "digest", "entries_root", "first_seq", "count")

Rows = set[tuple[Any, ...]]


@dataclass(slots=True)
class Mended:
    """Rows of the mirror that differed: `dropped`, for the chain does not say so; `added`.

    An altered row is both. `headers` counts blocks whose header was missing or another.
    """

    dropped: int = 0
    added: int = 0
    headers: int = 0

    def add(self, other: Mended) -> None:
        """Add what was mended elsewhere."""
        self.dropped += other.dropped
        self.added += other.added
        self.headers += other.headers

    def to_json(self) -> dict[str, object]:
        """Return it as one JSON-ready object."""
        return {"dropped": self.dropped, "added": self.added, "headers": self.headers}


def mend_range(
    connection: Connection,
    chain_id: int,
    contracts: Sequence[StoredContract],
    found: Sequence[ChainRange],
    *,
    now: int,
) -> list[Mended]:
    """Have the mirror say of a range of blocks what the chain says, contract by contract.

    `found`: the range of each. Raises ForkedError where the mirror no longer reaches so far.
    """
    lock_chain(connection, chain_id)
    headers = _mend_headers(connection, chain_id, [b for part in found for b in part.blocks])
    mended = []
    for contract, part in zip(contracts, found, strict=True):
        cursor = mirror.read_cursor(connection, contract)
        if cursor is None or cursor.next_block <= part.to_block:
            raise ForkedError(f"the mirror was taken back below block {part.to_block}")
        if cursor.next_block == part.to_block + 1 and cursor.last_block_hash != part.to_hash:
            connection.execute(
                update(chain_cursors)
                .where(chain_cursors.c.contract_no == contract.contract_no)
                .values(last_block_hash=part.to_hash, updated_at=now)
            )
        mended.append(_mend(connection, contract, part))
        mended[-1].headers, headers = headers, 0  # shared: told once
    return mended


def _mend(connection: Connection, contract: StoredContract, part: ChainRange) -> Mended:
    told = Mended()
    for table, columns, said in (
        (chain_transfers, _TRANSFER, _transfers(part.transfers)),
        (chain_batches, _BATCH, {tuple(getattr(b, c) for c in _BATCH) for b in part.batches}),
    ):
        its_own = (
            table.c.contract_no == contract.contract_no,
            table.c.block_number.between(part.from_block, part.to_block),
        )
        known = _read(connection, table, columns, *its_own)
        if known == said:
            continue
        told.dropped += len(known - said)
        told.added += len(said - known)
        connection.execute(delete(table).where(*its_own))
        if table is chain_transfers and said:
            mirror_rows.store_transfers(connection, contract.contract_no, part.transfers)
        elif said:
            place = {"contract_no": contract.contract_no}
            rows = [place | dict(zip(columns, row, strict=True)) for row in said]
            connection.execute(insert(table), rows)
    return told


def _read(connection: Connection, table: Table, columns: Sequence[str], *where: Any) -> Rows:
    rows = connection.execute(select(*(table.c[name] for name in columns)).where(*where))
    return {tuple(row) for row in rows}


def _transfers(columns: TransferColumns) -> Rows:
    """Return transfers as the mirror's table holds them, by the columns of _TRANSFER."""
    return {
        (*fields, int.from_bytes(value, "big"), seq, columns.bridges.get(place))
        for place, (*fields, value, seq) in enumerate(
            zip(
                columns.block_number,
                columns.block_hash,
                columns.log_index,
                columns.tx_hash,
                columns.tx_index,
                columns.from_address,
                columns.to_address,
                columns.value,
                columns.seq,
                strict=True,
            )
        )
    }


def _mend_headers(connection: Connection, chain_id: int, headers: Sequence[BlockHeader]) -> int:
    """Store headers that the mirror lacks or holds otherwise; return how many. Not block 0."""
    if not headers:
        return 0
    known = set(
        mirror_forks.known_blocks(connection, chain_id, headers[0].number, headers[-1].number)
    )
    wrong = [header for header in headers if header.number and header not in known]
    blocks = chain_blocks.c
    for page in chunks(wrong, _LOOKUP_SIZE):
        same_place = blocks.number.in_([header.number for header in page])
        connection.execute(
            delete(chain_blocks).where(
                blocks.chain_id == chain_id,
                or_(
                    blocks.hash.in_([header.hash for header in page]),
                    same_place & blocks.orphaned_at.is_(None),
                ),
            )
        )
    mirror.store_headers(connection, chain_id, wrong)
    return len(wrong)


def drop_beyond(connection: Connection, contract: StoredContract, first: int) -> Mended:
    """Drop rows of a contract below block `first` and from its cursor on: none was read there."""
    lock_contract(connection, contract.contract_no, contract.address)
    cursor = mirror.read_cursor(connection, contract)
    if cursor is None:
        return Mended()
    dropped = 0
    for table in (chain_transfers, chain_batches):
        place = table.c.block_number
        outside = or_(place < first, place >= cursor.next_block)
        dropped += connection.execute(
            delete(table).where(table.c.contract_no == contract.contract_no, outside)
        ).rowcount
    return Mended(dropped=dropped)


def drop_headers_beyond(connection: Connection, chain_id: int) -> None:
    """Drop headers above everything that was imported of a chain: no import stored them."""
    lock_chain(connection, chain_id)
    contracts, cursors, blocks = chain_contracts.c, chain_cursors.c, chain_blocks.c
    reached = connection.execute(
        select(func.max(cursors.next_block))
        .join(chain_contracts, contracts.contract_no == cursors.contract_no)
        .where(contracts.chain_id == chain_id)
    ).scalar()
    connection.execute(
        delete(chain_blocks).where(
            blocks.chain_id == chain_id, blocks.number > 0, blocks.number >= (reached or 0)
        )
    )
