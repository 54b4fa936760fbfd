"""Reconcile, for a token that lives on the chain: what was imported, and what waits for it.

    imported entries ↔ logs        one to one, by the link that each import left
    final logs ↔ entries           none is missing below the block that the books have reached
    balances, supply               entries, and the transfers that are not entries yet

Part of `reconcile`, beside `compare_books` and `compare_chain`, which compare what was replayed.
"""

from __future__ import annotations

from token_ledger.chain import contracts
from token_ledger.chain.erc20 import read_implementation
from token_ledger.chain.multicall import Views
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.state import Block, get_code
from token_ledger.core.batch import header_digest
from token_ledger.core.comparison import ReconcileResult, Scope
from token_ledger.core.hashing import keccak
from token_ledger.core.match_headers import match_own_digest
from token_ledger.core.match_home import (
    balance_differs,
    code_differs,
    entry_stopped,
    hold_uncovered,
    match_import,
    not_entered,
    stranded,
    supply_differs,
    upgraded,
)
from token_ledger.core.progress import Progress
from token_ledger.core.types import ZERO_ADDRESS
from token_ledger.ledger import (
    Connection,
    StoredToken,
    batches,
    import_joins,
    imports,
    mirror_joins,
)
from token_ledger.ledger.homes import Home
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_reach import BLOCK_MAX

_HEADERS_PAGE = 500
_BALANCES_PAGE = 2_000


class Followed:
    """The comparison of a token's books with the contract that they follow."""

    def __init__(
        self,
        connection: Connection,
        token: StoredToken,
        contract: StoredContract,
        home: Home,
        result: ReconcileResult,
    ) -> None:
        self.connection = connection
        self.token = token
        self.contract = contract
        self.home = home
        self.result = result
        self.block_number = 0  # at which the chain is asked
        self.compared = (0, -1)

    def compare_books(self, scope: Scope, progress: Progress) -> None:
        """Compare entries with logs, and add what differs to the result."""
        connection, token, contract, home = self.connection, self.token, self.contract, self.home
        first, last = self._blocks(scope)
        self.compared = (first, last)
        if self.result.point is not None:  # what broke a rule is told in every run
            self._compare_imports(0, first - 1, progress, broken_only=True)
        self._compare_imports(first, last, progress)
        missing = import_joins.read_not_entered(
            connection,
            token,
            contract,
            first_block=first,
            last_block=min(last, home.next_block - 1),
        )
        self.result.add(not_entered(transfer) for transfer in missing)
        self.result.pending, _ = import_joins.pending(
            connection, contract, first_block=home.next_block, last_block=last
        )
        before = mirror_joins.last_entry_no(connection, token, home.replayed_number)
        if self.result.point is not None:
            before = max(before, import_joins.last_entry_no(connection, token, first - 1))
        left = import_joins.read_left_behind(connection, token, after_entry_no=before)
        imported_no = import_joins.first_entry_no(connection, token)
        self.result.add(
            stranded(line, left_behind=not contract.adopted and number < imported_no)
            for number, line in left
        )
        if home.stopped is not None and scope.from_block <= home.stopped[0] <= last:
            found = imports.read_stopped(connection, token, contract, home.stopped)
            self.result.add([] if found is None else [entry_stopped(*found)])
        self.result.add(
            hold_uncovered(escrow, claimed=claimed, held=held, block_number=home.next_block - 1)
            for escrow, claimed, held in import_joins.read_uncovered(connection, token)
        )
        self._compare_headers()

    def _blocks(self, scope: Scope) -> tuple[int, int]:
        """Return the blocks whose imports are compared: all, some, or those behind a clean run."""
        last = BLOCK_MAX if scope.highest is None else scope.highest
        point = self.result.point
        return (scope.from_block if point is None else point.next_block), last

    def _compare_imports(
        self, first_block: int, last_block: int, progress: Progress, *, broken_only: bool = False
    ) -> None:
        """Compare entries with their logs; `broken_only`: those that broke a rule, uncounted."""
        connection, token, contract = self.connection, self.token, self.contract
        result = self.result
        for window in import_joins.read_windows(
            connection,
            token,
            contract,
            first_block=first_block,
            last_block=last_block,
            broken_only=broken_only,
        ):
            if broken_only:
                for imported in import_joins.read_window(
                    connection, token, contract, window, broken_only=True
                ):
                    result.add(match_import(*imported))
                continue
            result.entries += window.entries
            result.matched += window.matched
            result.imported += window.entries
            result.bridge_mints += window.minted
            result.bridge_burns += window.burned
            if (window.matched, window.broken) != (window.entries, 0):
                for imported in import_joins.read_window(connection, token, contract, window):
                    result.add(match_import(*imported))
            progress("reconcile", result.entries, None)

    def _compare_headers(self) -> None:
        """Hold the headers of batches that were sealed for audit against their own digests."""
        number = self.home.replayed_number
        while page := batches.read_headers(
            self.connection, self.token, after=number, limit=_HEADERS_PAGE
        ):
            for header, digest in page:
                recomputed = header_digest(self.token.uid, header)
                self.result.add(match_own_digest(header, digest, recomputed))
                self.result.headers += 1
            number = page[-1][0].number

    def compare_chain(
        self, rpc: Rpc, at: Block, block_number: int, views: Views, progress: Progress
    ) -> None:
        """Compare supply and balances at a block with what entries and pending transfers leave."""
        self.block_number = block_number
        connection, token = self.connection, self.token
        replayed = mirror_joins.last_entry_no(connection, token, self.home.replayed_number)
        last = max(replayed, import_joins.last_entry_no(connection, token, block_number))
        _, changes = import_joins.pending(
            connection, self.contract, first_block=self.home.next_block, last_block=block_number
        )
        expected = import_joins.supply_after(connection, token, last)
        expected -= changes.pop(ZERO_ADDRESS, 0)
        [actual] = views.numbers([contracts.TOTAL_SUPPLY_CALL])
        if actual != expected:
            self.result.add(
                [supply_differs(expected=expected, on_chain=actual, block_number=block_number)]
            )
        for page in mirror_joins.read_balances(
            connection, token, last_entry_no=last, page=_BALANCES_PAGE
        ):
            holders = [(item.address, item.replayed) for item in page]
            self._compare_balances(views, holders, changes, progress)
        strangers = [(address, change) for address, change in sorted(changes.items()) if change]
        self._compare_balances(views, strangers, {}, progress)
        if self.contract.adopted:
            self._compare_code(rpc, at)

    def _compare_balances(
        self,
        views: Views,
        holders: list[tuple[bytes, int]],
        changes: dict[bytes, int],
        progress: Progress,
    ) -> None:
        """Compare some balances; what was taken from `changes` has been compared then."""
        calls = [contracts.balance_of_calldata(address) for address, _ in holders]
        for (address, entered), actual in zip(holders, views.numbers(calls), strict=True):
            expected = entered + changes.pop(address, 0)
            if actual != expected:
                self.result.add(
                    [
                        balance_differs(
                            address,
                            expected=expected,
                            on_chain=actual,
                            block_number=self.block_number,
                        )
                    ]
                )
        self.result.balances += len(holders)
        progress("balances", self.result.balances, None)

    def _compare_code(self, rpc: Rpc, at: Block) -> None:
        address, recorded = self.contract.address, self.contract.code_hash
        code = get_code(rpc, address, block=at)
        found = keccak(code) if code else None
        if found != recorded:
            self.result.add([code_differs(recorded, found, block_number=self.block_number)])
        runs = read_implementation(rpc, address, block=at)
        if runs is not None and (runs or None) != self.contract.implementation:
            before, now = self.contract.implementation, runs or None
            self.result.add([upgraded(before, now, block_number=self.block_number)])


__all__ = ["Followed"]
