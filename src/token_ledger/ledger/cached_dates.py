"""What the entries say of `token_backdated`, where rows may be missing, or be too many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, delete, select

from token_ledger.core.address import to_checksum
from token_ledger.ledger import schema
from token_ledger.ledger.cached_holds import Key, Recomputed
from token_ledger.ledger.dating import (
    Backdated,
    compute_dating,
    insert_backdated,
    stored_dating,
)
from token_ledger.ledger.tokens import StoredToken

_TABLE = schema.token_backdated.c
_FIGURES = ("lane", "timestamp", "latest_at", "lane_total", "total")


def backdated_rows(
    connection: Connection, token: StoredToken, keys: Sequence[Key] | None
) -> Iterator[Recomputed]:
    """Yield every back-dated entry that is kept or ought to be, or those of some keys.

    Reads every entry once. A row that ought not to be there has None for its figures.
    """
    kept, right = (
        {
            (row.account_no, row.entry_no): row
            for row in dating(connection, token.token_no).backdated
        }
        for dating in (stored_dating, compute_dating)
    )
    accounts = schema.accounts.c
    chosen = kept.keys() | right.keys()
    if keys is not None:
        chosen &= {(key[0], key[1]) for key in keys}
    addresses: dict[int, str] = {}
    for account_no, entry_no in sorted(chosen):
        if account_no not in addresses:
            found = connection.execute(
                select(accounts.address).where(accounts.account_no == account_no)
            ).scalar_one()
            addresses[account_no] = to_checksum(bytes(found))
        key = (account_no, entry_no)
        stored = kept.get(key)
        yield Recomputed(
            key=key,
            subject={"address": addresses[account_no], "subject": entry_no},
            stored=None if stored is None else {name: getattr(stored, name) for name in _FIGURES},
            right={name: getattr(right.get(key), name, None) for name in _FIGURES},
        )


def write_backdated(connection: Connection, token: StoredToken, rows: Sequence[Recomputed]) -> None:
    """Delete what is wrong, and write what is right."""
    for row in rows:
        connection.execute(
            delete(schema.token_backdated).where(
                _TABLE.token_no == token.token_no,
                _TABLE.account_no == row.key[0],
                _TABLE.entry_no == row.key[1],
            )
        )
    right = [
        Backdated(*row.key, **{name: row.right[name] or 0 for name in _FIGURES})
        for row in rows
        if row.right["lane"] is not None
    ]
    insert_backdated(connection, token.token_no, right)
