"""Again: what the mirror holds already is read anew, and mended where it differs from the chain.

The way out of a mirror that lost rows, or whose rows were altered: nothing else reads a block
twice. Range by range, each in one transaction, so that it may be interrupted, and does no harm
where a node no longer serves old logs. The books stay as they are: `enter` goes on behind what it
has entered, and what was an entry becomes none a second time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from token_ledger.core.transfers import ChainRange
from token_ledger.errors import UsageError
from token_ledger.ledger import mirror, mirror_again
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_again import Mended

if TYPE_CHECKING:
    from token_ledger.converge import Importer


def drop_strays(importer: Importer) -> None:
    """Drop headers above everything that was imported of the chain: they would pass for its top."""
    ledger, chain_id = importer.ledger, importer.chain.chain_id
    ledger.run(lambda connection: mirror_again.drop_headers_beyond(connection, chain_id))


def read_again(importer: Importer, from_block: int | None) -> None:
    """Hold the mirror of an importer's contracts against the chain, from a block on, and mend it.

    `from_block`: by default where each contract begins. Only as far as both mirror and node go.
    Raises UsageError for a block that the mirror does not hold, ForkedError where the chain or the
    mirror changes meanwhile, and what reading raises.
    """
    together: dict[int, list[tuple[int, StoredContract]]] = defaultdict(list)
    for contract in importer.contracts:
        with importer.ledger.read() as connection:
            cursor = mirror.read_cursor(connection, contract)
            stored = mirror.find_contract(connection, contract.chain_id, contract.address)
        begin = (stored or contract).block_number or 0
        if cursor is None or cursor.next_block <= begin:
            continue  # nothing was read yet
        if from_block is not None and not begin <= from_block < cursor.next_block:
            raise UsageError(
                f"--from-block {from_block} was not imported: the mirror holds blocks {begin} to "
                f"{cursor.next_block - 1}",
                hint="leave --from-block away to read all of it again",
            )
        start = begin if from_block is None else from_block
        together[cursor.next_block - 1].append((start, contract))
        _drop_beyond(importer, contract, begin)
    head = importer.nodes.head()
    if together:
        lows = [start for starts in together.values() for start, _ in starts]
        importer.prove(min(lows), head)
    for last, starts in sorted(together.items()):
        first, end = min(start for start, _ in starts), min(last, head)
        with closing(importer.read_ahead(starts, end, head=head)) as ranges:
            for contracts, found in ranges:
                _mend(importer, contracts, found)
                importer.progress("again", found[0].to_block + 1 - first, end + 1 - first)


def _drop_beyond(importer: Importer, contract: StoredContract, begin: int) -> None:
    told = importer.ledger.run(
        lambda connection: mirror_again.drop_beyond(connection, contract, begin)
    )
    _note(importer, contract, told)


def _note(importer: Importer, contract: StoredContract, told: Mended) -> None:
    tally = importer.tallies[contract.contract_no]
    if tally.mended is None:
        tally.mended = told
    else:
        tally.mended.add(told)


def _mend(
    importer: Importer, contracts: Sequence[StoredContract], found: Sequence[ChainRange]
) -> None:
    ledger = importer.ledger
    mended = ledger.run(
        lambda connection: mirror_again.mend_range(
            connection, importer.chain.chain_id, contracts, found, now=ledger.now()
        )
    )
    for contract, told in zip(contracts, mended, strict=True):
        _note(importer, contract, told)
