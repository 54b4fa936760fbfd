"""What callers send: JSON bodies, read strictly. Amounts are strings in whole tokens."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from token_ledger.core.types import SYSTEM

AccountId = Annotated[str, Field(min_length=1, max_length=1000, description="An account's id.")]
# Told to callers, and enforced by the ledger, whose errors say more.
_AMOUNT: dict[str, Any] = {"pattern": r"^[0-9]{1,78}(\.[0-9]{1,77})?$"}  # 2**256 has 78 digits
_FACTOR: dict[str, Any] = {"pattern": r"^[0-9]{1,30}(\.[0-9]{1,18})?$"}
AmountText = Annotated[
    str,
    Field(
        max_length=100,
        description="Whole tokens, decimal, as in 12.5; no more decimals than the token has.",
        examples=["12.5"],
        json_schema_extra=_AMOUNT,
    ),
]
FactorText = Annotated[
    str,
    Field(
        max_length=100,
        description="A number above 0, decimal, as in 1.5.",
        examples=["1"],
        json_schema_extra=_FACTOR,
    ),
]
Zoned = Annotated[
    str, Field(description="RFC 3339, with a zone.", json_schema_extra={"format": "date-time"})
]
Moment = Zoned | None
Maximum = Annotated[AmountText | None, Field(description="Whole tokens; null for no limit.")]
Seconds = Annotated[int, Field(gt=0, le=31_622_400)]
Reason = Annotated[str, Field(max_length=1_000)]
LIST_MAX = 500


class Input(BaseModel):
    """A body: nothing unknown in it, and nothing of another type taken for what was meant."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Reference(Input):
    """What a posting is about."""

    type: str
    id: str


class Texts(Input):
    """What a posting may say beside its reason."""

    reference: Reference | None = None
    memo: str = ""
    metadata: Any = None
    timestamp: Moment = None

    def keywords(self, key: str | None) -> dict[str, Any]:
        """Return the keywords of the ledger's verbs."""
        reference = None if self.reference is None else (self.reference.type, self.reference.id)
        return {
            "reference": reference,
            "memo": self.memo,
            "metadata": self.metadata,
            "timestamp": self.timestamp,
            "idempotency_key": key,
        }


class Words(Texts):
    """What every posting says."""

    amount: AmountText
    reason: Reason

    def keywords(self, key: str | None) -> dict[str, Any]:
        """Return the keywords of the ledger's verbs."""
        return super().keywords(key) | {"reason": self.reason}


class TransferIn(Words):
    """A transfer between two accounts."""

    from_account: AccountId
    to_account: AccountId


class OneSided(Words):
    """A mint to, or a burn from, one account."""

    account_id: AccountId


class CreditIn(OneSided):
    """A mint to an account that may be missing yet."""

    create_account: bool = False


class SpendIn(OneSided):
    """What an account pays: to another, or back to the issuer."""

    to: AccountId = SYSTEM


class AwardIn(Texts):
    """What an account did; the rule in force says what it earns."""

    account_id: AccountId
    action: Annotated[str, Field(min_length=1, max_length=200)]
    factor: FactorText = "1"
    create_account: bool = True


class PostingIn(Words):
    """One posting of a list; `system` on one side issues or takes back."""

    from_account: AccountId
    to_account: AccountId
    idempotency_key: Annotated[str | None, Field(min_length=1, max_length=65_536)] = None


class PostingsIn(Input):
    """A list of postings: all or none, or each by itself."""

    postings: Annotated[list[PostingIn], Field(min_length=1, max_length=LIST_MAX)]
    atomic: bool = True


class AccountIn(Input):
    """An account to make."""

    account_id: AccountId
    address: Annotated[str | None, Field(max_length=100)] = None
    initial_balance: AmountText | None = None
    exist_ok: Annotated[bool, Field(description="Take one of that id that is there.")] = False


class SeedIn(Input):
    """What every account gets that was never endowed."""

    amount: AmountText
    reason: Reason = "endow"


class ReverseIn(Input):
    """What of an entry is to go back: all of it unless an amount is given."""

    amount: AmountText | None = None
    reason: Reason = "reversal"
    memo: str = ""


class RedactIn(Input):
    """Which words of an entry are to go, and who says so: kept for ever."""

    fields: Annotated[
        list[Literal["reason", "reference", "memo", "metadata", "key"]],
        Field(min_length=1, max_length=5),
    ] = ["reference", "memo", "metadata"]
    actor: Annotated[str, Field(max_length=1_000)] = ""


class HoldIn(Input):
    """What is to be set aside, and until when."""

    account_id: AccountId
    amount: AmountText
    expires_at: Moment = None
    reason: Reason = "hold"
    memo: str = ""


class CaptureIn(Input):
    """What of a hold is to be paid, all that is left unless an amount is given, and to whom."""

    amount: AmountText | None = None
    to: AccountId = SYSTEM
    reason: Reason = "capture"
    memo: str = ""


class ReleaseIn(Input):
    """Why a hold goes back."""

    reason: Reason = "release"
    memo: str = ""


class RuleIn(Input):
    """What an action earns from now on."""

    base_amount: AmountText
    multiplier: FactorText = "1"
    count_max: Annotated[int | None, Field(gt=0, le=2**62)] = None
    amount_max: AmountText | None = None
    period_s: Seconds | None = None
    total_max: AmountText | None = None


class MaximumIn(Input):
    """A limit, or null for none."""

    maximum: Maximum


class SpendingLimitIn(Input):
    """The most that may be spent in each period, counted from 1970 in UTC; both, or neither."""

    maximum: Maximum
    period_s: Seconds | None = None


class WriteOffIn(Input):
    """Who lets a debt go, and why: kept for ever."""

    by: Annotated[str, Field(min_length=1, max_length=1_000)]
    reason: Annotated[str, Field(min_length=1, max_length=1_000)]


class RecalcIn(Input):
    """What a recalculation may do: only tell, unless it is told otherwise."""

    dry_run: bool = True


class WithdrawalIn(Input):
    """Who says so, and why: kept for ever."""

    by: Annotated[str, Field(min_length=1, max_length=200)]
    reason: Annotated[str, Field(min_length=1, max_length=1_000)]


class AcknowledgementIn(WithdrawalIn):
    """Who says so, why, and when the finding comes back."""

    until: Zoned


class TokenIn(Input):
    """What a token is to be; `max_supply` is all that a uint256 counts where it is left away."""

    symbol: Annotated[str, Field(min_length=1, max_length=31)]
    name: Annotated[str, Field(min_length=1, max_length=31)]
    decimals: Annotated[int, Field(ge=0, le=77)]
    max_supply: AmountText | None = None
