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
from token_ledger.compare_books import Books
from token_ledger.compare_chain import Chain
from token_ledger.core.comparison import ReconcileResult
from token_ledger.core.progress import Progress, no_progress
from token_ledger.errors import ChainError
from token_ledger.ledger import Connection, Ledger, figures, mirror
from token_ledger.ledger.mirror import StoredContract
from token_ledger.node import meet_again


def reconcile(
    ledger: Ledger,
    rpc_url: str | None = None,
    *,
    final: bool = False,
    allow_code: Collection[bytes] = (),
    progress: Progress = no_progress,
) -> ReconcileResult:
    """Return how books and mirror agree and, with `rpc_url`, how the chain agrees with both.

    `final`: ask the chain at its finalized block, which cannot be taken back, not at its latest.
    `allow_code`: keccaks of code that the contract may have, beside that of our releases.
    Raises ChainError where nothing was imported yet, WrongChainError for another chain than the
    mirrored one, RpcError.
    """
    figures.refresh_statistics(ledger.engine)
    if rpc_url is None:
        with ledger.read() as connection:
            contract = _imported(ledger, connection, chain_id=None)
            result = ReconcileResult(contract.address, contract.chain_id)
            Books(ledger, connection, contract, result).compare(progress)
        return result
    with meet_again(ledger, rpc_url) as (rpc, chain):
        # Pinned before the books are read, so that what the chain does meanwhile is left out.
        number = final_number(rpc) if final else rpc.quantity("eth_blockNumber")
        block = read_headers(rpc, [number])[0]
        with ledger.read() as connection:
            contract = _imported(ledger, connection, chain_id=chain.chain_id)
            result = ReconcileResult(contract.address, chain.chain_id, block.number, block.hash)
            books = Books(ledger, connection, contract, result)
            books.compare(progress)
            Chain(books, rpc, chain, block, allow_code).compare(progress)
    return result


def _imported(ledger: Ledger, connection: Connection, chain_id: int | None) -> StoredContract:
    contract = mirror.contract_of(connection, ledger.token, chain_id)
    if contract is None or mirror.read_cursor(connection, contract) is None:
        raise ChainError(
            f"nothing of {ledger.token.symbol} was imported from a chain yet",
            hint="run `migrate` and `import` first",
        )
    return contract


__all__ = ["ReconcileResult", "reconcile"]
