"""The application: routes, guard and problems put together, and the server that runs it."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import uvicorn
from fastapi import FastAPI

from token_ledger.api.guard import Counts, Guard, JsonLines, Limits, Rates
from token_ledger.api.problems import Problem, install
from token_ledger.api.routes import ROUTERS
from token_ledger.ledger import AsyncLedger, Ledger


def create_app(
    ledger: Ledger, *, public_read: bool = False, limits: Limits | None = None
) -> FastAPI:
    """Return the ASGI application of a ledger, which it closes when it shuts down.

    `public_read`: reading needs no key.
    """
    chosen = limits or Limits()
    # Better an error now than at the first request; and it stays the one when others are made.
    ledger.use(ledger.token.symbol)
    awaited = AsyncLedger(ledger)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await awaited.close()

    app = FastAPI(
        title="token-ledger",
        version=version("token-ledger"),
        description="A double-entry token ledger. Amounts are strings; errors are RFC 9457.",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.ledger, app.state.public_read = awaited, public_read
    app.state.rates, app.state.counts = Rates(chosen), Counts()
    app.state.limits, app.state.upkeep = chosen, asyncio.Lock()
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(Guard, limits=chosen, counts=app.state.counts)
    install(app)
    _complete_openapi(app)
    return app


def _complete_openapi(app: FastAPI) -> None:
    """Name the problem's schema, and leave out the errors that FastAPI would have sent."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        schemas = document["components"]["schemas"]
        schemas["Problem"] = Problem.model_json_schema()
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for path in document["paths"].values():
            for operation in path.values():
                unreadable = operation["responses"].get("422", {})
                if "HTTPValidationError" in str(unreadable):
                    del operation["responses"]["422"]
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def serve(app: FastAPI, *, host: str, port: int) -> None:
    """Serve an application until it is told to stop; log lines are JSON on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("token_ledger.api")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    # uvicorn's own access log would hold paths, and those account ids.
    uvicorn.run(app, host=host, port=port, access_log=False, log_level="warning")
