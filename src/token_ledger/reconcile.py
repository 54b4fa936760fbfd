"""Reconcile: the books, the mirror and the chain against each other, one to one.

    entries ↔ transfers       every entry of a replayed batch has exactly its own transfer
    headers ↔ BatchReplayed   and, with a node, ↔ the digests that the contract holds
    balances, supply          ↔ balanceOf and totalSupply, all at one pinned block

Every difference is a `Finding` that says what it probably means; none is an error, and nothing is
changed. What is sealed but not replayed, or not sealed at all, is counted: it is no difference.
Findings hold addresses, hashes and amounts, never account ids.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from token_ledger.chain.finality import final_number
from token_ledger.chain.identity import ChainIdentity
from token_ledger.chain.logs import read_headers
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.state import (
    ContractState,
    check_token_contract,
    pinned,
    read_balances,
    read_digests,
    read_state,
    read_supply,
)
from token_ledger.core import findings as kinds
from token_ledger.core.address import to_checksum
from token_ledger.core.batch import header_digest
from token_ledger.core.match import (
    account_drift,
    contract_digest_differs,
    match_batch,
    match_headers,
    missing_in_ledger,
    unknown_header,
)
from token_ledger.core.progress import Progress, no_progress
from token_ledger.core.strict import to_hex
from token_ledger.core.transfers import BlockHeader, ReplayedBatch
from token_ledger.core.types import Finding
from token_ledger.errors import ChainError, ForeignContractError
from token_ledger.ledger import Connection, Ledger, batches, figures, mirror, mirror_joins
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_joins import AccountBalances
from token_ledger.node import check_not_reorganised, meet_again

FINDINGS_MAX = 10_000
"""So many findings are kept; further ones are counted, so that memory stays bounded."""
_HEADERS_PAGE = 500
_BALANCES_PAGE = 2_000


@dataclass(slots=True)
class ReconcileResult:
    """What was compared and what differs.

    `matched` of `entries` (those of replayed batches) have exactly their own transfer. `block`: the
    pinned block; None where only books and mirror were compared. `unreplayed`: entries sealed but,
    as far as the mirror knows, not replayed. `unsealed`: entries not sealed.
    """

    contract: bytes
    chain_id: int
    block: int | None = None
    block_hash: bytes | None = None
    matched: int = 0
    entries: int = 0
    headers: int = 0
    balances: int = 0
    unreplayed: int = 0
    unsealed: int = 0
    findings: list[Finding] = field(default_factory=list)
    findings_total: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing differs."""
        return self.findings_total == 0

    def add(self, found: Iterable[Finding]) -> None:
        """Count findings, and keep them while there is room."""
        for finding in found:
            self.findings_total += 1
            if len(self.findings) < FINDINGS_MAX:
                self.findings.append(finding)

    def to_json(self) -> dict[str, object]:
        """Return the result as one JSON-ready object."""
        return {
            "contract": to_checksum(self.contract),
            "chain_id": self.chain_id,
            "compared_with_chain": self.block is not None,
            "block": self.block,
            "block_hash": None if self.block_hash is None else to_hex(self.block_hash),
            "matched": self.matched,
            "entries": self.entries,
            "headers": self.headers,
            "balances": self.balances,
            "unreplayed": self.unreplayed,
            "unsealed": self.unsealed,
            "findings": [finding.to_json() for finding in self.findings],
            "findings_total": self.findings_total,
        }


def reconcile(
    ledger: Ledger,
    rpc_url: str | None = None,
    *,
    final: bool = False,
    allow_code: Collection[bytes] = (),
    progress: Progress = no_progress,
) -> ReconcileResult:
    """Return how books and mirror agree and, with `rpc_url`, how the chain agrees with both.

    `final`: ask the chain at its finalized block, which cannot be taken back, not at its latest.
    `allow_code`: keccaks of code that the contract may have, beside that of our releases.
    Raises ChainError where nothing was imported yet, WrongChainError for another chain than the
    mirrored one, RpcError.
    """
    figures.refresh_statistics(ledger.engine)
    if rpc_url is None:
        with ledger.read() as connection:
            contract = _imported(ledger, connection, chain_id=None)
            result = ReconcileResult(contract.address, contract.chain_id)
            _Books(ledger, connection, contract, result).compare(progress)
        return result
    with meet_again(ledger, rpc_url) as (rpc, chain):
        # Pinned before the books are read, so that what the chain does meanwhile is left out.
        number = final_number(rpc) if final else rpc.quantity("eth_blockNumber")
        block = read_headers(rpc, [number])[0]
        with ledger.read() as connection:
            contract = _imported(ledger, connection, chain_id=chain.chain_id)
            result = ReconcileResult(contract.address, chain.chain_id, block.number, block.hash)
            books = _Books(ledger, connection, contract, result)
            books.compare(progress)
            _Chain(books, rpc, chain, block, allow_code).compare(progress)
    return result


def _imported(ledger: Ledger, connection: Connection, chain_id: int | None) -> StoredContract:
    contract = mirror.contract_of(connection, ledger.token, chain_id)
    if contract is None or mirror.read_cursor(connection, contract) is None:
        raise ChainError(
            f"nothing of {ledger.token.symbol} was imported from a chain yet",
            hint="run `migrate` and `import` first",
        )
    return contract


class _Books:
    """The comparison of books and mirror, on one snapshot of the database."""

    def __init__(
        self,
        ledger: Ledger,
        connection: Connection,
        contract: StoredContract,
        result: ReconcileResult,
    ) -> None:
        self.ledger = ledger
        self.token = ledger.token
        self.connection = connection
        self.contract = contract
        self.result = result
        self.head = batches.head(connection, self.token)
        self.mirrored = mirror_joins.replayed_number(connection, contract)
        self.compared = min(self.head.number, self.mirrored)

    def compare(self, progress: Progress) -> None:
        connection, token = self.connection, self.token
        next_seq = self._compare_entries(progress)
        strangers = mirror_joins.read_strangers(connection, self.contract, next_seq=next_seq)
        self.result.add(missing_in_ledger(stranger) for stranger in strangers)
        self._compare_headers()
        self.result.add(
            account_drift(address, stored=stored, by_entries=by_entries)
            for address, stored, by_entries in mirror_joins.read_drifted(connection, token)
        )
        self.result.unreplayed = self.head.next_seq - next_seq
        self.result.unsealed = batches.count_unsealed(connection, token)

    def _compare_entries(self, progress: Progress) -> int:
        """Compare batch by batch; return the first `seq` that was not compared."""
        connection, token, contract = self.connection, self.token, self.contract
        next_seq = 0
        for window in mirror_joins.read_runs(connection, token, number_max=self.compared):
            matched = mirror_joins.count_matches(connection, token, contract, window)
            if matched is None:
                matched = 0
                for run in window:
                    lines = mirror_joins.read_lines(connection, token, run)
                    transfers = mirror_joins.read_transfers(connection, contract, run)
                    same, found = match_batch(run.number, lines, transfers)
                    matched += same
                    self.result.add(found)
            self.result.matched += matched
            self.result.entries += sum(run.count for run in window)
            next_seq = window[-1].first_seq + window[-1].count
            progress("reconcile", next_seq, self.head.next_seq)
        return next_seq

    def _compare_headers(self) -> None:
        connection, token = self.connection, self.token
        for first in range(1, self.compared + 1, _HEADERS_PAGE):
            last = min(first + _HEADERS_PAGE - 1, self.compared)
            logs: dict[int, list[ReplayedBatch]] = {}
            for log in mirror_joins.read_replayed(
                connection, self.contract, first=first, last=last
            ):
                logs.setdefault(log.number, []).append(log)
            for header, digest in batches.read_headers(
                connection, token, after=first - 1, limit=last - first + 1
            ):
                recomputed = header_digest(token.uid, header)
                found = match_headers(header, digest, recomputed, logs.get(header.number, []))
                self.result.add(found)
                self.result.headers += 1
        beyond = mirror_joins.read_replayed(
            connection, self.contract, first=self.compared + 1, last=self.mirrored
        )
        self.result.add(unknown_header(log) for log in beyond)


class _Chain:
    """The comparison of the books with the chain itself, at one pinned block."""

    def __init__(
        self,
        books: _Books,
        rpc: Rpc,
        chain: ChainIdentity,
        block: BlockHeader,
        allow_code: Collection[bytes],
    ) -> None:
        self.allow_code = allow_code
        self.books = books
        self.result = books.result
        self.rpc = rpc
        self.chain = chain
        self.address = books.contract.address
        self.block = block
        self.at = pinned(block.hash)

    def compare(self, progress: Progress) -> None:
        books = self.books
        if not check_not_reorganised(books.ledger, self.rpc, self.chain, books.contract):
            self._add(
                kinds.ORPHANED,
                "the chain no longer has the last block that was imported: it was reorganised; "
                "run `import` again",
                {},
            )
        state = self._read_state()
        if state is None:
            return
        if state.head_number > books.mirrored:
            self._add(
                kinds.MIRROR_BEHIND,
                f"the contract holds batches up to {state.head_number}, the mirror up to "
                f"{books.mirrored}: run `import`, then reconcile again",
                {"ledger": books.mirrored, "chain": state.head_number},
            )
        self._compare_digests(state)
        self._compare_supply(state)
        self._compare_balances(state, progress)

    def _add(self, kind: str, message: str, details: dict[str, object]) -> None:
        where = {"contract": to_checksum(self.address), "block": self.block.number}
        self.result.add([Finding(kind, message, {**where, **details})])

    def _read_state(self) -> ContractState | None:
        """Return where the contract stands, or None, and a finding, when it is not ours."""
        books = self.books
        try:
            check_token_contract(
                self.rpc,
                self.address,
                books.token,
                known_code_hash=books.contract.code_hash,
                allow_code=self.allow_code,
            )
            state = read_state(self.rpc, self.address, block=self.at)
        except ForeignContractError as error:
            self._add(kinds.UNKNOWN_CONTRACT, str(error), {})
            return None
        if state.head_number:
            known = batches.known_digest(books.connection, books.token, state.head_digest)
            if known != state.head_number:
                self._add(
                    kinds.UNKNOWN_CONTRACT,
                    f"the contract stands at batch {state.head_number}, which is none of this "
                    "ledger's: another copy of the ledger replayed there, or headers were altered; "
                    "balances were not compared",
                    {"chain": to_hex(state.head_digest), "number": state.head_number},
                )
                self._compare_digests(state)
                return None
        return state

    def _compare_digests(self, state: ContractState) -> None:
        books = self.books
        last_number = min(state.head_number, books.head.number)
        for first in range(1, last_number + 1, _HEADERS_PAGE):
            count = min(_HEADERS_PAGE, last_number + 1 - first)
            headers = batches.read_headers(
                books.connection, books.token, after=first - 1, limit=count
            )
            numbers = [header.number for header, _ in headers]
            digests = read_digests(self.rpc, self.address, numbers, block=self.at)
            for (header, digest), on_chain in zip(headers, digests, strict=True):
                if digest != on_chain:
                    self.result.add([contract_digest_differs(header.number, digest, on_chain)])

    def _compare_supply(self, state: ContractState) -> None:
        expected = 0
        if state.head_number:
            header, _ = batches.read_header(
                self.books.connection, self.books.token, state.head_number
            )
            expected = header.total_supply
        actual = read_supply(self.rpc, self.address, block=self.at)
        if actual != expected:
            self._add(
                kinds.SUPPLY_DRIFT,
                "totalSupply is not what the last replayed batch sealed: the contract's storage "
                "was changed without a replay; do not finalize, find out by whom",
                {"ledger": str(expected), "chain": str(actual)},
            )

    def _compare_balances(self, state: ContractState, progress: Progress) -> None:
        books = self.books
        last = mirror_joins.last_entry_no(books.connection, books.token, state.head_number)
        for page in mirror_joins.read_balances(
            books.connection, books.token, last_entry_no=last, page=_BALANCES_PAGE
        ):
            holders = [account.address for account in page]
            actual = read_balances(self.rpc, self.address, holders, block=self.at)
            for account, balance in zip(page, actual, strict=True):
                self._compare_balance(account, balance)
            self.result.balances += len(page)
            progress("balances", self.result.balances, None)

    def _compare_balance(self, account: AccountBalances, on_chain: int) -> None:
        if account.replayed != on_chain:
            self._add(
                kinds.BALANCE_DRIFT,
                "balanceOf is not what the replayed entries leave: the contract's storage was "
                "changed without a log, or an entry was altered; do not finalize, compare the "
                "account's statement with its transfers",
                {
                    "address": to_checksum(account.address),
                    "ledger": str(account.replayed),
                    "chain": str(on_chain),
                },
            )
