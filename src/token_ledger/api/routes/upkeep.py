"""Keeping the books in order: check, recalc, findings that were acknowledged, tokens.

A check and a recalculation read everything, so one of them runs at a time, and none at all on a
ledger beyond the server's limit: that is done at the machine, by the commands.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Path, Request

from token_ledger.api import bodies, upkeep
from token_ledger.api.problems import Refusal, documented
from token_ledger.api.routes.common import Limit, ledger_of, router
from token_ledger.check import check as run_check
from token_ledger.ledger import Ledger, queries

FindingPath = Annotated[
    str, Path(pattern="^(0x)?[0-9a-f]{8,64}$", description="Its id, or 8 digits of it at least.")
]
reads, admins = router("read", "upkeep"), router("admin", "upkeep")


@asynccontextmanager
async def _alone(request: Request) -> AsyncIterator[None]:
    """Let one run at a time, of a ledger that is not too large."""
    state = request.app.state
    if state.upkeep.locked():
        wait = {"Retry-After": "10"}
        raise Refusal(429, "upkeep_under_way", "a check or a recalc is running", headers=wait)
    async with state.upkeep:
        highest = await ledger_of(request).call(_highest_entry)
        if highest > state.limits.upkeep_entries_max:
            raise Refusal(
                422,
                "ledger_too_large",
                f"beyond {state.limits.upkeep_entries_max} entries this is not done over HTTP:"
                " run `token-ledger check` or `token-ledger recalc` at the machine",
            )
        yield


def _highest_entry(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return queries.highest_entry(connection)


@admins.get("/check", responses=documented(422))
async def check(request: Request) -> upkeep.CheckOut:
    """Prove every invariant of the whole database, of all its tokens; writers may be at work.

    Refused with 422 on a ledger of more entries than the server's limit, and with 429 while another
    check or recalculation runs.
    """
    async with _alone(request):
        result = await ledger_of(request).call(run_check)
    return upkeep.check_out(result)


@admins.post("/recalc", responses=documented(422))
async def recalc(request: Request, body: bodies.RecalcIn) -> upkeep.RecalcOut:
    """Recompute every cached figure from the entries; correct what drifted unless `dry_run`.

    Nothing is changed by default. Refused as `check` is.
    """
    async with _alone(request):
        result = await ledger_of(request).recalc(dry_run=body.dry_run)
    return upkeep.recalc_out(result)


@admins.get("/findings", responses=documented())
async def list_findings(request: Request, limit: Limit = 1000) -> upkeep.FindingList:
    """Return what runs of `reconcile` found, those seen last first."""
    ledger = ledger_of(request)
    found, now = await ledger.findings(limit), ledger.ledger.now()
    return upkeep.FindingList(findings=[upkeep.stored_finding_out(known, now) for known in found])


@admins.post("/findings/{finding_id}/acknowledge", responses=documented(404))
async def acknowledge(
    request: Request, finding_id: FindingPath, body: bodies.AcknowledgementIn
) -> upkeep.StoredFindingOut:
    """Let a finding stand apart until a time, with the figures that it was last seen with."""
    ledger = ledger_of(request)
    known = await ledger.acknowledge_finding(
        finding_id, reason=body.reason, by=body.by, until=body.until
    )
    return upkeep.stored_finding_out(known, ledger.ledger.now())


@admins.post("/findings/{finding_id}/withdraw", responses=documented(404))
async def withdraw(
    request: Request, finding_id: FindingPath, body: bodies.WithdrawalIn
) -> upkeep.StoredFindingOut:
    """Take an acknowledgement back: the finding is open again."""
    ledger = ledger_of(request)
    known = await ledger.withdraw_acknowledgement(finding_id, reason=body.reason, by=body.by)
    return upkeep.stored_finding_out(known, ledger.ledger.now())


@reads.get("/tokens", responses=documented())
async def list_tokens(request: Request) -> upkeep.TokenList:
    """Return the ledger's tokens, oldest first. The server serves one of them."""
    ledger = ledger_of(request)
    found = await ledger.tokens()
    return upkeep.TokenList(
        tokens=[*map(upkeep.token_out, found)], served=ledger.ledger.token.symbol
    )


@admins.post("/tokens", status_code=201, responses=documented(409, 422))
async def create_token(request: Request, body: bodies.TokenIn) -> upkeep.TokenOut:
    """Make one more token. The server goes on serving its own; another one serves the new."""
    made = await ledger_of(request).create_token(
        body.symbol, body.name, body.decimals, body.max_supply
    )
    return upkeep.token_out(made)


ROUTERS = (reads, admins)
