"""How much fits into one replay transaction: gas and calldata, planned before sealing.

The model follows what the contract does (docs/contracts.md): a fixed part, a part per row, a
storage slot per distinct account, and the calldata. It over-estimates slightly, so that a sealed
batch never turns out too large; `tests/chain/test_replay_gas.py` holds it against real receipts.
Prices: EIP-2028 (calldata), EIP-2929 and EIP-3529 (storage), EIP-7623 (calldata floor).
"""

from __future__ import annotations

from token_ledger.core.packing import ACCOUNTS_MAX, packed_size, value_width

GAS_MAX = 10_000_000
"""At most this much gas a batch: EIP-7825 caps a transaction at 2**24, and prices may rise."""
CALLDATA_MAX = 96 * 1024
"""At most this many bytes of calldata a batch: pools of nodes refuse 128 KiB."""

CALLDATA_HEAD_BYTES = 4 + 32 * 8 + 2 * 32 + 2 * 32 + 32 * 3 + 31
"""Selector, header, two offsets, two lengths, a padded signature of an EOA, padding of rows."""

FIXED_GAS = 130_000
ROW_GAS = 1_950
OLD_ACCOUNT_GAS = 5_400
NEW_ACCOUNT_GAS = 22_500
WIDE_ROW_GAS = 20
ZERO_BYTE_GAS = 4
BYTE_GAS = 16


class BatchPlan:
    """The rows of one batch to come. `try_add` takes rows in order until one does not fit."""

    __slots__ = ("_accounts", "_new", "_value_bytes", "_width", "calldata_max", "gas_max", "rows")

    def __init__(self, *, gas_max: int = GAS_MAX, calldata_max: int = CALLDATA_MAX) -> None:
        self.gas_max = gas_max
        self.calldata_max = calldata_max
        self.rows = 0
        self._accounts: set[bytes] = set()
        self._new = 0
        self._width = 1
        self._value_bytes = 0

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
        added = {
            address: balance
            for address, balance in ((from_address, from_balance), (to_address, to_balance))
            if address not in self._accounts
        }
        width = value_width(value)
        rows = self.rows + 1
        accounts = len(self._accounts) + len(added)
        new = self._new + sum(1 for balance in added.values() if balance == 0)
        widest = max(self._width, width)
        value_bytes = self._value_bytes + width
        if self.rows and (
            accounts > ACCOUNTS_MAX
            or calldata_bytes(accounts=accounts, rows=rows, width=widest) > self.calldata_max
            or replay_gas(
                accounts=accounts,
                new_accounts=new,
                rows=rows,
                width=widest,
                value_bytes=value_bytes,
            )
            > self.gas_max
        ):
            return False
        self.rows, self._new, self._width, self._value_bytes = rows, new, widest, value_bytes
        self._accounts.update(added)
        return True

    @property
    def gas(self) -> int:
        """The planned gas of the replay transaction."""
        return replay_gas(
            accounts=len(self._accounts),
            new_accounts=self._new,
            rows=self.rows,
            width=self._width,
            value_bytes=self._value_bytes,
        )


def calldata_bytes(*, accounts: int, rows: int, width: int) -> int:
    """Return the size of a replay transaction's calldata in bytes."""
    return CALLDATA_HEAD_BYTES + packed_size(accounts=accounts, rows=rows, value_bytes=width)


def replay_gas(*, accounts: int, new_accounts: int, rows: int, width: int, value_bytes: int) -> int:
    """Return the planned gas of a replay transaction, slightly over what it will use.

    `new_accounts` of `accounts` have no balance when the batch starts; `value_bytes` is the sum of
    the values' own widths, `width` the widest of them.
    """
    reference_bytes = 2 if accounts <= 256 else 4
    dense = 20 * accounts + reference_bytes * rows + value_bytes
    return (
        FIXED_GAS
        + rows * (ROW_GAS + (WIDE_ROW_GAS if accounts > 256 else 0))
        + (accounts - new_accounts) * OLD_ACCOUNT_GAS
        + new_accounts * NEW_ACCOUNT_GAS
        + dense * BYTE_GAS
        + (rows * width - value_bytes) * ZERO_BYTE_GAS
    )


def gas_floor(*, rows: int, old_accounts: int, new_accounts: int, calldata: bytes) -> int:
    """Return what no contract can go below (design section 8): logs, storage and calldata."""
    zeros = calldata.count(0)
    return (
        21_000
        + 1_756 * rows
        + 5_000 * old_accounts
        + 22_100 * new_accounts
        + ZERO_BYTE_GAS * zeros
        + BYTE_GAS * (len(calldata) - zeros)
    )
