"""Import: what a chain says of an ERC-20, into the mirror's tables.

Killed at any instant it goes on where it stopped, a second run adds nothing, and a reorganisation
is followed; the loop itself is `converge`. Works for any ERC-20. Of a token that lives on the chain
`enter` then brings what is final into the books. (The verb is `import`, which Python keeps for
itself.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypedDict, Unpack

from token_ledger.chain import contracts
from token_ledger.chain.deploy import deployment_block
from token_ledger.chain.endpoints import Nodes
from token_ledger.chain.identity import ChainIdentity
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.state import Block, ContractState, get_code, read_state
from token_ledger.chain.verified import find_trusted
from token_ledger.converge import CONCURRENCY, WINDOW, Importer, StoppedError
from token_ledger.core.address import to_checksum
from token_ledger.core.agreement import Difference
from token_ledger.core.hashing import keccak
from token_ledger.core.progress import Progress, no_progress
from token_ledger.core.strict import to_hex
from token_ledger.core.transfers import ODDITIES, OddLog, OddLogs
from token_ledger.enter import EnterResult
from token_ledger.errors import ForeignContractError, UsageError
from token_ledger.ledger import Ledger, StoredToken, batches, mirror
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_again import Mended
from token_ledger.node import meet_nodes

CONCURRENCY_MAX = 64


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What this run added: transfers of the blocks from `from_block` to `to_block`, both included.

    `skipped` counts Transfer logs that are no ERC-20 transfers; `odd` tells why, and the first of
    them. `orphaned`: the transfers, of all contracts of the chain, that reorganisations took back.
    Nothing new: `from_block` is the next block to come, and `to_block` the one before it.
    `entered`: what became entries, where the token lives on the chain. `mended`: what
    differed of that which the mirror held before, where it was read again.
    """

    contract: bytes
    chain_id: int
    transfers: int
    batches: int
    skipped: int
    from_block: int
    to_block: int
    orphaned: int = 0
    odd: OddLogs = field(default_factory=OddLogs)
    entered: EnterResult | None = None
    mended: Mended | None = None

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "contract": to_checksum(self.contract),
            "chain_id": self.chain_id,
            "transfers": self.transfers,
            "batches": self.batches,
            "skipped": self.skipped,
            "odd": {
                "reasons": dict(sorted(self.odd.counts.items())),
                "first": [_odd_json(one) for one in self.odd.first],
            },
            "orphaned": self.orphaned,
            "from_block": self.from_block,
            "to_block": self.to_block,
            "entered": None if self.entered is None else self.entered.to_json(),
            "mended": None if self.mended is None else self.mended.to_json(),
        }


def _odd_json(odd: OddLog) -> dict[str, object]:
    return {
        "block": odd.block_number,
        "block_hash": to_hex(odd.block_hash),
        "tx": to_hex(odd.tx_hash),
        "log_index": odd.log_index,
        "reason": odd.reason,
        "message": ODDITIES[odd.reason],
    }


class How(TypedDict, total=False):
    """How to import.

    `window`: how many blocks deep a reorganisation is followed. `quorum`: so many of the nodes must
    say the same. `concurrency`: how many questions are asked at once. `verify`: take nothing but
    what receipts prove, up to the header; `trust_block`: the hash of a block that must stand on the
    chain where it says. `confirmations`: how deep a block is final on a chain that knows no
    `finalized` one; by default 128 or the window, whichever is more. `again`: read anew what the
    mirror holds already, from `from_block` or the beginning on, and mend what differs. `stopped`:
    asked now and then whether to end early, which leaves whole ranges. `progress`: told how far
    it is.
    """

    window: int
    quorum: int
    concurrency: int
    verify: bool
    trust_block: bytes | None
    confirmations: int | None
    again: bool
    stopped: Callable[[], bool]
    progress: Progress


def ingest(
    ledger: Ledger,
    rpc_url: str | Sequence[str],
    *,
    contract: bytes | None = None,
    from_block: int | None = None,
    **how: Unpack[How],
) -> IngestResult:
    """Import the Transfer logs of a contract up to the latest block, into the mirror.

    Where the contract is a token's that lives on the chain (cut over, or made with `--on-chain`),
    its final transfers then become entries of the books.

    `rpc_url`: the node, or several of one chain: when one fails the next is asked. `contract`: any
    ERC-20; by default the selected token's own. `from_block`: where to begin a first import; by
    default where the contract was deployed. Raises UnprovenError where a node's answers are not
    what its blocks prove, DisagreementError where nodes differ, ForeignContractError where there is
    no contract, UsageError for a `from_block` that would leave a gap or lies before what was
    imported, ChainError for a deeper reorganisation, RpcError.
    """
    [only] = ingest_several(ledger, rpc_url, contracts=[contract], from_block=from_block, **how)
    return only


def ingest_several(
    ledger: Ledger,
    rpc_url: str | Sequence[str],
    *,
    contracts: Sequence[bytes | None] | None = None,
    from_block: int | None = None,
    **how: Unpack[How],
) -> list[IngestResult]:
    """Import several contracts in one run, as `ingest` does one: they share questions and headers.

    `contracts`: by default all that the mirror knows on the chain; None among them is the selected
    token's own. The results are in the order of their addresses' first import.
    """
    with importing(ledger, rpc_url, contracts, from_block, **how) as importer:
        with suppress(StoppedError):
            importer.converge(from_block)
        return results_of(importer)


@contextmanager
def importing(
    ledger: Ledger,
    rpc_url: str | Sequence[str],
    addresses: Sequence[bytes | None] | None,
    from_block: int | None,
    **how: Unpack[How],
) -> Iterator[Importer]:
    """Yield what imports the contracts, its nodes met and every contract known to the mirror."""
    window, verify = how.get("window", WINDOW), how.get("verify", False)
    concurrency, trust_block = how.get("concurrency", CONCURRENCY), how.get("trust_block")
    if window < 1:
        raise UsageError(f"a window of {window} blocks", hint="at least 1")
    if not 1 <= concurrency <= CONCURRENCY_MAX:
        raise UsageError(f"{concurrency} questions at once", hint=f"1 to {CONCURRENCY_MAX}")
    confirmations = how.get("confirmations")
    if confirmations is not None and confirmations < 1:
        raise UsageError(f"{confirmations} confirmations", hint="at least 1")
    if from_block is not None and from_block < 0:
        raise UsageError(f"--from-block {from_block} is no block", hint="0 or more")
    if trust_block is not None and not verify:
        raise UsageError("a trusted block is for verified imports", hint="add --verify receipts")
    urls = [rpc_url] if isinstance(rpc_url, str) else rpc_url
    with meet_nodes(ledger, urls, quorum=how.get("quorum", 1), window=window) as (nodes, chain):
        yield Importer(
            ledger,
            nodes,
            chain,
            _find_contracts(ledger, nodes, chain, addresses, from_block),
            window,
            how.get("progress", no_progress),
            concurrency=concurrency,
            confirmations=confirmations,
            verify=verify,
            trusted=None
            if trust_block is None
            else nodes.run(lambda rpc: find_trusted(rpc, trust_block)),
            stopped=how.get("stopped", lambda: False),
            again=how.get("again", False),
        )


def results_of(importer: Importer) -> list[IngestResult]:
    """Return what an importer has done so far, contract by contract."""
    results = []
    for contract in importer.contracts:
        tally = importer.tallies[contract.contract_no]
        results.append(
            IngestResult(
                contract=contract.address,
                chain_id=contract.chain_id,
                transfers=tally.transfers,
                batches=tally.batches,
                skipped=tally.skipped,
                from_block=tally.first or 0,
                to_block=tally.next_block - 1,
                orphaned=importer.orphaned,
                odd=tally.odd,
                entered=tally.entered,
                mended=tally.mended,
            )
        )
    return results


def _find_contracts(
    ledger: Ledger,
    nodes: Nodes,
    chain: ChainIdentity,
    addresses: Sequence[bytes | None] | None,
    from_block: int | None,
) -> list[StoredContract]:
    """Return the contracts, each once; raises ForeignContractError where one is none."""
    if addresses is None:
        with ledger.read() as connection:
            known = mirror.contracts_of_chain(connection, chain.chain_id)
        if not known:
            raise ForeignContractError(
                f"the ledger knows no contract on chain {chain.chain_id}",
                hint="run `migrate`, or name any ERC-20 with --contract",
            )
        return known

    found = [_find_contract(ledger, nodes, chain, address, from_block) for address in addresses]
    return list({contract.contract_no: contract for contract in found}.values())


def _find_contract(
    ledger: Ledger,
    nodes: Nodes,
    chain: ChainIdentity,
    address: bytes | None,
    from_block: int | None,
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
    head = 0 if nodes.quorum == 1 else nodes.head()
    block: Block = "latest" if nodes.quorum == 1 else hex(head)
    code = nodes.agree_on(lambda rpc: get_code(rpc, address, block=block), _code_told, block=head)
    if not code:
        raise ForeignContractError(
            f"there is no contract at {to_checksum(address)} on chain {chain.chain_id}",
            hint="check chain and address",
        )
    token = None
    if contracts.is_our_code(code):
        state = nodes.agree_on(
            lambda rpc: read_state(rpc, address, block=block), _state_told, block=head
        )
        token = _token_of(ledger, state, address)
    start = _deployed(nodes, address, head) if from_block is None or token else from_block
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


def _code_told(code: bytes) -> str:
    return f"code with the hash 0x{keccak(code).hex()}" if code else "no contract"


def _state_told(state: ContractState) -> str:
    return f"a contract of token 0x{state.token_uid.hex()} at batch {state.head_number}"


def _deployed(nodes: Nodes, address: bytes, head: int) -> int:
    """Return where the logs of a contract begin, as far as the quorum knows; 0 to be safe.

    A node without old states does not know: that is no disagreement, the beginning is taken then.
    """
    starts: list[int] = []

    def ask(rpc: Rpc) -> int:
        starts.append(deployment_block(rpc, address))
        return starts[-1]

    def differing(one: int, other: int) -> Difference | None:
        if one == other or 0 in (one, other):
            return None
        first, second = (f"a contract deployed in block {start}" for start in (one, other))
        return Difference(max(one, other), in_hash=False, sides=(first, second), in_state=True)

    nodes.agree(ask, differing, reach=head, settled=True)
    return min(starts)


def _token_of(ledger: Ledger, state: ContractState, address: bytes) -> StoredToken | None:
    """Return the token whose own contract this is: deployed by us, or holding our history.

    Anybody may deploy our code with any uid; what such a contract says is no replay of ours.
    """
    token = next((token for token in ledger.tokens() if token.uid == state.token_uid), None)
    if token is None or address == contracts.token_address(token, ledger.operator):
        return token
    if state.head_number == 0 or state.sealer != ledger.operator:
        return None
    with ledger.read() as connection:
        number = batches.known_digest(connection, token, state.head_digest)
    return token if number == state.head_number else None
