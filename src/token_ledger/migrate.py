"""Migrate: put the token on a chain, every sealed entry as one Transfer of its contract.

The contract says where the chain stands, so a migration killed at any instant is finished by
running it again: nothing is replayed twice, and there is never a second contract. Replays only
what is sealed and signed; posts nothing, and changes no entry.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from token_ledger.chain import contracts
from token_ledger.chain.courier import Courier, NonceTakenError
from token_ledger.chain.deploy import Deployment, check_can_deploy, deploy, deployment_block
from token_ledger.chain.identity import ChainIdentity
from token_ledger.chain.replay import Replayed, replay
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.sender import Sender, node_account
from token_ledger.chain.signer import GasPayer
from token_ledger.chain.state import ContractState, check_token_contract, get_code, read_state
from token_ledger.core.address import to_checksum
from token_ledger.core.entry import EntryHasher
from token_ledger.core.files import (
    BATCHES_DIR,
    MANIFEST_NAME,
    batch_name,
    read_batch,
    read_manifest,
)
from token_ledger.core.progress import Progress, no_progress
from token_ledger.core.strict import decode
from token_ledger.core.types import Batch
from token_ledger.core.verification import check_batch
from token_ledger.errors import (
    CanonicalChainError,
    ChainError,
    FileFormatError,
    ForeignContractError,
    RevertedError,
    SigningKeyError,
    UnknownBatchError,
)
from token_ledger.ledger import Ledger, batches, mirror
from token_ledger.ledger.mirror import StoredContract
from token_ledger.node import meet

COLLISIONS_MAX = 20
"""So often another operator with the same key may take our nonce without the head moving."""


@dataclass(frozen=True, slots=True)
class MigrateResult:
    """What this run did. `gas_used` in gas, the deployment's share included."""

    contract: bytes
    chain_id: int
    batches: int
    entries: int
    gas_used: int
    deployment_gas_used: int
    unsealed: int

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
    progress: Progress = no_progress,
) -> MigrateResult:
    """Deploy the selected token's contract if it is not there, and replay what its head lacks.

    `export_dir`: take the batches from an export, which must agree with the ledger. `gas_signer`
    pays; by default the node's own first account, as Anvil has it. `gas_price_max`: the most to
    offer for a unit of gas, in wei. `take_over`: replace what the payer has on its way unmined,
    instead of waiting for it. `allow_code`: keccaks of other code that may stand there. Two
    operators at once are fine: each goes on where the chain stands, and what both sent is
    executed once. Raises UnknownBatchError while nothing is sealed, SigningKeyError for batches
    that the contract's sealer has not signed, CanonicalChainError for a second chain,
    ForeignContractError for a contract that is not this ledger's or holds another history,
    RevertedError with the contract's reason.
    """
    token = ledger.token
    with ledger.read() as connection:
        head = batches.head(connection, token)
        unsealed = batches.count_unsealed(connection, token)
    if head.number == 0:
        raise UnknownBatchError(
            f"nothing of {token.symbol} is sealed", hint="run `seal --sign` first"
        )
    with meet(ledger, rpc_url) as (rpc, chain):
        if not chain.is_test_chain and token.canonical_chain_id not in (None, chain.chain_id):
            raise CanonicalChainError(
                f"{token.symbol} lives on chain {token.canonical_chain_id}, "
                f"not on {chain.chain_id}",
                hint="a token has one canonical chain",
            )
        payer = gas_signer or node_account(rpc)
        sender = Courier(
            rpc,
            payer,
            chain_id=chain.chain_id,
            fee_max_wei=gas_price_max,
            take_over=take_over,
        )
        sender.settle()  # what a killed run had sent is mined first, and then seen
        migration = _Migration(ledger, rpc, chain, sender, head.number, allow_code=allow_code)
        return migration.run(export_dir, unsealed=unsealed, progress=progress)


class _Migration:
    """One run: contract, then signatures, then replay."""

    def __init__(
        self,
        ledger: Ledger,
        rpc: Rpc,
        chain: ChainIdentity,
        sender: Sender,
        head_number: int,
        *,
        allow_code: Collection[bytes],
    ) -> None:
        self.allow_code = allow_code
        self.ledger = ledger
        self.token = ledger.token
        self.rpc = rpc
        self.chain = chain
        self.sender = sender
        self.head_number = head_number
        self.batches = self.entries = self.gas_used = 0

    def run(
        self,
        export_dir: str | os.PathLike[str] | None,
        *,
        unsealed: int,
        progress: Progress,
    ) -> MigrateResult:
        source = None if export_dir is None else self._open_export(Path(export_dir))
        known = self._known_contract()
        address = (
            known.address if known else contracts.token_address(self.token, self.ledger.operator)
        )
        deployed_gas = 0
        if get_code(self.rpc, address):
            self._adopt(address, known)
        else:
            self._check_signed(0, self.ledger.operator, source)
            deployed_gas = self._deploy(known).gas_used
        state = read_state(self.rpc, address)
        self._check_head(address, state)
        self._check_signed(state.head_number, state.sealer, source)
        self._replay(address, state, source, progress)
        return MigrateResult(
            contract=address,
            chain_id=self.chain.chain_id,
            batches=self.batches,
            entries=self.entries,
            gas_used=self.gas_used + deployed_gas,
            deployment_gas_used=deployed_gas,
            unsealed=unsealed,
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
        try:
            deployment = deploy(self.sender, self.token, self.ledger.operator)
        except NonceTakenError:  # another operator with the same key: look where that led
            self.sender.settle()
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
        if not self.chain.is_test_chain:
            self.ledger.set_canonical_chain(self.chain.chain_id)
        self.ledger.run(
            lambda connection: mirror.complete_contract(
                connection,
                chain_id=self.chain.chain_id,
                address=deployment.address,
                tx_hash=deployment.tx_hash,
                code_hash=deployment.code_hash,
            )
        )

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

    # --- what to replay

    def _open_export(self, root: Path) -> Path:
        manifest = read_manifest(decode(_read_file(root / MANIFEST_NAME)))
        if manifest.token.uid != self.token.uid:
            raise FileFormatError(
                f"{root} is the export of another token, 0x{manifest.token.uid.hex()}",
                hint=f"this ledger's {self.token.symbol} is 0x{self.token.uid.hex()}",
            )
        if manifest.head_number:
            with self.ledger.read() as connection:
                number = batches.known_digest(connection, self.token, manifest.head_digest)
            if number != manifest.head_number:
                raise FileFormatError(
                    f"{root} ends with batch {manifest.head_number}, "
                    f"0x{manifest.head_digest.hex()}, which this ledger does not hold",
                    hint="it is of another copy of the ledger, or newer than this database",
                )
        self.head_number = manifest.head_number
        return root

    def _check_signed(self, after: int, sealer: bytes, source: Path | None) -> None:
        """Refuse before anything is sent, rather than in the middle."""
        if source is not None:
            return  # the files carry their signatures; each is looked at when it is read
        with self.ledger.read() as connection:
            unsigned = batches.unsigned_numbers(connection, self.token, sealer)
        missing = [number for number in unsigned if number > after]
        if missing:
            raise SigningKeyError(
                f"{len(missing)} batches, the first of them {missing[0]}, are not signed by "
                f"the sealer {to_checksum(sealer)}",
                hint="run `sign` with the sealer's key: the contract accepts no other",
            )

    def _lacking(self, state: ContractState, source: Path | None) -> Iterator[Batch]:
        for number in range(state.head_number + 1, self.head_number + 1):
            with self.ledger.read() as connection:
                if source is None:
                    batch = mirror.read_replayable(connection, self.token, number, state.sealer)
                else:
                    _, digest = batches.read_header(connection, self.token, number)
                    batch = self._read_exported(source, number, digest)
            yield batch

    def _read_exported(self, source: Path, number: int, digest: bytes) -> Batch:
        path = source / BATCHES_DIR / batch_name(number)
        batch = read_batch(decode(_read_file(path)))
        findings = [
            f for fs in check_batch(batch, EntryHasher(self.token.uid)).values() for f in fs
        ]
        if batch.token_uid != self.token.uid or batch.digest != digest or findings:
            said = findings[0].message if findings else "its digest is another"
            raise FileFormatError(
                f"{path.name} does not agree with the ledger: {said}",
                hint="the file was altered or is foreign; export again",
            )
        if batch.signature is None:
            raise SigningKeyError(
                f"{path.name} is not signed", hint="run `sign`, then `export` again"
            )
        return batch

    def _replay(
        self, address: bytes, state: ContractState, source: Path | None, progress: Progress
    ) -> None:
        if state.head_number >= self.head_number:
            return
        with self.ledger.read() as connection:
            last, _ = batches.read_header(connection, self.token, self.head_number)
        total = last.first_seq + last.count - state.next_seq

        def count(done: Replayed) -> None:
            self.batches += 1
            self.entries += done.header.count
            self.gas_used += done.receipt.gas_used
            progress("replay", self.entries, total)

        collisions = 0
        while state.head_number < self.head_number:
            if state.finalized:
                raise ChainError(
                    f"the contract {to_checksum(address)} is finalized at batch "
                    f"{state.head_number}",
                    hint="the token has left the ledger: nothing is replayed any more",
                )
            try:
                replay(self.sender, address, self._lacking(state, source), on_replayed=count)
            except (RevertedError, NonceTakenError) as error:
                # Another operator may have been faster: then the chain stands further on.
                self.sender.settle()
                before, state = state, read_state(self.rpc, address)
                moved = state.head_number > before.head_number
                collisions = 0 if moved else collisions + 1
                if not moved and (isinstance(error, RevertedError) or collisions > COLLISIONS_MAX):
                    raise
                self._check_head(address, state)
            else:
                break


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileFormatError(
            f"{path} cannot be read: {error.strerror}", hint="is it a whole export?"
        ) from None
