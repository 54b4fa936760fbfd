"""A batch that was replayed in parts and is not complete: which entries its replayed rows are.

Its transfers are in the mirror with their `seq`; its BatchReplayed has not come yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_joins import SealedRun
from token_ledger.ledger.mirror_schema import chain_transfers
from token_ledger.ledger.schema import token_batches, token_ledger
from token_ledger.ledger.tokens import StoredToken


@dataclass(frozen=True, slots=True)
class OpenRun:
    """The first rows of a batch of `count`, as a run of their own; the supply that they leave."""

    run: SealedRun
    count: int
    supply: int


def open_run(
    connection: Connection, token: StoredToken, *, number: int, rows: int
) -> OpenRun | None:
    """Return the first `rows` entries of a batch; None where the ledger holds no such batch."""
    header = connection.execute(
        select(token_batches).where(
            token_batches.c.token_no == token.token_no, token_batches.c.number == number
        )
    ).first()
    if header is None or rows < 1:
        return None
    count = header._mapping["count"]
    taken = min(rows, count)
    entries = token_ledger.c
    last = connection.execute(
        select(entries.entry_no)
        .where(
            entries.token_no == token.token_no,
            entries.entry_no.between(header.first_entry_no, header.last_entry_no),
        )
        .order_by(entries.entry_no)
        .offset(taken - 1)
        .limit(1)
    ).scalar()
    if last is None:  # entries were deleted: the comparison tells which
        last = header.last_entry_no
    supply = connection.execute(
        select(entries.supply_after)
        .where(
            entries.token_no == token.token_no,
            entries.entry_no <= last,
            entries.supply_after.is_not(None),
        )
        .order_by(entries.entry_no.desc())
        .limit(1)
    ).scalar()
    run = SealedRun(number, header.first_entry_no, last, header.first_seq, taken)
    return OpenRun(run, count, supply or 0)


def rows_in_mirror(
    connection: Connection, contract: StoredContract, *, first_seq: int, last_block: int
) -> int:
    """Return how many entries from `first_seq` on have transfers up to a block."""
    table = chain_transfers.c
    last = connection.execute(
        select(func.max(table.seq)).where(
            table.contract_no == contract.contract_no,
            table.seq >= first_seq,
            table.block_number <= last_block,
        )
    ).scalar()
    return 0 if last is None else int(last) + 1 - first_seq
