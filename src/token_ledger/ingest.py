"""Import: what a chain says of an ERC-20, into the mirror's tables.

Killed at any instant it goes on where it stopped, a second run adds nothing, and a reorganisation
is followed; the loop itself is `converge`.
Works for any ERC-20. Writes no entry: the books and the mirror meet only in `reconcile`. (The verb
is `import`, which Python keeps for itself.)
"""

from __future__ import annotations

from dataclasses import dataclass

from token_ledger.chain import contracts
from token_ledger.chain.deploy import deployment_block
from token_ledger.chain.identity import ChainIdentity
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.state import get_code, read_state
from token_ledger.chain.verified import find_trusted
from token_ledger.converge import WINDOW, Importer
from token_ledger.core.address import to_checksum
from token_ledger.core.hashing import keccak
from token_ledger.core.progress import Progress, no_progress
from token_ledger.errors import ForeignContractError, UsageError
from token_ledger.ledger import Ledger, StoredToken, batches, mirror
from token_ledger.ledger.mirror import StoredContract
from token_ledger.node import meet


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What this run added: transfers of the blocks from `from_block` to `to_block`, both included.

    `skipped` counts Transfer logs that are no ERC-20 transfers, `orphaned` the transfers that a
    reorganisation took back. Nothing new: to_block < from_block.
    """

    contract: bytes
    chain_id: int
    transfers: int
    batches: int
    skipped: int
    from_block: int
    to_block: int
    orphaned: int = 0

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "contract": to_checksum(self.contract),
            "chain_id": self.chain_id,
            "transfers": self.transfers,
            "batches": self.batches,
            "skipped": self.skipped,
            "orphaned": self.orphaned,
            "from_block": self.from_block,
            "to_block": self.to_block,
        }


def ingest(
    ledger: Ledger,
    rpc_url: str,
    *,
    contract: bytes | None = None,
    from_block: int | None = None,
    window: int = WINDOW,
    verify: bool = False,
    trust_block: bytes | None = None,
    progress: Progress = no_progress,
) -> IngestResult:
    """Import the Transfer logs of a contract up to the latest block.

    `contract`: any ERC-20; by default the selected token's own. `from_block`: where to begin a
    first import; by default where the contract was deployed. `window`: how many blocks deep a
    reorganisation is followed. `verify`: take nothing but what receipts prove, up to the header;
    `trust_block`: the hash of a block that must stand on the chain where it says. Raises
    UnprovenError where the node's answers are not what its blocks prove, ForeignContractError where
    there is no contract, UsageError for a `from_block` that would leave a gap or lies before what
    was imported, ChainError for a deeper reorganisation, RpcError.
    """
    if window < 1:
        raise UsageError(f"a window of {window} blocks", hint="at least 1")
    if trust_block is not None and not verify:
        raise UsageError("a trusted block is for verified imports", hint="add --verify receipts")
    with meet(ledger, rpc_url) as (rpc, chain):
        trusted = None if trust_block is None else find_trusted(rpc, trust_block)
        stored = _find_contract(ledger, rpc, chain, contract, from_block)
        importer = Importer(ledger, rpc, chain, stored, window, progress, verify, trusted)
        done = importer.converge(from_block)
    assert done.first is not None
    return IngestResult(
        contract=stored.address,
        chain_id=stored.chain_id,
        transfers=done.transfers,
        batches=done.batches,
        skipped=done.skipped,
        from_block=done.first,
        to_block=done.next_block - 1,
        orphaned=done.orphaned,
    )


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
