"""The entries in themselves, walked in their order: what `reconcile` proves of each of them.

Its id is that of its row; the entries of a batch are as many as were sealed and give its root; none
lies between two batches; the balance and the supply that each left are what those before it leave.
`check` proves more, of texts, keys and schema. Memory grows with accounts, not with entries.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, func, select, text

from token_ledger.core.batch import leaves_of_words
from token_ledger.core.entry import EntryHasher
from token_ledger.core.hashing import address_word
from token_ledger.core.match_walk import between_batches, entry_altered, root_differs
from token_ledger.core.merkle import MerkleTree
from token_ledger.core.strict import to_hex
from token_ledger.core.types import UINT256_MAX, Finding
from token_ledger.ledger import schema
from token_ledger.ledger.audit import read_addresses
from token_ledger.ledger.tokens import StoredToken

PAGE = 10_000
_SYSTEM = schema.SYSTEM_ACCOUNT_NO
_BATCH = schema.token_batches.c
# As the driver gives them: a million rows go through here, and much of the time is theirs.
_WHERE = (
    " FROM token_ledger WHERE token_no = :token_no AND entry_no > :after AND entry_no <= :up_to"
    " ORDER BY entry_no"
)
_ROWS = (
    "SELECT entry_no, id, timestamp, from_account, to_account, amount,"
    f" balance_after_from, balance_after_to, supply_after{_WHERE} LIMIT {PAGE}"
)
_COMMITTED = text(f"SELECT nonce, ref{_WHERE}")


@dataclass(frozen=True, slots=True)
class Reached:
    """Which entries are walked: those of batches from one number to another, or of all and beyond.

    `last_number` None: to the newest entry, sealed or not. `whole`: from the first entry of all, so
    that every balance is known from its beginning.
    """

    first_number: int
    last_number: int | None
    whole: bool


@dataclass(frozen=True, slots=True)
class _Sealed:
    number: int
    first_seq: int
    count: int
    root: bytes
    first_entry_no: int
    last_entry_no: int


class EntriesWalk:
    """One pass over entries of a token; iterate `findings` to the end.

    `count`: how many were walked; `sealed`, `unsealed`: how many of them batches hold, and how many
    lie above the last one; what is neither lies between two.
    """

    def __init__(self, connection: Connection, token: StoredToken, reach: Reached) -> None:
        self._connection, self._token, self._reach = connection, token, reach
        self._hasher = EntryHasher(token.uid)
        addresses = read_addresses(connection)
        self._words = {number: address_word(address) for number, address in addresses.items()}
        self._raw = connection.dialect.name == "sqlite"
        self._balances: dict[int, int] = {}
        self._unknown = 0 if reach.whole else None
        self._supply: int | None = self._unknown
        self._found: list[Finding] = []
        self.count = self.sealed = self.unsealed = 0

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong, in the order of the entries."""
        for batch, inside, rows in self._groups():
            self.count += len(rows)
            if batch is None:
                self.unsealed += len(rows)
            elif inside:
                self.sealed += len(rows)
            if batch is None or not inside:
                self._check_ids(rows)
            else:
                self._check_root(batch, rows)
            if batch is not None and not inside:
                self._found += [between_batches(bytes(row[1]), row[0]) for row in rows]
            self._replay(rows)
            yield from self._found
            self._found = []

    def _groups(self) -> Iterator[tuple[_Sealed | None, bool, list[Any]]]:
        """Yield the entries of each batch, and by pages those between and above batches."""
        batches = self._batches()
        batch, inside = next(batches, None), False
        rows: list[Any] = []
        for page in self._pages():
            start = 0
            while start < len(page):
                number = page[start][0]
                while batch is not None and number > batch.last_entry_no:
                    if rows and not inside:
                        yield batch, False, rows
                        rows = []
                    yield batch, True, rows
                    rows, batch, inside = [], next(batches, None), False
                within = batch is not None and number >= batch.first_entry_no
                if rows and (within != inside or (not within and len(rows) >= PAGE)):
                    yield batch, inside, rows
                    rows = []
                inside, end = within, _end_of_run(page, start, batch, within=within)
                rows += page[start:end]
                start = end
        if rows and (batch is None or not inside):
            yield batch, False, rows
            rows = []
        while batch is not None:
            yield batch, True, rows
            rows, batch = [], next(batches, None)

    def _batches(self) -> Iterator[_Sealed]:
        after = self._reach.first_number - 1
        while True:
            query = (
                select(
                    _BATCH.number,
                    _BATCH.first_seq,
                    _BATCH.count,
                    _BATCH.entries_root,
                    _BATCH.first_entry_no,
                    _BATCH.last_entry_no,
                )
                .where(_BATCH.token_no == self._token.token_no, _BATCH.number > after)
                .order_by(_BATCH.number)
                .limit(PAGE)
            )
            if self._reach.last_number is not None:
                query = query.where(_BATCH.number <= self._reach.last_number)
            rows = self._connection.execute(query).all()
            yield from (_Sealed(*row) for row in rows)
            if len(rows) < PAGE:
                return
            after = rows[-1].number

    def _pages(self) -> Iterator[list[Any]]:
        """Yield the rows as the driver's own tuples: a million of them become no other objects."""
        after, up_to = self._bounds()
        driver: Any = self._connection.connection.driver_connection
        query = _ROWS if self._raw else re.sub(r":(\w+)", r"%(\1)s", _ROWS)
        while True:
            page = {"token_no": self._token.token_no, "after": after, "up_to": up_to}
            rows = driver.execute(query, page).fetchall()
            if rows:
                yield rows
            if len(rows) < PAGE:
                return
            after = rows[-1][0]

    def _bounds(self) -> tuple[int, int]:
        """Return behind which entry the walk begins, and the last one that it may take."""

        def last_of(number: int) -> int:
            found = self._connection.execute(
                select(func.max(_BATCH.last_entry_no)).where(
                    _BATCH.token_no == self._token.token_no, _BATCH.number <= number
                )
            ).scalar()
            return found or 0

        after = -(1 << 62) if self._reach.whole else last_of(self._reach.first_number - 1)
        last = self._reach.last_number
        return after, (1 << 62) if last is None else last_of(last)

    # --- ids and roots

    def _check_root(self, batch: _Sealed, rows: list[Any]) -> None:
        """Note a batch whose entries no longer give its root, and which of them are altered.

        The root commits to ids, places, times, sides and amounts: where it holds, so do they.
        """
        try:
            leaves = self._leaves(batch.first_seq, rows) if rows else []
        except (KeyError, OverflowError):  # an account that is not there, or no number of this kind
            leaves = []
        computed = MerkleTree(leaves).root if leaves else None
        if computed != batch.root or len(rows) != batch.count:
            self._check_ids(rows)
            self._found.append(root_differs(batch.number, sealed=batch.root, computed=computed))

    def _leaves(self, first_seq: int, rows: list[Any]) -> list[bytes]:
        """Return the leaves of rows. Raises KeyError for an account and OverflowError for a number.

        Column by column: what a row costs here, it costs a million times.
        """
        _, ids, times, senders, receivers, amounts, _, _, _ = zip(*rows, strict=True)
        word_of = self._words.__getitem__
        values = amounts if self._raw else [int(amount).to_bytes(32, "big") for amount in amounts]
        sides = map(word_of, senders), map(word_of, receivers)
        return leaves_of_words(first_seq, ids, times, (*sides, values))

    def _check_ids(self, rows: list[Any]) -> None:
        """Note entries whose id is not that of their row."""
        if not rows:
            return
        bounds = {"after": rows[0][0] - 1, "up_to": rows[-1][0], "token_no": self._token.token_no}
        committed = self._connection.execute(_COMMITTED, bounds).all()
        for row, (nonce, ref) in zip(rows, committed, strict=True):
            value = self._number(row[5])
            missing = [number for number in row[3:5] if number not in self._words]
            if missing:
                self._note("account", row, stored=missing[0], computed=None)
                continue
            if value is None or not 0 < value <= UINT256_MAX or row[3] == row[4]:
                self._note("amount", row, stored=str(value), computed=None)
                continue
            sides = self._words[row[3]][-20:], self._words[row[4]][-20:]
            computed = self._hasher.id(
                from_address=sides[0], to_address=sides[1], value=value, nonce=nonce, ref=ref
            )
            if computed != row[1]:
                shown = to_hex(bytes(row[1])), to_hex(computed)
                self._note("id", row, stored=shown[0], computed=shown[1])

    # --- balances and supply

    def _replay(self, rows: list[Any]) -> None:
        """Move every amount, and note where balances or supply are not as the rows say."""
        balances, unknown, raw = self._balances, self._unknown, self._raw
        number = int.from_bytes
        for row in rows:
            _, _, _, sender, receiver, amount, left, received, supply = row
            if received is None or receiver in (_SYSTEM, sender):
                self._replay_one(row)
                continue
            value, credited = (
                (number(amount), number(received)) if raw else (int(amount), int(received))
            )
            if balances.get(receiver, unknown) != credited - value:
                self._replay_one(row)
                continue
            if sender == _SYSTEM:
                if left is None and supply is not None and self._supply is not None:
                    total = number(supply) if raw else int(supply)
                    if self._supply + value == total:
                        balances[receiver], self._supply = credited, total
                        continue
            elif left is not None and supply is None:
                remaining = number(left) if raw else int(left)
                if balances.get(sender, unknown) == remaining + value and remaining >= 0:
                    balances[sender], balances[receiver] = remaining, credited
                    continue
            self._replay_one(row)

    def _replay_one(self, row: Any) -> None:
        value = self._number(row[5]) or 0
        changed = 0
        for account, change, stored in (
            (row[3], -value, self._number(row[6])),
            (row[4], value, self._number(row[7])),
        ):
            if account != _SYSTEM:
                self._move(account, change, stored, row)
                continue
            changed -= change
            if stored is not None:
                self._differs("balance_after", stored, None, row)
        stored = self._number(row[8])
        if not changed:
            expected = None
        elif self._supply is None:
            expected = stored
        else:
            expected = self._supply + changed
        if stored != expected or (changed and stored is None):
            self._differs("supply_after", stored, expected, row)
        if changed:
            self._supply = expected if stored is None else stored

    def _move(self, account: int, change: int, stored: int | None, row: Any) -> None:
        """Note a balance that is not what the entries so far leave."""
        known = self._balances.get(account, self._unknown)
        if known is None:
            self._balances[account] = stored or 0
            return
        balance = known + change
        if stored != balance or balance < 0:
            word = self._words.get(account)
            self._differs("balance_after", stored, balance, row, word and word[-20:])
        # Once told, gone on from what the row says: its followers are judged by themselves.
        self._balances[account] = balance if stored is None else stored

    # --- what is noted

    def _differs(
        self,
        aspect: str,
        stored: int | None,
        computed: int | None,
        row: Any,
        address: bytes | None = None,
    ) -> None:
        shown = [None if number is None else str(number) for number in (stored, computed)]
        self._note(aspect, row, stored=shown[0], computed=shown[1], address=address)

    def _note(
        self,
        aspect: str,
        row: Any,
        *,
        stored: object,
        computed: object,
        address: bytes | None = None,
    ) -> None:
        self._found.append(
            entry_altered(
                aspect,
                entry_id=bytes(row[1]),
                entry_no=row[0],
                stored=stored,
                computed=computed,
                address=address,
            )
        )

    def _number(self, stored: Any) -> int | None:
        if stored is None:
            return None
        return int.from_bytes(stored, "big") if self._raw else int(stored)


def _end_of_run(page: list[Any], start: int, batch: _Sealed | None, *, within: bool) -> int:
    """Return where the rows of a page end that lie in a batch, or before it, as the first does."""
    if batch is None:
        return len(page)
    last = batch.last_entry_no if within else batch.first_entry_no - 1
    return bisect_right(page, last, lo=start, key=itemgetter(0))
