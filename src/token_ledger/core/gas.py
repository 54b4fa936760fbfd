"""How much fits into one replay transaction: gas and calldata, planned before sealing.

The model follows what the contract does (`contracts/README.md`, `npm run gas`): a fixed part, a
part per row, a storage slot per distinct account, memory, and the calldata. It over-estimates by
less than 2 %, so that a sealed batch never turns out too large; `tests/chain/test_gas.py` holds it
against real receipts. Prices: EIP-2028 (calldata), EIP-2929 and EIP-3529 (storage), EIP-7623
(calldata floor, which never binds: a row's log costs more than its bytes).
"""

from __future__ import annotations

from dataclasses import dataclass

from token_ledger.core.packing import ACCOUNTS_MAX, packed_size, value_width
from token_ledger.core.types import ZERO_ADDRESS

GAS_MAX = 10_000_000
"""At most this much gas a batch: EIP-7825 caps a transaction at 2**24, and prices may rise."""
CALLDATA_MAX = 96 * 1024
"""At most this many bytes of calldata a batch: pools of nodes refuse 128 KiB."""

CALLDATA_HEAD_BYTES = 4 + 32 * 8 + 2 * 32 + 2 * 32 + 32 * 3 + 31
"""Selector, header, two offsets, two lengths, a padded signature of an EOA, padding of rows."""
_CALLDATA_HEAD_NONZERO = 3 * 32 + 65 + 39
"""Of them not zero at most: three hashes, the signature, the significant bytes of the numbers."""

TRANSACTION_GAS = 21_000
FIXED_GAS = 47_600
FIRST_BATCH_GAS = 17_100
LOG_GAS = 1_756
NARROW_ROW_GAS = 170
WIDE_ROW_GAS = 177
ODD_ROW_GAS = 81
ACCOUNT_GAS = 294
OLD_ACCOUNT_GAS = 5_000
NEW_ACCOUNT_GAS = 22_100
OLD_SUPPLY_GAS = 2_900
NEW_SUPPLY_GAS = 20_000
ZERO_BYTE_GAS = 4
BYTE_GAS = 16


@dataclass(frozen=True, slots=True)
class BatchShape:
    """What one batch asks of the contract.

    `old_accounts` and `new_accounts` leave `system` out; a new one has no balance when the batch
    starts. `nonzero_value_bytes` and `system_references` tell cheap calldata from dear.
    """

    rows: int = 0
    old_accounts: int = 0
    new_accounts: int = 0
    system: bool = False
    supply_is_zero: bool = False
    first_batch: bool = False
    width: int = 1
    nonzero_value_bytes: int = 0
    system_references: int = 0

    @property
    def accounts(self) -> int:
        """The entries of the account table."""
        return self.old_accounts + self.new_accounts + self.system

    @property
    def calldata_bytes(self) -> int:
        """The size of the replay transaction's calldata."""
        rows = packed_size(accounts=self.accounts, rows=self.rows, value_bytes=self.width)
        return CALLDATA_HEAD_BYTES + rows

    @property
    def gas(self) -> int:
        """The planned gas of the replay transaction, slightly over what it will use."""
        reference_bytes = 1 if self.accounts <= 256 else 2
        row_gas = NARROW_ROW_GAS if reference_bytes == 1 else WIDE_ROW_GAS
        words = (self.calldata_bytes - CALLDATA_HEAD_BYTES + 31) // 32
        memory = max(words + 24, 2 * self.accounts + 16)
        supply = 0
        if self.system:
            supply = NEW_SUPPLY_GAS if self.supply_is_zero else OLD_SUPPLY_GAS
        return (
            TRANSACTION_GAS
            + self.calldata_gas
            + FIXED_GAS
            + (FIRST_BATCH_GAS if self.first_batch else 0)
            + supply
            + (LOG_GAS + row_gas) * self.rows
            + ODD_ROW_GAS * (self.rows % 4)
            + ACCOUNT_GAS * self.accounts
            + OLD_ACCOUNT_GAS * self.old_accounts
            + NEW_ACCOUNT_GAS * self.new_accounts
            + 9 * words
            + 3 * memory
            + memory * memory // 512
        )

    @property
    def calldata_gas(self) -> int:
        """The gas of the calldata alone, at its dearest."""
        reference_bytes = 1 if self.accounts <= 256 else 2
        nonzero = (
            _CALLDATA_HEAD_NONZERO
            + 20 * (self.old_accounts + self.new_accounts)
            + reference_bytes * (2 * self.rows - self.system_references)
            + self.nonzero_value_bytes
        )
        return BYTE_GAS * nonzero + ZERO_BYTE_GAS * (self.calldata_bytes - nonzero)


class BatchPlan:
    """The rows of one batch to come. `try_add` takes rows in order until one does not fit."""

    __slots__ = ("_accounts", "calldata_max", "gas_max", "shape")

    def __init__(
        self,
        *,
        first_batch: bool = False,
        gas_max: int = GAS_MAX,
        calldata_max: int = CALLDATA_MAX,
    ) -> None:
        self.gas_max = gas_max
        self.calldata_max = calldata_max
        self.shape = BatchShape(first_batch=first_batch)
        self._accounts: set[bytes] = set()

    def try_add(
        self,
        from_address: bytes,
        to_address: bytes,
        value: int,
        *,
        from_balance: int,
        to_balance: int,
    ) -> bool:
        """Take one more row if the batch stays within gas and calldata; say whether it did.

        The balances are those before this row, in base units; of the zero address, the total
        supply. A first row always fits.
        """
        shape = self.shape
        old, new, system = shape.old_accounts, shape.new_accounts, shape.system
        supply_is_zero = shape.supply_is_zero
        sides = ((from_address, from_balance), (to_address, to_balance))
        for address, balance in sides:
            if address in self._accounts:
                continue
            if address == ZERO_ADDRESS:
                system, supply_is_zero = True, balance == 0
            elif balance == 0:
                new += 1
            else:
                old += 1
        width = value_width(value)
        digits = value.to_bytes(width, "big")
        grown = BatchShape(
            rows=shape.rows + 1,
            old_accounts=old,
            new_accounts=new,
            system=system,
            supply_is_zero=supply_is_zero,
            first_batch=shape.first_batch,
            width=max(shape.width, width),
            nonzero_value_bytes=shape.nonzero_value_bytes + width - digits.count(0),
            system_references=shape.system_references
            + (from_address == ZERO_ADDRESS)
            + (to_address == ZERO_ADDRESS),
        )
        if shape.rows and (
            grown.accounts > ACCOUNTS_MAX
            or grown.calldata_bytes > self.calldata_max
            or grown.gas > self.gas_max
        ):
            return False
        self.shape = grown
        self._accounts.update((from_address, to_address))
        return True

    @property
    def rows(self) -> int:
        """How many rows the plan took."""
        return self.shape.rows

    @property
    def gas(self) -> int:
        """The planned gas of the replay transaction."""
        return self.shape.gas


def gas_floor(*, rows: int, old_accounts: int, new_accounts: int, calldata: bytes) -> int:
    """Return what no contract can go below (design section 8): logs, storage and calldata."""
    zeros = calldata.count(0)
    return (
        TRANSACTION_GAS
        + LOG_GAS * rows
        + OLD_ACCOUNT_GAS * old_accounts
        + NEW_ACCOUNT_GAS * new_accounts
        + ZERO_BYTE_GAS * zeros
        + BYTE_GAS * (len(calldata) - zeros)
    )
