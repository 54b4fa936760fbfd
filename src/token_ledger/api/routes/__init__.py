"""The routes, a module a concept: each parses, calls one verb and serializes. Decides nothing."""

from __future__ import annotations

from token_ledger.api.routes import (
    accounts,
    batches,
    entries,
    holds,
    postings,
    rules,
    service,
    upkeep,
)

ROUTERS = (
    *accounts.ROUTERS,
    *postings.ROUTERS,
    *holds.ROUTERS,
    *rules.ROUTERS,
    *entries.ROUTERS,
    *batches.ROUTERS,
    *upkeep.ROUTERS,
    *service.ROUTERS,
)
