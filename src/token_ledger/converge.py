"""One contract's mirror, brought to where the node is: the loop that `import` runs.

If the node no longer has the highest block that the mirror knows, take back everything above the
last one that it still has; read what follows; store each range and the cursor in one transaction,
unless what is stored changed meanwhile; when anything forked under us, begin again from the top.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from token_ledger.chain.identity import ChainIdentity
from token_ledger.chain.logs import LogReader, read_headers
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.verified import VerifyingReader
from token_ledger.core.progress import Progress
from token_ledger.core.transfers import BlockHeader, ChainRange
from token_ledger.errors import ChainError, ForkedError, RpcError, UsageError
from token_ledger.ledger import Ledger, mirror, mirror_forks
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_forks import TakenBack

WINDOW = 128
"""So many blocks a reorganisation may be deep, unless the caller says otherwise."""
_ROUNDS_MAX = 8
_PAUSE_S = 0.05
_NUMBER_MAX = (1 << 63) - 1
_HEADERS_PAGE = 100


@dataclass(slots=True)
class Tally:
    """What a run has done so far; `orphaned` counts transfers that were taken back."""

    transfers: int = 0
    batches: int = 0
    skipped: int = 0
    orphaned: int = 0
    first: int | None = None
    next_block: int = 0


@dataclass(frozen=True, slots=True)
class Importer:
    """One contract on one node, and the ledger whose mirror follows it."""

    ledger: Ledger
    rpc: Rpc
    chain: ChainIdentity
    contract: StoredContract
    window: int
    progress: Progress
    verify: bool = False
    trusted: BlockHeader | None = None

    def converge(self, from_block: int | None) -> Tally:
        """Bring the mirror up to the node's head and return what that took.

        Raises ChainError for a reorganisation deeper than the window, RpcError.
        """
        tally = Tally()
        for pause in range(_ROUNDS_MAX):
            try:
                if fork := self.find_fork():
                    tally.orphaned += self._take_back(fork).transfers
                self._catch_up(tally, from_block)
            except ForkedError as error:
                told = error.message
                time.sleep(_PAUSE_S * pause)
            else:
                return tally
        raise RpcError(
            f"{self.rpc.shown} contradicts itself: {told}",
            hint="the chain is being reorganised, or the node mixes chains; run it again",
        )

    def _catch_up(self, tally: Tally, from_block: int | None) -> None:
        """Store what follows the cursor, range by range, up to the node's present head."""
        start = self._start(from_block)
        head = self.rpc.quantity("eth_blockNumber")
        if tally.first is None and self.trusted and not start <= self.trusted.number <= head:
            raise UsageError(
                f"the trusted block {self.trusted.number} is imported already, or not reached: "
                f"this import reads blocks {start} to {head}",
                hint="trust a block that is read, at best the latest final one",
            )
        tally.first = start if tally.first is None else min(tally.first, start)
        tally.next_block = start
        with closing(_read_ahead(self._reader(), start, head)) as ranges:
            for found in ranges:
                self._store(found)
                tally.transfers += len(found.transfers)
                tally.batches += len(found.batches)
                tally.skipped += found.skipped
                tally.next_block = found.to_block + 1
                self.progress("import", tally.next_block - start, head + 1 - start)

    def _reader(self) -> LogReader:
        address, replayed = self.contract.address, self.contract.replayed
        if self.verify:
            return VerifyingReader(self.rpc, address, replayed=replayed, trusted=self.trusted)
        return LogReader(self.rpc, address, replayed=replayed, window=self.window)

    def _store(self, found: ChainRange) -> None:
        stored = self.ledger.run(
            lambda connection: mirror.store_range(
                connection, self.contract, found, now=self.ledger.now()
            )
        )
        if not stored:
            raise ChainError(
                "another import of this contract is running", hint="let it finish; nothing is lost"
            )

    # --- reorganisations

    def find_fork(self) -> BlockHeader | None:
        """Return the last block that mirror and node share, or None where nothing forked.

        A node whose head is one of our blocks is merely behind. Raises ChainError where they share
        none within the window: nothing is changed then.
        """
        head = self.rpc.quantity("eth_blockNumber")
        with self.ledger.read() as connection:
            top = mirror_forks.highest_block(connection, self.chain.chain_id, _NUMBER_MAX)
            reached = mirror_forks.highest_block(connection, self.chain.chain_id, head)
        if top is None or reached is None:
            return None
        if read_headers(self.rpc, [reached.number])[0].hash == reached.hash:
            # A test chain that is shorter than it was has been taken back, not fallen behind.
            return reached if self.chain.is_test_chain and reached.number < top.number else None
        if fork := self._shared(max(0, top.number - self.window), reached.number):
            return fork
        if self.chain.is_test_chain:
            return self.chain.genesis
        raise ChainError(
            f"the chain was reorganised, deeper than {self.window} blocks below "
            f"block {top.number}, the last one imported",
            hint="nothing was changed; ask another node, or allow more blocks with --window",
        )

    def _shared(self, low: int, high: int) -> BlockHeader | None:
        with self.ledger.read() as connection:
            known = mirror_forks.known_blocks(connection, self.chain.chain_id, low, high)
        for at in range(0, len(known), _HEADERS_PAGE):
            page = known[at : at + _HEADERS_PAGE]
            theirs = read_headers(self.rpc, [block.number for block in page])
            for ours, header in zip(page, theirs, strict=True):
                if ours.hash == header.hash:
                    return ours
        return None

    def _take_back(self, fork: BlockHeader) -> TakenBack:
        return self.ledger.run(
            lambda connection: mirror_forks.take_back(
                connection, self.chain.chain_id, fork, now=self.ledger.now()
            )
        )

    # --- where to begin

    def _start(self, from_block: int | None) -> int:
        """Return the first block to read: behind the cursor, or where the contract begins."""
        with self.ledger.read() as connection:
            cursor = mirror.read_cursor(connection, self.contract)
            # As it is stored: an earlier round may have chosen the beginning.
            stored = mirror.find_contract(connection, self.chain.chain_id, self.contract.address)
        begin = (stored or self.contract).block_number or 0
        ours = self.contract.token_no is not None
        if cursor is not None:
            if from_block is not None and from_block < begin:
                raise UsageError(
                    f"--from-block {from_block} is before what was imported: from block {begin} on",
                    hint="leave --from-block away to go on; only a first import chooses",
                )
            if from_block is not None and from_block > cursor.next_block:
                raise UsageError(
                    f"--from-block {from_block} would leave a gap: "
                    f"imported up to {cursor.next_block - 1}",
                    hint="leave --from-block away to go on",
                )
            return cursor.next_block
        if from_block is not None and ours and from_block > begin:
            raise UsageError(
                f"--from-block {from_block} would leave out replays: "
                f"the contract is of block {begin}",
                hint="leave --from-block away",
            )
        if from_block is None or from_block == begin:
            return begin
        self.ledger.run(lambda c: mirror.begin_at(c, self.contract, from_block))
        return from_block


def _read_ahead(reader: LogReader, first: int, head: int) -> Generator[ChainRange, None, None]:
    """Yield range after range; the next one is fetched while the one before is stored."""
    if first > head:
        return
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="import") as fetcher:
        coming = fetcher.submit(reader.read, first, head)
        while True:
            found = coming.result()
            last = found.to_block >= head
            if not last:
                coming = fetcher.submit(reader.read, found.to_block + 1, head)
            yield found
            if last:
                return
