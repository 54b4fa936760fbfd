"""What the entries say of `token_days`, up to its mark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, delete

from token_ledger.ledger import rollups, schema
from token_ledger.ledger.cached_holds import Key, Recomputed
from token_ledger.ledger.rollups import Sum
from token_ledger.ledger.tokens import StoredToken

_TABLE = schema.token_days.c


def day_rows(
    connection: Connection, token: StoredToken, keys: Sequence[Key] | None
) -> Iterator[Recomputed]:
    """Yield every row that is kept or ought to be, or those of some keys.

    Reads every entry up to the mark once. A row that ought not to be there has None as figures.
    """
    kept = rollups.read_sums(connection, token.token_no)
    right = rollups.compute_sums(connection, token.token_no)
    chosen = {tuple(key): key for key in sorted(kept.keys() | right.keys())}
    for plain, key in chosen.items():
        if keys is not None and plain not in keys:
            continue
        stored, counted = kept.get(key), right.get(key)
        yield Recomputed(
            key=plain,
            subject={"subject": f"day {key.day}, kind {key.kind}"},
            stored=None if stored is None else stored._asdict(),
            right=dict.fromkeys(Sum._fields) if counted is None else counted._asdict(),
        )


def write_days(connection: Connection, token: StoredToken, rows: Sequence[Recomputed]) -> None:
    """Replace what is wrong, with the mark locked: what was counted meanwhile is counted again."""
    token_no = token.token_no
    rollups.read_mark(connection, token_no, lock=True)
    right = rollups.compute_sums(connection, token_no)
    wanted = {tuple(key): key for key in right}
    for row in rows:
        connection.execute(
            delete(schema.token_days).where(
                _TABLE.token_no == token_no,
                _TABLE.day == row.key[0],
                _TABLE.kind == row.key[1],
                _TABLE.reason == row.key[2],
            )
        )
    good = {wanted[row.key]: right[wanted[row.key]] for row in rows if row.key in wanted}
    rollups.write_sums(connection, token_no, good, kept={})
