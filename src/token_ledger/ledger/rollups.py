"""Entries added up by day, kind and reason, up to a mark: what statistics read instead of entries.

Kept behind the sealer's watermark, below which no entry can appear any more, and moved on by
whoever asks when many entries lie beyond. Those beyond are added up as they are read, so a
statistic is exact at every moment. Nothing here is on the path of a posting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    text,
    update,
)

from token_ledger.ledger import schema
from token_ledger.ledger.schema import SYSTEM_ACCOUNT_NO, token_days, token_rollups
from token_ledger.ledger.tokens import StoredToken

DAY = 86_400_000_000
ALL_DAYS = -1
"""The day of the rows that count every day."""

TAIL_MAX = 2_000
"""So many entries beyond the mark are read each time; more move it on."""

CHUNK = 20_000
MINT, BURN, MOVE, STAKE = range(4)
"""What an entry is: `STAKE` goes between a holder and the escrow account of its holds."""

REDACTED = 4
"""Added to the kind of an entry whose reason was erased."""

_DAY = token_days.c
_PAGE = 10_000


class Key(NamedTuple):
    """What a row counts."""

    day: int
    kind: int
    reason: str


class Sum(NamedTuple):
    """How many entries, and what they moved together."""

    entries: int = 0
    value: int = 0


Sums = dict[Key, Sum]


def select_counted(token_no: int) -> Select[Any]:
    """Select what is needed of a token's entries, in their order."""
    entry = schema.token_ledger.c
    payer, payee = schema.accounts.alias("payer"), schema.accounts.alias("payee")
    return (
        select(
            entry.entry_no,
            entry.timestamp,
            entry.from_account,
            entry.to_account,
            entry.amount,
            entry.reason,
            payer.c.escrow_of.label("payer_for"),
            payee.c.escrow_of.label("payee_for"),
        )
        .join(payer, payer.c.account_no == entry.from_account)
        .join(payee, payee.c.account_no == entry.to_account)
        .where(entry.token_no == token_no)
        .order_by(entry.entry_no)
    )


def kind_of(payer: int, payee: int, payer_for: int | None, payee_for: int | None) -> int:
    """Return what an entry between two accounts is, each perhaps an escrow account for another."""
    if payer == SYSTEM_ACCOUNT_NO:
        return MINT
    if payee == SYSTEM_ACCOUNT_NO:
        return BURN
    return STAKE if payer_for == payee or payee_for == payer else MOVE


def add_up(rows: Iterable[Any], into: Sums) -> int:
    """Add entries to sums, of their day and of all days; return the number of the last one."""
    last, counted = 0, dict[tuple[int, int, str], list[int]]()
    for entry_no, timestamp, payer, payee, value, reason, payer_for, payee_for in rows:
        kind = kind_of(payer, payee, payer_for, payee_for)
        if reason is None:
            kind, reason = kind + REDACTED, ""  # noqa: PLW2901
        found = counted.setdefault((timestamp // DAY, kind, reason), [0, 0])
        found[0] += 1
        found[1] += value
        last = entry_no
    for (day, kind, reason), (entries, value) in counted.items():
        _add(Key(day, kind, reason), Sum(entries, value), into)
    return last


def _add(key: Key, more: Sum, into: Sums) -> None:
    """Add a sum to that of its day and to that of all days."""
    for place in (key, key._replace(day=ALL_DAYS)):
        entries, value = into.get(place, _NOTHING)
        into[place] = Sum(entries + more.entries, value + more.value)


_NOTHING = Sum()
_FIRST_MARK = text(
    "INSERT INTO token_rollups (token_no, entry_no, updated_at) VALUES (:token, 0, :now)"
    " ON CONFLICT DO NOTHING"
)


_WRITE = (
    "INSERT INTO token_days (token_no, day, kind, reason, entries, value) SELECT %s::int, *"
    " FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::bigint[], %s::numeric[])"
    " ON CONFLICT (token_no, day, kind, reason)"
    " DO UPDATE SET entries = EXCLUDED.entries, value = EXCLUDED.value"
)


def read_mark(connection: Connection, token_no: int, *, lock: bool = False) -> int:
    """Return up to which entry number the rows count. `lock`: until the transaction ends."""
    asked = select(token_rollups.c.entry_no).where(token_rollups.c.token_no == token_no)
    found: int | None = connection.execute(asked.with_for_update() if lock else asked).scalar()
    return found or 0


def read_sums(
    connection: Connection, token_no: int, *, first: int = ALL_DAYS, last: int | None = None
) -> Sums:
    """Return the kept rows of the days from `first` to `last`, or to the end."""
    chosen = select(_DAY.day, _DAY.kind, _DAY.reason, _DAY.entries, _DAY.value).where(
        _DAY.token_no == token_no, _DAY.day >= first
    )
    if last is not None:
        chosen = chosen.where(_DAY.day <= last)
    rows = connection.execute(chosen, execution_options={"yield_per": _PAGE})
    return {Key(*row[:3]): Sum(*row[3:]) for row in rows}


def tail(connection: Connection, token_no: int) -> Iterator[Any]:
    """Yield what is needed of the entries beyond the mark."""
    beyond = schema.token_ledger.c.entry_no > read_mark(connection, token_no)
    yield from connection.execute(
        select_counted(token_no).where(beyond), execution_options={"yield_per": _PAGE}
    )


def is_behind(connection: Connection, token_no: int) -> bool:
    """Return whether more than TAIL_MAX entries lie beyond the mark."""
    entry = schema.token_ledger.c
    mark = read_mark(connection, token_no)
    found = connection.execute(
        select(entry.entry_no)
        .where(entry.token_no == token_no, entry.entry_no > mark)
        .order_by(entry.entry_no)
        .limit(1)
        .offset(TAIL_MAX)
    ).first()
    return found is not None


def move_on(connection: Connection, token: StoredToken, watermark: int, *, now: int) -> bool:
    """Count the next entries up to the watermark; return whether there are more of them.

    Runs in a write transaction of its own: it locks the mark.
    """
    token_no = token.token_no
    connection.execute(_FIRST_MARK, {"token": token_no, "now": now})
    mark = read_mark(connection, token_no, lock=True)
    entry_no = schema.token_ledger.c.entry_no
    chosen = select_counted(token_no).where(entry_no > mark, entry_no <= watermark).limit(CHUNK)
    fresh: Sums = {}
    last, count = _count(connection, chosen, fresh)
    if not count:
        return False
    days = [key.day for key in fresh if key.day != ALL_DAYS]
    kept = read_sums(connection, token_no, first=min(days), last=max(days))
    kept |= read_sums(connection, token_no, first=ALL_DAYS, last=ALL_DAYS)
    for key, (entries, value) in fresh.items():
        before = kept.get(key, _NOTHING)
        fresh[key] = Sum(before.entries + entries, before.value + value)
    write_sums(connection, token_no, fresh, kept=kept)
    connection.execute(
        update(token_rollups)
        .where(token_rollups.c.token_no == token_no)
        .values(entry_no=last, updated_at=now)
    )
    return count == CHUNK


def _count(connection: Connection, chosen: Select[Any], into: Sums) -> tuple[int, int]:
    """Add the chosen entries to sums; return the number of the last one, and how many they are.

    PostgreSQL adds up by itself; SQLite's SUM would turn to floating point.
    """
    if connection.dialect.name != "postgresql":
        rows = connection.execute(chosen).all()
        return add_up(rows, into), len(rows)
    of = chosen.subquery().c
    kind = case(
        (of.from_account == SYSTEM_ACCOUNT_NO, MINT),
        (of.to_account == SYSTEM_ACCOUNT_NO, BURN),
        (or_(of.payer_for == of.to_account, of.payee_for == of.from_account), STAKE),
        else_=MOVE,
    ) + case((of.reason.is_(None), REDACTED), else_=0)
    key = (of.timestamp.op("/")(literal(DAY, BigInteger)), kind, func.coalesce(of.reason, ""))
    last = count = 0
    for day, what, reason, entries, value, highest in connection.execute(
        select(*key, func.count(), func.sum(of.amount), func.max(of.entry_no)).group_by(
            *(literal_column(str(place)) for place in (1, 2, 3))
        )
    ):
        _add(Key(day, what, reason), Sum(entries, int(value)), into)
        last, count = max(last, highest), count + entries
    return last, count


def write_sums(connection: Connection, token_no: int, sums: Sums, *, kept: Sums) -> None:
    """Write rows: those that are kept already are changed, the others added."""
    if not sums:
        return
    if connection.dialect.name == "postgresql":
        columns = zip(*((*key, *total) for key, total in sums.items()), strict=True)
        connection.exec_driver_sql(_WRITE, (token_no, *map(list, columns)))
        return
    rows = [
        {"t": token_no, **{f"k_{n}": v for n, v in key._asdict().items()}, **total._asdict()}
        for key, total in sums.items()
    ]
    known = [row for row, key in zip(rows, sums, strict=True) if key in kept]
    added = [row for row, key in zip(rows, sums, strict=True) if key not in kept]
    if known:
        connection.execute(
            update(token_days)
            .where(_DAY.token_no == bindparam("t"))
            .where(*(_DAY[name] == bindparam(f"k_{name}") for name in Key._fields))
            .values(entries=bindparam("entries"), value=bindparam("value")),
            known,
        )
    if added:
        names: dict[str, Any] = {n: bindparam(f"k_{n}") for n in Key._fields}
        names |= {n: bindparam(n) for n in Sum._fields}
        connection.execute(insert(token_days).values(token_no=bindparam("t"), **names), added)


def erase_reason(connection: Connection, token_no: int, entry_no: int) -> None:
    """Count an entry among those whose reason was erased: before it is, in the same transaction."""
    if entry_no > read_mark(connection, token_no, lock=True):
        return
    entry = schema.token_ledger.c
    (row,) = connection.execute(select_counted(token_no).where(entry.entry_no == entry_no))
    if row.reason is None:
        return
    one: Sums = {}
    add_up([row], one)
    for key, (entries, value) in one.items():
        kept = read_sums(connection, token_no, first=key.day, last=key.day)
        erased = Key(key.day, key.kind + REDACTED, "")
        left, more = kept[key], kept.get(erased, _NOTHING)
        connection.execute(
            delete(token_days).where(
                _DAY.token_no == token_no,
                *(_DAY[name] == part for name, part in key._asdict().items()),
            )
        )
        changed = {erased: Sum(more.entries + entries, more.value + value)}
        if left.entries > entries:
            del kept[key]
            changed[key] = Sum(left.entries - entries, left.value - value)
        write_sums(connection, token_no, changed, kept=kept)


def compute_sums(connection: Connection, token_no: int) -> Sums:
    """Return what the kept rows ought to be: the entries up to the mark, read once."""
    mark = read_mark(connection, token_no)
    counted = select_counted(token_no).where(schema.token_ledger.c.entry_no <= mark)
    found: Sums = {}
    add_up(connection.execute(counted, execution_options={"yield_per": _PAGE}), found)
    return found
