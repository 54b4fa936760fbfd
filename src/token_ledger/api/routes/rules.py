"""Earning rules: what actions earn, in versions."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import Path, Query, Request

from token_ledger.api import bodies, terms
from token_ledger.api.problems import documented
from token_ledger.api.routes.common import ledger_of, router

Action = Annotated[str, Path(min_length=1, max_length=200)]
reads, admins = router("read", "rules"), router("admin", "rules")


@reads.get("/rules", responses=documented())
async def list_rules(
    request: Request,
    action: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
    history: Annotated[bool, Query(description="Every version that ever was.")] = False,
) -> terms.RuleList:
    """Return the rules in force, by action."""
    found = await ledger_of(request).rules(action, history=history)
    return terms.RuleList(rules=[*map(terms.rule_out, found)])


@reads.get("/rules/{action:path}", responses=documented(404))
async def get_rule(
    request: Request,
    action: Action,
    version: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> terms.RuleOut:
    """Return a rule's latest version, retired or not, or the one named."""
    return terms.rule_out(await ledger_of(request).get_rule(action, version))


@admins.put("/rules/{action:path}", responses=documented(404, 422))
async def set_rule(request: Request, action: Action, body: bodies.RuleIn) -> terms.RuleOut:
    """Say what an action earns from now on; the same words again change nothing."""
    made = await ledger_of(request).set_rule(
        action,
        body.base_amount,
        body.multiplier,
        count_max=body.count_max,
        amount_max=body.amount_max,
        period=None if body.period_s is None else dt.timedelta(seconds=body.period_s),
        total_max=body.total_max,
    )
    return terms.rule_out(made)


@admins.delete("/rules/{action:path}", responses=documented(404))
async def retire_rule(request: Request, action: Action) -> terms.RuleOut:
    """Let an action earn nothing from now on; its versions stay."""
    return terms.rule_out(await ledger_of(request).retire_rule(action))


ROUTERS = (reads, admins)
