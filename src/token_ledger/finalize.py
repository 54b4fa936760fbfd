"""Finalize: the cut-over. Transfers open on the chain, replay closes, and so do the books.

It cannot be undone, so everything is looked at first: no hold open, all entries sealed, replayed,
imported, and reconciled clean at a block that is final. Then the books are closed under the
writers' lock, and only then is the contract told. Killed at any instant, running it again goes on
where it stood.
"""

from __future__ import annotations

from dataclasses import dataclass

from token_ledger.chain import contracts
from token_ledger.chain.courier import Courier
from token_ledger.chain.delivery import deliver, open_courier, revert_of
from token_ledger.chain.finality import final_number
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.signer import Signer
from token_ledger.chain.state import ContractState, check_token_contract, read_state
from token_ledger.core.address import to_checksum
from token_ledger.core.progress import Progress, no_progress
from token_ledger.crossing import (
    books_closed,
    check_may_reopen,
    check_no_snapshot,
    check_own_chain,
)
from token_ledger.errors import (
    ForeignContractError,
    NotReadyError,
    RevertedError,
    SigningKeyError,
    TokenLedgerError,
)
from token_ledger.ledger import Connection, Ledger, batches, cutover, imports, mirror
from token_ledger.ledger.mirror import StoredContract
from token_ledger.node import meet_again
from token_ledger.reconcile import reconcile

FINALIZE_GAS_MAX = 200_000
_WAY_BACK = "migrate --reopen"
FINALIZE_CALL = contracts.selector("finalize()")


@dataclass(frozen=True, slots=True)
class FinalizeResult:
    """Where the cut-over stands.

    `finalized`: the contract says so in its latest block. `final`: in one that cannot be taken
    back, and the ledger has recorded it. `tx_hash`: what this run sent, if it sent anything.
    `stranded`: entries that were never replayed, and never will be, because somebody finalized
    the contract past this command; 0 otherwise.
    """

    contract: bytes
    chain_id: int
    number: int
    finalized: bool
    final: bool
    tx_hash: bytes | None = None
    stranded: int = 0

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "contract": to_checksum(self.contract),
            "chain_id": self.chain_id,
            "last_batch": self.number,
            "finalized": self.finalized,
            "final": self.final,
            "stranded": self.stranded,
            "transaction": None if self.tx_hash is None else hex_data(self.tx_hash),
        }


def finalize(
    ledger: Ledger,
    rpc_url: str,
    *,
    admin: Signer | None = None,
    gas_price_max: int | None = None,
    take_over: bool = False,
    progress: Progress = no_progress,
) -> FinalizeResult:
    """Close the books and the contract's replay for ever, and open its transfers.

    `admin` is the contract's admin, the ledger's operator, and pays the gas. Without it only the
    checks are made and the books closed: the call is then somebody else's to send (a Safe), and
    running this again records it. `gas_price_max`: the most to offer for a unit of gas, in wei.
    `take_over`: replace what the admin has on its way unmined.
    Raises NotReadyError for open holds and for whatever is not
    sealed, replayed, final or clean, CanonicalChainError for another chain than the token's own (a
    test chain included), SigningKeyError for a key that is not the admin's,
    RevertedError.
    """
    with meet_again(ledger, rpc_url) as (rpc, chain):
        check_own_chain(ledger, chain.chain_id)
        contract = _contract(ledger, rpc, chain.chain_id)
        check_token_contract(
            rpc, contract.address, ledger.token, known_code_hash=contract.code_hash
        )
        state = read_state(rpc, contract.address)
        tx_hash: bytes | None = None
        if not state.finalized:
            _check_ready(ledger, rpc, contract, rpc_url, progress)
            if admin is None:
                _close_unsent(ledger, rpc, contract)
            else:
                _try(rpc, contract, admin)
                sender = open_courier(
                    rpc,
                    admin,
                    chain_id=chain.chain_id,
                    price_max=gas_price_max,
                    take_over=take_over,
                )
                tx_hash = _send(ledger, sender, contract)
            state = read_state(rpc, contract.address)
        return _settle(ledger, rpc, contract, state, tx_hash)


def reopen(ledger: Ledger, rpc_url: str) -> None:
    """Let new entries in again after a cut-over that was begun and given up.

    Raises NotReadyError where the contract is finalized or the claims of a snapshot are open (then
    there is no way back), and while the operator has a transaction on its way, which must be
    cancelled first; CanonicalChainError for a node of another chain.
    """
    with meet_again(ledger, rpc_url) as (rpc, chain):
        check_may_reopen(ledger, rpc, chain.chain_id)
        _contract(ledger, rpc, chain.chain_id)
        ledger.run(lambda connection: cutover.reopen_books(connection, ledger.token))


def _contract(ledger: Ledger, rpc: Rpc, chain_id: int) -> StoredContract:
    with ledger.read() as connection:
        contract = mirror.contract_of(connection, ledger.token, chain_id)
    if contract is None:
        check_no_snapshot(ledger, rpc, chain_id=chain_id)  # then there never will be one
        raise ForeignContractError(
            f"the ledger knows no contract of {ledger.token.symbol} on chain {chain_id}",
            hint="run `migrate` first",
        )
    return contract


def _check_ready(
    ledger: Ledger, rpc: Rpc, contract: StoredContract, rpc_url: str, progress: Progress
) -> None:
    """Raise NotReadyError unless books, mirror and chain agree at a final block."""
    check_no_snapshot(ledger, rpc, chain_id=contract.chain_id)
    shown = to_checksum(contract.address)
    final = final_number(rpc)
    if contract.block_number is not None and final < contract.block_number:
        raise NotReadyError(
            f"the contract {shown} is not yet in a final block (final is {final})",
            hint="wait until the chain has finalized it, then run it again",
        )
    with ledger.read() as connection:
        cutover.check_closable(connection, ledger.token, now=ledger.now())
        head = batches.head(connection, ledger.token)
    try:
        state = read_state(rpc, contract.address, block=hex(final))
    except ForeignContractError:
        state = ContractState(b"", b"", False, 0, b"", 0)
    if (state.head_number, state.head_digest) != (head.number, head.digest):
        raise NotReadyError(
            f"in the final block {final} the contract stands at batch {state.head_number}, "
            f"the ledger at {head.number}",
            hint="run `migrate`, or wait until the chain has finalized what was replayed",
        )
    result = reconcile(ledger, rpc_url, final=True, progress=progress)
    if not result.clean or result.unreplayed or result.unsealed:
        found = {finding.kind for finding in (*result.findings, *result.acknowledged)}
        kinds = ", ".join(sorted(found)) or "unreplayed"
        raise NotReadyError(
            f"books, mirror and chain do not agree at block {result.block}: {kinds}",
            hint="run `import`, then `reconcile --rpc`, which says what differs",
        )


def _try(rpc: Rpc, contract: StoredContract, admin: Signer) -> None:
    """Run the call without sending it, so that what is refused leaves the books open."""
    revert = revert_of(rpc, admin.address, contract.address, FINALIZE_CALL)
    if revert is not None and revert.name == "AccessControlUnauthorizedAccount":
        raise SigningKeyError(
            f"{to_checksum(admin.address)} is not the admin of the contract",
            hint="finalize is the operator's: give its keystore, or --unsent for a Safe",
        )
    if revert is not None:
        raise RevertedError(f"the contract refuses finalize: {revert}", hint=revert.hint)
    if rpc.quantity("eth_getBalance", [hex_data(admin.address), "latest"]) == 0:
        raise SigningKeyError(
            f"the admin {to_checksum(admin.address)} has nothing to pay gas with", hint="fund it"
        )


def _close_unsent(ledger: Ledger, rpc: Rpc, contract: StoredContract) -> None:
    """Close the books for a call that somebody else will send, unless an entry slipped in."""
    closing = ledger.run(lambda c: cutover.close_books(c, ledger.token, now=ledger.now()))
    try:
        _look_again(ledger, rpc, contract)
    except TokenLedgerError as error:
        if not ledger.run(lambda c: cutover.take_back(c, ledger.token, closing)):
            error.hint = f"{error.hint}; the books stay closed: `{_WAY_BACK}` looks first"
        raise


def _look_again(ledger: Ledger, rpc: Rpc, contract: StoredContract) -> None:
    """Look once more when the books are closed: nothing may have been sealed since the checks."""
    with ledger.read() as connection:
        head = batches.head(connection, ledger.token)
    if head.number != read_state(rpc, contract.address).head_number:
        raise NotReadyError(
            "entries were posted and sealed while the books were being closed",
            hint="run `migrate`, `import` and `reconcile` again, then finalize",
        )


def _send(ledger: Ledger, sender: Courier, contract: StoredContract) -> bytes | None:
    """Close the books and send the call; return its hash, None where somebody else's was faster."""
    with books_closed(ledger, sender, contract.address, way_back=_WAY_BACK):
        _look_again(ledger, sender.rpc, contract)
        receipt = deliver(
            sender,
            contract.address,
            FINALIZE_CALL,
            what="finalize",
            gas=FINALIZE_GAS_MAX,
            done=lambda: read_state(sender.rpc, contract.address).finalized,
        )
    return None if receipt is None else receipt.tx_hash


def _settle(
    ledger: Ledger,
    rpc: Rpc,
    contract: StoredContract,
    state: ContractState,
    tx_hash: bytes | None,
) -> FinalizeResult:
    """Record the cut-over once it stands in a final block."""
    final = False
    if state.finalized:
        try:
            final = read_state(rpc, contract.address, block=hex(final_number(rpc))).finalized
        except ForeignContractError:  # so young that the final block does not have it
            final = False
        _record(ledger, final=final)
    with ledger.read() as connection:
        stranded = imports.count_left_behind(connection, ledger.token, state.head_number)
    return FinalizeResult(
        contract=contract.address,
        chain_id=contract.chain_id,
        number=state.head_number,
        finalized=state.finalized,
        final=final,
        tx_hash=tx_hash,
        stranded=stranded if state.finalized else 0,
    )


def _record(ledger: Ledger, *, final: bool) -> None:
    """Close the books of a finalized contract, whatever still waits in them, and date it."""

    def work(connection: Connection) -> None:
        cutover.close_books(connection, ledger.token, now=ledger.now(), whatever_waits=True)
        if final:
            cutover.record_finalized(connection, ledger.token, now=ledger.now())

    ledger.run(work)


__all__ = ["FINALIZE_CALL", "FinalizeResult", "finalize", "reopen"]
