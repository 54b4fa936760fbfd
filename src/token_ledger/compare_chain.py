"""The books against the chain itself, at one pinned block: the other half of `reconcile`.

Code, head and digests of the contract, `totalSupply` and every `balanceOf`, all asked of the node
by the hash of one block, beside what the replayed entries leave.
"""

from __future__ import annotations

from collections.abc import Collection

from token_ledger.chain.identity import ChainIdentity
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
from token_ledger.compare_books import Books
from token_ledger.core import findings as kinds
from token_ledger.core.address import to_checksum
from token_ledger.core.match import contract_digest_differs
from token_ledger.core.progress import Progress
from token_ledger.core.strict import to_hex
from token_ledger.core.transfers import BlockHeader
from token_ledger.core.types import Finding
from token_ledger.errors import ForeignContractError
from token_ledger.ledger import batches, mirror_joins
from token_ledger.ledger.mirror_joins import AccountBalances
from token_ledger.node import check_not_reorganised

_HEADERS_PAGE = 500
_BALANCES_PAGE = 2_000


class Chain:
    """The comparison of the books with the chain itself, at one pinned block."""

    def __init__(
        self,
        books: Books,
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
        """Compare contract, digests, supply and balances, and add what differs to the result."""
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
