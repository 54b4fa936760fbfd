"""The routes: each parses, calls one verb and serializes. Decides nothing."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse

from token_ledger.api import models
from token_ledger.api.guard import need, require
from token_ledger.api.problems import documented
from token_ledger.core.files import header_to_json, proof_to_json
from token_ledger.core.parse import format_amount
from token_ledger.core.strict import to_hex
from token_ledger.ledger import AsyncLedger, Ledger, Posted, batches
from token_ledger.ledger.queries import parse_entry_id
from token_ledger.prove import prove

AccountPath = Annotated[str, Path(min_length=1, max_length=255)]
EntryPath = Annotated[str, Path(pattern="^0x[0-9a-fA-F]{64}$", description="0x and 64 digits.")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=40, pattern="^[0-9]{1,18}$")]
KEY_HEADER = "The same request again under one key is posted once, and answered as the first was."
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=255, description=KEY_HEADER)]

reads = APIRouter(prefix="/api/token", dependencies=[need("read")], tags=["read"])
writes = APIRouter(prefix="/api/token", dependencies=[need("write")], tags=["write"])
mints = APIRouter(prefix="/api/token", dependencies=[need("mint")], tags=["mint"])
service = APIRouter(tags=["service"])


def _ledger(request: Request) -> AsyncLedger:
    ledger: AsyncLedger = request.app.state.ledger
    return ledger


@reads.get("/balance/{account_id}", responses=documented())
async def get_balance(request: Request, account_id: AccountPath) -> models.BalanceOut:
    """Return a balance: 0 for an account that does not exist."""
    ledger = _ledger(request)
    value = await ledger.get_balance(account_id)
    token = ledger.ledger.token
    return models.BalanceOut(
        account_id=account_id,
        token=token.symbol,
        amount=format_amount(value, decimals=token.decimals),
        value=str(value),
    )


@reads.get("/supply", responses=documented())
async def get_supply(request: Request) -> models.SupplyOut:
    """Return the token's supply."""
    ledger = _ledger(request)
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
    account: Annotated[str, Query(min_length=1, max_length=255)],
    since: Annotated[str | None, Query(description="RFC 3339, with a zone.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> models.LedgerPage:
    """Return an account's entries, the last posted first."""
    page = await _ledger(request).get_statement(account, since, limit, cursor)
    return models.LedgerPage(entries=[*map(models.entry_out, page.entries)], cursor=page.cursor)


@reads.get("/entries/{entry_id}", responses=documented(404))
async def get_entry(request: Request, entry_id: EntryPath) -> models.EntryOut:
    """Return one entry."""
    return models.entry_out(await _ledger(request).get_entry(entry_id))


@reads.get("/accounts", responses=documented())
async def list_accounts(
    request: Request, limit: Limit = 50, cursor: Cursor = None
) -> models.AccountPage:
    """Return accounts, oldest first."""
    accounts, following = await _ledger(request).accounts(limit, cursor)
    return models.AccountPage(accounts=[*map(models.account_out, accounts)], cursor=following)


@reads.get("/accounts/{account_id}", responses=documented(404))
async def get_account(request: Request, account_id: AccountPath) -> models.AccountOut:
    """Return one account."""
    return models.account_out(await _ledger(request).get_account(account_id))


@reads.get("/batches", responses=documented())
async def list_batches(
    request: Request,
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
    limit: Limit = 50,
) -> models.BatchPage:
    """Return the headers of sealed batches, in order."""

    def read(ledger: Ledger) -> list[models.BatchOut]:
        token = ledger.token
        with ledger.read() as connection:
            found = batches.read_headers(connection, token, after=after, limit=limit)
        return [
            models.BatchOut(number=h.number, digest=to_hex(digest), header=header_to_json(h))
            for h, digest in found
        ]

    return models.BatchPage(batches=await _ledger(request).call(read))


@reads.get("/proofs/{entry_id}", responses=documented(404))
async def get_proof(request: Request, entry_id: EntryPath) -> dict[str, Any]:
    """Return the proof file of a sealed entry; it opens no texts."""
    proof = await _ledger(request).call(prove, parse_entry_id(entry_id))
    return proof_to_json(proof)


@writes.post("/accounts", status_code=201, responses=documented(404, 409, 422))
async def create_account(request: Request, body: models.AccountIn) -> models.AccountOut:
    """Make an account. With an initial balance the key needs the scope `mint` as well."""
    if body.initial_balance is not None:
        require(request.state.key, "mint")
    account = await _ledger(request).create_account(
        body.account_id, address=body.address, initial_balance=body.initial_balance
    )
    return models.account_out(account)


@writes.post("/transfer", status_code=201, responses=documented(404, 409, 422))
async def transfer(
    request: Request, response: Response, body: models.TransferIn, key: Key = None
) -> models.PostedOut:
    """Move an amount from one account to another."""
    posted = await _ledger(request).transfer(
        body.from_account, body.to_account, body.amount, **body.keywords(key)
    )
    return _answer(response, posted)


@mints.post("/mint", status_code=201, responses=documented(404, 409, 422))
async def mint(
    request: Request, response: Response, body: models.OneSided, key: Key = None
) -> models.PostedOut:
    """Issue an amount to an account."""
    ledger = _ledger(request)
    return _answer(response, await ledger.mint(body.account_id, body.amount, **body.keywords(key)))


@mints.post("/burn", status_code=201, responses=documented(404, 409, 422))
async def burn(
    request: Request, response: Response, body: models.OneSided, key: Key = None
) -> models.PostedOut:
    """Take an amount back from an account."""
    ledger = _ledger(request)
    return _answer(response, await ledger.burn(body.account_id, body.amount, **body.keywords(key)))


def _answer(response: Response, posted: Posted) -> models.PostedOut:
    if posted.repeated:
        response.headers["Idempotent-Replayed"] = "true"
    return models.posted_out(posted)


@service.get("/health", responses={503: documented()[503]})
async def health(request: Request) -> models.Health:
    """Say whether the service and its database answer. Needs no key and tells nothing else."""
    await _ledger(request).tokens()
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


ROUTERS = (reads, writes, mints, service)
