"""What routes share: a router of a scope, parameters, the ledger, how a posting is answered."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response

from token_ledger.api import models
from token_ledger.api.guard import need
from token_ledger.api.problems import documented
from token_ledger.errors import TokenLedgerError
from token_ledger.ledger import AsyncLedger, Awarded, Posted

AccountPath = Annotated[str, Path(min_length=1, max_length=1000)]
EntryPath = Annotated[str, Path(pattern="^0x[0-9a-fA-F]{64}$", description="0x and 64 digits.")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=40, pattern="^[0-9]{1,18}$")]
KEY_HEADER = "The same request again under one key is posted once, and answered as the first was."
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=255, description=KEY_HEADER),
]
REPLAYED = "Idempotent-Replayed"


def router(scope: str, concept: str) -> APIRouter:
    """Return a router of one concept, which only keys with a scope pass."""
    return APIRouter(prefix="/api/token", dependencies=[need(scope)], tags=[concept])


def ledger_of(request: Request) -> AsyncLedger:
    """Return the ledger that is served."""
    ledger: AsyncLedger = request.app.state.ledger
    return ledger


def posts(*statuses: int, status: int = 201) -> dict[str, Any]:
    """Return what OpenAPI says of a route that posts, and answers so with `status`."""
    said = "`true` where an earlier request under the key had posted it."
    replayed = {REPLAYED: {"description": said, "schema": {"type": "string", "enum": ["true"]}}}
    problems = documented(404, 409, 422, *statuses)
    return {"status_code": status, "responses": {**problems, status: {"headers": replayed}}}


def answer(response: Response, posted: Posted) -> models.PostedOut:
    """Return what a posting became, marked where it is a repeat."""
    _mark(response, posted)
    return models.posted_out(posted)


def answer_award(response: Response, awarded: Awarded) -> models.AwardedOut:
    """Return what an award became, marked where it is a repeat."""
    _mark(response, awarded)
    return models.awarded_out(awarded)


def answer_list(
    response: Response, outcomes: list[Posted | TokenLedgerError]
) -> list[models.ItemOut]:
    """Return what a list became, marked where all of it that is posted was posted before."""
    posted = [outcome for outcome in outcomes if isinstance(outcome, Posted)]
    if posted and all(one.repeated for one in posted):
        _mark(response, posted[0])
    return [models.item_out(outcome) for outcome in outcomes]


def _mark(response: Response, posted: Posted) -> None:
    if posted.repeated:
        response.headers[REPLAYED] = "true"
