"""Reconcile: the books, the mirror and the chain against each other, one to one.

    entries ↔ transfers       every entry of a replayed batch has exactly its own transfer
    headers ↔ BatchReplayed   and, with a node, ↔ the digests that the contract holds
    balances, supply          ↔ balanceOf and totalSupply, all at one pinned block

Every difference is a `Finding` that says what it probably means; none is an error, and nothing is
changed. What is sealed but not replayed, or not sealed at all, is counted: it is no difference.
Findings hold addresses, hashes and amounts, never account ids.
"""

from __future__ import annotations

from collections.abc import Collection

from token_ledger.chain.finality import final_number
from token_ledger.chain.logs import read_headers
from token_ledger.chain.rpc import Rpc
from token_ledger.compare_books import Books
from token_ledger.compare_chain import Chain
from token_ledger.core.comparison import ReconcileResult, Scope
from token_ledger.core.progress import Progress, no_progress
from token_ledger.errors import ChainError, UsageError
from token_ledger.ledger import Connection, Ledger, figures, mirror
from token_ledger.ledger.mirror import StoredContract
from token_ledger.node import meet_again

WHOLE = Scope()


def reconcile(
    ledger: Ledger,
    rpc_url: str | None = None,
    *,
    final: bool = False,
    scope: Scope = WHOLE,
    allow_code: Collection[bytes] = (),
    progress: Progress = no_progress,
) -> ReconcileResult:
    """Return how books and mirror agree and, with `rpc_url`, how the chain agrees with both.

    `final`: ask the chain at its finalized block, which cannot be taken back, not at its latest.
    `scope`: compare a part, or as of a block. `allow_code`: keccaks of code that the contract may
    have, beside that of our releases. Raises ChainError where nothing was imported yet,
    WrongChainError for another chain than the mirrored one, UsageError for a scope that the mirror
    has not reached, RpcError.
    """
    figures.refresh_statistics(ledger.engine)
    if rpc_url is None:
        with ledger.read() as connection:
            contract = _imported(ledger, connection, scope, chain_id=None)
            result = ReconcileResult(contract.address, contract.chain_id, scope=scope)
            Books(ledger, connection, contract, result, scope).compare(progress)
        return result
    with meet_again(ledger, rpc_url) as (rpc, chain):
        # Pinned before the books are read, so that what the chain does meanwhile is left out.
        block = read_headers(rpc, [_pinned_number(rpc, scope, final=final)])[0]
        with ledger.read() as connection:
            contract = _imported(ledger, connection, scope, chain_id=chain.chain_id)
            result = ReconcileResult(
                contract.address, chain.chain_id, block.number, block.hash, scope
            )
            books = Books(ledger, connection, contract, result, scope)
            books.compare(progress)
            Chain(books, rpc, chain, block, allow_code).compare(progress)
    return result


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
