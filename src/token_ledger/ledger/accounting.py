"""An account's statement as accountants read it: one row an entry, amounts in human units.

Money in and money out stand in columns of their own, so that no number needs a sign; only a balance
that is owed begins with one. A draw on an overdraft comes in and is owed at once, so `balance` and
`owed` together go up and down by what comes in and goes out. Texts are
escaped, numbers are not (`core.spreadsheet`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from token_ledger.core.parse import format_amount, format_timestamp
from token_ledger.core.spreadsheet import csv_lines, escape_cell
from token_ledger.core.strict import to_hex
from token_ledger.ledger.accounts import PAGE_MAX
from token_ledger.ledger.queries import StoredEntry
from token_ledger.ledger.statements import StatementPage

COLUMNS = (
    *("time", "posted", "entry_no", "id", "with", "in", "out", "balance", "owed"),
    *("reason", "reference_type", "reference_id", "memo", "metadata", "redacted"),
)


def statement_lines(
    page_of: Callable[[int, str | None], StatementPage], account_id: str, *, limit: int | None
) -> Iterator[str]:
    """Yield the CSV text of a statement, line by line, the last posted entry first.

    `page_of`: returns a page of at most so many entries from a cursor. `limit`: so many entries in
    all, or None for every one.
    """
    yield from csv_lines([COLUMNS])
    cursor, left = None, limit
    while left is None or left > 0:
        page = page_of(PAGE_MAX if left is None else min(left, PAGE_MAX), cursor)
        yield from csv_lines(_row(entry, account_id) for entry in page.entries)
        left = None if left is None else left - len(page.entries)
        cursor = page.cursor
        if cursor is None:
            return


def _row(entry: StoredEntry, account_id: str) -> list[str]:
    paid = entry.from_account == account_id
    balance = entry.balance_after(account_id)
    texts = (
        *(entry.reason, entry.reference_type, entry.reference_id),
        *(entry.memo, entry.metadata),
    )
    return [
        format_timestamp(entry.timestamp),
        format_timestamp(entry.created_at),
        str(entry.entry_no),
        to_hex(entry.id),
        escape_cell(entry.to_account if paid else entry.from_account),
        "" if paid else entry.amount,
        entry.amount if paid else "",
        "" if balance is None else format_amount(balance, decimals=entry.decimals),
        format_amount(entry.debt_after(account_id), decimals=entry.decimals),
        *(escape_cell(text or "") for text in texts),
        "yes" if entry.redacted_at is not None else "",
    ]
