"""Holds: set aside, capture, release, expire."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from token_ledger.api import bodies, models, terms
from token_ledger.api.problems import documented
from token_ledger.api.routes.common import EntryPath, Key, answer, ledger_of, posts, router

reads, writes = router("read", "holds"), router("write", "holds")


@reads.get("/holds", responses=documented())
async def list_holds(
    request: Request,
    account: Annotated[str | None, Query(min_length=1, max_length=1000)] = None,
) -> terms.HoldList:
    """Return the holds that have not ended, of an account or of all: the 1,000 oldest."""
    found = await ledger_of(request).holds(account)
    return terms.HoldList(holds=[*map(terms.hold_out, found)])


@reads.get("/holds/{hold_id}", responses=documented(404, 422))
async def get_hold(request: Request, hold_id: EntryPath) -> terms.HoldOut:
    """Return one hold, ended or not."""
    return terms.hold_out(await ledger_of(request).get_hold(hold_id))


@writes.post("/holds", **posts())
async def hold(
    request: Request, response: Response, body: bodies.HoldIn, key: Key = None
) -> models.PostedOut:
    """Set an amount of an account aside; the result's id is the hold's."""
    posted = await ledger_of(request).hold(
        body.account_id,
        body.amount,
        expires_at=body.expires_at,
        reason=body.reason,
        memo=body.memo,
        idempotency_key=key,
    )
    return answer(response, posted)


@writes.post("/expire", responses=documented(409))
async def expire(request: Request) -> terms.ExpiredOut:
    """Release every hold that has expired."""
    return terms.ExpiredOut(expired=await ledger_of(request).expire_holds())


@writes.post("/holds/{hold_id}/capture", **posts())
async def capture(
    request: Request,
    response: Response,
    hold_id: EntryPath,
    body: bodies.CaptureIn,
    key: Key = None,
) -> models.PostedOut:
    """Pay a held amount, or all that is left of it, to an account or back to the issuer."""
    posted = await ledger_of(request).capture(
        hold_id, body.amount, to=body.to, reason=body.reason, memo=body.memo, idempotency_key=key
    )
    return answer(response, posted)


@writes.post("/holds/{hold_id}/release", **posts())
async def release(
    request: Request,
    response: Response,
    hold_id: EntryPath,
    body: bodies.ReleaseIn,
    key: Key = None,
) -> models.PostedOut:
    """Give what is left of a hold back to its holder."""
    posted = await ledger_of(request).release(
        hold_id, reason=body.reason, memo=body.memo, idempotency_key=key
    )
    return answer(response, posted)


ROUTERS = (reads, writes)
