"""Reversal: one entry the other way round, linked to the one that it takes back, once."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import insert, select

from token_ledger.core.strict import to_hex
from token_ledger.core.types import SYSTEM, Record, Texts
from token_ledger.errors import ReversalError
from token_ledger.ledger import accounts, credit, queries, schema
from token_ledger.ledger.balances import REVERSAL
from token_ledger.ledger.composite import Composite, Desk, lock
from token_ledger.ledger.posted import Posted
from token_ledger.ledger.queries import StoredEntry

REFERENCE = "reversal"


def reverse(
    desk: Desk,
    entry_id: bytes,
    *,
    value: int | None,
    key: str | None,
    reason: str,
    memo: str,
) -> Posted:
    """Send an entry's value back, or a part of it. Runs in a write transaction.

    Raises ReversalError for an entry that was reversed before, in whole or in part, for more than
    it moved, and for one of a hold or an overdraft; and what a posting raises: the payee may have
    spent it.
    """
    entry = queries.get_entry(desk.connection, desk.token, entry_id)
    shown = to_hex(entry_id)
    wanted = [shown, None if value is None else str(value), reason, memo]
    request = Composite(desk, "reverse", key, wanted)
    prior = request.prior()
    if prior is not None:
        return prior
    names = {entry.from_account, entry.to_account}
    known = accounts.resolve(desk.connection, names)
    if any(account.escrow_of is not None for account in known.values()):
        raise ReversalError(f"entry {shown} is one of a hold", hint=_way_out(entry, known))
    cause = credit.brought_by(desk.connection, entry.entry_no)
    if cause is not None:
        brought = queries.get_entry_by_number(desk.connection, desk.token, cause)
        raise ReversalError(
            f"entry {shown} is a draw or a repayment of an overdraft",
            hint=f"reverse what brought it, {to_hex(brought.id)}",
        )
    poster = lock(desk, names)
    prior = request.prior()  # another may have made it while this one waited
    if prior is not None:
        return prior
    before = reversal_of(desk, entry.entry_no)
    if before is not None:
        raise ReversalError(
            f"entry {shown} was reversed by {to_hex(before.id)}", hint="an entry is reversed once"
        )
    if value is not None and value > entry.value:
        raise ReversalError(
            f"entry {shown} moved {entry.amount}, less than is to be taken back",
            hint="leave the amount away to reverse all of it",
        )
    record = Record(
        entry.to_account,
        entry.from_account,
        entry.value if value is None else value,
        Texts(reason=reason, reference_type=REFERENCE, reference_id=shown, memo=memo),
        request.key,
    )
    posted = request.post(poster, record, waived=REVERSAL)
    poster.close()
    desk.connection.execute(
        insert(schema.token_reversals).values(
            entry_no=posted.entry_no,
            token_no=desk.token.token_no,
            reversed_entry_no=entry.entry_no,
        )
    )
    return posted


def _way_out(entry: StoredEntry, known: Mapping[str, accounts.Known]) -> str:
    """Say what undoes an entry of a hold, which no reversal does."""
    payer, payee = known[entry.from_account], known[entry.to_account]
    if payer.escrow_of is None:
        return "release the hold"
    if payee.number == payer.escrow_of:
        return "hold it again"
    if entry.to_account == SYSTEM:
        return "it was captured and burnt: mint it to the holder"
    return "it was captured: pay it back by a transfer"


def reversal_of(desk: Desk, entry_no: int) -> StoredEntry | None:
    """Return the entry that reversed this one, or None."""
    table = schema.token_reversals.c
    number = desk.connection.execute(
        select(table.entry_no).where(table.reversed_entry_no == entry_no)
    ).scalar()
    if number is None:
        return None
    return queries.get_entry_by_number(desk.connection, desk.token, number)
