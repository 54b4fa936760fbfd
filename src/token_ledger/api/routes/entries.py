"""Entries: one, an account's, and what they come to."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from token_ledger.api import bodies, models
from token_ledger.api.bodies import Moment
from token_ledger.api.problems import documented
from token_ledger.api.routes.common import (
    AccountPath,
    EntryPath,
    Limit,
    ledger_of,
    router,
)
from token_ledger.core.parse import format_amount
from token_ledger.errors import UsageError
from token_ledger.ledger import Ledger

reads, admins = router("read", "entries"), router("admin", "entries")
CSV = "text/csv"
# A date would be read from a number too, as seconds since 1970.
Day = Annotated[str | None, Query(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="UTC.")]


class CsvResponse(PlainTextResponse):
    """CSV, as RFC 4180 names its type."""

    media_type = CSV


class Chosen(BaseModel):
    """Which entries are meant."""

    account: Annotated[str | None, Field(min_length=1, max_length=1000)] = None
    since: Moment = None
    until: Moment = None
    reason: Annotated[str | None, Field(max_length=1_000)] = None
    reason_prefix: Annotated[str | None, Field(max_length=1_000)] = None
    reference_type: Annotated[str | None, Field(min_length=1, max_length=1_000)] = None
    reference_id: Annotated[str | None, Field(min_length=1, max_length=1_000)] = None
    counterparty: Annotated[str | None, Field(min_length=1, max_length=1_000)] = None
    direction: Literal["in", "out"] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    cursor: Annotated[str | None, Field(max_length=40, pattern="^[0-9]{1,18}$")] = None

    def filters(self) -> dict[str, Any]:
        """Return the keywords that every list of entries takes."""
        reference: str | tuple[str, str] | None = self.reference_type
        if self.reference_id is not None:
            if self.reference_type is None:
                raise UsageError("a reference id without its type", hint="give both")
            reference = (self.reference_type, self.reference_id)
        return {
            "limit": self.limit,
            "cursor": self.cursor,
            "since": self.since,
            "until": self.until,
            "reason": self.reason,
            "reason_prefix": self.reason_prefix,
            "reference": reference,
        }


@reads.get("/supply", responses=documented())
async def get_supply(
    request: Request,
    since: Day = None,
    until: Day = None,
    top: Annotated[int, Query(ge=0, le=1000)] = 10,
) -> models.SupplyOut:
    """Return the token's supply, its velocity in a period, and who holds it.

    The period is of whole UTC days, `since` to before `until`: by default thirty that end today.
    """
    ledger = ledger_of(request)
    supply = await ledger.get_supply()
    statistics = await ledger.get_statistics(since, until, top=top)
    decimals = supply.decimals
    return models.SupplyOut.model_validate(
        {
            **statistics.to_json(),
            "token": ledger.ledger.token.symbol,
            "amount": supply.amount,
            "value": str(supply.total_supply),
            "total_minted": format_amount(supply.total_minted, decimals=decimals),
            "total_burned": format_amount(supply.total_burned, decimals=decimals),
            "max_supply": format_amount(supply.max_supply, decimals=decimals),
            "credit": format_amount(supply.credit, decimals=decimals),
        }
    )


@reads.get("/ledger", responses=documented(404))
async def get_ledger(request: Request, chosen: Annotated[Chosen, Query()]) -> models.LedgerPage:
    """Return entries, the last posted first: of an account, or of all where none is named.

    What is given must all hold. A page may be short, even empty, and still have a cursor.
    """
    ledger, filters = ledger_of(request), chosen.filters()
    if chosen.account is None:
        if chosen.counterparty or chosen.direction:
            raise UsageError(
                "counterparty and direction are seen from an account", hint="name the account"
            )
        page = await ledger.get_entries(**filters)
    else:
        page = await ledger.get_statement(
            chosen.account,
            counterparty=chosen.counterparty,
            direction=chosen.direction,
            **filters,
        )
    return models.LedgerPage(entries=[*map(models.entry_out, page.entries)], cursor=page.cursor)


@reads.get(
    "/statement/{account_id:path}",
    response_class=CsvResponse,
    responses={**documented(404), 200: {"content": {CSV: {"schema": {"type": "string"}}}}},
)
async def get_statement_csv(
    request: Request,
    account_id: AccountPath,
    since: Moment = None,
    until: Moment = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> CsvResponse:
    """Return an account's statement as CSV (RFC 4180) for accountants, the newest entry first."""

    def read(ledger: Ledger) -> str:
        return "".join(ledger.statement_csv(account_id, limit=limit, since=since, until=until))

    return CsvResponse(await ledger_of(request).call(read))


@reads.get("/entries", responses=documented())
async def feed(
    request: Request,
    after: Annotated[int, Query(ge=0, le=2**62, description="The page before's own.")] = 0,
    limit: Limit = 50,
) -> models.FeedOut:
    """Return the entries after a number, the first posted first: every one, once.

    It never skips an entry that commits late; an empty page says that there is nothing yet.
    """
    page = await ledger_of(request).feed(after, limit)
    return models.FeedOut(entries=[*map(models.entry_out, page.entries)], after=page.after)


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


@admins.post("/entries/{entry_id}/redact", responses=documented(404, 409))
async def redact(
    request: Request, entry_id: EntryPath, body: bodies.RedactIn
) -> models.RedactionOut:
    """Erase words of an entry for ever; its id, its amount and every root stay."""
    done = await ledger_of(request).redact(entry_id, body.fields, actor=body.actor)
    return models.redaction_out(done)


@reads.get("/entries/{entry_id}/redaction", responses=documented(404))
async def get_redaction(request: Request, entry_id: EntryPath) -> models.RedactionOut | None:
    """Return what of an entry was erased, and when; null while nothing was."""
    found = await ledger_of(request).get_redaction(entry_id)
    return None if found is None else models.redaction_out(found)


ROUTERS = (reads, admins)
