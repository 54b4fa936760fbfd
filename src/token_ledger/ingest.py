"""Import: what a chain says of an ERC-20, into the mirror's tables.

Range by range: fetch logs, check that they continue what was imported, store rows and cursor in
one transaction. Killed at any instant it goes on where it stopped, and a second run adds nothing.
Works for any ERC-20. Writes no entry: the books and the mirror meet only in `reconcile`. (The verb
is `import`, which Python keeps for itself.)
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from token_ledger.chain import contracts
from token_ledger.chain.deploy import deployment_block
from token_ledger.chain.identity import ChainIdentity
from token_ledger.chain.logs import LogReader
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.state import get_code, read_state
from token_ledger.core.address import to_checksum
from token_ledger.core.hashing import keccak
from token_ledger.core.progress import Progress, no_progress
from token_ledger.core.transfers import ChainRange
from token_ledger.errors import ChainError, ForeignContractError, UsageError
from token_ledger.ledger import Ledger, StoredToken, batches, mirror
from token_ledger.ledger.mirror import StoredContract
from token_ledger.node import check_not_reorganised, meet


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What this run added: transfers of the blocks from `from_block` to `to_block`, both included.

    `skipped` counts Transfer logs that are no ERC-20 transfers. Nothing new: to_block < from_block.
    """

    contract: bytes
    chain_id: int
    transfers: int
    batches: int
    skipped: int
    from_block: int
    to_block: int

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "contract": to_checksum(self.contract),
            "chain_id": self.chain_id,
            "transfers": self.transfers,
            "batches": self.batches,
            "skipped": self.skipped,
            "from_block": self.from_block,
            "to_block": self.to_block,
        }


def ingest(
    ledger: Ledger,
    rpc_url: str,
    *,
    contract: bytes | None = None,
    from_block: int | None = None,
    progress: Progress = no_progress,
) -> IngestResult:
    """Import the Transfer logs of a contract up to the latest block.

    `contract`: any ERC-20; by default the selected token's own. `from_block`: where to begin a
    first import; by default where the contract was deployed. Raises ForeignContractError where
    there is no contract, UsageError for a `from_block` that would leave a gap or lies before what
    was imported, ChainError when the chain was reorganised behind what was imported, RpcError.
    """
    with meet(ledger, rpc_url) as (rpc, chain):
        stored = _find_contract(ledger, rpc, chain, contract, from_block)
        if not check_not_reorganised(ledger, rpc, chain, stored):
            stored = _take_back(ledger, chain, stored)
        return _catch_up(ledger, rpc, stored, from_block, progress)


def _find_contract(
    ledger: Ledger, rpc: Rpc, chain: ChainIdentity, address: bytes | None, from_block: int | None
) -> StoredContract:
    with ledger.read() as connection:
        if address is None:
            known = mirror.contract_of(connection, ledger.token, chain.chain_id)
        else:
            known = mirror.find_contract(connection, chain.chain_id, address)
    if known is not None:
        return known
    if address is None:
        raise ForeignContractError(
            f"the ledger knows no contract of {ledger.token.symbol} on chain {chain.chain_id}",
            hint="run `migrate`, or name any ERC-20 with --contract",
        )
    code = get_code(rpc, address)
    if not code:
        raise ForeignContractError(
            f"there is no contract at {to_checksum(address)} on chain {chain.chain_id}",
            hint="check chain and address",
        )
    token = _token_of(ledger, rpc, address) if contracts.is_our_code(code) else None
    start = deployment_block(rpc, address) if from_block is None or token else from_block
    return ledger.run(
        lambda connection: mirror.record_contract(
            connection,
            chain_id=chain.chain_id,
            address=address,
            token=token,
            block_number=start,
            tx_hash=None,
            code_hash=keccak(code),
            now=ledger.now(),
        )
    )


def _token_of(ledger: Ledger, rpc: Rpc, address: bytes) -> StoredToken | None:
    """Return the token whose own contract this is: deployed by us, or holding our history.

    Anybody may deploy our code with any uid; what such a contract says is no replay of ours.
    """
    state = read_state(rpc, address)
    token = next((token for token in ledger.tokens() if token.uid == state.token_uid), None)
    if token is None or address == contracts.token_address(token, ledger.operator):
        return token
    if state.head_number == 0 or state.sealer != ledger.operator:
        return None
    with ledger.read() as connection:
        number = batches.known_digest(connection, token, state.head_digest)
    return token if number == state.head_number else None


def _take_back(ledger: Ledger, chain: ChainIdentity, stored: StoredContract) -> StoredContract:
    """Begin anew on a test chain that was taken back; anywhere else, stop and change nothing."""
    if not chain.is_test_chain:
        raise ChainError(
            "the chain was reorganised: it no longer has the last block that was imported of "
            f"{to_checksum(stored.address)}",
            hint="nothing was changed; this release does not follow reorganisations yet",
        )
    ledger.run(lambda connection: mirror.forget_logs(connection, stored))
    return stored


def _catch_up(
    ledger: Ledger,
    rpc: Rpc,
    contract: StoredContract,
    from_block: int | None,
    progress: Progress,
) -> IngestResult:
    cursor_block, last_hash = _position(ledger, contract)
    first = next_block = _start(contract, cursor_block, from_block)
    if cursor_block is None and first != contract.block_number:
        ledger.run(lambda connection: mirror.begin_at(connection, contract, first))
    head = rpc.quantity("eth_blockNumber")
    reader = LogReader(rpc, contract.address, replayed=contract.token_no is not None)
    transfers = replayed = skipped = 0
    for found in _read_ahead(reader, first, head):
        if last_hash is not None and found.parent_hash != last_hash:
            raise ChainError(
                f"block {next_block} does not follow what was imported before it",
                hint="the chain is being reorganised; run it again",
            )
        if not _store(ledger, contract, found):
            raise ChainError(
                "another import of this contract is running", hint="let it finish; nothing is lost"
            )
        transfers += len(found.transfers)
        replayed += len(found.batches)
        skipped += found.skipped
        next_block, last_hash = found.to_block + 1, found.to_hash
        progress("import", next_block - first, head + 1 - first)
    return IngestResult(
        contract=contract.address,
        chain_id=contract.chain_id,
        transfers=transfers,
        batches=replayed,
        skipped=skipped,
        from_block=first,
        to_block=next_block - 1,
    )


def _read_ahead(reader: LogReader, first: int, head: int) -> Iterator[ChainRange]:
    """Yield range after range; the next one is fetched while the one before is stored."""
    if first > head:
        return
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="import") as fetcher:
        coming = fetcher.submit(reader.read, first, head)
        while True:
            found = coming.result()
            last = found.to_block >= head
            if not last:
                coming = fetcher.submit(reader.read, found.to_block + 1, head)
            yield found
            if last:
                return


def _store(ledger: Ledger, contract: StoredContract, found: ChainRange) -> bool:
    return ledger.run(
        lambda connection: mirror.store_range(connection, contract, found, now=ledger.now())
    )


def _position(ledger: Ledger, contract: StoredContract) -> tuple[int | None, bytes | None]:
    with ledger.read() as connection:
        cursor = mirror.read_cursor(connection, contract)
    return (None, None) if cursor is None else (cursor.next_block, cursor.last_block_hash)


def _start(contract: StoredContract, cursor_block: int | None, from_block: int | None) -> int:
    """Return the first block to read: behind the cursor, or where the contract begins."""
    begin = contract.block_number or 0
    if cursor_block is not None:
        if from_block is not None and from_block < begin:
            raise UsageError(
                f"--from-block {from_block} is before what was imported: from block {begin} on",
                hint="leave --from-block away to go on; only a first import chooses its beginning",
            )
        if from_block is not None and from_block > cursor_block:
            raise UsageError(
                f"--from-block {from_block} would leave a gap: imported up to {cursor_block - 1}",
                hint="leave --from-block away to go on",
            )
        return cursor_block
    if from_block is not None and contract.token_no is not None and from_block > begin:
        raise UsageError(
            f"--from-block {from_block} would leave out replays: the contract is of block {begin}",
            hint="leave --from-block away",
        )
    return begin if from_block is None else from_block
