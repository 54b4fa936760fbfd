"""The books against the chain itself, at one pinned block: the other half of `reconcile`.

Code, head and digests of the contract, `totalSupply` and every `balanceOf`, all asked of the node
by the hash of one block, beside what the replayed entries leave. Where they differ, what the
mirror's transfers leave is added up as well: the third witness says on which side the fault is.
"""

from __future__ import annotations

from collections.abc import Collection

from token_ledger.chain import contracts
from token_ledger.chain.identity import ChainIdentity
from token_ledger.chain.multicall import Views
from token_ledger.chain.parts import read_open_batch
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.state import (
    ContractState,
    get_code,
    is_known_code,
    pinned,
    read_state,
)
from token_ledger.compare_books import Books
from token_ledger.core import findings as kinds
from token_ledger.core.address import to_checksum
from token_ledger.core.comparison import FINDINGS_MAX, PartlyReplayed
from token_ledger.core.hashing import keccak
from token_ledger.core.match_headers import contract_digest_differs
from token_ledger.core.progress import Progress
from token_ledger.core.strict import to_hex
from token_ledger.core.transfers import BlockHeader
from token_ledger.core.types import Finding
from token_ledger.errors import ForeignContractError
from token_ledger.ledger import batches, mirror, mirror_joins, mirror_parts, mirror_reach
from token_ledger.ledger.mirror_parts import OpenRun
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
        self.views = Views(rpc, self.address, self.at)
        self.part: OpenRun | None = None

    def compare(self, progress: Progress) -> None:
        """Compare contract, digests, supply and balances, and add what differs to the result."""
        books = self.books
        if not check_not_reorganised(books.ledger, self.rpc, self.chain, books.contract):
            self._add(
                kinds.ORPHANED,
                "the chain no longer has the last block that was imported: it was reorganised; "
                "run `import` again",
                self._last_imported(),
            )
        followed = books.followed
        if followed is not None and books.contract.adopted:
            followed.compare_chain(self.rpc, self.at, self.block.number, self.views, progress)
            return
        state = self._read_state()
        if state is None:
            return
        if state.head_number > books.mirrored:
            self._add(
                kinds.MIRROR_BEHIND,
                f"the contract holds batches up to {state.head_number}, the mirror up to "
                f"{books.mirrored}: run `import`, then reconcile again; where it brings nothing "
                "the mirror lost them, and `import --again` reads them anew",
                {"ledger": books.mirrored, "chain": state.head_number},
            )
        self._compare_digests(state)
        if followed is not None:
            followed.compare_chain(self.rpc, self.at, self.block.number, self.views, progress)
        elif self._read_part(state):
            self._compare_supply(state)
            self._compare_balances(state, progress)

    def _add(self, kind: str, message: str, details: dict[str, object]) -> None:
        where = {"contract": to_checksum(self.address), "block": self.block.number, "tx": None}
        self.result.add([Finding(kind, message, {**where, **details})])

    def _last_imported(self) -> dict[str, object]:
        """Return where the mirror ends: which block it is that the chain no longer has."""
        cursor = mirror.read_cursor(self.books.connection, self.books.contract)
        assert cursor is not None, "only what was imported is compared"
        known = cursor.last_block_hash
        return {
            "block": cursor.next_block - 1,
            "block_hash": None if known is None else to_hex(known),
            "ledger": None,
            "chain": None,
        }

    # --- the contract

    def _read_state(self) -> ContractState | None:
        """Return where the contract stands, or None, and a finding, when it is not ours."""
        if not self._has_our_code():
            return None
        books, shown = self.books, to_checksum(self.address)
        try:
            state = read_state(self.rpc, self.address, block=self.at)
        except ForeignContractError as error:
            self._add(kinds.UNKNOWN_CONTRACT, str(error), {"ledger": None, "chain": None})
            return None
        if state.token_uid != books.token.uid:
            self._add(
                kinds.UNKNOWN_CONTRACT,
                f"the contract at {shown} belongs to another token: is it the right database?",
                {"ledger": to_hex(books.token.uid), "chain": to_hex(state.token_uid)},
            )
            return None
        if state.head_number:
            known = batches.known_digest(books.connection, books.token, state.head_digest)
            if known != state.head_number:
                self._add(
                    kinds.UNKNOWN_CONTRACT,
                    f"the contract stands at batch {state.head_number}, which is none of this "
                    "ledger's: another copy of the ledger replayed there, or headers were altered; "
                    "balances were not compared",
                    {
                        "ledger": to_hex(books.head.digest),
                        "chain": to_hex(state.head_digest),
                        "number": state.head_number,
                    },
                )
                self._compare_digests(state)
                return None
        return state

    def _has_our_code(self) -> bool:
        code = get_code(self.rpc, self.address, block=self.at)
        recorded = self.books.contract.code_hash
        if is_known_code(code, known_code_hash=recorded, allow_code=self.allow_code):
            return True
        what = "is not what was deployed" if code else "is not there, or gone"
        self._add(
            kinds.CODE_DIFFERS,
            f"the code at {to_checksum(self.address)} {what}: it is no contract of ours, or "
            "a later release's; nothing else was asked of it. Check chain and address; "
            "--allow-code names code that you vouch for",
            {
                "aspect": "code",
                "ledger": None if recorded is None else to_hex(recorded),
                "chain": to_hex(keccak(code)) if code else None,
            },
        )
        return False

    def _compare_digests(self, state: ContractState) -> None:
        books = self.books
        last_number = min(state.head_number, books.head.number)
        for first in range(books.reach.first_number, last_number + 1, _HEADERS_PAGE):
            count = min(_HEADERS_PAGE, last_number + 1 - first)
            headers = batches.read_headers(
                books.connection, books.token, after=first - 1, limit=count
            )
            calls = [contracts.digest_of_calldata(header.number) for header, _ in headers]
            for (header, digest), on_chain in zip(headers, self.views.words(calls), strict=True):
                if digest != on_chain:
                    number, block = header.number, self.block.number
                    self.result.add([contract_digest_differs(number, digest, on_chain, block)])

    def _read_part(self, state: ContractState) -> bool:
        """Take note of a batch that is under way in parts; False where it is none of the ledger's.

        Balances and supply are then those that its replayed rows leave.
        """
        opened = read_open_batch(self.rpc, self.address, block=self.at)
        if opened is None:
            return True
        books, number = self.books, state.head_number + 1
        self.part = mirror_parts.open_run(
            books.connection, books.token, number=number, rows=opened.rows_done
        )
        known = batches.known_digest(books.connection, books.token, opened.digest)
        if self.part is None or known != number:
            self._add(
                kinds.UNKNOWN_CONTRACT,
                f"{opened.rows_done} rows were replayed of a batch {number} that is none of this "
                "ledger's: another copy of the ledger began it; balances were not compared",
                {
                    "ledger": to_hex(books.head.digest),
                    "chain": to_hex(opened.digest),
                    "number": number,
                },
            )
            return False
        imported = self.result.part.rows if self.result.part else 0
        if books.mirrored == state.head_number and imported < opened.rows_done:
            self._add(
                kinds.MIRROR_BEHIND,
                f"the contract holds {opened.rows_done} rows of batch {number}, the mirror "
                f"{imported}: run `import`, then reconcile again; where it brings nothing the "
                "mirror lost them, and `import --again` reads them anew",
                {"ledger": imported, "chain": opened.rows_done},
            )
        self.result.part = PartlyReplayed(number, opened.rows_done, self.part.count)
        return True

    # --- what it holds

    def _compare_supply(self, state: ContractState) -> None:
        books, expected = self.books, 0
        if self.part is not None:
            expected = self.part.supply
        elif state.head_number:
            header, _ = batches.read_header(books.connection, books.token, state.head_number)
            expected = header.total_supply
        [actual] = self.views.numbers([contracts.TOTAL_SUPPLY_CALL])
        if actual == expected:
            return
        moved = mirror_reach.net_supply(
            books.connection, books.contract, last_block=books.last_block
        )
        self._add(
            kinds.SUPPLY_DRIFT,
            "totalSupply is not what the last replayed batch sealed: "
            f"{_fault(expected, moved, actual)}; do not finalize, find out by whom",
            _three_ways(expected, moved, actual),
        )

    def _compare_balances(self, state: ContractState, progress: Progress) -> None:
        books = self.books
        last = mirror_joins.last_entry_no(books.connection, books.token, state.head_number)
        if self.part is not None:
            last = self.part.run.last_entry_no
        drifted: list[tuple[bytes, int, int]] = []
        for page in mirror_joins.read_balances(
            books.connection, books.token, last_entry_no=last, page=_BALANCES_PAGE
        ):
            calls = [contracts.balance_of_calldata(account.address) for account in page]
            for account, balance in zip(page, self.views.numbers(calls), strict=True):
                if account.replayed != balance:
                    drifted.append((account.address, account.replayed, balance))
            self.result.balances += len(page)
            progress("balances", self.result.balances, None)
            if len(drifted) >= FINDINGS_MAX:
                self._add_drifted(drifted)
                drifted = []
        self._add_drifted(drifted)

    def _add_drifted(self, drifted: list[tuple[bytes, int, int]]) -> None:
        """Add a finding for each address that holds something else than the entries leave."""
        books = self.books
        net = {}
        if drifted and len(self.result.findings) < FINDINGS_MAX:
            net = mirror_reach.net_transfers(
                books.connection,
                books.contract,
                [address for address, _, _ in drifted],
                last_block=books.last_block,
            )
        for address, expected, actual in drifted:
            moved = net.get(address, 0)
            self._add(
                kinds.BALANCE_DRIFT,
                "balanceOf is not what the replayed entries leave: "
                f"{_fault(expected, moved, actual)}; do not finalize, compare the account's "
                "statement with its transfers",
                {"address": to_checksum(address), **_three_ways(expected, moved, actual)},
            )


def _three_ways(entries: int, transfers: int, chain: int) -> dict[str, object]:
    return {
        "ledger": str(entries),
        "transfers": str(transfers),
        "chain": str(chain),
        "difference": str(chain - entries),
    }


def _fault(entries: int, transfers: int, chain: int) -> str:
    """Return which of the three witnesses stands alone, and what that probably means."""
    if transfers == entries:
        return "entries and transfers agree, so the contract's storage was changed without a log"
    if transfers == chain:
        return "transfers and contract agree, so an entry was altered, or is missing in the books"
    return "entries, transfers and contract all differ: an import is incomplete, or was altered"
