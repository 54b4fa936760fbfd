"""Errors as RFC 9457 problems: the one mapping from errors to HTTP statuses.

`code` is stable and for programs. A 5xx says no more than its code: what a database says about
itself is for the log, not for callers.
"""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Route

from token_ledger.errors import (
    AccountExistsError,
    InputError,
    KeyConflictError,
    NotReadyError,
    RuleError,
    TokenExistsError,
    TokenFinalizedError,
    TokenLedgerError,
    UnavailableError,
    UnknownAccountError,
    UnknownBatchError,
    UnknownEntryError,
    UnknownFindingError,
    UnknownHoldError,
    UnknownRuleError,
    UnknownTokenError,
)

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger("token_ledger.api")

_STATUSES: tuple[tuple[type[TokenLedgerError], int], ...] = (
    (UnknownAccountError, 404),
    (UnknownEntryError, 404),
    (UnknownBatchError, 404),
    (UnknownTokenError, 404),
    (UnknownRuleError, 404),
    (UnknownFindingError, 404),
    (UnknownHoldError, 404),
    (KeyConflictError, 409),
    (AccountExistsError, 409),
    (TokenExistsError, 409),
    (NotReadyError, 409),
    (TokenFinalizedError, 409),
    (RuleError, 422),
    (InputError, 400),
    (UnavailableError, 503),
)
TITLES = {
    400: "Bad request",
    401: "A key is needed",
    403: "The key does not open this",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    422: "Refused",
    429: "Too many requests",
    500: "Unexpected",
    503: "Unavailable",
}


class Problem(BaseModel):
    """What went wrong (RFC 9457). `code` is stable."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str | None = None


class Refusal(Exception):  # noqa: N818 — no error of the ledger: HTTP alone refuses so
    """A request that never reaches the ledger."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers = status, code, detail, headers


def answer(
    status: int,
    code: str,
    detail: str,
    *,
    hint: str | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Return a problem as a response."""
    problem = Problem(
        type=f"urn:token-ledger:problem:{code}",
        title=TITLES.get(status, "Error"),
        status=status,
        detail=detail,
        code=code,
        hint=hint,
    )
    body = problem.model_dump(exclude_none=True)
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def status_of(error: TokenLedgerError) -> int:
    """Return the HTTP status of an error of the ledger."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of these error statuses, and of those that every route has."""
    everywhere = (400, 401, 403, 405, 413, 429, 503)
    return {
        status: {
            "description": TITLES[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({*everywhere, *statuses})
    }


async def _ledger_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TokenLedgerError)
    status = status_of(error)
    if status < 500:
        return answer(status, error.code, error.message, hint=error.hint)
    log.error("unavailable", extra={"fields": {"code": error.code}})
    return answer(
        status,
        error.code,
        "it could not be done now",
        hint="try again",
        headers={"Retry-After": "1"},
    )


async def _refusal(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    return answer(error.status, error.code, error.detail, headers=error.headers)


def _allowed(request: Request) -> str:
    """Return the methods of a path: each is a route of its own, and the first names its own."""
    path = request.scope["path"]
    found = [
        route.methods
        for route in request.app.routes
        if isinstance(route, Route) and route.methods and route.path_regex.match(path)
    ]
    return ", ".join(sorted({method for methods in found for method in methods}))


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = None if error.headers is None else dict(error.headers)
    if error.status_code == 405:
        headers = {"Allow": _allowed(request)}
    return answer(
        error.status_code, f"http_{error.status_code}", str(error.detail), headers=headers
    )


async def _unreadable(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    places = "; ".join(
        f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:10]
    )
    return answer(400, "bad_request", places.encode("utf-8", "replace").decode())


def install(app: FastAPI) -> None:
    """Answer every error of an application as a problem."""
    app.add_exception_handler(TokenLedgerError, _ledger_error)
    app.add_exception_handler(Refusal, _refusal)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _unreadable)
