"""The verbs that post: transfer, spend, mint and credit, burn and debit, award, reverse, lists.

What issues tokens, and what takes them back without being a payment, needs the scope `mint`; what
an account pays needs `write`; what undoes an entry needs `admin`.
"""

from __future__ import annotations

from fastapi import Request, Response

from token_ledger.api import bodies, models
from token_ledger.api.guard import require
from token_ledger.api.routes.common import (
    EntryPath,
    Key,
    answer,
    answer_award,
    answer_list,
    ledger_of,
    posts,
    router,
)
from token_ledger.core.types import SYSTEM
from token_ledger.errors import TokenLedgerError
from token_ledger.ledger import Ledger, Posted

writes, mints = router("write", "postings"), router("mint", "postings")
admins = router("admin", "postings")


@writes.post("/transfer", **posts())
async def transfer(
    request: Request, response: Response, body: bodies.TransferIn, key: Key = None
) -> models.PostedOut:
    """Move an amount from one account to another."""
    posted = await ledger_of(request).transfer(
        body.from_account, body.to_account, body.amount, **body.keywords(key)
    )
    return answer(response, posted)


@writes.post("/spend", **posts())
async def spend(
    request: Request, response: Response, body: bodies.SpendIn, key: Key = None
) -> models.PostedOut:
    """Let an account pay: another, or the issuer where nobody is named."""
    posted = await ledger_of(request).spend(
        body.account_id, body.amount, to=body.to, **body.keywords(key)
    )
    return answer(response, posted)


@mints.post("/mint", **posts())
async def mint(
    request: Request, response: Response, body: bodies.OneSided, key: Key = None
) -> models.PostedOut:
    """Issue an amount to an account."""
    ledger = ledger_of(request)
    return answer(response, await ledger.mint(body.account_id, body.amount, **body.keywords(key)))


@mints.post("/credit", **posts())
async def credit(
    request: Request, response: Response, body: bodies.CreditIn, key: Key = None
) -> models.PostedOut:
    """Issue an amount to an account, as `mint`; with an account that may be missing yet."""
    posted = await ledger_of(request).credit(
        body.account_id, body.amount, create_account=body.create_account, **body.keywords(key)
    )
    return answer(response, posted)


@mints.post("/burn", **posts())
async def burn(
    request: Request, response: Response, body: bodies.OneSided, key: Key = None
) -> models.PostedOut:
    """Take an amount back from an account."""
    ledger = ledger_of(request)
    return answer(response, await ledger.burn(body.account_id, body.amount, **body.keywords(key)))


@mints.post("/debit", **posts())
async def debit(
    request: Request, response: Response, body: bodies.OneSided, key: Key = None
) -> models.PostedOut:
    """Take an amount back from an account, as `burn`."""
    ledger = ledger_of(request)
    return answer(response, await ledger.debit(body.account_id, body.amount, **body.keywords(key)))


@mints.post("/award", **posts())
async def award(
    request: Request, response: Response, body: bodies.AwardIn, key: Key = None
) -> models.AwardedOut:
    """Give an account what an action earns by the rule in force; make it if it is missing."""
    awarded = await ledger_of(request).award(
        body.account_id,
        body.action,
        body.factor,
        create_account=body.create_account,
        **body.keywords(key),
    )
    return answer_award(response, awarded)


@admins.post("/entries/{entry_id}/reverse", **posts())
async def reverse(
    request: Request,
    response: Response,
    entry_id: EntryPath,
    body: bodies.ReverseIn,
    key: Key = None,
) -> models.PostedOut:
    """Send an entry's amount back, or a part of it, once."""
    posted = await ledger_of(request).reverse(
        entry_id, body.amount, reason=body.reason, memo=body.memo, idempotency_key=key
    )
    return answer(response, posted)


@writes.post("/postings", **posts(status=200))
async def post_many(
    request: Request, response: Response, body: bodies.PostingsIn, key: Key = None
) -> models.ItemsOut:
    """Post a list: all or none, or with `atomic` false those that may be posted.

    Under the header's key, which is the whole list's, the same list again is posted once and any
    other is refused (409); its postings then bear no keys of their own. Of a list with `atomic`
    false what was refused is tried again. Where `system` is on a side the key needs `mint`.
    """
    if any(SYSTEM in (one.from_account, one.to_account) for one in body.postings):
        require(request.state.key, "mint")

    def post(ledger: Ledger) -> list[Posted | TokenLedgerError]:
        records = [
            ledger.record(
                one.from_account,
                one.to_account,
                one.amount,
                **one.keywords(one.idempotency_key),
            )
            for one in body.postings
        ]
        return ledger.post_many(records, atomic=body.atomic, idempotency_key=key)

    outcomes = await ledger_of(request).call(post)
    return models.ItemsOut(items=answer_list(response, outcomes))


ROUTERS = (writes, mints, admins)
