"""What watches the service: health and metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from token_ledger.api import models
from token_ledger.api.guard import need
from token_ledger.api.problems import documented
from token_ledger.api.routes.common import ledger_of

service = APIRouter(tags=["service"])


@service.get("/health", responses={503: documented()[503]})
async def health(request: Request) -> models.Health:
    """Say whether the service and its database answer. Needs no key and tells nothing else."""
    await ledger_of(request).tokens()
    return models.Health(status="ok")


@service.get(
    "/metrics",
    dependencies=[need("read")],
    response_class=PlainTextResponse,
    responses=documented(),
)
async def metrics(request: Request) -> PlainTextResponse:
    """Return counts of requests, in Prometheus' text format."""
    return PlainTextResponse(
        request.app.state.counts.text(), media_type="text/plain; version=0.0.4"
    )


ROUTERS = (service,)
