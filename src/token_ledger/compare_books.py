"""The books against the mirror, one to one, on one snapshot of the database: half of `reconcile`.

    entries ↔ transfers       every entry of a replayed batch has exactly its own transfer
    headers ↔ BatchReplayed   and each header with its own digest
    balances ↔ entries        what an account has is what its last entry left

Asks no node: `compare_chain` does.
"""

from __future__ import annotations

from token_ledger.compare_home import Followed
from token_ledger.core.batch import header_digest
from token_ledger.core.comparison import PartlyReplayed, ReconcileResult, Scope
from token_ledger.core.match import (
    account_drift,
    match_batch,
    mirror_altered,
    missing_in_ledger,
    orphaned_replay,
)
from token_ledger.core.match_headers import (
    match_headers,
    match_own_digest,
    never_closed,
    unknown_header,
)
from token_ledger.core.match_walk import does_not_add_up, stored_supply_differs
from token_ledger.core.progress import Progress
from token_ledger.core.transfers import ReplayedBatch
from token_ledger.ledger import (
    Connection,
    Ledger,
    batches,
    homes,
    mirror_doubts,
    mirror_joins,
    mirror_parts,
    mirror_reach,
    stored_figures,
)
from token_ledger.ledger import engine as engines
from token_ledger.ledger.entry_walk import EntriesWalk, Reached
from token_ledger.ledger.mirror import StoredContract
from token_ledger.ledger.mirror_joins import SealedRun
from token_ledger.ledger.mirror_reach import BLOCK_MAX, Reach

_HEADERS_PAGE = 500


class Books:
    """The comparison of books and mirror, on one snapshot of the database.

    `mirrored` is the last batch that the mirror saw replayed by the block of the comparison,
    `end_seq` the first `seq` that no such batch holds, `replayed_number` the last batch that is
    ever replayed, where the token has left the ledger.
    """

    def __init__(
        self,
        ledger: Ledger,
        connection: Connection,
        contract: StoredContract,
        result: ReconcileResult,
        scope: Scope,
    ) -> None:
        self.ledger = ledger
        self.token = ledger.token
        self.connection = connection
        self.contract = contract
        self.result = result
        self.scope = scope
        self.head = batches.head(connection, self.token)
        self.last_block = BLOCK_MAX if scope.as_of is None else scope.as_of
        self.mirrored = mirror_reach.replayed_number(connection, contract, self.last_block)
        known = min(self.head.number, self.mirrored)
        self.end_seq = mirror_reach.end_seq(connection, self.token, known)
        self.reach = self._reach(scope)
        self.compared = min(known, self.reach.last_number)
        self.replayed_number: int | None = None
        self.followed = self._followed()

    def _followed(self) -> Followed | None:
        """Return what compares a token that lives in this contract; None where it does not."""
        home, contract = homes.read_home(self.connection, self.token), self.contract
        if home is None or (home.chain_id, home.address) != (contract.chain_id, contract.address):
            return None
        self.replayed_number = home.replayed_number
        if self.mirrored < home.replayed_number:  # as of a block in which it was the ledger's
            return None
        return Followed(self.connection, self.token, contract, home, self.result)

    def _reach(self, scope: Scope) -> Reach:
        """Return what is compared one to one: all, a range of blocks, or what followed a point."""
        if (point := self.result.point) is not None:
            return Reach(point.next_block, BLOCK_MAX, point.batch_number + 1, self.mirrored)
        return mirror_reach.reach_of_blocks(
            self.connection,
            self.token,
            self.contract,
            first_block=scope.from_block,
            last_block=self.last_block if scope.to_block is None else scope.to_block,
        )

    def compare(self, progress: Progress) -> None:
        """Compare entries, headers and balances, and add what differs to the result."""
        with engines.small_cache(self.connection):
            self._compare(progress)

    def _compare(self, progress: Progress) -> None:
        connection, token = self.connection, self.token
        self._compare_entries(progress)
        self._compare_part()
        strangers = mirror_joins.read_strangers(
            connection,
            self.contract,
            next_seq=self.end_seq,
            first_block=self.reach.first_block,
            last_block=self.reach.last_block,
            replays_only=self.followed is not None,
        )
        self.result.add(missing_in_ledger(stranger) for stranger in strangers)
        if self.followed is not None:
            self.followed.compare_books(self.scope, progress)
        if self.reach.last_block == BLOCK_MAX:
            orphans = mirror_reach.read_orphaned(connection, self.contract, first_seq=self.end_seq)
            self.result.add(orphaned_replay(orphan) for orphan in orphans)
        doubts = mirror_doubts.read_doubts(
            connection,
            token,
            self.contract,
            first_block=self.reach.first_block,
            last_block=self.reach.last_block,
        )
        self.result.add(mirror_altered(doubt) for doubt in doubts)
        self._compare_headers()
        walk = self._walk_entries()
        self._compare_stored()
        end_seq = self.head.next_seq
        if self.replayed_number is not None:  # what was sealed since then is not to be replayed
            end_seq = mirror_reach.end_seq(connection, token, self.replayed_number)
        self.result.unreplayed = end_seq - self.end_seq
        self.result.unsealed = batches.count_unsealed(connection, token)
        self._add_up(walk)

    def _walk_entries(self) -> EntriesWalk:
        """Hold the entries that are compared against themselves, their batches' roots and sums."""
        whole = self.scope.whole
        reach = Reached(
            first_number=self.reach.first_number,
            last_number=None if whole else self.compared,
            whole=whole and self.result.point is None,
        )
        walk = EntriesWalk(self.connection, self.token, reach)
        self.result.add(walk.findings())
        return walk

    def _compare_stored(self) -> None:
        """Hold the balances and the supply that are stored against what the entries left."""
        connection, token = self.connection, self.token
        self.result.add(
            account_drift(address, stored=stored, by_entries=by_entries)
            for address, stored, by_entries in stored_figures.read_drifted(connection, token)
        )
        stored, by_entries = stored_figures.read_supply(connection, token)
        if stored != by_entries:
            self.result.add([stored_supply_differs(stored, by_entries)])

    def _add_up(self, walk: EntriesWalk) -> None:
        """The last safeguard: what is neither matched nor named by any finding is named here.

        Only where nothing else was found: a row that is named may be counted twice or not at all.
        """
        result = self.result
        if not result.clean:
            return
        counts = [("entries", result.entries, result.matched)]
        if self.scope.whole and result.point is None:
            sealed = self.head.next_seq + result.unsealed
            counts.append(("rows of entries", walk.count, sealed))
            replayed = result.matched - result.imported
            rows, own = stored_figures.count_transfers(
                self.connection,
                self.contract,
                below=self.followed.home.next_block if self.followed else 0,
            )
            counts.append(("transfers of replays", rows, replayed))
            if self.followed is not None:
                counts.append(("final transfers", own, result.imported))
        for aspect, expected, counted in counts:
            if expected != counted:
                found = does_not_add_up(aspect, expected=expected, counted=counted)
                result.add([found])

    def _compare_entries(self, progress: Progress) -> None:
        """Compare window by window, and what differs batch by batch."""
        connection, token, contract = self.connection, self.token, self.contract
        for window in mirror_joins.read_runs(
            connection, token, number_min=self.reach.first_number, number_max=self.compared
        ):
            matched = mirror_joins.count_matches(connection, token, contract, window)
            if matched is None:
                matched = sum(self._compare_batch(run) for run in window)
            self.result.matched += matched
            self.result.entries += sum(run.count for run in window)
            progress("reconcile", window[-1].first_seq + window[-1].count, self.end_seq)

    def _compare_own_digests(self) -> None:
        """Hold the headers that are sealed and not replayed yet against their own digests."""
        number = self.compared
        while page := batches.read_headers(
            self.connection, self.token, after=number, limit=_HEADERS_PAGE
        ):
            for header, digest in page:
                recomputed = header_digest(self.token.uid, header)
                self.result.add(match_own_digest(header, digest, recomputed))
            number = page[-1][0].number

    def _compare_part(self) -> None:
        """Compare what was replayed of a batch that is under way in parts, if one is."""
        if self.followed is not None or self.reach.last_block != self.last_block:
            return
        if self.mirrored > self.head.number:
            return
        connection, contract, first = self.connection, self.contract, self.end_seq
        rows = mirror_parts.rows_in_mirror(
            connection, contract, first_seq=first, last_block=self.last_block
        )
        found = mirror_parts.open_run(connection, self.token, number=self.mirrored + 1, rows=rows)
        if found is None:
            return
        if found.run.count == found.count:  # its last part says in the same block that it is whole
            self.result.add([never_closed(found.run.number)])
        else:
            self.result.part = PartlyReplayed(found.run.number, found.run.count, found.count)
        self.result.matched += self._compare_batch(found.run)
        self.result.entries += found.run.count
        self.end_seq += found.run.count

    def _compare_batch(self, run: SealedRun) -> int:
        """Compare one batch row by row; return how many entries match."""
        connection, contract = self.connection, self.contract
        lines = mirror_joins.read_lines(connection, self.token, run)
        transfers = mirror_joins.read_transfers(connection, contract, run)
        replays = mirror_joins.read_replayed(
            connection, contract, first=run.number, last=run.number
        )
        replay = replays[0] if replays else None
        matched, found = match_batch(run.number, lines, transfers, replay, sealed=run.seqs)
        self.result.add(found)
        return matched

    def _compare_headers(self) -> None:
        connection, token = self.connection, self.token
        for first in range(self.reach.first_number, self.compared + 1, _HEADERS_PAGE):
            last = min(first + _HEADERS_PAGE - 1, self.compared)
            logs: dict[int, list[ReplayedBatch]] = {}
            for log in mirror_joins.read_replayed(
                connection, self.contract, first=first, last=last
            ):
                logs.setdefault(log.number, []).append(log)
            for header, digest in batches.read_headers(
                connection, token, after=first - 1, limit=last - first + 1
            ):
                if header.number > last:  # a header before it was deleted
                    break
                recomputed = header_digest(token.uid, header)
                found = match_headers(header, digest, recomputed, logs.pop(header.number, []))
                self.result.add(found)
                self.result.headers += 1
            self.result.add(unknown_header(log) for left in logs.values() for log in left)
        if self.scope.whole and self.followed is None:
            self._compare_own_digests()
        beyond = mirror_joins.read_replayed(
            connection,
            self.contract,
            first=max(self.head.number + 1, self.reach.first_number),
            last=self.reach.last_number,
        )
        self.result.add(unknown_header(log) for log in beyond)
