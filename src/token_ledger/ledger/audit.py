"""The entries, walked in their order: what `check` proves of every row.

Ids, nonces and refs recomputed; balances and supply replayed by `entry_no`, never below zero and as
the rows say; times of posting that never go back for an account; tokens and accounts that exist.
Findings name entries and addresses, never account ids. Memory grows with accounts, not entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from token_ledger.core.address import to_checksum
from token_ledger.core.entry import EntryHasher, RecordHasher, entry_nonce, entry_ref, ref_salt
from token_ledger.core.progress import Progress
from token_ledger.core.strict import to_hex
from token_ledger.core.types import UINT256_MAX, Finding, Texts
from token_ledger.ledger import schema
from token_ledger.ledger.tokens import StoredToken

FETCH = 2_000
_ENTRY = schema.token_ledger.c
_SYSTEM = schema.SYSTEM_ACCOUNT_NO
_TEXTS = ("idempotency_key", "reason", "reference_type", "reference_id", "memo")


def stream(connection: Connection, query: Select[Any]) -> Iterator[Any]:
    """Yield the rows of a query, fetched a few thousand at a time."""
    with connection.execute(query, execution_options={"yield_per": FETCH}) as rows:
        yield from rows


def read_addresses(connection: Connection) -> dict[int, bytes]:
    """Return the address of every account by its number."""
    table = schema.accounts.c
    rows = stream(connection, select(table.account_no, table.address))
    return {number: bytes(address) for number, address in rows}


def _read_erased(connection: Connection) -> dict[int, frozenset[str]]:
    """Return which columns were erased, by entry: redactions are few."""
    table = schema.token_redactions.c
    found: dict[int, set[str]] = {}
    for number, field in stream(connection, select(table.entry_no, table.field)):
        found.setdefault(number, set()).add(field)
    return {number: frozenset(fields) for number, fields in found.items()}


class EntryWalk:
    """One pass over the entries of a token; iterate `findings` to the end."""

    def __init__(
        self,
        connection: Connection,
        token: StoredToken,
        *,
        secret: bytes,
        addresses: dict[int, bytes],
        progress: Progress,
    ) -> None:
        self._connection, self._token, self._progress = connection, token, progress
        self._secret = secret
        self._addresses = addresses
        self._records = RecordHasher(secret, token.uid)
        self._hasher = EntryHasher(token.uid)
        self._balances: dict[int, int] = {}
        self._posted_at: dict[int, int] = {}
        self._supply = 0
        self._erased = _read_erased(connection)
        self.count = 0

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong with the entries, in their order."""
        query = (
            select(schema.token_ledger)
            .where(_ENTRY.token_no == self._token.token_no)
            .order_by(_ENTRY.entry_no)
        )
        for row in stream(self._connection, query):
            self.count += 1
            if self.count % FETCH == 0:
                self._progress("entries", self.count, None)
            if (why := self._invalid(row)) is not None:
                yield self._finding("entry_invalid", f"the entry {why}", row)
                continue
            yield from self._commitments(row)
            yield from self._replay(row)

    def _invalid(self, row: Row[Any]) -> str | None:
        if not 0 < row.amount <= UINT256_MAX:
            return f"moves {row.amount}, which is no amount"
        if row.from_account == row.to_account:
            return "moves from an account to itself"
        if not {row.from_account, row.to_account} <= self._addresses.keys():
            return "names an account that is not there"
        return None

    def _commitments(self, row: Row[Any]) -> Iterator[Finding]:
        """Yield where nonce, ref or id are not what the row demands."""
        addresses = self._addresses
        sides = (addresses[row.from_account], addresses[row.to_account])
        erased = self._erased.get(row.entry_no, frozenset()) if row.redacted_at else frozenset()
        texts = (row.reason, row.reference_type, row.reference_id, row.memo, row.metadata)
        present = (row.idempotency_key, *texts[:4])
        lost = {name for name, text in zip(_TEXTS, present, strict=True) if text is None}
        if lost != erased - {"metadata"} or ("metadata" in erased and row.metadata is not None):
            message = "what is missing of its texts is not what was recorded as redacted"
            yield self._finding("redaction_differs", message, row)
        elif not erased:
            nonce, ref, entry_id = self._records.hashes(
                *sides, row.amount, row.idempotency_key, texts
            )
            if (nonce, ref, entry_id) == (row.nonce, row.ref, row.id):
                return
            if nonce == row.nonce and ref != row.ref:
                yield self._finding("ref_differs", "the texts do not open the entry's ref", row)
        elif erased == {"idempotency_key"} and row.ref != entry_ref(
            ref_salt(self._secret, row.nonce), Texts(*texts)
        ):
            yield self._finding("ref_differs", "the texts do not open the entry's ref", row)
        if row.idempotency_key is not None:
            nonce = entry_nonce(self._secret, row.idempotency_key)
            if nonce != row.nonce:
                yield self._finding("nonce_differs", "the nonce is not that of the key", row)
        computed = self._hasher.id(
            from_address=sides[0],
            to_address=sides[1],
            value=row.amount,
            nonce=row.nonce,
            ref=row.ref,
        )
        if computed != row.id:
            yield self._finding(
                "id_differs", "the id is not that of the row", row, computed=to_hex(computed)
            )

    def _replay(self, row: Row[Any]) -> Iterator[Finding]:
        """Move the amount, and yield where balances, supply or times are not as they must be."""
        sides = (
            (row.from_account, -row.amount, row.balance_after_from),
            (row.to_account, row.amount, row.balance_after_to),
        )
        for number, change, after in sides:
            if number == _SYSTEM:
                self._supply -= change
                if row.supply_after != self._supply:
                    yield self._difference("supply_after", row, row.supply_after, self._supply)
                    self._supply = row.supply_after if row.supply_after is not None else 0
                if self._supply < 0:
                    yield self._finding("supply_negative", "more was burned than there was", row)
                if self._supply > self._token.max_supply:
                    yield self._finding("supply_exceeded", "more was issued than may be", row)
                continue
            balance = self._balances.get(number, 0) + change
            address = to_checksum(self._addresses[number])
            if balance < 0:
                yield self._finding(
                    "balance_negative",
                    "the entry takes more than its sender holds: replay would refuse it",
                    row,
                    address=address,
                    balance=str(balance),
                )
            if after != balance:
                yield self._difference("balance_after", row, after, balance, address=address)
            # Once told, gone on from what the row says: its followers are judged by themselves.
            self._balances[number] = balance if after is None else after
            if row.created_at < self._posted_at.get(number, 0):
                yield self._finding(
                    "time_backwards", "posted before its account's last entry", row, address=address
                )
            self._posted_at[number] = row.created_at

    def _difference(
        self, what: str, row: Row[Any], stored: int | None, computed: int, **details: object
    ) -> Finding:
        return self._finding(
            f"{what}_differs",
            f"{what} is not what the entries up to it leave",
            row,
            stored=None if stored is None else str(stored),
            computed=str(computed),
            **details,
        )

    def _finding(self, kind: str, message: str, row: Row[Any], **details: object) -> Finding:
        return entry_finding(kind, message, self._token, row, **details)


def entry_finding(
    kind: str, message: str, token: StoredToken, row: Any, **details: object
) -> Finding:
    """Return a finding on an entry of a row that has its `entry_no` and `id`."""
    named = {"token": token.symbol, "entry_no": row.entry_no, "entry_id": to_hex(bytes(row.id))}
    return Finding(kind, message, {**named, **details})


def repeated(connection: Connection, token: StoredToken) -> Iterator[Finding]:
    """Yield ids and nonces that several entries bear: the database's own keys were dropped."""
    conditions: dict[str, tuple[Any, list[ColumnElement[bool]]]] = {
        "id": (_ENTRY.id, []),
        "nonce": (_ENTRY.nonce, [_ENTRY.token_no == token.token_no]),
    }
    for name, (column, where) in conditions.items():
        twice = (
            select(column).where(*where).group_by(column).having(func.count() > 1).scalar_subquery()
        )
        rows = connection.execute(
            select(_ENTRY.entry_no, _ENTRY.id)
            .where(_ENTRY.token_no == token.token_no, column.in_(twice))
            .order_by(_ENTRY.entry_no)
            .limit(FETCH)
        )
        for row in rows:
            yield entry_finding("entry_repeated", f"its {name} is not its own", token, row)


def strays(connection: Connection, tokens: list[StoredToken]) -> Iterator[Finding]:
    """Yield entries of tokens that are not there."""
    known = [token.token_no for token in tokens]
    rows = connection.execute(
        select(_ENTRY.entry_no, _ENTRY.id).where(_ENTRY.token_no.not_in(known)).limit(FETCH)
    )
    for row in rows:
        yield Finding(
            "entry_invalid",
            "the entry is of a token that is not there",
            {"entry_no": row.entry_no, "entry_id": to_hex(bytes(row.id))},
        )
