"""The books against the mirror, one to one, on one snapshot of the database: half of `reconcile`.

    entries ↔ transfers       every entry of a replayed batch has exactly its own transfer
    headers ↔ BatchReplayed   and each header with its own digest
    balances ↔ entries        what an account has is what its last entry left

Asks no node: `compare_chain` does.
"""

from __future__ import annotations

from token_ledger.core.batch import header_digest
from token_ledger.core.comparison import ReconcileResult
from token_ledger.core.match import (
    account_drift,
    match_batch,
    match_headers,
    missing_in_ledger,
    unknown_header,
)
from token_ledger.core.progress import Progress
from token_ledger.core.transfers import ReplayedBatch
from token_ledger.ledger import Connection, Ledger, batches, mirror_joins
from token_ledger.ledger.mirror import StoredContract

_HEADERS_PAGE = 500


class Books:
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
        """Compare entries, headers and balances, and add what differs to the result."""
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
