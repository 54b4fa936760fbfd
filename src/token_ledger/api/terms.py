"""What is answered of holds, earning rules, limits and overdrafts."""

from __future__ import annotations

from pydantic import BaseModel

from token_ledger.api.models import human
from token_ledger.core.earning import format_factor
from token_ledger.core.parse import format_amount, format_timestamp
from token_ledger.core.strict import to_hex
from token_ledger.ledger import EarningRule
from token_ledger.ledger.holds import Hold
from token_ledger.ledger.overdraft import WriteOff


class HoldOut(BaseModel):
    """A hold: what was set aside, and what is left of it."""

    id: str
    account_id: str
    amount: str
    remaining: str
    captured: str
    expires_at: str | None
    ended: bool


class HoldList(BaseModel):
    """The holds that have not ended, the 1,000 oldest."""

    holds: list[HoldOut]


class ExpiredOut(BaseModel):
    """How many holds were released because they had expired."""

    expired: int


class RuleOut(BaseModel):
    """A version of an earning rule; the highest of its action counts, unless it is retired."""

    action: str
    version: int
    base_amount: str
    multiplier: str
    count_max: int | None
    amount_max: str | None
    period_s: float | None
    total_max: str | None
    retired: bool
    created_at: str


class RuleList(BaseModel):
    """Rules, by action and version."""

    rules: list[RuleOut]


class LimitOut(BaseModel):
    """A limit as it is set now; null for none."""

    account_id: str | None
    maximum: str | None
    period_s: int | None = None


class WriteOffOut(BaseModel):
    """A debt that was let go."""

    account_id: str
    amount: str
    written_off_at: str
    by: str
    reason: str


class WriteOffList(BaseModel):
    """What was written off, the last first."""

    write_offs: list[WriteOffOut]


def hold_out(hold: Hold) -> HoldOut:
    """Return a hold as it is sent."""
    return HoldOut(
        id=to_hex(hold.id),
        account_id=hold.account_id,
        amount=format_amount(hold.value, decimals=hold.decimals),
        remaining=hold.amount,
        captured=format_amount(hold.captured, decimals=hold.decimals),
        expires_at=None if hold.expires_at is None else format_timestamp(hold.expires_at),
        ended=hold.released_at is not None or not hold.remaining,
    )


def rule_out(rule: EarningRule) -> RuleOut:
    """Return a version of a rule as it is sent."""
    return RuleOut(
        action=rule.action,
        version=rule.version,
        base_amount=rule.base_amount,
        multiplier=format_factor(rule.multiplier),
        count_max=rule.count_max,
        amount_max=human(rule.value_max, rule.decimals),
        period_s=None if rule.period is None else rule.period / 1_000_000,
        total_max=human(rule.total_max, rule.decimals),
        retired=rule.retired,
        created_at=format_timestamp(rule.created_at),
    )


def write_off_out(found: WriteOff) -> WriteOffOut:
    """Return a debt that was let go as it is sent."""
    return WriteOffOut(
        account_id=found.account_id,
        amount=found.amount,
        written_off_at=format_timestamp(found.written_off_at),
        by=found.by,
        reason=found.reason,
    )
