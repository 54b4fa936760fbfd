"""The node that a verb was given, held against the chain that the mirror knows by the same id.

A test chain that was started anew is another chain: what was mirrored of the old one is dropped.
Any other chain with a foreign block 0 is refused. Shared by `migrate`, `ingest` and `reconcile`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from token_ledger.chain.endpoints import Nodes
from token_ledger.chain.first import first_answer
from token_ledger.chain.identity import ChainIdentity, read_header_at, read_identity
from token_ledger.chain.rpc import Rpc
from token_ledger.errors import ChainError, WrongChainError
from token_ledger.ledger import Connection, Ledger, mirror, mirror_locks
from token_ledger.ledger.mirror import StoredContract


@contextmanager
def meet(ledger: Ledger, url: str) -> Iterator[tuple[Rpc, ChainIdentity]]:
    """Yield the node and its chain, which the mirror knows from now on.

    Raises RpcError, and WrongChainError for another chain with a known id (test chains excepted).
    """
    with Rpc(url) as rpc:
        chain = read_identity(rpc)
        _know(ledger, chain, rpc.shown)
        yield rpc, chain


@contextmanager
def meet_nodes(
    ledger: Ledger, urls: Sequence[str], *, quorum: int, window: int
) -> Iterator[tuple[Nodes, ChainIdentity]]:
    """Yield several nodes of one chain, which the mirror knows from now on.

    Raises as `meet` and `Nodes.meet` do.
    """
    with Nodes(urls, quorum=quorum) as nodes:
        chain = nodes.meet(window=window)
        _know(ledger, chain, nodes.shown)
        yield nodes, chain


@contextmanager
def meet_again(ledger: Ledger, urls: str | Sequence[str]) -> Iterator[tuple[Rpc, ChainIdentity]]:
    """Yield the node and its chain, which the mirror must know already; changes nothing.

    Of several nodes it is the first that answers. Raises RpcError where none does, WrongChainError
    where that one is of another chain, ChainError where the mirror knows none.
    """
    with ExitStack() as stack:
        rpc, chain = first_answer(
            [urls] if isinstance(urls, str) else urls,
            lambda url: (rpc := stack.enter_context(Rpc(url)), read_identity(rpc)),
        )
        with ledger.read() as connection:
            known = mirror.genesis_hash(connection, chain.chain_id)
        if known is None:
            raise ChainError(
                f"the ledger knows nothing of chain {chain.chain_id}",
                hint="run `migrate` and `import` first",
            )
        if known != chain.genesis.hash:
            raise _wrong_chain(rpc.shown, chain)
        yield rpc, chain


def check_not_reorganised(
    ledger: Ledger, rpc: Rpc, chain: ChainIdentity, contract: StoredContract
) -> bool:
    """Return whether the chain still has the last block that was imported of a contract.

    A node that does not reach so far is merely behind: that is no reorganisation.
    """
    with ledger.read() as connection:
        cursor = mirror.read_cursor(connection, contract)
    if cursor is None or cursor.next_block == 0:
        return True
    header = read_header_at(rpc, cursor.next_block - 1)
    # A test chain that is shorter than it was has been taken back, not fallen behind.
    if header is None:
        return not chain.is_test_chain
    return header.hash == cursor.last_block_hash


def _know(ledger: Ledger, chain: ChainIdentity, shown: str) -> None:
    with ledger.read() as connection:
        known = mirror.genesis_hash(connection, chain.chain_id)
    if known != chain.genesis.hash:
        if known is not None and not chain.is_test_chain:
            raise _wrong_chain(shown, chain)
        _start_anew(ledger, chain, shown)


def _start_anew(ledger: Ledger, chain: ChainIdentity, shown: str) -> None:
    """Have the mirror know this chain; checked in the transaction that drops the other one."""

    def work(connection: Connection) -> None:
        mirror_locks.lock_genesis(connection, chain.chain_id)
        known = mirror.genesis_hash(connection, chain.chain_id)
        if known == chain.genesis.hash:
            return  # another process met it first
        if known is not None:
            _check_forgettable(connection, chain, shown)
            mirror.forget_chain(connection, chain.chain_id)
        mirror.store_genesis(connection, chain.chain_id, chain.genesis)

    ledger.run(work)


def _check_forgettable(connection: Connection, chain: ChainIdentity, shown: str) -> None:
    """Raise WrongChainError where books follow the chain that was: no entry can be dropped.

    Importers of the old chain are waited for, and then find that their contracts are gone.
    """
    mirror_locks.lock_chain(connection, chain.chain_id)
    if mirror_locks.is_followed(connection, chain.chain_id):
        raise WrongChainError(
            f"{shown} serves another chain {chain.chain_id} than the one that a token lives on: "
            "its books follow that one for ever",
            hint="check --rpc; for a test chain that began anew take a new database",
        )


def _wrong_chain(shown: str, chain: ChainIdentity) -> WrongChainError:
    return WrongChainError(
        f"{shown} serves another chain {chain.chain_id} than the ledger knows",
        hint="a test chain that was restarted needs `migrate` and `import` again; check --rpc",
    )
