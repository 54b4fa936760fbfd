"""Entries: one, an account's, and what they come to."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request

from token_ledger.api import models
from token_ledger.api.problems import documented
from token_ledger.api.routes.common import (
    AccountPath,
    Cursor,
    EntryPath,
    Limit,
    ledger_of,
    router,
)
from token_ledger.core.parse import format_amount
from token_ledger.ledger import Ledger

reads = router("read", "entries")


@reads.get("/supply", responses=documented())
async def get_supply(request: Request) -> models.SupplyOut:
    """Return the token's supply."""
    ledger = ledger_of(request)
    supply = await ledger.get_supply()
    decimals = supply.decimals
    return models.SupplyOut(
        token=ledger.ledger.token.symbol,
        amount=supply.amount,
        value=str(supply.total_supply),
        total_minted=format_amount(supply.total_minted, decimals=decimals),
        total_burned=format_amount(supply.total_burned, decimals=decimals),
        max_supply=format_amount(supply.max_supply, decimals=decimals),
        credit=format_amount(supply.credit, decimals=decimals),
    )


@reads.get("/ledger", responses=documented(404))
async def get_statement(
    request: Request,
    account: Annotated[str, Query(min_length=1, max_length=1000)],
    since: Annotated[str | None, Query(description="RFC 3339, with a zone.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> models.LedgerPage:
    """Return an account's entries, the last posted first."""
    page = await ledger_of(request).get_statement(account, since, limit, cursor)
    return models.LedgerPage(entries=[*map(models.entry_out, page.entries)], cursor=page.cursor)


@reads.get("/history/{account_id:path}", responses=documented(404))
async def get_history(
    request: Request,
    account_id: AccountPath,
    limit: Limit = 50,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> models.LedgerPage:
    """Return an account's entries by limit and offset; none for one that does not exist."""
    found = await ledger_of(request).get_history(account_id, limit, offset)
    return models.LedgerPage(entries=[*map(models.entry_out, found)], cursor=None)


@reads.get("/entries/{entry_id}", responses=documented(404))
async def get_entry(request: Request, entry_id: EntryPath) -> models.EntryWhole:
    """Return one entry, with what reversed it and the rule that made it, where there are any."""

    def read(ledger: Ledger) -> models.EntryWhole:
        entry = ledger.get_entry(entry_id)
        return models.entry_whole(entry, ledger.get_reversal(entry.id), ledger.rule_of(entry.id))

    return await ledger_of(request).call(read)


ROUTERS = (reads,)
