"""Sealed batches and proofs: files that need no database, as `export` and `prove` write them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request, Response

from token_ledger.api import models
from token_ledger.api.guard import require
from token_ledger.api.problems import documented
from token_ledger.api.routes.common import EntryPath, Limit, ledger_of, router
from token_ledger.core.files import batch_to_json, header_to_json, proof_to_json
from token_ledger.core.strict import encode, to_hex
from token_ledger.errors import UsageError
from token_ledger.ledger import Ledger, batches
from token_ledger.ledger.queries import parse_entry_id
from token_ledger.prove import prove

reads = router("read", "batches")


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

    return models.BatchPage(batches=await ledger_of(request).call(read))


@reads.get("/batches/{number}", responses=documented(404), response_model=dict[str, Any])
async def get_batch(request: Request, number: Annotated[int, Path(ge=1, le=2**62)]) -> Response:
    """Return the file of a batch, byte for byte as `export` writes it."""

    def read(ledger: Ledger) -> bytes:
        token = ledger.token
        with ledger.read() as connection:
            return encode(batch_to_json(batches.read_batch(connection, token, number)))

    return _file(await ledger_of(request).call(read))


@reads.get("/proofs/{entry_id}", responses=documented(404, 422), response_model=dict[str, Any])
async def get_proof(
    request: Request,
    entry_id: EntryPath,
    opened: Annotated[
        bool, Query(description="With salt and texts; the key needs the scope `admin`.")
    ] = False,
) -> Response:
    """Return the proof file of a sealed entry, byte for byte as `prove` writes it."""
    if opened:
        key = getattr(request.state, "key", None)
        if key is None:
            raise UsageError("an opened proof needs a key", hint="send one that has `admin`")
        require(key, "admin")
    proof = await ledger_of(request).call(prove, parse_entry_id(entry_id), open_texts=opened)
    return _file(encode(proof_to_json(proof)))


def _file(content: bytes) -> Response:
    return Response(content, media_type="application/json")


ROUTERS = (reads,)
