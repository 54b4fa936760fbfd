"""What goes over the wire: amounts are strings in whole tokens, values strings of base units."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from token_ledger.core.address import to_checksum
from token_ledger.core.parse import format_amount, format_timestamp
from token_ledger.core.strict import to_hex
from token_ledger.ledger import Account, Posted, StoredEntry

AccountId = Annotated[str, Field(min_length=1, max_length=255, description="An account's id.")]
AmountText = Annotated[
    str, Field(max_length=100, description="Whole tokens, decimal, as in 12.5.", examples=["12.5"])
]


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Reference(_Input):
    """What a posting is about."""

    type: str
    id: str


class Words(_Input):
    """What every posting says."""

    amount: AmountText
    reason: str
    reference: Reference | None = None
    memo: str = ""
    metadata: Any = None
    timestamp: Annotated[str | None, Field(description="RFC 3339, with a zone.")] = None

    def keywords(self, key: str | None) -> dict[str, Any]:
        """Return the keywords of the ledger's verbs."""
        reference = None if self.reference is None else (self.reference.type, self.reference.id)
        return {
            "reason": self.reason,
            "reference": reference,
            "memo": self.memo,
            "metadata": self.metadata,
            "timestamp": self.timestamp,
            "idempotency_key": key,
        }


class TransferIn(Words):
    """A transfer between two accounts."""

    from_account: AccountId
    to_account: AccountId


class OneSided(Words):
    """A mint to, or a burn from, one account."""

    account_id: AccountId


class AccountIn(_Input):
    """An account to make."""

    account_id: AccountId
    address: str | None = None
    initial_balance: AmountText | None = None


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
    balance_after_from: str | None
    balance_after_to: str | None
    redacted: bool


class LedgerPage(BaseModel):
    """Entries, newest first; `cursor` asks for the next page, null at the end."""

    entries: list[EntryOut]
    cursor: str | None


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
    created_at: str


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


class SupplyOut(BaseModel):
    """The token's supply; `credit` of it was drawn beyond zero and is not repaid."""

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


def _human(value: int | None, decimals: int) -> str | None:
    return None if value is None else format_amount(value, decimals=decimals)


def posted_out(posted: Posted) -> PostedOut:
    """Return a result as it is sent."""
    return PostedOut(
        id=to_hex(posted.id),
        entry_no=posted.entry_no,
        timestamp=format_timestamp(posted.timestamp),
        from_account=posted.from_account,
        to_account=posted.to_account,
        amount=posted.amount,
        value=str(posted.value),
        balance_after_from=_human(posted.balance_after_from, posted.decimals),
        balance_after_to=_human(posted.balance_after_to, posted.decimals),
        supply_after=_human(posted.supply_after, posted.decimals),
        idempotency_key=posted.idempotency_key,
        repeated=posted.repeated,
    )


def entry_out(entry: StoredEntry) -> EntryOut:
    """Return an entry as it is sent."""
    return EntryOut(
        id=to_hex(entry.id),
        entry_no=entry.entry_no,
        timestamp=format_timestamp(entry.timestamp),
        from_account=entry.from_account,
        to_account=entry.to_account,
        from_address=to_checksum(entry.from_address),
        to_address=to_checksum(entry.to_address),
        amount=entry.amount,
        value=str(entry.value),
        reason=entry.reason,
        reference_type=entry.reference_type,
        reference_id=entry.reference_id,
        memo=entry.memo,
        metadata=entry.metadata,
        balance_after_from=_human(entry.balance_after_from, entry.decimals),
        balance_after_to=_human(entry.balance_after_to, entry.decimals),
        redacted=entry.redacted_at is not None,
    )


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
        overdraft_max=_human(account.overdraft_max, decimals),
        created_at=format_timestamp(account.created_at),
    )
