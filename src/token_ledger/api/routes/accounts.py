"""Accounts, their balances, and what they may do."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import Query, Request

from token_ledger.api import bodies, models, terms
from token_ledger.api.guard import require
from token_ledger.api.problems import documented
from token_ledger.api.routes.common import AccountPath, Cursor, Limit, ledger_of, router
from token_ledger.core.parse import format_amount
from token_ledger.errors import UsageError

reads, writes = router("read", "accounts"), router("write", "accounts")
mints, admins = router("mint", "accounts"), router("admin", "accounts")


@reads.get("/balance/{account_id:path}", responses=documented(404))
async def get_balance(
    request: Request,
    account_id: AccountPath,
    at_time: Annotated[str | None, Query(description="As of then: RFC 3339, zoned.")] = None,
    at_entry: Annotated[
        str | None,
        Query(pattern="^(0x[0-9a-fA-F]{64}|[0-9]{1,18})$", description="As of an entry."),
    ] = None,
) -> models.BalanceOut | models.BalanceAtOut:
    """Return a balance, now or as it was: 0 for an account that does not exist."""
    ledger = ledger_of(request)
    if at_time is None and at_entry is None:
        value = await ledger.get_balance(account_id)
        token = ledger.ledger.token
        return models.BalanceOut(
            account_id=account_id,
            token=token.symbol,
            amount=format_amount(value, decimals=token.decimals),
            value=str(value),
        )
    entry = int(at_entry) if at_entry and at_entry.isdigit() else at_entry
    found = await ledger.get_balance_at(account_id, entry=entry, time=at_time)
    return models.BalanceAtOut(
        account_id=account_id,
        token=ledger.ledger.token.symbol,
        amount=found.amount,
        value=str(found.value),
        entry_no=found.entry_no,
        back_dated=found.back_dated,
        debt=format_amount(found.debt, decimals=found.decimals),
    )


@reads.get("/accounts", responses=documented())
async def list_accounts(
    request: Request, limit: Limit = 50, cursor: Cursor = None
) -> models.AccountPage:
    """Return accounts, oldest first."""
    accounts, following = await ledger_of(request).accounts(limit, cursor)
    return models.AccountPage(accounts=[*map(models.account_out, accounts)], cursor=following)


@reads.get("/debtors", responses=documented())
async def list_debtors(
    request: Request, limit: Limit = 50, cursor: Cursor = None
) -> models.AccountPage:
    """Return the accounts that owe something, oldest first."""
    accounts, following = await ledger_of(request).debtors(limit, cursor)
    return models.AccountPage(accounts=[*map(models.account_out, accounts)], cursor=following)


@reads.get("/accounts/{account_id:path}", responses=documented(404))
async def get_account(request: Request, account_id: AccountPath) -> models.AccountOut:
    """Return one account."""
    return models.account_out(await ledger_of(request).get_account(account_id))


@writes.post("/accounts", status_code=201, responses=documented(404, 409, 422))
async def create_account(request: Request, body: bodies.AccountIn) -> models.AccountOut:
    """Make an account. With an initial balance the key needs the scope `mint` as well."""
    if body.initial_balance is not None:
        require(request.state.key, "mint")
    account = await ledger_of(request).create_account(
        body.account_id,
        address=body.address,
        initial_balance=body.initial_balance,
        exist_ok=body.exist_ok,
    )
    return models.account_out(account)


@mints.post("/seed", responses=documented(409, 422))
async def seed(request: Request, body: bodies.SeedIn) -> models.SeededOut:
    """Endow every account that was never endowed; again, it changes nothing."""
    count = await ledger_of(request).seed_accounts(body.amount, reason=body.reason)
    return models.SeededOut(seeded=count)


@admins.post("/accounts/{account_id:path}/freeze", responses=documented(404, 422))
async def freeze(request: Request, account_id: AccountPath) -> models.AccountOut:
    """Let an account spend nothing until it is unfrozen."""
    return models.account_out(await ledger_of(request).freeze_account(account_id))


@admins.post("/accounts/{account_id:path}/unfreeze", responses=documented(404, 422))
async def unfreeze(request: Request, account_id: AccountPath) -> models.AccountOut:
    """Let a frozen account spend again."""
    return models.account_out(await ledger_of(request).unfreeze_account(account_id))


@admins.post("/accounts/{account_id:path}/close", responses=documented(404, 422))
async def close(request: Request, account_id: AccountPath) -> models.AccountOut:
    """Close an empty account for ever."""
    return models.account_out(await ledger_of(request).close_account(account_id))


@admins.post("/accounts/{account_id:path}/write-off", responses=documented(404, 422))
async def write_off(
    request: Request, account_id: AccountPath, body: bodies.WriteOffIn
) -> terms.WriteOffOut:
    """Let an account owe nothing any more, knowingly."""
    done = await ledger_of(request).write_off(account_id, by=body.by, reason=body.reason)
    return terms.write_off_out(done)


@admins.get("/write-offs", responses=documented())
async def list_write_offs(request: Request, limit: Limit = 50) -> terms.WriteOffList:
    """Return the debts that were let go, the last first."""
    found = await ledger_of(request).write_offs(limit)
    return terms.WriteOffList(write_offs=[*map(terms.write_off_out, found)])


@admins.put("/limits/balance", responses=documented(422))
async def limit_balances(request: Request, body: bodies.MaximumIn) -> terms.LimitOut:
    """Limit what every account may hold that has no limit of its own."""
    await ledger_of(request).limit_balance(None, body.maximum)
    return terms.LimitOut(account_id=None, maximum=body.maximum)


@admins.put("/accounts/{account_id:path}/limits/balance", responses=documented(404, 422))
async def limit_balance(
    request: Request, account_id: AccountPath, body: bodies.MaximumIn
) -> terms.LimitOut:
    """Limit what an account may hold, its holds included."""
    await ledger_of(request).limit_balance(account_id, body.maximum)
    return terms.LimitOut(account_id=account_id, maximum=body.maximum)


@admins.put("/accounts/{account_id:path}/limits/spending", responses=documented(404, 422))
async def limit_spending(
    request: Request, account_id: AccountPath, body: bodies.SpendingLimitIn
) -> terms.LimitOut:
    """Limit what an account may spend in each period."""
    if (body.maximum is None) != (body.period_s is None):
        raise UsageError("a limit of spending is an amount and a period", hint="give both")
    period = None if body.period_s is None else dt.timedelta(seconds=body.period_s)
    await ledger_of(request).limit_spending(account_id, body.maximum, period)
    return terms.LimitOut(account_id=account_id, maximum=body.maximum, period_s=body.period_s)


@admins.put("/accounts/{account_id:path}/limits/overdraft", responses=documented(404, 422))
async def limit_overdraft(
    request: Request, account_id: AccountPath, body: bodies.MaximumIn
) -> terms.LimitOut:
    """Let an account go below zero by so much at most."""
    await ledger_of(request).limit_overdraft(account_id, body.maximum)
    return terms.LimitOut(account_id=account_id, maximum=body.maximum)


ROUTERS = (reads, writes, mints, admins)
