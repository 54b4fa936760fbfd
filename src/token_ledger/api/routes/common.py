"""What routes share: a router of a scope, parameters, the ledger, how a posting is answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query, Request, Response
from fastapi.routing import APIRoute

from token_ledger.api import models
from token_ledger.api.guard import need
from token_ledger.api.problems import Refusal, documented
from token_ledger.errors import TokenLedgerError
from token_ledger.ledger import AsyncLedger, Awarded, Posted

AccountPath = Annotated[str, Path(min_length=1, max_length=1000)]
EntryPath = Annotated[str, Path(pattern="^0x[0-9a-fA-F]{64}$", description="0x and 64 digits.")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=40, pattern="^[0-9]{1,18}$")]
KEY_HEADER = (
    "The same request again under one key is posted once, and answered as the first was. ASCII:"
    " what else a header holds has no one reading, and another reading would be another key."
)
_KEY_NAME = "Idempotency-Key"
Key = Annotated[
    str | None,
    Header(
        alias=_KEY_NAME,
        min_length=1,
        max_length=8_000,
        pattern="^[!-~]([ -~]*[!-~])?$",
        description=KEY_HEADER,
    ),
]
REPLAYED = "Idempotent-Replayed"


def router(scope: str, concept: str) -> APIRouter:
    """Return a router of one concept, which only keys with a scope pass."""
    return APIRouter(
        prefix="/api/token",
        dependencies=[need(scope), Depends(_check_one_key)],
        tags=[concept],
        route_class=_Route,
    )


def _check_one_key(request: Request) -> None:
    """Raise the refusal of a request with two keys: either might be the one that was meant."""
    if len(request.headers.getlist(_KEY_NAME)) > 1:
        raise Refusal(400, "bad_request", f"more than one {_KEY_NAME}")


class _Request(Request):
    """A request whose JSON names each member once: of two amounts neither is what was meant."""

    async def json(self) -> Any:
        """Return the body's value. Raises HTTPException for an object that names one twice."""
        if not hasattr(self, "_json"):
            self._json = json.loads(await self.body(), object_pairs_hook=_each_once)
        return self._json


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise HTTPException(400, "an object of the body names a member twice")
    return members


class _Route(APIRoute):
    """A route that reads bodies so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handle = super().get_route_handler()

        async def read(request: Request) -> Response:
            return await handle(_Request(request.scope, request.receive))

        return read


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
