"""Reconcile: the books, the mirror and the chain against each other, one to one.

    entries ↔ transfers       every entry of a replayed batch has exactly its own transfer
    headers ↔ BatchReplayed   and, with a node, ↔ the digests that the contract holds
    balances, supply          ↔ balanceOf and totalSupply, all at one pinned block

Every difference is a `Finding` that says what it probably means; none is an error, and neither
books nor mirror are changed. What somebody has acknowledged stands apart. What is sealed but not
replayed, or not sealed at all, is counted: it is no difference. Findings hold addresses, hashes and
amounts, never account ids.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from token_ledger.chain.finality import final_number
from token_ledger.chain.identity import ChainIdentity
from token_ledger.chain.logs import read_headers
from token_ledger.chain.rpc import Rpc
from token_ledger.compare_books import Books
from token_ledger.compare_chain import Chain
from token_ledger.core.comparison import ReconcileResult, Scope
from token_ledger.core.progress import Progress, no_progress
from token_ledger.core.transfers import BlockHeader
from token_ledger.core.types import Finding
from token_ledger.errors import ChainError, UsageError
from token_ledger.ledger import (
    Connection,
    Ledger,
    acknowledged,
    figures,
    homes,
    mirror,
    reconciled,
)
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_reach import BLOCK_MAX
from token_ledger.ledger.timeline import read_timeline
from token_ledger.node import meet_again

WHOLE = Scope()
Told = Callable[[ReconcileResult, Finding, str], None]
"""What is called with every finding and its state, while a run goes on."""
_TOLD_AT_ONCE = 500


def reconcile(
    ledger: Ledger,
    rpc_url: str | Sequence[str] | None = None,
    *,
    final: bool = False,
    scope: Scope = WHOLE,
    allow_code: Collection[bytes] = (),
    record: bool = True,
    each: Told | None = None,
    timeline: bool = False,
    progress: Progress = no_progress,
) -> ReconcileResult:
    """Return how books and mirror agree and, with `rpc_url`, how the chain agrees with both.

    `rpc_url`: a node, or several, of which the first that answers is asked everything.
    `final`: ask the chain at its finalized block, which cannot be taken back, not at its latest.
    `scope`: compare a part, or as of a block. `allow_code`: keccaks of code that the contract may
    have, beside that of our releases. `record`: keep the run and its findings in the database, so
    that they have an age and can be acknowledged; without it nothing is written, as a standby
    needs. `each` is told of every finding as it is found, however many there are, and of its state:
    open or acknowledged. `timeline`: add up what was matched over time, for a chart. Raises
    ChainError where nothing was imported yet, WrongChainError for another chain than the mirrored
    one, UsageError for a scope that the mirror has not reached, RpcError.
    """
    if record:
        figures.refresh_statistics(ledger.engine)
    run = _Run(
        ledger=ledger,
        scope=scope,
        allow_code=allow_code,
        each=each,
        timeline=timeline,
        progress=progress,
    )
    if not rpc_url:
        with ledger.read() as connection:
            contract = _imported(ledger, connection, scope, chain_id=None)
            run.compare(connection, contract)
    else:
        with meet_again(ledger, rpc_url) as (rpc, chain):
            # Pinned before the books are read, so that what the chain does meanwhile is left out.
            number = _pinned_number(rpc, scope, final=final)
            if scope.as_of is None:
                number = min(number, _known_number(ledger, chain))
            block = read_headers(rpc, [number])[0]
            with ledger.read() as connection:
                contract = _imported(ledger, connection, scope, chain_id=chain.chain_id)
                run.compare(connection, contract, _Node(rpc, chain, block))
    if record:
        run.record()
    return run.result


class _Teller:
    """Tells of findings with their age: some at a time, so that their rows are looked up at once.

    What no run has seen before is as old as this one.
    """

    def __init__(self, ledger: Ledger, connection: Connection, each: Told) -> None:
        self._ledger, self._connection, self._each = ledger, connection, each
        self._waiting: list[tuple[Finding, str]] = []

    def __call__(self, result: ReconcileResult, finding: Finding, state: str) -> None:
        self._waiting.append((finding, state))
        if len(self._waiting) >= _TOLD_AT_ONCE:
            self.tell(result)

    def tell(self, result: ReconcileResult) -> None:
        """Tell of what waits."""
        waiting, self._waiting = self._waiting, []
        names = list({result.id_of(finding) for finding, _ in waiting})
        known = reconciled.read_first_seen(self._connection, self._ledger.token, names)
        result.first_seen = {name: known.get(name, result.known.now) for name in names}
        for finding, state in waiting:
            self._each(result, finding, state)
        result.first_seen = {}


@dataclass(frozen=True, slots=True)
class _Node:
    rpc: Rpc
    chain: ChainIdentity
    block: BlockHeader


@dataclass(kw_only=True)
class _Run:
    """One run: what it goes on from, what it compares, and what it leaves behind."""

    ledger: Ledger
    scope: Scope
    allow_code: Collection[bytes]
    each: Told | None
    timeline: bool
    progress: Progress
    result: ReconcileResult = field(init=False)
    far: reconciled.Compared = field(init=False)

    def compare(
        self, connection: Connection, contract: StoredContract, node: _Node | None = None
    ) -> None:
        """Compare on one snapshot of the database and, with a node, at one block."""
        ledger = self.ledger
        known = acknowledged.read_acknowledged(connection, ledger.token, now=ledger.now())
        result = ReconcileResult(contract.address, contract.chain_id, scope=self.scope)
        teller = None if self.each is None else _Teller(ledger, connection, self.each)
        result.known, result.each = known, teller
        if self.scope.incremental:
            point = reconciled.find_point(
                connection, ledger.token, contract, known, on_chain=node is not None
            )
            result.point, result.anew = (None, point) if isinstance(point, str) else (point, None)
        books = Books(ledger, connection, contract, result, self.scope)
        books.compare(self.progress)
        if result.point is not None:
            result.add(reconciled.carried_over(connection, ledger.token, result.point))
        if node is not None:
            result.block, result.block_hash = node.block.number, node.block.hash
            Chain(books, node.rpc, node.chain, node.block, self.allow_code).compare(self.progress)
        if self.timeline:
            result.timeline = read_timeline(
                connection,
                ledger.token,
                contract,
                number_min=books.reach.first_number,
                number_max=books.compared,
                imported=None if books.followed is None else books.followed.compared,
            )
        if teller is not None:
            teller.tell(result)
        self.result = result
        self.far = reconciled.how_far(connection, ledger.token, contract, books.compared)

    def record(self) -> None:
        """Keep the run and its findings."""
        ledger = self.ledger
        ledger.run(
            lambda c: reconciled.record_run(
                c, ledger.token, self.result, self.far, now=self.result.known.now
            )
        )


def _pinned_number(rpc: Rpc, scope: Scope, *, final: bool) -> int:
    """Return the block at which the chain is asked. Raises UsageError for one not final yet."""
    number = final_number(rpc) if final else rpc.quantity("eth_blockNumber")
    if scope.as_of is None:
        return number
    if scope.as_of > number:
        raise UsageError(
            f"block {scope.as_of} is not there yet, or not final: the node is at {number}",
            hint="name an earlier block, or wait",
        )
    return scope.as_of


def _known_number(ledger: Ledger, chain: ChainIdentity) -> int:
    """Return up to which block balances can be compared: all, while the ledger moves the token.

    Where the chain does, nobody knows what it did behind the mirror's last block.
    """
    with ledger.read() as connection:
        if homes.read_home(connection, ledger.token) is None:
            return BLOCK_MAX
        contract = mirror.contract_of(connection, ledger.token, chain.chain_id)
        cursor = None if contract is None else mirror.read_cursor(connection, contract)
    return BLOCK_MAX if cursor is None else max(0, cursor.next_block - 1)


def _imported(
    ledger: Ledger, connection: Connection, scope: Scope, *, chain_id: int | None
) -> StoredContract:
    """Return the contract that was imported. Raises ChainError, UsageError as `reconcile` does."""
    contract = mirror.contract_of(connection, ledger.token, chain_id)
    cursor = None if contract is None else mirror.read_cursor(connection, contract)
    if contract is None or cursor is None:
        raise ChainError(
            f"nothing of {ledger.token.symbol} was imported from a chain yet",
            hint="run `migrate` and `import` first",
        )
    if scope.highest is not None and scope.highest >= cursor.next_block:
        raise UsageError(
            f"block {scope.highest} was not imported yet: the mirror ends at "
            f"{cursor.next_block - 1}",
            hint="run `import` first",
        )
    if scope.as_of is not None and scope.as_of < (contract.block_number or 0):
        raise UsageError(
            f"in block {scope.as_of} there was no contract yet: it is of {contract.block_number}",
            hint="name a later block",
        )
    return contract


__all__ = ["ReconcileResult", "Scope", "reconcile"]
