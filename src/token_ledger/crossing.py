"""Crossing: a token comes to the chain one way, by replay or by snapshot, and there is no way back.

What every verb asks before it crosses or gives a crossing up, and the books closed meanwhile. Two
contracts can hold the supply, LedgerToken and SnapshotToken, at addresses known beforehand: both
are looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from token_ledger.chain import contracts
from token_ledger.chain.courier import Courier, TooDearError
from token_ledger.chain.creation import created_at, snapshot_init_code
from token_ledger.chain.identity import TEST_CHAIN_IDS
from token_ledger.chain.rpc import NodeError, Rpc, hex_data
from token_ledger.chain.state import get_code, read_state
from token_ledger.core.address import to_checksum
from token_ledger.core.counting import counted
from token_ledger.errors import (
    CanonicalChainError,
    ChainError,
    NotReadyError,
    RevertedError,
    TokenLedgerError,
)
from token_ledger.ledger import Ledger, cutover, mirror, tokens

_ONE_WAY = "a token comes to the chain one way: holders claim their balances there"


def snapshot_address(ledger: Ledger) -> bytes:
    """Return where the selected token's SnapshotToken stands, on whatever chain."""
    return created_at(ledger.token, snapshot_init_code(ledger.token, ledger.operator))


def check_no_snapshot(
    ledger: Ledger, rpc: Rpc | None = None, *, chain_id: int | None = None
) -> None:
    """Raise NotReadyError where a snapshot brought the token over, or closed its books for that.

    `rpc`: a node of the chain `chain_id`, whose SnapshotToken is looked at; without it the books
    alone are.
    """
    symbol = ledger.token.symbol
    if rpc is not None and _is_closed(rpc, address := snapshot_address(ledger)):
        raise NotReadyError(
            f"{symbol} came to this chain by a snapshot: {to_checksum(address)}", hint=_ONE_WAY
        )
    if chain_id in TEST_CHAIN_IDS and _own_chain(ledger) is None:
        return  # books closed on a test chain that is gone: there is nothing to come twice to
    with ledger.read() as connection:
        closed = cutover.closed_by_snapshot(connection, ledger.token, chain_id=chain_id)
    if closed:
        raise NotReadyError(
            f"the books of {symbol} were closed by a snapshot",
            hint=f"{_ONE_WAY}; `snapshot reopen` gives up one that was never sent",
        )


def check_own_chain(ledger: Ledger, chain_id: int) -> None:
    """Raise CanonicalChainError for another chain than the token's, a test chain included.

    What closes the books is asked of no other: a rehearsal belongs on a copy of the database.
    """
    own = _own_chain(ledger)
    if own not in (None, chain_id):
        raise CanonicalChainError(
            f"{ledger.token.symbol} lives on chain {own}, not on {chain_id}",
            hint=f"ask a node of chain {own}; rehearse on a copy of the books",
        )


def _own_chain(ledger: Ledger) -> int | None:
    """Return the token's chain afresh: another process may have chosen it since we looked."""
    with ledger.read() as connection:
        return tokens.canonical_chain(connection, ledger.token)


def set_aside_replay(ledger: Ledger, rpc: Rpc, chain_id: int) -> bool:
    """Forget the contract of a replay that a snapshot takes the place of; return whether one was.

    Else closed books would be taken for those of a replay. On a test chain those of all test
    chains go, which are thrown away. One that is finalized stays.
    """
    chains = TEST_CHAIN_IDS if chain_id in TEST_CHAIN_IDS else {chain_id}
    with ledger.read() as connection:
        known = mirror.contract_of(connection, ledger.token, chain_id)
    if known is not None and _is_closed(rpc, known.address):
        return False
    ledger.run(lambda c: mirror.forget_contracts_of(c, ledger.token, chains))
    return known is not None


def check_may_reopen(
    ledger: Ledger, rpc: Rpc, chain_id: int, *, payers: Collection[bytes] = ()
) -> None:
    """Raise where the books must stay closed.

    CanonicalChainError for a node of another chain than the token's, NotReadyError where either
    contract has taken the token over, or where one may still: the operator or one of `payers` has a
    transaction on its way, or the node's pending block holds one, anybody's, that concerns them.
    """
    token = ledger.token
    check_own_chain(ledger, chain_id)
    _check_nothing_sent(rpc, {ledger.operator, *payers})  # first: what is mined is seen next
    with ledger.read() as connection:
        known = mirror.contract_of(connection, token, chain_id)
    replayed = known.address if known else contracts.token_address(token, ledger.operator)
    claims = snapshot_address(ledger)
    _check_nothing_pending(rpc, (replayed, claims, token.uid))
    for address, what in (
        (replayed, f"the contract {to_checksum(replayed)} is finalized"),
        (claims, f"the claims of {to_checksum(claims)} are open"),
    ):
        if _is_closed(rpc, address):
            raise NotReadyError(what, hint="there is no way back: the chain moves the token now")


@contextmanager
def books_closed(
    ledger: Ledger, sender: Courier, contract: bytes, *, way_back: str
) -> Iterator[None]:
    """Close the books for a call that has `contract` take the token over.

    They are open again only where nothing was sent, or the node provably has none of it (refused
    for its price, or for lack of money), and nobody else closed them. In doubt they stay closed,
    and the error names `way_back`, the command that looks again. Raises NotReadyError where
    something stands in the way.
    """
    token = ledger.token
    closing = ledger.run(lambda c: cutover.close_books(c, token, now=ledger.now()))
    sender.watch()
    try:
        yield
    except TokenLedgerError as error:
        clear = isinstance(error, (NodeError, NotReadyError, RevertedError, TooDearError))
        if not (clear and _took_nothing(sender, contract) and _take_back(ledger, closing)):
            told = f"{error.hint}; " if error.hint else ""
            error.hint = (
                f"{told}the books stay closed: run it again, or `{way_back}`, which looks again "
                "whether anything may still come"
            )
        raise


def _took_nothing(sender: Courier, contract: bytes) -> bool:
    try:
        return sender.took_nothing() and not _is_closed(sender.rpc, contract)
    except ChainError:  # who cannot be asked proves nothing
        return False


def _take_back(ledger: Ledger, closing: cutover.Closing) -> bool:
    return ledger.run(lambda c: cutover.take_back(c, ledger.token, closing))


def _is_closed(rpc: Rpc, address: bytes) -> bool:
    """Return whether a contract stands there that has taken the token over."""
    return bool(get_code(rpc, address)) and read_state(rpc, address).finalized


def _check_nothing_sent(rpc: Rpc, payers: Collection[bytes]) -> None:
    for payer in sorted(payers):
        mined, sent = (
            rpc.quantity("eth_getTransactionCount", [hex_data(payer), block])
            for block in ("latest", "pending")
        )
        if sent > mined:
            raise NotReadyError(
                f"{counted(sent - mined, 'transaction')} of {to_checksum(payer)} on the way, not "
                "mined yet",
                hint=f"wait until the chain has them, or cancel nonce {mined} first: what is sent "
                "may still take the token over",
            )


def _check_nothing_pending(rpc: Rpc, marks: Collection[bytes]) -> None:
    """Raise NotReadyError where a transaction of the pending block names one of `marks`.

    Sees a Safe's and a stranger's too; a node without a pending block shows nothing.
    """
    try:
        block = rpc.call("eth_getBlockByNumber", ["pending", True])
    except NodeError:
        return
    with rpc.decoding("eth_getBlockByNumber"):
        for transaction in (block or {}).get("transactions", ()):
            told = f"{transaction.get('to')} {transaction.get('input')}".lower()
            if any(mark.hex() in told for mark in marks):
                raise NotReadyError(
                    f"transaction {transaction['hash']} of {transaction['from']}, on its way, "
                    "concerns the token's contract",
                    hint="wait until the chain has it, or have its sender cancel it",
                )
