"""The mirror of some contracts of a chain, brought to where its nodes are: the loop of `import`.

If the chain no longer has the highest block that the mirror knows, take back everything above the
last one that it still has; read what follows; store each range and the cursors in one transaction,
unless what is stored changed meanwhile; when anything forked under us, begin again from the top.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar

from token_ledger.again import drop_strays, read_again
from token_ledger.chain.crew import Crew
from token_ledger.chain.endpoints import Nodes
from token_ledger.chain.finality import CONFIRMATIONS
from token_ledger.chain.identity import ChainIdentity
from token_ledger.chain.logs import LogReader, Wanted
from token_ledger.chain.proven import prove_blocks
from token_ledger.chain.rpc import UnknownBlockError
from token_ledger.chain.verified import VerifyingReader
from token_ledger.core.progress import Progress
from token_ledger.core.transfers import BlockHeader, ChainRange, OddLogs
from token_ledger.enter import EnterResult, enter
from token_ledger.errors import ChainError, DisagreementError, ForkedError, RpcError, UsageError
from token_ledger.ledger import Connection, Ledger, mirror, mirror_forks, mirror_locks
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_again import Mended
from token_ledger.ledger.mirror_forks import TakenBack

WINDOW = 128
"""So many blocks a reorganisation may be deep, unless the caller says otherwise."""
CONCURRENCY = 4
"""So many questions a node is asked at once, unless the caller says otherwise."""
_ROUNDS_MAX = 8
_PAUSE_S, _PAUSE_AMONG_SEVERAL_S = 0.05, 0.25
_STOP_POLL_S = 0.2
_NUMBER_MAX = (1 << 63) - 1
_HEADERS_PAGE = 100

T = TypeVar("T")
Span = tuple[int, int, Sequence[StoredContract]]
"""Blocks from the first to the second, both included, of these contracts."""


class StoppedError(Exception):
    """The caller asked to stop: everything stored so far is whole."""


@dataclass(slots=True)
class Tally:
    """What a run has done so far for one contract."""

    transfers: int = 0
    batches: int = 0
    skipped: int = 0
    odd: OddLogs = field(default_factory=OddLogs)
    entered: EnterResult | None = None
    mended: Mended | None = None
    first: int | None = None
    next_block: int = 0


@dataclass(slots=True)
class Importer:
    """Some contracts of one chain, its nodes, and the ledger whose mirror follows it.

    `orphaned` counts transfers that were taken back, of all contracts of the chain. `stopped`
    says whether the caller wants an end: asked between ranges, and while a node keeps us waiting.
    `confirmations`: the depth that is final on a chain without finality; by default the window.
    `again`: read once more what the mirror holds already, before what follows.
    """

    ledger: Ledger
    nodes: Nodes
    chain: ChainIdentity
    contracts: Sequence[StoredContract]
    window: int
    progress: Progress
    concurrency: int = CONCURRENCY
    confirmations: int | None = None
    verify: bool = False
    trusted: BlockHeader | None = None
    stopped: Callable[[], bool] = lambda: False
    again: bool = False
    orphaned: int = 0
    tallies: dict[int, Tally] = field(init=False)
    _reader: LogReader = field(init=False)

    def __post_init__(self) -> None:
        # The order in which `take_back` locks them.
        self.contracts = sorted(self.contracts, key=lambda contract: contract.contract_no)
        self.tallies = {contract.contract_no: Tally() for contract in self.contracts}
        self._reader = (
            VerifyingReader(self.nodes, concurrency=self.concurrency)
            if self.verify
            else LogReader(self.nodes, window=self.window, concurrency=self.concurrency)
        )

    def converge(self, from_block: int | None = None) -> None:
        """Bring the mirror up to the nodes' head, and the books of tokens that live there.

        `tallies` tells what that took.

        Raises ChainError for a reorganisation deeper than the window, StoppedError, RpcError.
        """
        told: ChainError = RpcError("nothing was tried")
        for round_ in range(_ROUNDS_MAX):
            try:
                if self.again:
                    drop_strays(self)
                if fork := self.find_fork():
                    self.orphaned += self._take_back(fork).transfers
                if self.again:
                    read_again(self, from_block)
                    self.again = False
                self._catch_up(from_block)
                self._enter()
            except (ForkedError, UnknownBlockError) as error:
                told = error
                time.sleep(_PAUSE_S * round_)
            except DisagreementError as error:
                if not error.passing:
                    raise
                told = error
                time.sleep(_PAUSE_AMONG_SEVERAL_S * round_)
            else:
                return
        if isinstance(told, (DisagreementError, UnknownBlockError)):
            raise told
        raise RpcError(
            f"{self.nodes.shown} contradicts itself: {told.message}",
            hint="the chain is being reorganised, or the node mixes chains; run it again",
        )

    def _catch_up(self, from_block: int | None) -> None:
        """Store what follows the cursors, range by range, up to the nodes' present head."""
        starts = [(self._start(contract, from_block), contract) for contract in self.contracts]
        first, head = min(start for start, _ in starts), self.nodes.head()
        if not any(tally.next_block or tally.mended for tally in self.tallies.values()):
            self.prove(first, head)
        for start, contract in starts:
            tally = self.tallies[contract.contract_no]
            tally.first = start if tally.first is None else min(tally.first, start)
            tally.next_block = start
        with closing(self.read_ahead(starts, head, head=head)) as ranges:
            for contracts, found in ranges:
                self._store(contracts, found)
                done = found[0].to_block + 1
                self.progress("import", done - first, head + 1 - first)

    def prove(self, first: int, head: int) -> None:
        """Prove the blocks up to the trusted one, if one is, before anything of them is stored."""
        trusted = self.trusted
        if trusted is None:
            return
        if not first <= trusted.number <= head:
            raise UsageError(
                f"the trusted block {trusted.number} is imported already, or not reached: "
                f"this import reads blocks {first} to {head}",
                hint="trust a block that is read, at best the latest final one",
            )
        assert isinstance(self._reader, VerifyingReader)
        self._reader.proven = prove_blocks(
            self.nodes,
            first,
            trusted,
            concurrency=self.concurrency,
            awaited=self._awaited,
            progress=self.progress,
        )

    def read_ahead(
        self, starts: Sequence[tuple[int, StoredContract]], last: int, *, head: int
    ) -> Generator[tuple[Sequence[StoredContract], list[ChainRange]], None, None]:
        """Yield range after range up to block `last`, in order; some are fetched ahead.

        `head`: up to where the chain goes, of which the end may still change.
        """
        spans = self._spans(starts, last, head)
        pending: deque[tuple[Span, Future[list[ChainRange]]]] = deque()
        with Crew(self.concurrency) as crew:

            def begin(span: Span) -> tuple[Span, Future[list[ChainRange]]]:
                low, high, contracts = span
                wanted = [Wanted(c.address, c.replayed) for c in contracts]
                return span, crew.submit(lambda: self._reader.read(wanted, low, high, head=head))

            while True:
                while len(pending) < self.concurrency and (span := next(spans, None)):
                    pending.append(begin(span))
                if not pending:
                    return
                (_, high, contracts), future = pending.popleft()
                found = self._awaited(future)
                if found[0].to_block < high:  # it was too much: the rest is asked for first
                    pending.appendleft(begin((found[0].to_block + 1, high, contracts)))
                yield contracts, found

    def _spans(
        self, starts: Sequence[tuple[int, StoredContract]], last: int, head: int
    ) -> Iterator[Span]:
        """Plan which blocks are read next, of which contracts; each is planned when it is due."""
        lows = sorted({start for start, _ in starts})
        for low, following in itertools.pairwise([*lows, last + 1]):
            contracts = [contract for start, contract in starts if start <= low]
            at, end = low, min(following - 1, last)
            while at <= end:
                high = self._reader.plan(at, end, head=head)
                yield at, high, contracts
                at = high + 1

    def _awaited(self, future: Future[T]) -> T:
        while not wait([future], _STOP_POLL_S).done:
            if self.stopped():
                raise StoppedError
        if self.stopped():
            raise StoppedError
        return future.result()

    def _store(self, contracts: Sequence[StoredContract], found: Sequence[ChainRange]) -> None:
        def work(connection: Connection) -> None:
            now = self.ledger.now()
            for contract, part in zip(contracts, found, strict=True):
                if not mirror.store_range(connection, contract, part, now=now):
                    raise ChainError(
                        "another import of this contract is running",
                        hint="let it finish; nothing is lost",
                    )
            # Under the locks of the contracts, which whoever drops a test chain takes first.
            known = mirror.genesis_hash(connection, self.chain.chain_id)
            if known != self.chain.genesis.hash:
                raise mirror_locks.began_anew()

        self.ledger.run(work)
        for contract, part in zip(contracts, found, strict=True):
            tally = self.tallies[contract.contract_no]
            tally.transfers += len(part.transfers)
            tally.batches += len(part.batches)
            tally.skipped += part.skipped
            tally.odd.extend(part.transfers.odd)
            tally.next_block = part.to_block + 1

    def _enter(self) -> None:
        """Make entries of what is final, where a contract is the home of its token."""
        for contract in self.contracts:
            entered = enter(
                self.ledger,
                self.nodes,
                contract,
                confirmations=self.confirmations or max(CONFIRMATIONS, self.window),
                progress=self.progress,
                stopped=self.stopped,
            )
            tally = self.tallies[contract.contract_no]
            if tally.entered is None or entered is None:
                tally.entered = entered
            else:
                tally.entered.add(entered)
            if self.stopped():
                raise StoppedError

    # --- reorganisations

    def find_fork(self) -> BlockHeader | None:
        """Return the last block that mirror and chain share, or None where nothing forked.

        A node whose head is one of our blocks is merely behind. Raises ChainError where they share
        none within the window: nothing is changed then.
        """
        head = self.nodes.head()
        with self.ledger.read() as connection:
            top = mirror_forks.highest_block(connection, self.chain.chain_id, _NUMBER_MAX)
            reached = mirror_forks.highest_block(connection, self.chain.chain_id, head)
        if top is None or reached is None:
            return None
        if self.nodes.headers([reached.number])[0].hash == reached.hash:
            # A test chain that is shorter than it was has been taken back, not fallen behind.
            return reached if self.chain.is_test_chain and reached.number < top.number else None
        if fork := self._shared(max(0, top.number - self.window), reached.number):
            return fork
        self.nodes.meet_again()  # a node that was set up anew may serve another chain by now
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
            theirs = self.nodes.headers([block.number for block in page])
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

    def _start(self, contract: StoredContract, from_block: int | None) -> int:
        """Return the first block to read: behind the cursor, or where the contract begins."""
        with self.ledger.read() as connection:
            cursor = mirror.read_cursor(connection, contract)
            # As it is stored: an earlier round may have chosen the beginning.
            stored = mirror.find_contract(connection, self.chain.chain_id, contract.address)
        begin = (stored or contract).block_number or 0
        ours = contract.replayed
        if cursor is not None:
            if from_block is not None and from_block < begin:
                raise UsageError(
                    f"--from-block {from_block} is before what was imported: from block {begin} on",
                    hint="only a first import chooses: leave --from-block away to go on, or import "
                    "into another database to have the earlier blocks too",
                )
            if from_block is not None and from_block > cursor.next_block:
                raise UsageError(
                    f"--from-block {from_block} would leave a gap: "
                    f"imported up to {cursor.next_block - 1}",
                    hint="leave --from-block away to go on where it stands",
                )
            return cursor.next_block
        left_out = "transfers" if contract.adopted else "replays"
        if from_block is not None and ours and from_block > begin:
            raise UsageError(
                f"--from-block {from_block} would leave out {left_out}: "
                f"the contract is of block {begin}",
                hint="leave --from-block away",
            )
        if from_block is None or from_block == begin:
            return begin
        self.ledger.run(lambda c: mirror.begin_at(c, contract, from_block))
        return from_block
