"""The mirror: what chains said, in tables of its own, beside the books and never mixed with them.

Contracts, cursors, blocks, transfers and replayed batches. Rows and cursor land in one transaction,
so an importer killed at any instant has either the whole range or none of it. A chain is known by
its id and the hash of its block 0: a test chain started again is another chain. Comparing the
mirror with the entries is `mirror_joins`' business.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, select, update

from token_ledger.core.hashing import keccak
from token_ledger.core.packing import pack
from token_ledger.core.transfers import BlockHeader, ChainRange
from token_ledger.core.types import Batch
from token_ledger.errors import DatabaseError, ForkedError
from token_ledger.ledger import mirror_forks, mirror_rows
from token_ledger.ledger.batches import read_header
from token_ledger.ledger.mirror_locks import lock_contract
from token_ledger.ledger.mirror_schema import (
    chain_batches,
    chain_blocks,
    chain_contracts,
    chain_cursors,
    chain_orphans,
    chain_transfers,
)
from token_ledger.ledger.schema import accounts, batch_signatures, token_batches, token_ledger
from token_ledger.ledger.tokens import StoredToken

_INSERT_BLOCKS = (
    "INSERT INTO chain_blocks (chain_id, number, hash, parent_hash, timestamp) {}"
    " ON CONFLICT (chain_id, hash) DO UPDATE SET orphaned_at = NULL"
    " WHERE chain_blocks.orphaned_at IS NOT NULL"
)


@dataclass(frozen=True, slots=True)
class StoredContract:
    """A contract that the mirror follows; `token_no` is None where it is no token of ours.

    `block_number`: the first block that can hold its logs, where that is known. `adopted`: it is a
    token that was always on the chain. `implementation`: a proxy's, when it was recorded.
    """

    contract_no: int
    chain_id: int
    address: bytes
    token_no: int | None
    block_number: int | None
    tx_hash: bytes | None
    code_hash: bytes | None
    adopted: bool = False
    implementation: bytes | None = None

    @property
    def replayed(self) -> bool:
        """Whether it is the ledger's own, into which batches are replayed."""
        return self.token_no is not None and not self.adopted


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a contract was imported: everything below `next_block`, ending with that hash."""

    next_block: int
    last_block_hash: bytes | None


# --- chains and contracts


def genesis_hash(connection: Connection, chain_id: int) -> bytes | None:
    """Return the hash of block 0 of the chain that the mirror knows by this id, if any."""
    blocks = chain_blocks.c
    return connection.execute(
        select(blocks.hash).where(blocks.chain_id == chain_id, blocks.number == 0)
    ).scalar_one_or_none()


def store_genesis(connection: Connection, chain_id: int, header: BlockHeader) -> None:
    """Remember block 0 of a chain: what tells it from another one with the same id."""
    assert header.number == 0
    store_headers(connection, chain_id, [header])


def forget_chain(connection: Connection, chain_id: int) -> None:
    """Drop everything that was said by the chain of this id: contracts, logs, blocks."""
    _forget_contracts(connection, chain_contracts.c.chain_id == chain_id)
    connection.execute(delete(chain_blocks).where(chain_blocks.c.chain_id == chain_id))


def forget_contracts_of(
    connection: Connection, token: StoredToken, chain_ids: Collection[int]
) -> int:
    """Drop the contracts of a token on some chains, with what they said; return how many."""
    contracts = chain_contracts.c
    ours = and_(contracts.token_no == token.token_no, contracts.chain_id.in_(sorted(chain_ids)))
    return _forget_contracts(connection, ours)


def _forget_contracts(connection: Connection, which: ColumnElement[bool]) -> int:
    numbers = select(chain_contracts.c.contract_no).where(which)
    for table in (chain_transfers, chain_batches, chain_cursors, chain_orphans):
        connection.execute(delete(table).where(table.c.contract_no.in_(numbers)))
    return connection.execute(delete(chain_contracts).where(which)).rowcount


def find_contract(connection: Connection, chain_id: int, address: bytes) -> StoredContract | None:
    """Return the contract at an address of a chain, if the mirror knows it."""
    contracts = chain_contracts.c
    row = connection.execute(
        select(chain_contracts).where(contracts.chain_id == chain_id, contracts.address == address)
    ).first()
    return None if row is None else _contract(row)


def contracts_of_chain(connection: Connection, chain_id: int) -> list[StoredContract]:
    """Return every contract that the mirror knows on a chain, the longest known first."""
    contracts = chain_contracts.c
    rows = connection.execute(
        select(chain_contracts)
        .where(contracts.chain_id == chain_id)
        .order_by(contracts.contract_no)
    )
    return [_contract(row) for row in rows]


def contract_of(
    connection: Connection, token: StoredToken, chain_id: int | None = None
) -> StoredContract | None:
    """Return the token's contract on a chain, or its newest on any chain."""
    contracts = chain_contracts.c
    query = select(chain_contracts).where(contracts.token_no == token.token_no)
    if chain_id is not None:
        query = query.where(contracts.chain_id == chain_id)
    row = connection.execute(query.order_by(contracts.contract_no.desc()).limit(1)).first()
    return None if row is None else _contract(row)


def record_contract(
    connection: Connection,
    *,
    chain_id: int,
    address: bytes,
    token: StoredToken | None,
    block_number: int | None,
    tx_hash: bytes | None,
    code_hash: bytes | None,
    now: int,
) -> StoredContract:
    """Remember a contract; one that is known already keeps what is known of it."""
    known = find_contract(connection, chain_id, address)
    if known is not None:
        return known
    highest = connection.execute(select(func.max(chain_contracts.c.contract_no))).scalar()
    contract = StoredContract(
        contract_no=(highest or 0) + 1,
        chain_id=chain_id,
        address=address,
        token_no=None if token is None else token.token_no,
        block_number=block_number,
        tx_hash=tx_hash,
        code_hash=code_hash,
    )
    connection.execute(
        insert(chain_contracts).values(
            contract_no=contract.contract_no,
            chain_id=chain_id,
            address=address,
            token_no=contract.token_no,
            block_number=block_number,
            tx_hash=tx_hash,
            code_hash=code_hash,
            created_at=now,
        )
    )
    return contract


def adopt_contract(
    connection: Connection,
    token: StoredToken,
    *,
    chain_id: int,
    address: bytes,
    block_number: int,
    code_hash: bytes,
    implementation: bytes | None,
    now: int,
) -> StoredContract:
    """Remember that a contract is a token's which was always there. Returns it."""
    record_contract(
        connection,
        chain_id=chain_id,
        address=address,
        token=token,
        block_number=block_number,
        tx_hash=None,
        code_hash=code_hash,
        now=now,
    )
    contracts = chain_contracts.c
    connection.execute(
        update(chain_contracts)
        .where(contracts.chain_id == chain_id, contracts.address == address)
        .values(
            token_no=token.token_no,
            adopted=True,
            code_hash=code_hash,
            implementation=implementation,
        )
    )
    found = find_contract(connection, chain_id, address)
    assert found is not None, "it was just recorded"
    return found


def complete_contract(
    connection: Connection,
    *,
    chain_id: int,
    address: bytes,
    tx_hash: bytes | None,
    code_hash: bytes,
) -> None:
    """Add what is known of a contract once its code is there."""
    contracts = chain_contracts.c
    connection.execute(
        update(chain_contracts)
        .where(contracts.chain_id == chain_id, contracts.address == address)
        .values(tx_hash=tx_hash, code_hash=code_hash)
    )


def begin_at(connection: Connection, contract: StoredContract, block_number: int) -> None:
    """Remember from which block on a contract is imported."""
    connection.execute(
        update(chain_contracts)
        .where(chain_contracts.c.contract_no == contract.contract_no)
        .values(block_number=block_number)
    )


def _contract(row: Row[Any]) -> StoredContract:
    return StoredContract(
        contract_no=row.contract_no,
        chain_id=row.chain_id,
        address=row.address,
        token_no=row.token_no,
        block_number=row.block_number,
        tx_hash=row.tx_hash,
        code_hash=row.code_hash,
        adopted=bool(row.adopted),
        implementation=row.implementation,
    )


# --- importing


def read_cursor(connection: Connection, contract: StoredContract) -> Cursor | None:
    """Return how far a contract was imported; None before the first range."""
    cursors = chain_cursors.c
    row = connection.execute(
        select(cursors.next_block, cursors.last_block_hash).where(
            cursors.contract_no == contract.contract_no
        )
    ).first()
    return None if row is None else Cursor(row.next_block, row.last_block_hash)


def store_range(
    connection: Connection, contract: StoredContract, found: ChainRange, *, now: int
) -> bool:
    """Store a range and move the cursor behind it; False, and nothing, if it is not the next one.

    Another importer may have been faster: then the cursor is elsewhere already, or on other blocks.
    """
    if not _move_cursor(connection, contract, found, now):
        return False
    if mirror_forks.contradicts(connection, contract.chain_id, found.blocks):
        raise ForkedError(f"the mirror knows other blocks from {found.from_block} on")
    store_headers(connection, contract.chain_id, found.blocks)
    if len(found.transfers):
        mirror_rows.store_transfers(connection, contract.contract_no, found.transfers)
    if found.batches:
        connection.execute(
            insert(chain_batches),
            [
                {
                    "contract_no": contract.contract_no,
                    **{name: getattr(batch, name) for name in batch.__slots__},
                }
                for batch in found.batches
            ],
        )
    return True


def _move_cursor(
    connection: Connection, contract: StoredContract, found: ChainRange, now: int
) -> bool:
    cursors = chain_cursors.c
    # The contract's row is the lock that two importers of a new contract meet at.
    lock_contract(connection, contract.contract_no, contract.address)
    values = {
        "next_block": found.to_block + 1,
        "last_block_hash": found.to_hash,
        "updated_at": now,
    }
    known = read_cursor(connection, contract)
    if known is None:
        connection.execute(insert(chain_cursors).values(contract_no=contract.contract_no, **values))
        return True
    if known.next_block != found.from_block:
        return False
    if known.last_block_hash not in (None, found.parent_hash):
        raise ForkedError(f"block {found.from_block} does not follow what was imported before it")
    connection.execute(
        update(chain_cursors).where(cursors.contract_no == contract.contract_no).values(**values)
    )
    return True


def store_headers(connection: Connection, chain_id: int, headers: Sequence[BlockHeader]) -> None:
    """Store headers; those of another contract's import stay, orphaned ones are taken again."""
    if not headers:
        return  # of several contracts' ranges the first one brings them
    rows = [(chain_id, h.number, h.hash, h.parent_hash, h.timestamp) for h in headers]
    if connection.dialect.name == "postgresql":
        # One statement for all of them; a statement a header would take longer than the transfers.
        connection.exec_driver_sql(
            _INSERT_BLOCKS.format(
                "SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[], %s::bytea[],"
                " %s::bigint[])"
            ),
            tuple(map(list, zip(*rows, strict=True))),
        )
    else:
        connection.exec_driver_sql(_INSERT_BLOCKS.format("VALUES (?, ?, ?, ?, ?)"), rows)


# --- what a replay needs


def read_replayable(
    connection: Connection, token: StoredToken, number: int, signer: bytes
) -> Batch:
    """Return a batch with its rows and the signature of `signer`, and without its entries.

    Reads a third of what `batches.read_batch` does. Raises UnknownBatchError, and DatabaseError
    where the entries in the database no longer give the rows that were sealed.
    """
    header, digest = read_header(connection, token, number)
    batch, entries, signed = token_batches.c, token_ledger.c, batch_signatures.c
    sender, receiver = accounts.alias(), accounts.alias()
    first, last = connection.execute(
        select(batch.first_entry_no, batch.last_entry_no).where(
            batch.token_no == token.token_no, batch.number == number
        )
    ).one()
    found = connection.execute(
        select(sender.c.address, receiver.c.address, entries.amount)
        .join_from(token_ledger, sender, entries.from_account == sender.c.account_no)
        .join(receiver, entries.to_account == receiver.c.account_no)
        .where(entries.token_no == token.token_no, entries.entry_no.between(first, last))
        .order_by(entries.entry_no)
    )
    movements = [(row[0], row[1], row[2]) for row in found]
    rows = pack(movements) if movements else b""
    if len(movements) != header.count or keccak(rows) != header.rows_hash:
        raise DatabaseError(
            f"batch {number} of {token.symbol} no longer gives its own rows: entries were altered",
            hint="compare the database with an export or a backup",
        )
    signature = connection.execute(
        select(signed.signature).where(
            signed.token_no == token.token_no, signed.number == number, signed.signer == signer
        )
    ).scalar_one_or_none()
    return Batch(token.uid, header, digest, (), rows, signature)
