"""The one hierarchy of errors, grouped by whose fault it is.

    TokenLedgerError
    ├── InputError              what the caller gave cannot be read: mend the input
    │   ├── AmountError             not an amount of this token
    │   ├── AddressError            not an address, or its checksum is wrong
    │   ├── TextError               an id, key, memo or reference that cannot be stored
    │   ├── TimestampError          not zoned, too fine, or outside 1970 to 9999
    │   ├── MetadataError           not JSON that RFC 8785 can canonicalize
    │   ├── FileFormatError         a file that is not what it should be
    │   └── UsageError              arguments that do not go together
    ├── RuleError               well formed, but the ledger's rules refuse it
    │   ├── AmountRangeError        0 < value < 2**256 does not hold
    │   ├── InsufficientBalanceError
    │   ├── SupplyExceededError
    │   ├── SelfTransferError
    │   ├── UnknownAccountError
    │   ├── AccountExistsError
    │   ├── UnknownTokenError
    │   ├── TokenExistsError
    │   ├── UnknownEntryError
    │   ├── UnknownBatchError
    │   ├── UnknownFindingError
    │   ├── UnknownRuleError        no earning rule for the action, or it is retired
    │   ├── KeyConflictError        the same idempotency key with another request
    │   ├── SystemAccountError      `system` where an ordinary account is needed, or the reverse
    │   ├── LimitError              a limit of the account or of the token
    │   │   ├── BalanceLimitError       more than an account may hold
    │   │   ├── SpendLimitError         more than it may spend in the period
    │   │   └── EarningCapError         more than the action may earn
    │   ├── AccountFrozenError      it may not spend
    │   ├── AccountClosedError      it neither pays nor is paid any more
    │   ├── ReversalError           reversed already, or more than there was
    │   ├── HoldError               captured, released or expired already, or more than is held
    │   │   └── UnknownHoldError        no hold of this id
    │   ├── OverdraftError          nothing is owed that could be written off
    │   ├── CanonicalChainError     the token lives on another chain already
    │   ├── TokenFinalizedError     the token left the ledger: the chain alone moves it now
    │   ├── NotReadyError           something must happen before this may
    │   └── ClaimError              the vault of this account cannot be claimed so
    └── UnavailableError        nothing wrong with the request; it could not be done now
        ├── DatabaseError           the database cannot be opened, read or written
        │   ├── SchemaVersionError      it is of another version: upgrade, or use another release
        │   └── RetryableError          deadlock or serialization failure: run it again
        ├── ChainError              the node, the chain or the contract
        │   ├── RpcError                the node is down, slow, or answers nonsense
        │   ├── ForkedError             the chain was reorganised while it was read
        │   ├── DisagreementError       nodes that should say the same do not
        │   ├── UnprovenError           what the node answers is not what the block proves
        │   ├── WrongChainError         it is not the chain that was meant
        │   ├── ForeignContractError    the contract is not this ledger's
        │   └── RevertedError           a transaction was mined and failed
        └── SigningKeyError         a signing key is missing, locked, or has not the role

This module knows neither exit statuses nor HTTP: the CLI and the API hold one mapping each.
A message names the value, the rule and the way out. Differences that a check finds are values
(`Finding`), never errors.
"""

from __future__ import annotations


class TokenLedgerError(Exception):
    """Every error that this package raises on purpose.

    `code` is stable and machine-readable; `hint`, where there is one, is the way out.
    """

    code = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InputError(TokenLedgerError):
    """What the caller gave cannot be read."""

    code = "bad_input"


class AmountError(InputError):
    """Not an amount of this token."""

    code = "bad_amount"


class AddressError(InputError):
    """Not an address, or one whose EIP-55 checksum is wrong."""

    code = "bad_address"


class TextError(InputError):
    """Text that a ledger cannot hold on both engines."""

    code = "bad_text"


class TimestampError(InputError):
    """A timestamp that is not zoned, finer than a microsecond, or outside 1970 to 9999."""

    code = "bad_timestamp"


class MetadataError(InputError):
    """Metadata that RFC 8785 cannot canonicalize without loss."""

    code = "bad_metadata"


class FileFormatError(InputError):
    """A file that is not what it should be."""

    code = "bad_file"


class UsageError(InputError):
    """Arguments that do not go together."""

    code = "bad_usage"


class RuleError(TokenLedgerError):
    """Well formed, but the ledger's rules refuse it. Nothing was written."""

    code = "refused"


class AmountRangeError(RuleError):
    """`0 < value < 2**256` does not hold."""

    code = "amount_out_of_range"


class InsufficientBalanceError(RuleError):
    """The paying account holds less than the amount."""

    code = "insufficient_balance"


class SupplyExceededError(RuleError):
    """A mint would lift the supply over the token's maximum."""

    code = "supply_exceeded"


class SelfTransferError(RuleError):
    """From and to are one account."""

    code = "self_transfer"


class UnknownAccountError(RuleError):
    """No such account."""

    code = "unknown_account"


class AccountExistsError(RuleError):
    """The account id or the address is taken."""

    code = "account_exists"


class UnknownTokenError(RuleError):
    """No such token, or several where one must be named."""

    code = "unknown_token"


class TokenExistsError(RuleError):
    """The symbol is taken."""

    code = "token_exists"


class UnknownEntryError(RuleError):
    """No such entry."""

    code = "unknown_entry"


class UnknownBatchError(RuleError):
    """No such batch, or the entry is not sealed yet."""

    code = "unknown_batch"


class UnknownRuleError(RuleError):
    """No earning rule for the action, or it is retired."""

    code = "unknown_rule"


class UnknownFindingError(RuleError):
    """No run of `reconcile` has seen this finding."""

    code = "unknown_finding"


class KeyConflictError(RuleError):
    """The same idempotency key came with another request."""

    code = "key_conflict"


class SystemAccountError(RuleError):
    """`system` stands where an ordinary account is needed."""

    code = "system_account"


class LimitError(RuleError):
    """A limit of the account or of the token would be passed."""

    code = "limit"


class BalanceLimitError(LimitError):
    """The account would hold more, its holds included, than it may."""

    code = "balance_limit"


class SpendLimitError(LimitError):
    """The account would spend more in the period than it may."""

    code = "spend_limit"


class EarningCapError(LimitError):
    """The action would earn more than its rule's caps allow."""

    code = "earning_cap"


class AccountFrozenError(RuleError):
    """The account may not spend while it is frozen."""

    code = "account_frozen"


class AccountClosedError(RuleError):
    """The account is closed, or cannot be closed while it holds something."""

    code = "account_closed"


class ReversalError(RuleError):
    """The entry was reversed already, or is less than is to be reversed, or cannot be."""

    code = "reversal"


class HoldError(RuleError):
    """The hold has ended, holds less, or is none's to move but its own verbs'."""

    code = "hold"


class UnknownHoldError(HoldError):
    """No entry of this id made a hold."""

    code = "unknown_hold"


class OverdraftError(RuleError):
    """The account owes nothing."""

    code = "overdraft"


class CanonicalChainError(RuleError):
    """The token's one canonical chain is another one."""

    code = "canonical_chain"


class TokenFinalizedError(RuleError):
    """The token's books are closed: only transfers of the chain become entries."""

    code = "token_finalized"


class NotReadyError(RuleError):
    """Something else must be done before this may: what, the hint says. Nothing was changed."""

    code = "not_ready"


class ClaimError(RuleError):
    """The vault of this account cannot be claimed, or not so."""

    code = "claim"


class UnavailableError(TokenLedgerError):
    """Nothing is wrong with the request; it could not be done."""

    code = "unavailable"


class DatabaseError(UnavailableError):
    """The database cannot be opened, read or written."""

    code = "database"


class SchemaVersionError(DatabaseError):
    """The database was made by another version."""

    code = "schema_version"


class RetryableError(DatabaseError):
    """A deadlock or serialization failure: run the whole transaction again."""

    code = "retryable"


class ChainError(UnavailableError):
    """The node, the chain or the contract stands in the way."""

    code = "chain"


class RpcError(ChainError):
    """The node is down, slow, or answers nonsense."""

    code = "rpc"


class ForkedError(ChainError):
    """The chain was reorganised while it was read: look where it forked, and read again."""

    code = "forked"


class DisagreementError(ChainError):
    """Nodes that should say the same of a chain do not: nothing of it is taken.

    `passing`: it is about blocks so new that a reorganisation may still be spreading.
    """

    code = "disagreement"

    def __init__(self, message: str, *, hint: str | None = None, passing: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.passing = passing


class UnprovenError(ChainError):
    """What the node answers is not what the block's own header proves."""

    code = "unproven"


class WrongChainError(ChainError):
    """The node serves another chain than was meant."""

    code = "wrong_chain"


class ForeignContractError(ChainError):
    """The contract is not this ledger's."""

    code = "foreign_contract"


class RevertedError(ChainError):
    """A transaction was mined and failed."""

    code = "reverted"


class SigningKeyError(UnavailableError):
    """A signing key is missing, locked, or has not the role."""

    code = "signing_key"
