"""A FastAPI service that awards on publish, cite and remix.

    uvicorn --factory examples.content_rewards:create_app

What an action earns is a rule in the ledger, set when the service starts; each award remembers
the rule's version, makes the author's account when it is missing and returns the new balance. Its
key is made of what happened, so a request that is sent twice awards once. A gift is nothing that
happens once by itself: its request bears the key, in the header `Idempotency-Key`.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException, Request
from pydantic import BaseModel

from token_ledger import AsyncLedger
from token_ledger.core.parse import format_amount
from token_ledger.errors import InputError, RuleError, UnknownRuleError

EARNS = {"publish": "1", "cite": "0.5", "remix": "0.25"}


class Action(BaseModel):
    """Somebody did something with a work."""

    user: str
    work: str


class Gift(BaseModel):
    """Coins from one user to another."""

    sender: str
    receiver: str
    amount: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold the ledger open while the service runs."""
    async with await AsyncLedger.open(os.environ["REWARDS_DB"]) as coins:
        for action, amount in EARNS.items():
            await coins.set_rule(action, amount)  # the same words again change nothing
        app.state.coins = coins
        yield


def create_app() -> FastAPI:
    """Return the service."""
    app = FastAPI(lifespan=lifespan)

    @app.post("/gifts")
    async def give(
        request: Request, gift: Gift, key: Annotated[str, Header(alias="Idempotency-Key")]
    ) -> dict[str, Any]:
        coins: AsyncLedger = request.app.state.coins
        try:
            posted = await coins.transfer(
                gift.sender,
                gift.receiver,
                gift.amount,
                reason="gift",
                idempotency_key=json.dumps(["gift", key]),
            )
        except (InputError, RuleError) as error:
            raise HTTPException(422, str(error)) from None
        return {"from": gift.sender, "to": gift.receiver, "amount": posted.amount, "reason": "gift"}

    @app.post("/{action}")
    async def award(request: Request, action: str, body: Action) -> dict[str, Any]:
        coins: AsyncLedger = request.app.state.coins
        try:
            posted = await coins.award(
                body.user,
                action,
                reference=("work", body.work),
                # JSON keeps the parts apart, whatever characters they hold.
                idempotency_key=json.dumps([action, body.work, body.user]),
            )
        except UnknownRuleError:
            raise HTTPException(404, "no such action") from None
        except (InputError, RuleError) as error:
            raise HTTPException(422, str(error)) from None
        balance = format_amount(posted.balance_after_to or 0, decimals=posted.decimals)
        return {"balance": balance, "repeated": posted.repeated}

    return app
