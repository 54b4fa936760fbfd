"""Snapshot: the token comes to the chain by its balances, each claimed by its holder.

    take      the balances after the last sealed batch, as a tree; unsigned, so that nobody opens it
    publish   the contract, and the root in it, signed by the sealer: the cut-over of this way
    claim     one holder's balance, by the proof in its file; anybody may submit it
    sweep     what nobody claimed until the deadline, to where the admin said

What holders do is in `snapshot_claims`. An alternative to `migrate`: no entry becomes a Transfer.
After `publish` the books are closed as after `migrate --finalize`.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from token_ledger.chain import contracts
from token_ledger.chain.creation import (
    SNAPSHOT_TOKEN,
    check_code,
    create,
    created_at,
    open_calldata,
    snapshot_init_code,
)
from token_ledger.chain.delivery import deliver, open_courier, rehearse
from token_ledger.chain.identity import ChainIdentity, read_identity
from token_ledger.chain.parts import read_open_batch
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.signer import GasPayer, Signer
from token_ledger.chain.state import call_contract, get_code, read_state
from token_ledger.core.address import to_checksum
from token_ledger.core.signature import recover_signer
from token_ledger.core.snapshot import (
    DEADLINE_MAX,
    Snapshot,
    make_snapshot,
)
from token_ledger.core.strict import address_text, encode
from token_ledger.crossing import (
    books_closed,
    check_may_reopen,
    check_own_chain,
    set_aside_replay,
    snapshot_address,
)
from token_ledger.errors import (
    ForeignContractError,
    NotReadyError,
    RevertedError,
    SigningKeyError,
    UnknownBatchError,
    UsageError,
)
from token_ledger.ledger import Ledger, batches, cutover, imports, mirror_joins
from token_ledger.node import meet
from token_ledger.snapshot_claims import SnapshotResult, claim, result_of, sweep

SNAPSHOT_NAME, PROOFS_DIR = "snapshot.json", "proofs"
_PAGE, _MICROSECONDS = 2_000, 1_000_000
_SNAPSHOT_CALL = contracts.selector("snapshot()")
OPEN_GAS = 500_000
DEADLINE_AHEAD_MAX_S = 100 * 366 * 24 * 3600


def take(ledger: Ledger, *, deadline: int, over: bool = False) -> Snapshot:
    """Return the balances after the last sealed batch, which `publish` has signed and opens.

    `deadline`: the last second for claims, since 1970; not yet over, unless `over` says that it may
    be (what was opened long ago is published again). Raises UnknownBatchError while nothing is
    sealed, UsageError where there is no balance or no such time.
    """
    token = ledger.token
    if not 0 < deadline <= DEADLINE_MAX:
        raise UsageError(f"the deadline {deadline} is no time", hint="seconds since 1970")
    if not over and deadline * _MICROSECONDS <= (now := ledger.now()):
        raise UsageError(
            f"the deadline {deadline} is over: now is {now // _MICROSECONDS}",
            hint="nobody could claim: give a later second, since 1970",
        )
    if not over:
        _check_near(ledger, deadline)
    with ledger.read() as connection:
        head = batches.head(connection, token)
        if head.number == 0:
            raise UnknownBatchError(
                f"nothing of {token.symbol} is sealed", hint="run `seal --sign` first"
            )
        header, digest = batches.read_header(connection, token, head.number)
        pages = mirror_joins.read_balances(
            connection, token, last_entry_no=head.last_entry_no, page=_PAGE
        )
        holdings = [(item.address, item.replayed) for page in pages for item in page]
    if header.total_supply == 0:
        raise UsageError(f"nobody holds any {token.symbol}", hint="there is nothing to claim")
    return make_snapshot(token.uid, header, digest, holdings, deadline=deadline)


def digest_to_sign(ledger: Ledger, made: Snapshot, chain_id: int | None = None) -> bytes:
    """Return what a sealer elsewhere signs of a snapshot, 32 bytes; for the token's one chain.

    `chain_id`: that chain, where the books do not know it yet. Whoever has the signature may open
    the claims there, at once, whatever is posted later: sign it when the books can close. Raises
    UsageError without a chain, CanonicalChainError for another one than the token's.
    """
    known = ledger.token.canonical_chain_id
    if chain_id is None:
        if known is None:
            raise UsageError(
                "a snapshot is signed for one chain, and none is named",
                hint="name it: --chain-id",
            )
        return made.digest_for(known, snapshot_address(ledger))
    check_own_chain(ledger, chain_id)
    return made.digest_for(chain_id, snapshot_address(ledger))


def write_files(made: Snapshot, directory: Path) -> int:
    """Write the snapshot and one proof a holder; return how many. Existing files are replaced."""
    (directory / PROOFS_DIR).mkdir(parents=True, exist_ok=True)
    for account, amount in made.holdings:
        path = directory / PROOFS_DIR / f"{address_text(account)}.json"
        _write(path, encode(made.proof_to_json(account, amount)))
    _write(directory / SNAPSHOT_NAME, encode(made.to_json()))
    return len(made.holdings)


def publish(
    ledger: Ledger,
    rpc_url: str,
    made: Snapshot,
    *,
    sealer: Signer | None = None,
    gas_signer: GasPayer | None = None,
    gas_price_max: int | None = None,
    take_over: bool = False,
) -> SnapshotResult:
    """Create the snapshot token and open its claims; close the books. Again changes nothing.

    `sealer`: signs it, for the node's chain alone, unless `made` bears a signature made elsewhere.
    `gas_price_max`: the most to offer for a unit of gas, in wei. `take_over`: replace what the
    payer has on its way unmined. Raises UsageError where claims are open until another deadline
    than this snapshot's, NotReadyError while holds are open, entries were posted after the snapshot
    or the token was migrated there by replay, SigningKeyError without the sealer's signature,
    CanonicalChainError, RevertedError with the contract's reason.
    """
    token = ledger.token
    init_code = snapshot_init_code(token, ledger.operator)
    address = created_at(token, init_code)
    with meet(ledger, rpc_url) as (rpc, chain):
        if _is_open(ledger, rpc, address):
            _follow(ledger, rpc, chain)
            check_same(rpc, address, made)
            done = SnapshotResult(address, chain.chain_id, None, 0)
            return replace(done, stranded=_left_behind(ledger, made))
        check_publishable(ledger, rpc, chain, made)
        signature = signed_for(ledger, rpc, made, chain_id=chain.chain_id, sealer=sealer)
        sender = open_courier(
            rpc,
            gas_signer,
            chain_id=chain.chain_id,
            price_max=gas_price_max,
            take_over=take_over,
        )
        if not chain.is_test_chain:  # before it is paid for: it cannot be opened on two chains
            ledger.set_canonical_chain(chain.chain_id)
        created = create(sender, token, init_code, name=SNAPSHOT_TOKEN)
        data = open_calldata(made.header, made.root, made.deadline, signature)
        try:  # while the books are open
            rehearse(sender, address, data, what="the snapshot")
        except RevertedError:
            if not _is_open(ledger, rpc, address):
                raise
        begun = set_aside_replay(ledger, rpc, chain.chain_id)
        with books_closed(ledger, sender, address, way_back="snapshot reopen"):
            if not _is_open(ledger, rpc, address):  # what was sealed or replayed meanwhile
                check_publishable(ledger, rpc, chain, made)
            receipt = deliver(
                sender,
                address,
                data,
                what="the snapshot",
                gas=OPEN_GAS,
                done=lambda: _is_open(ledger, rpc, address),
            )
        _close(ledger)  # whatever became of our closing meanwhile
        check_same(rpc, address, made)  # another operator may have opened another one
        done = result_of(address, chain.chain_id, receipt, created)
        return replace(done, replay_begun=begun, stranded=_left_behind(ledger, made))


def reopen(
    ledger: Ledger,
    rpc_url: str,
    *,
    gas_signer: GasPayer | None = None,
    payers: Collection[bytes] = (),
) -> None:
    """Let new entries in again after a `publish` that was written down and never sent.

    `payers`: every account that was to send it, beside `gas_signer`; the ledger does not know who
    was given its files. Raises UsageError where none is named, NotReadyError where claims are open
    or the token's contract is finalized (then there is no way back), and while the operator or one
    of these has a transaction on its way, or one of anybody's that concerns the contract is seen,
    which must be cancelled first; CanonicalChainError for a node of another chain.
    """
    payers = {*payers, *(() if gas_signer is None else (gas_signer.address,))}
    if not payers:
        raise UsageError(
            "who was to send the snapshot? The books stay closed while that is not known",
            hint="--payer 0x… for every account that was given its files, or that executes for the "
            "Safe",
        )
    with Rpc(rpc_url) as rpc:
        chain = read_identity(rpc)
        check_may_reopen(ledger, rpc, chain.chain_id, payers=payers)
    ledger.run(lambda connection: cutover.reopen_books(connection, ledger.token))


def _is_open(ledger: Ledger, rpc: Rpc, address: bytes) -> bool:
    """Return whether claims are open there. Raises ForeignContractError for another history."""
    if not get_code(rpc, address):
        return False
    check_code(rpc, address, name=SNAPSHOT_TOKEN)
    state = read_state(rpc, address)
    if not state.finalized:
        return False
    with ledger.read() as connection:
        known = batches.known_digest(connection, ledger.token, state.head_digest)
    if known != state.head_number:
        raise ForeignContractError(
            f"{to_checksum(address)} holds a snapshot of batch {state.head_number}, "
            f"0x{state.head_digest.hex()}, which is none of this ledger's",
            hint="another copy of this ledger published it: only that copy can go on",
        )
    return True


def signed_for(
    ledger: Ledger, rpc: Rpc, made: Snapshot, *, chain_id: int, sealer: Signer | None
) -> bytes:
    """Return the snapshot's signature for a chain: the one that it bears, else the sealer's.

    Raises SigningKeyError for none, or for one of nobody's use.

    A contract that is not there yet takes the operator's: looked at before its gas is spent. A
    Safe's, and a contract that is there, are asked by the rehearsal.
    """
    address = snapshot_address(ledger)
    digest, signature = made.digest_for(chain_id, address), made.signature
    if signature is None:
        if sealer is None:
            raise SigningKeyError("the snapshot is not signed", hint="give the sealer's key")
        signature = sealer.sign_digest(digest)
    if get_code(rpc, address) or get_code(rpc, ledger.operator):
        return signature
    if recover_signer(digest, signature) != ledger.operator:
        raise SigningKeyError(
            f"the snapshot is not signed by the operator {to_checksum(ledger.operator)}",
            hint="is it over this deadline, batch and chain? A Safe must exist on this chain",
        )
    return signature


def check_same(rpc: Rpc, address: bytes, made: Snapshot) -> None:
    """Raise UsageError or NotReadyError unless what is open there is this snapshot."""
    shown = to_checksum(address)
    opened = call_contract(rpc, address, _SNAPSHOT_CALL)
    root, deadline = opened[32:64], int.from_bytes(opened[96:128], "big")
    if deadline != made.deadline:
        raise UsageError(
            f"the claims of {shown} are open until {deadline}, not until {made.deadline}",
            hint=f"the deadline in force is {deadline}: what is open is not changed any more",
        )
    if root != made.root:
        raise NotReadyError(
            f"the claims of {shown} are of the balances 0x{root.hex()}, not of 0x{made.root.hex()}",
            hint="what is open is not changed any more: what was sealed since is not in it",
        )


def _follow(ledger: Ledger, rpc: Rpc, chain: ChainIdentity) -> None:
    """Close the books of a token whose claims are open, whoever sent the call."""
    check_own_chain(ledger, chain.chain_id)
    set_aside_replay(ledger, rpc, chain.chain_id)
    if not chain.is_test_chain:
        ledger.set_canonical_chain(chain.chain_id)
    _close(ledger)


def _left_behind(ledger: Ledger, made: Snapshot) -> int:
    """Return how many entries the snapshot does not hold, and the chain never will."""
    with ledger.read() as connection:
        return imports.count_left_behind(connection, ledger.token, made.header.number)


def _close(ledger: Ledger) -> None:
    """Close the books of a token whose claims are open, whatever waits in them."""
    ledger.run(
        lambda c: cutover.close_books(c, ledger.token, now=ledger.now(), whatever_waits=True)
    )


def check_publishable(ledger: Ledger, rpc: Rpc, chain: ChainIdentity, made: Snapshot) -> None:
    """Raise NotReadyError or CanonicalChainError where this snapshot cannot be opened there."""
    token = ledger.token
    _check_near(ledger, made.deadline)
    check_own_chain(ledger, chain.chain_id)
    with ledger.read() as connection:
        head = batches.head(connection, token)
        cutover.check_closable(
            connection, token, now=ledger.now(), onward="and take the snapshot anew"
        )
    if head.digest != made.digest:
        raise NotReadyError(
            "the ledger has gone on since the snapshot", hint="seal, and take it anew"
        )
    replayed = contracts.token_address(token, ledger.operator)
    if get_code(rpc, replayed) and (
        read_state(rpc, replayed).head_number or read_open_batch(rpc, replayed)
    ):
        raise NotReadyError(
            f"{token.symbol} was migrated to this chain by replay: {to_checksum(replayed)}",
            hint="a token comes to the chain one way: go on with `migrate`",
        )


def _check_near(ledger: Ledger, deadline: int) -> None:
    """Raise UsageError for a deadline that no living holder meets: milliseconds, most likely."""
    if deadline > ledger.now() // _MICROSECONDS + DEADLINE_AHEAD_MAX_S:
        raise UsageError(
            f"the deadline {deadline} is more than a hundred years ahead",
            hint="nothing could be swept before it: give seconds since 1970, not milliseconds",
        )


def _write(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


__all__ = [
    "SnapshotResult",
    "check_publishable",
    "check_same",
    "claim",
    "digest_to_sign",
    "publish",
    "reopen",
    "signed_for",
    "sweep",
    "take",
    "write_files",
]
