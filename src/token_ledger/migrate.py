"""Migrate: put the token on a chain, every sealed entry as one Transfer of its contract.

The contract says where the chain stands, so a migration killed at any instant is finished by
running it again: nothing is replayed twice, and there is never a second contract. Replays only
what is sealed and signed; posts nothing, and changes no entry.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass

from token_ledger.chain import contracts
from token_ledger.chain.courier import NonceTakenError
from token_ledger.chain.delivery import COLLISIONS_MAX, open_courier
from token_ledger.chain.deploy import Deployment, check_can_deploy, deploy, deployment_block
from token_ledger.chain.identity import ChainIdentity
from token_ledger.chain.parts import read_open_batch
from token_ledger.chain.replay import Replayed, replay
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.sender import Sender
from token_ledger.chain.signer import GasPayer
from token_ledger.chain.state import ContractState, check_token_contract, get_code, read_state
from token_ledger.core.address import to_checksum
from token_ledger.core.progress import Progress, no_progress
from token_ledger.crossing import check_no_snapshot, check_own_chain
from token_ledger.errors import (
    ChainError,
    ForeignContractError,
    RevertedError,
    TokenFinalizedError,
    UnknownBatchError,
)
from token_ledger.ledger import Ledger, StoredToken, batches, imports, mirror
from token_ledger.ledger.homes import Home
from token_ledger.ledger.mirror import StoredContract
from token_ledger.node import meet
from token_ledger.replayable import Replayable


@dataclass(frozen=True, slots=True)
class MigrateResult:
    """What this run did. `gas_used` in gas, the deployment's share included.

    `parts`: transactions that held only a part of a batch; 0 as long as batches fit.
    """

    contract: bytes
    chain_id: int
    batches: int
    entries: int
    gas_used: int
    deployment_gas_used: int
    unsealed: int
    parts: int = 0

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "contract": to_checksum(self.contract),
            "chain_id": self.chain_id,
            "batches": self.batches,
            "entries": self.entries,
            "gas_used": self.gas_used,
            "deployment_gas_used": self.deployment_gas_used,
            "unsealed": self.unsealed,
            "parts": self.parts,
        }


def migrate(
    ledger: Ledger,
    rpc_url: str,
    *,
    export_dir: str | os.PathLike[str] | None = None,
    gas_signer: GasPayer | None = None,
    gas_price_max: int | None = None,
    take_over: bool = False,
    allow_code: Collection[bytes] = (),
    part_rows: int | None = None,
    progress: Progress = no_progress,
) -> MigrateResult:
    """Deploy the selected token's contract if it is not there, and replay what its head lacks.

    `export_dir`: take the batches from an export, which must agree with the ledger. `gas_signer`
    pays; by default the node's own first account, as Anvil has it. `gas_price_max`: the most to
    offer for a unit of gas, in wei. `take_over`: replace what the payer has on its way unmined,
    instead of waiting for it. `allow_code`: keccaks of other code that may stand there. A batch
    that the chain's gas limits no longer hold goes in parts, of as many rows as fit; `part_rows`:
    so does each of more rows than this, in parts of so many. Two operators at once are fine: each
    goes on where the chain stands, and what both sent is executed once. Raises UnknownBatchError
    while nothing is sealed, SigningKeyError for batches that the contract's sealer has not signed,
    CanonicalChainError for a second chain, NotReadyError for a token that came to the chain by a
    snapshot, TokenFinalizedError for a token that was always on one,
    ForeignContractError for a contract that is not this ledger's or holds another history,
    RevertedError with the contract's reason.
    """
    token = ledger.token
    with ledger.read() as connection:
        head = batches.head(connection, token)
        unsealed = batches.count_unsealed(connection, token)
        home = imports.read_followed(connection, token)
    if home is not None:
        return _nothing_to_do(token, home)
    if head.number == 0:
        raise UnknownBatchError(
            f"nothing of {token.symbol} is sealed", hint="run `seal --sign` first"
        )
    with meet(ledger, rpc_url) as (rpc, chain):
        if not chain.is_test_chain:
            check_own_chain(ledger, chain.chain_id)
        check_no_snapshot(ledger, rpc, chain_id=chain.chain_id)
        sender = open_courier(  # what a killed run had sent is mined first, and then seen
            rpc,
            gas_signer,
            chain_id=chain.chain_id,
            price_max=gas_price_max,
            take_over=take_over,
        )
        source = Replayable(ledger, head.number, export_dir)
        migration = _Migration(ledger, rpc, chain, sender, source, allow_code=allow_code)
        return migration.run(unsealed=unsealed, part_rows=part_rows, progress=progress)


def _nothing_to_do(token: StoredToken, home: Home) -> MigrateResult:
    """Return what migrating does where the chain leads: batches since then are for audit alone."""
    if home.replayed_number == 0:
        raise TokenFinalizedError(
            f"{token.symbol} was always on chain {home.chain_id}: there is nothing to migrate",
            hint="`import` brings its transfers into the books",
        )
    return MigrateResult(home.address, home.chain_id, 0, 0, 0, 0, unsealed=0)


class _Migration:
    """One run: contract, then signatures, then replay."""

    def __init__(
        self,
        ledger: Ledger,
        rpc: Rpc,
        chain: ChainIdentity,
        sender: Sender,
        source: Replayable,
        *,
        allow_code: Collection[bytes],
    ) -> None:
        self.allow_code = allow_code
        self.ledger = ledger
        self.token = ledger.token
        self.rpc = rpc
        self.chain = chain
        self.sender = sender
        self.source = source
        self.batches = self.entries = self.gas_used = self.parts = 0

    def run(self, *, unsealed: int, part_rows: int | None, progress: Progress) -> MigrateResult:
        known = self._known_contract()
        address = (
            known.address if known else contracts.token_address(self.token, self.ledger.operator)
        )
        deployed_gas = 0
        if get_code(self.rpc, address):
            self._adopt(address, known)
        else:
            self.source.check_signed(after=0, sealer=self.ledger.operator)
            deployed_gas = self._deploy(known).gas_used
        state = read_state(self.rpc, address)
        self._check_head(address, state)
        self.source.check_signed(after=state.head_number, sealer=state.sealer)
        self._replay(address, state, part_rows, progress)
        return MigrateResult(
            contract=address,
            chain_id=self.chain.chain_id,
            batches=self.batches,
            entries=self.entries,
            gas_used=self.gas_used + deployed_gas,
            deployment_gas_used=deployed_gas,
            unsealed=unsealed,
            parts=self.parts,
        )

    # --- the contract

    def _known_contract(self) -> StoredContract | None:
        with self.ledger.read() as connection:
            return mirror.contract_of(connection, self.token, self.chain.chain_id)

    def _adopt(self, address: bytes, known: StoredContract | None) -> None:
        """Take a contract that is there: ours, and with a history of ours."""
        code_hash = check_token_contract(
            self.rpc,
            address,
            self.token,
            known_code_hash=known.code_hash if known else None,
            allow_code=self.allow_code,
        )
        self._check_head(address, read_state(self.rpc, address))
        if known is None:
            self._record(address, block_number=deployment_block(self.rpc, address))
        if known is None or known.code_hash is None:
            self._complete(Deployment(address, code_hash, None, None, 0))

    def _deploy(self, known: StoredContract | None) -> Deployment:
        if known is not None and known.code_hash is not None:
            if not self.chain.is_test_chain:
                raise ForeignContractError(
                    f"the contract {to_checksum(known.address)} is not on chain "
                    f"{self.chain.chain_id} any more",
                    hint="is the node behind, or did the chain reorganise? Wait, then run it again",
                )
            with self.ledger.write() as connection:  # a test chain that was taken back
                mirror.forget_chain(connection, self.chain.chain_id)
                mirror.store_genesis(connection, self.chain.chain_id, self.chain.genesis)
            known = None
        check_can_deploy(self.sender)
        if known is None:
            # Before it is there: a run killed in between knows from which block on to look.
            address = contracts.token_address(self.token, self.ledger.operator)
            self._record(address, block_number=self.rpc.quantity("eth_blockNumber"))
        if not self.chain.is_test_chain:  # another process may have chosen another one meanwhile
            check_own_chain(self.ledger, self.chain.chain_id)
        deployment = deploy(self.sender, self.token, self.ledger.operator)
        self._complete(deployment)
        return deployment

    def _record(self, address: bytes, *, block_number: int) -> None:
        self.ledger.run(
            lambda connection: mirror.record_contract(
                connection,
                chain_id=self.chain.chain_id,
                address=address,
                token=self.token,
                block_number=block_number,
                tx_hash=None,
                code_hash=None,
                now=self.ledger.now(),
            )
        )

    def _complete(self, deployment: Deployment) -> None:
        """Remember that the contract is there: from now on its chain is the token's own."""
        self._bind()
        self.ledger.run(
            lambda connection: mirror.complete_contract(
                connection,
                chain_id=self.chain.chain_id,
                address=deployment.address,
                tx_hash=deployment.tx_hash,
                code_hash=deployment.code_hash,
            )
        )

    def _bind(self) -> None:
        if not self.chain.is_test_chain:
            self.ledger.set_canonical_chain(self.chain.chain_id)

    def _check_head(self, address: bytes, state: ContractState) -> None:
        """Refuse a contract whose history is not the ledger's own."""
        if state.head_number == 0:
            return
        with self.ledger.read() as connection:
            number = batches.known_digest(connection, self.token, state.head_digest)
        if number != state.head_number:
            raise ForeignContractError(
                f"the contract {to_checksum(address)} stands at batch {state.head_number}, "
                f"0x{state.head_digest.hex()}, which is none of this ledger's",
                hint="another copy of this ledger (a staging copy, or one since restored from a "
                "backup) replayed there: only that copy can go on",
            )

    def _check_open(self, address: bytes, state: ContractState) -> None:
        """Refuse a contract that holds a part of a batch that is none of the ledger's."""
        opened = read_open_batch(self.rpc, address)
        if opened is None:
            return
        with self.ledger.read() as connection:
            number = batches.known_digest(connection, self.token, opened.digest)
        if number != state.head_number + 1:
            raise ForeignContractError(
                f"{opened.rows_done} rows of batch 0x{opened.digest.hex()}, which is none of this "
                f"ledger's, were replayed into {to_checksum(address)}",
                hint="another copy of this ledger began it: only that copy can go on",
            )

    def _replay(
        self, address: bytes, state: ContractState, part_rows: int | None, progress: Progress
    ) -> None:
        source = self.source
        if state.head_number >= source.head_number:
            return
        self._check_open(address, state)
        total = source.next_seq - state.next_seq

        def count(done: Replayed) -> None:
            self.batches += done.ended
            self.parts += done.rows < done.header.count
            self.entries += done.rows
            self.gas_used += done.receipt.gas_used
            progress("replay", self.entries, total)

        collisions, careful = 0, False
        while state.head_number < source.head_number:
            if state.finalized:
                raise ChainError(
                    f"the contract {to_checksum(address)} is finalized at batch "
                    f"{state.head_number}",
                    hint="the token has left the ledger: nothing is replayed any more",
                )
            try:
                replay(
                    self.sender,
                    address,
                    source.lacking(state),
                    rows_max=part_rows,
                    careful=careful,
                    on_replayed=count,
                )
            except (RevertedError, NonceTakenError) as error:
                # Another operator may have been faster: then the chain stands further on.
                self.sender.settle()
                before, state = state, read_state(self.rpc, address)
                moved = state.head_number > before.head_number
                collisions = 0 if moved else collisions + 1
                failed = isinstance(error, RevertedError) and careful
                if not moved and (failed or collisions > COLLISIONS_MAX):
                    raise
                # Or gas costs more than it did: then the node is asked about every batch.
                careful = careful or isinstance(error, RevertedError)
                self._check_head(address, state)
            else:
                break
