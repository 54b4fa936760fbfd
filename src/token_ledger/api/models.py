"""What is answered: amounts are strings in whole tokens, values strings of base units."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from pydantic import BaseModel, Field

from token_ledger.core.address import to_checksum
from token_ledger.core.parse import format_amount, format_timestamp
from token_ledger.core.strict import to_hex
from token_ledger.errors import TokenLedgerError
from token_ledger.ledger import Account, Awarded, EarningRule, Posted, StoredEntry
from token_ledger.ledger.redaction import Redaction


class PostedOut(BaseModel):
    """What a posting became. `repeated`: an earlier request with the key had made it."""

    id: str
    entry_no: int
    timestamp: str
    from_account: str
    to_account: str
    amount: str
    value: str
    balance_after_from: str | None
    balance_after_to: str | None
    supply_after: str | None
    idempotency_key: str
    repeated: bool


class AwardedOut(PostedOut):
    """What an award became: a posting, with the version of the rule that it used."""

    action: str
    rule_version: int


class ErrorOut(BaseModel):
    """Why one posting of a list was refused; `code` is stable."""

    code: str
    detail: str
    hint: str | None


class ItemOut(BaseModel):
    """What became of one posting of a list: one of the two."""

    posted: PostedOut | None
    error: ErrorOut | None


class ItemsOut(BaseModel):
    """What became of each posting of a list, in its order."""

    items: list[ItemOut]


class SeededOut(BaseModel):
    """How many accounts were endowed now."""

    seeded: int


class EntryOut(BaseModel):
    """A ledger row. Texts are null where they were redacted."""

    id: str
    entry_no: int
    timestamp: str
    from_account: str
    to_account: str
    from_address: str
    to_address: str
    amount: str
    value: str
    reason: str | None
    reference_type: str | None
    reference_id: str | None
    memo: str | None
    metadata: Annotated[str | None, Field(description="RFC 8785 text.")]
    balance_after_from: Annotated[str | None, Field(description="Less the debt, as shown then.")]
    balance_after_to: str | None
    debt_from: Annotated[str, Field(description="What the payer owed on an overdraft.")]
    debt_to: str
    redacted: bool


class RuleUsed(BaseModel):
    """The version of a rule that made an entry."""

    action: str
    version: int


class EntryWhole(EntryOut):
    """A ledger row, what reversed it, and the rule that made it, where there are any."""

    reversed_by: str | None
    rule: RuleUsed | None


class LedgerPage(BaseModel):
    """Entries, newest first; `cursor` asks for the next page, null at the end."""

    entries: list[EntryOut]
    cursor: str | None


class FeedOut(BaseModel):
    """Entries, the first posted first; `after` is what to ask for next, also of an empty page."""

    entries: list[EntryOut]
    after: int


class RedactionOut(BaseModel):
    """What of an entry is erased by now."""

    id: str
    entry_no: int
    fields: list[str]
    redacted_at: str


class AccountOut(BaseModel):
    """An account with its figures; the balance is less what it owes, so it may be negative."""

    account_id: str
    address: str
    derived: bool
    balance: str
    total_earned: str
    total_spent: str
    total_staked: str
    debt: str
    overdraft_max: str | None
    balance_max: Annotated[str | None, Field(description="Its own; null: the token's counts.")]
    spend_max: Annotated[str | None, Field(description="In each period.")]
    spend_period_s: float | None
    created_at: str
    frozen: bool
    closed: bool


class AccountPage(BaseModel):
    """Accounts, oldest first."""

    accounts: list[AccountOut]
    cursor: str | None


class BalanceOut(BaseModel):
    """A balance, less what is owed; 0 for an account that does not exist."""

    account_id: str
    token: str
    amount: str
    value: str


class BalanceAtOut(BalanceOut):
    """A balance as it was, less the debt; below zero where that or back-dated entries say so."""

    entry_no: int | None
    back_dated: bool
    debt: str


class ReasonOut(BaseModel):
    """What entries of a reason moved; the reason is null where it was erased."""

    reason: str | None
    entries: int
    amount: str


class VelocityOut(BaseModel):
    """What moved between accounts from the day `since` to before `until`, in UTC.

    `velocity` is moved divided by the present supply.
    """

    since: dt.date
    until: dt.date
    moves: int
    moved: str
    velocity: str | None
    reasons: list[ReasonOut]


class HolderOut(BaseModel):
    """An account with its balance and holds."""

    account_id: str
    amount: str


class DistributionOut(BaseModel):
    """Who holds how much, balance and holds together."""

    holders: int
    gini: str | None
    percentiles: dict[str, str]
    top: list[HolderOut]


class SupplyOut(BaseModel):
    """The token's supply; `credit` of it was drawn beyond zero and is not repaid.

    Circulating is what is neither staked nor credit. `reasons`: of all time.
    """

    circulating: str
    staked: str
    velocity: VelocityOut
    distribution: DistributionOut
    reasons: list[ReasonOut]

    token: str
    amount: str
    value: str
    total_minted: str
    total_burned: str
    max_supply: str
    credit: str


class BatchOut(BaseModel):
    """A sealed batch's header."""

    number: int
    digest: str
    header: dict[str, Any]


class BatchPage(BaseModel):
    """Headers, oldest first; ask again with `after` the last number."""

    batches: list[BatchOut]


class Health(BaseModel):
    """The service answers, and its database too."""

    status: str


def human(value: int | None, decimals: int) -> str | None:
    """Return base units as human units; None stays None."""
    return None if value is None else format_amount(value, decimals=decimals)


def posted_out(posted: Posted) -> PostedOut:
    """Return a result as it is sent."""
    return PostedOut(**_posted(posted))


def awarded_out(awarded: Awarded) -> AwardedOut:
    """Return what an award became as it is sent."""
    return AwardedOut(**_posted(awarded), action=awarded.action, rule_version=awarded.rule_version)


def item_out(outcome: Posted | TokenLedgerError) -> ItemOut:
    """Return what became of one posting of a list as it is sent."""
    if isinstance(outcome, Posted):
        return ItemOut(posted=posted_out(outcome), error=None)
    error = ErrorOut(code=outcome.code, detail=outcome.message, hint=outcome.hint)
    return ItemOut(posted=None, error=error)


def _posted(posted: Posted) -> dict[str, Any]:
    return {
        "id": to_hex(posted.id),
        "entry_no": posted.entry_no,
        "timestamp": format_timestamp(posted.timestamp),
        "from_account": posted.from_account,
        "to_account": posted.to_account,
        "amount": posted.amount,
        "value": str(posted.value),
        "balance_after_from": human(posted.balance_after_from, posted.decimals),
        "balance_after_to": human(posted.balance_after_to, posted.decimals),
        "supply_after": human(posted.supply_after, posted.decimals),
        "idempotency_key": posted.idempotency_key,
        "repeated": posted.repeated,
    }


def entry_out(entry: StoredEntry) -> EntryOut:
    """Return an entry as it is sent."""
    return EntryOut(**_entry(entry))


def entry_whole(
    entry: StoredEntry, reversal: StoredEntry | None, rule: EarningRule | None
) -> EntryWhole:
    """Return an entry as it is sent, with what belongs to it."""
    return EntryWhole(
        **_entry(entry),
        reversed_by=None if reversal is None else to_hex(reversal.id),
        rule=None if rule is None else RuleUsed(action=rule.action, version=rule.version),
    )


def _entry(entry: StoredEntry) -> dict[str, Any]:
    return {
        "id": to_hex(entry.id),
        "entry_no": entry.entry_no,
        "timestamp": format_timestamp(entry.timestamp),
        "from_account": entry.from_account,
        "to_account": entry.to_account,
        "from_address": to_checksum(entry.from_address),
        "to_address": to_checksum(entry.to_address),
        "amount": entry.amount,
        "value": str(entry.value),
        "reason": entry.reason,
        "reference_type": entry.reference_type,
        "reference_id": entry.reference_id,
        "memo": entry.memo,
        "metadata": entry.metadata,
        "balance_after_from": human(entry.balance_after_from, entry.decimals),
        "balance_after_to": human(entry.balance_after_to, entry.decimals),
        "debt_from": format_amount(entry.debt_from, decimals=entry.decimals),
        "debt_to": format_amount(entry.debt_to, decimals=entry.decimals),
        "redacted": entry.redacted_at is not None,
    }


def account_out(account: Account) -> AccountOut:
    """Return an account as it is sent."""
    decimals = account.decimals
    return AccountOut(
        account_id=account.account_id,
        address=to_checksum(account.address),
        derived=account.derived,
        balance=account.amount,
        total_earned=format_amount(account.total_earned, decimals=decimals),
        total_spent=format_amount(account.total_spent, decimals=decimals),
        total_staked=format_amount(account.total_staked, decimals=decimals),
        debt=format_amount(account.debt, decimals=decimals),
        overdraft_max=human(account.overdraft_max, decimals),
        balance_max=human(account.balance_max, decimals),
        spend_max=human(account.spend_max, decimals),
        spend_period_s=None if account.spend_period is None else account.spend_period / 1_000_000,
        created_at=format_timestamp(account.created_at),
        frozen=account.frozen_at is not None,
        closed=account.closed_at is not None,
    )


def redaction_out(found: Redaction) -> RedactionOut:
    """Return what of an entry was erased as it is sent: not by whom, which may be a person."""
    return RedactionOut(
        id=to_hex(found.id),
        entry_no=found.entry_no,
        fields=list(found.fields),
        redacted_at=format_timestamp(found.redacted_at),
    )
