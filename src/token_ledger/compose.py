"""Compose: the transactions of a migration, written down instead of sent.

For a Safe's owners, for a key that never meets a network, for any broadcaster. Everything is
checked as `migrate` checks it; nothing is sent. The books remember the token's one chain, and its
contract as one that was begun. What the files become on the chain, the next `migrate` finds there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from token_ledger.chain import contracts, creation
from token_ledger.chain.calls import DEPLOYED, described
from token_ledger.chain.creation import SWEEP_CALL, destination_calldata
from token_ledger.chain.deploy import deployment_block
from token_ledger.chain.parts import estimate, gas_cap, read_open_batch
from token_ledger.chain.replay import gas_limit
from token_ledger.chain.rpc import Rpc, decode_quantity, hex_data
from token_ledger.chain.signer import Signer
from token_ledger.chain.state import ContractState, check_token_contract, get_code, read_state
from token_ledger.chain.vaults import CLAIM_SELECTOR
from token_ledger.core import forecast
from token_ledger.core.address import DEPLOYMENT_PROXY, VAULT_FACTORY, to_checksum
from token_ledger.core.counting import counted
from token_ledger.core.forecast import GasPrice
from token_ledger.core.hashing import keccak
from token_ledger.core.outbox import (
    Call,
    Signed,
    SignedFile,
    Unsigned,
    UnsignedFile,
)
from token_ledger.core.types import ZERO_HASH, Batch
from token_ledger.crossing import check_no_snapshot
from token_ledger.errors import (
    CanonicalChainError,
    ChainError,
    FileFormatError,
    ForeignContractError,
    NotReadyError,
    SigningKeyError,
    UnknownBatchError,
    UsageError,
)
from token_ledger.finalize import FINALIZE_CALL, FINALIZE_GAS_MAX
from token_ledger.ledger import Connection, Ledger, batches, mirror
from token_ledger.node import meet
from token_ledger.plan import TOKEN_CONSTRUCTOR_GAS

_TIP_WEI = 1_000_000_000
_SIGNED_CALLS = (
    contracts.REPLAY_SELECTOR,
    contracts.REPLAY_PART_SELECTOR,
    creation.ANCHOR_SELECTOR,
    creation.OPEN_SELECTOR,
    creation.CLAIM_SELECTOR,
    SWEEP_CALL,
)


@dataclass(frozen=True, slots=True)
class Composition:
    """The calls that a migration lacks on one chain, in the order in which they must happen."""

    chain_id: int
    contract: bytes
    calls: tuple[Call, ...]
    replay_begun: bool = False  # of a snapshot: see `snapshot_claims.SnapshotResult`


def compose(
    ledger: Ledger,
    rpc_url: str,
    *,
    finalize: bool = False,
    part_rows: int | None = None,
    allow_code: Collection[bytes] = (),
) -> Composition:
    """Return the calls that bring the contract to the ledger's head, or only `finalize`.

    With `finalize` the cut-over's checks are `token_ledger.finalize`'s to have made. `part_rows`:
    batches of more rows go in parts of so many, which must be asked for where the first of them
    does not fit a transaction. `allow_code`: keccaks of other code that may stand there.
    Raises as `migrate` does: UnknownBatchError, SigningKeyError,
    CanonicalChainError, ForeignContractError; NotReadyError where there is nothing to do.
    """
    token = ledger.token
    with meet(ledger, rpc_url) as (rpc, chain):
        if not chain.is_test_chain and token.canonical_chain_id not in (None, chain.chain_id):
            raise CanonicalChainError(
                f"{token.symbol} lives on chain {token.canonical_chain_id}, "
                f"not on {chain.chain_id}",
                hint="a token has one canonical chain",
            )
        check_no_snapshot(ledger, rpc, chain_id=chain.chain_id)
        with ledger.read() as connection:
            known = mirror.contract_of(connection, token, chain.chain_id)
            address = known.address if known else contracts.token_address(token, ledger.operator)
            state, block = None, rpc.quantity("eth_blockNumber")
            if get_code(rpc, address):
                check_token_contract(
                    rpc,
                    address,
                    token,
                    known_code_hash=known.code_hash if known else None,
                    allow_code=allow_code,
                )
                state = read_state(rpc, address)
                block = deployment_block(rpc, address)
            if finalize:
                calls = [Call(address, FINALIZE_CALL, FINALIZE_GAS_MAX, "finalize")]
            else:
                calls = list(_replays(ledger, rpc, connection, (address, state), part_rows))
    if not calls:
        raise NotReadyError(
            f"the contract {to_checksum(address)} lacks nothing", hint="seal new entries first"
        )
    if not chain.is_test_chain:  # the files are somebody else's to send from now on
        ledger.set_canonical_chain(chain.chain_id)
    ledger.run(
        lambda connection: mirror.record_contract(
            connection,
            chain_id=chain.chain_id,
            address=address,
            token=token,
            block_number=block,
            tx_hash=None,
            code_hash=None,  # as of a deployment that was begun: `migrate` completes it
            now=ledger.now(),
        )
    )
    return Composition(chain.chain_id, address, tuple(calls))


def _replays(
    ledger: Ledger,
    rpc: Rpc,
    connection: Connection,
    there: tuple[bytes, ContractState | None],
    part_rows: int | None,
) -> Iterator[Call]:
    address, state = there
    token, head = ledger.token, batches.head(connection, ledger.token)
    if head.number == 0:
        raise UnknownBatchError(
            f"nothing of {token.symbol} is sealed", hint="run `seal --sign` first"
        )
    if state is not None and state.finalized:
        raise ChainError(
            f"the contract {to_checksum(address)} is finalized at batch {state.head_number}",
            hint="the token has left the ledger: nothing is replayed any more",
        )
    stands = (0, ZERO_HASH) if state is None else (state.head_number, state.head_digest)
    if stands[0] and batches.known_digest(connection, token, stands[1]) != stands[0]:
        raise ForeignContractError(
            f"the contract {to_checksum(address)} stands at batch {stands[0]}, "
            f"0x{stands[1].hex()}, which is none of this ledger's",
            hint="another copy of this ledger replayed there: only that copy can go on",
        )
    sealer = ledger.operator if state is None else state.sealer
    unsigned = [n for n in batches.unsigned_numbers(connection, token, sealer) if n > stands[0]]
    if unsigned:
        raise SigningKeyError(
            f"{len(unsigned)} batches, the first of them {unsigned[0]}, are not signed by "
            f"the sealer {to_checksum(sealer)}",
            hint="run `sign` with the sealer's key: the contract accepts no other",
        )
    if state is None:
        data = contracts.deployment_calldata(token, ledger.operator)
        gas = forecast.deployment_gas(
            data,
            runtime_bytes=len(contracts.artifact(contracts.TOKEN_CONTRACT).runtime),
            constructor_gas=TOKEN_CONSTRUCTOR_GAS,
        )
        yield Call(DEPLOYMENT_PROXY, data, gas + gas // 10, f"deploy {to_checksum(address)}")
    replays = _Replays(rpc, ledger.operator, address, part_rows)
    replays.done = _rows_done(rpc, address, state)
    for number in range(stands[0] + 1, head.number + 1):
        batch = mirror.read_replayable(connection, token, number, sealer)
        yield from replays.calls_of(batch, on_chain=state is not None)


def _rows_done(rpc: Rpc, address: bytes, state: ContractState | None) -> int:
    """Return how many rows of the first batch that lacks were replayed already."""
    opened = None if state is None else read_open_batch(rpc, address)
    return 0 if opened is None else opened.rows_done


class _Replays:
    """The calls that replay batches, one after the other, whole or in parts."""

    def __init__(self, rpc: Rpc, caller: bytes, address: bytes, part_rows: int | None) -> None:
        self.done = 0  # rows of the first batch that the contract has executed
        self._rpc = rpc
        self._caller = caller
        self._address = address
        self._part_rows = part_rows
        self._cap = gas_cap(rpc)
        self._asked = self._repriced = False

    def calls_of(self, batch: Batch, *, on_chain: bool) -> Iterator[Call]:
        header, done = batch.header, self.done
        self.done = 0
        if self._part_rows is None or header.count - done <= self._part_rows:
            what = f"replay batch {header.number}, {counted(header.count, 'entry')}"
            data = contracts.replay_calldata(batch)
            if on_chain and not self._asked:
                self._ask(batch, data)
            gas = self._cap if self._repriced else min(gas_limit(batch), self._cap)
            yield Call(self._address, data, gas, what)
            return
        self._asked = True
        for first in range(done, header.count, self._part_rows):
            last = min(first + self._part_rows, header.count)
            what = f"replay batch {header.number}, rows {first + 1} to {last} of {header.count}"
            data = contracts.replay_part_calldata(batch, last - first)
            yield Call(self._address, data, self._cap, what)

    def _ask(self, batch: Batch, data: bytes) -> None:
        """Ask the node what the first batch takes: the others cannot be tried before it is there.

        Raises ChainError where no transaction holds it.
        """
        self._asked = True
        told = estimate(self._rpc, self._caller, self._address, data, cap=self._cap)
        if told is None:
            raise ChainError(
                f"batch {batch.header.number} takes more gas than a transaction can be given here",
                hint=f"--part-rows N replays it in parts; it has {batch.header.count} rows",
            )
        self._repriced = isinstance(told, int) and told > gas_limit(batch)


def unsigned_file(
    made: Composition,
    rpc_url: str,
    *,
    payer: bytes,
    nonce: int | None = None,
    fee_max: GasPrice | None = None,
) -> UnsignedFile:
    """Return the calls with nonces and fees fixed, for a signer without a network.

    `nonce`: the first; by default the next that the chain expects of `payer`. `fee_max`: the most
    to pay a unit of gas; by default four times the base fee of now, which outlives some rises.
    """
    with Rpc(rpc_url) as rpc:
        if rpc.quantity("eth_chainId") != made.chain_id:
            raise ChainError("the node changed its chain", hint="run it again")
        if nonce is None:
            nonce = rpc.quantity("eth_getTransactionCount", [hex_data(payer), "pending"])
        block = rpc.call("eth_getBlockByNumber", ["latest", False])
        with rpc.decoding("eth_getBlockByNumber"):
            base = decode_quantity(block["baseFeePerGas"])
    most = 4 * base + _TIP_WEI if fee_max is None else fee_max.wei
    tip = min(_TIP_WEI, most)
    return UnsignedFile(
        made.chain_id,
        payer,
        tuple(Unsigned(call, nonce + i, most, tip) for i, call in enumerate(made.calls)),
    )


def sign_file(
    file: UnsignedFile,
    signer: Signer,
    *,
    chain_id: int | None = None,
    contract: bytes | None = None,
    destination: bytes | None = None,
    finalize: bool = False,
) -> SignedFile:
    """Return the file signed. Needs neither network nor database.

    Only what the commands send is signed: deployments of this release's contracts through the
    deterministic proxy, claims of vaults, and what `migrate`, `anchor` and `snapshot` call of one
    contract; `contract` says of which, and `chain_id` of which chain: both must be
    given with `finalize`. A sweep's destination is named only if it is `destination`,
    and with `destination` a sweep is signed only behind its naming. With `finalize` the cut-over
    is signed, which must be all there is; without it, never. Raises FileFormatError for anything
    else, UsageError for a cut-over of no chain or contract in particular, SigningKeyError for a
    key that is not the payer's.
    """
    if signer.address != file.payer:
        raise SigningKeyError(
            f"{to_checksum(signer.address)} is not the payer {to_checksum(file.payer)}",
            hint="give the payer's keystore",
        )
    if chain_id not in (None, file.chain_id):
        raise FileFormatError(
            f"the file is for chain {file.chain_id}, not for {chain_id}",
            hint="the file was altered, or made with a node of another chain: do not sign it",
        )
    calls = [transaction.call for transaction in file.transactions]
    if finalize and (chain_id is None or contract is None):
        raise UsageError(
            "a cut-over is signed for a chain and a contract that were named",
            hint="give --chain-id and --contract as you know them, not as the file says: on "
            "another chain the same signature would make another token final",
        )
    if finalize:
        _check_finalize(calls, contract)
    else:
        check_calls(calls, contract=contract, destination=destination)
    signed: list[Signed] = []
    for transaction, call in zip(file.transactions, calls, strict=True):
        raw = signer.sign_transaction(transaction.fields(file.chain_id))
        signed.append(Signed(transaction.nonce, keccak(raw), raw, described(call.to, call.data)))
    return SignedFile(file.chain_id, file.payer, tuple(signed))


def _check_finalize(calls: Sequence[Call], contract: bytes | None) -> None:
    """Raise FileFormatError unless the cut-over is the only call, and of the right contract."""
    told = [call.data for call in calls]
    if told != [FINALIZE_CALL] or contract not in (None, calls[0].to):
        raise FileFormatError(
            f"the file is not the cut-over alone: {described(calls[0].to, calls[0].data)}",
            hint="--finalize signs one call of finalize() and nothing else",
        )


def check_calls(
    calls: Sequence[Call], *, contract: bytes | None, destination: bytes | None = None
) -> None:
    """Raise FileFormatError for a call that no command makes: a file may have been altered."""
    known = {contract} if contract is not None else set()
    codes = tuple(contracts.artifact(name).bytecode for name in DEPLOYED)
    named = None if destination is None else destination_calldata(destination)
    for call in calls:
        if call.to == DEPLOYMENT_PROXY and call.data[32:].startswith(codes):
            continue
        if call.to == VAULT_FACTORY and call.data[:4] == CLAIM_SELECTOR:
            continue
        if call.data[:4] in _SIGNED_CALLS or call.data == named:
            known.add(call.to)
            if len(known) == 1:
                continue
        if call.data[:4] == FINALIZE_CALL:
            raise FileFormatError(
                f"the file holds the cut-over of {to_checksum(call.to)}, for ever",
                hint="if that is what you mean to sign, sign it by itself with --finalize; "
                "else the file was altered",
            )
        raise FileFormatError(
            f"a transaction to {to_checksum(call.to)} with 0x{call.data[:4].hex()}… is none of "
            "these commands'",
            hint="the file was altered: do not sign it; compose it again (a sweep's destination "
            "must be named when it is signed)",
        )
    _check_named_first(calls, named)


def _check_named_first(calls: Sequence[Call], named: bytes | None) -> None:
    """Raise FileFormatError for a sweep that a destination was asked for, and does not name it."""
    told = [call.data for call in calls]
    if named is None or SWEEP_CALL not in (call[:4] for call in told):
        return
    swept = next(place for place, data in enumerate(told) if data[:4] == SWEEP_CALL)
    if named not in told[:swept]:
        raise FileFormatError(
            "the file sweeps without naming the destination first",
            hint="compose it again; without --destination a sweep is signed that goes where the "
            "contract was told before",
        )
