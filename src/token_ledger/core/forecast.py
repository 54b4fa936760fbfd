"""What a migration will cost: gas per batch as its receipt will say, and money at given prices.

`core.gas` plans how much fits and must never be under; this module also knows what storage gives
back (accounts emptied, or left as they were), so that it comes within 2 % over the receipts;
`tests/chain/test_gas.py` holds it against them. Prices and forks are data, dated where they stand.
Asks no node: `plan` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from token_ledger.core.gas import (
    BYTE_GAS,
    LOG_GAS,
    NEW_ACCOUNT_GAS,
    NEW_SUPPLY_GAS,
    OLD_ACCOUNT_GAS,
    OLD_SUPPLY_GAS,
    TRANSACTION_GAS,
    ZERO_BYTE_GAS,
    BatchShape,
)
from token_ledger.core.packing import value_width
from token_ledger.core.types import ZERO_ADDRESS
from token_ledger.errors import UsageError

UNCHANGED_SLOT_GAS = 2_200
"""A slot read and written back as it was (EIP-2929): 2,100 and 100."""
CLEARED_REFUND_GAS = 4_800
"""What emptying a slot gives back (EIP-3529), at most a fifth of the transaction in all."""
_REFUND_QUOTIENT = 5

CREATE_GAS = 32_000
CODE_BYTE_GAS = 200
INIT_WORD_GAS = 2
HASH_WORD_GAS = 6
FINALIZE_GAS = 33_000
"""A flag beside others in one slot, and one event; the receipt says 32,755."""

WEI_PER_GWEI = 10**9
WEI_PER_ETHER = 10**18
_GAS_PRICE_MAX_WEI = 10**9 * WEI_PER_GWEI


@dataclass(frozen=True, slots=True)
class BatchForecast:
    """The cost of one replay transaction, in gas. `kept` and `cleared` count balance slots.

    `kept_old` and `kept_new` end as they began (a new one is one that is empty); `saved` is what
    the supply's slot does not cost. `number` is None for a batch that is not sealed yet.
    """

    number: int | None
    shape: BatchShape
    kept_old: int = 0
    kept_new: int = 0
    cleared: int = 0
    saved: int = 0

    @property
    def gas(self) -> int:
        """The gas that the receipt will show, at most 2 % over it."""
        used = (
            self.shape.gas
            - self.kept_old * (OLD_ACCOUNT_GAS - UNCHANGED_SLOT_GAS)
            - self.kept_new * (NEW_ACCOUNT_GAS - UNCHANGED_SLOT_GAS)
            - self.saved
        )
        return self._refunded(used)

    @property
    def floor(self) -> int:
        """What no contract can go below: logs, written storage and calldata (design section 8)."""
        shape = self.shape
        return self._refunded(
            TRANSACTION_GAS
            + LOG_GAS * shape.rows
            + OLD_ACCOUNT_GAS * (shape.old_accounts - self.kept_old)
            + NEW_ACCOUNT_GAS * (shape.new_accounts - self.kept_new)
            + shape.calldata_gas
        )

    def _refunded(self, used: int) -> int:
        return used - min(self.cleared * CLEARED_REFUND_GAS, used // _REFUND_QUOTIENT)


class BatchOutline:
    """Rows of one batch, taken one by one in order, from which its forecast is drawn."""

    __slots__ = ("_after", "_before", "_nonzero", "_rows", "_system", "_width")

    def __init__(self) -> None:
        self._before: dict[bytes, int] = {}
        self._after: dict[bytes, int] = {}
        self._rows = self._system = self._nonzero = 0
        self._width = 1

    def add(
        self,
        from_address: bytes,
        to_address: bytes,
        value: int,
        *,
        from_balance: int,
        to_balance: int,
    ) -> None:
        """Take a row with both balances before it, in base units; for zero, the total supply."""
        for address, balance, change in (
            (from_address, from_balance, -value),
            (to_address, to_balance, value),
        ):
            self._before.setdefault(address, balance)
            self._after[address] = balance + (change if address != ZERO_ADDRESS else -change)
        width = value_width(value)
        self._rows += 1
        self._width = max(self._width, width)
        self._nonzero += width - value.to_bytes(width, "big").count(0)
        self._system += (from_address == ZERO_ADDRESS) + (to_address == ZERO_ADDRESS)

    @property
    def new_holders(self) -> list[bytes]:
        """The addresses that hold nothing before the batch."""
        return [a for a, held in self._before.items() if held == 0 and a != ZERO_ADDRESS]

    def forecast(self, number: int | None, *, first_batch: bool) -> BatchForecast:
        """Return what replaying the rows taken so far will cost."""
        before = dict(self._before)
        supply = before.pop(ZERO_ADDRESS, None)
        after = self._after
        new = sum(1 for held in before.values() if held == 0)
        saved = cleared = 0
        if supply is not None:
            price = NEW_SUPPLY_GAS if supply == 0 else OLD_SUPPLY_GAS
            saved = price - 100 if after[ZERO_ADDRESS] == supply else 0
            cleared = int(supply > 0 and after[ZERO_ADDRESS] == 0)
        shape = BatchShape(
            rows=self._rows,
            old_accounts=len(before) - new,
            new_accounts=new,
            system=supply is not None,
            supply_is_zero=supply == 0,
            first_batch=first_batch,
            width=self._width,
            nonzero_value_bytes=self._nonzero,
            system_references=self._system,
        )
        return BatchForecast(
            number,
            shape,
            kept_old=sum(1 for a, held in before.items() if 0 < held == after[a]),
            kept_new=sum(1 for a, held in before.items() if held == after[a] == 0),
            cleared=cleared + sum(1 for a, held in before.items() if held > after[a] == 0),
            saved=saved,
        )


def deployment_gas(calldata: bytes, *, runtime_bytes: int, constructor_gas: int) -> int:
    """Return the gas of a contract's creation through the deterministic deployment proxy.

    `calldata`: what the proxy is sent. `constructor_gas`: what the constructor itself executes.
    """
    zeros = calldata.count(0)
    words = (len(calldata) + 31) // 32
    return (
        TRANSACTION_GAS
        + ZERO_BYTE_GAS * zeros
        + BYTE_GAS * (len(calldata) - zeros)
        + CREATE_GAS
        + (INIT_WORD_GAS + HASH_WORD_GAS + 6) * words  # and memory and the copy, in the proxy
        + words * words // 512
        + CODE_BYTE_GAS * runtime_bytes
        + constructor_gas
    )


# --- prices


@dataclass(frozen=True, slots=True)
class GasPrice:
    """A price to reckon with: where, and wei a unit of gas. `l1_data`: calldata is posted to L1."""

    network: str
    wei: int
    l1_data: bool = False


PRICES = (
    GasPrice("Ethereum, quiet", 1 * WEI_PER_GWEI),
    GasPrice("Ethereum, usual", 5 * WEI_PER_GWEI),
    GasPrice("Ethereum, busy", 30 * WEI_PER_GWEI),
    GasPrice("OP Stack rollup (OP Mainnet, Base)", WEI_PER_GWEI // 100, l1_data=True),
    GasPrice("Arbitrum One", WEI_PER_GWEI // 50, l1_data=True),
    GasPrice("zk rollup (Linea, Scroll)", WEI_PER_GWEI // 20, l1_data=True),
)
"""Examples of the order of magnitude, not quotations: give the day's own with --gas-price."""

L1_DATA_NOTE = (
    "a rollup adds a fee for posting the calldata to Ethereum, before compression; it follows the "
    "blob fee of the day, not the gas price: ask the rollup's own fee oracle"
)


def parse_gas_price(text: str) -> GasPrice:
    """Return a price given in gwei, as "12" or "0.05". Raises UsageError for anything else."""
    gwei = Decimal(-1)
    if len(text) <= 32 and text.isascii() and text.replace(".", "", 1).isdigit():
        gwei = Decimal(text)
    wei = gwei * WEI_PER_GWEI
    if not 0 < wei <= _GAS_PRICE_MAX_WEI or wei != int(wei):
        raise UsageError(
            f"gas price {text[:40]!r} is no number of gwei", hint="as in 12 or 0.05; 1 wei at least"
        )
    return GasPrice(f"{text} gwei", int(wei))


def ether(wei: int) -> str:
    """Return wei as a decimal number of ether, without an exponent."""
    whole, rest = divmod(wei, WEI_PER_ETHER)
    digits = f"{rest:018d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


# --- forks that change prices


@dataclass(frozen=True, slots=True)
class Repricing:
    """A fork under way whose prices are other than today's, as drafted on `as_of`."""

    name: str
    as_of: str
    eips: tuple[int, ...]
    old_slot_gas: int
    new_slot_gas: int
    code_byte_gas: int
    calldata_floor_gas: int
    """A byte of calldata, zero or not, costs at least this if execution does not cost more."""

    def batch_gas(self, batch: BatchForecast) -> int:
        """Return what a batch would cost under this fork."""
        shape = batch.shape
        written_new = shape.new_accounts - batch.kept_new
        written_old = shape.old_accounts - batch.kept_old
        gas = (
            batch.gas
            + written_new * (self.new_slot_gas - NEW_ACCOUNT_GAS)
            + (written_old + 2) * (self.old_slot_gas - OLD_ACCOUNT_GAS)
            + (self.new_slot_gas - NEW_ACCOUNT_GAS) * (1 + shape.first_batch)  # the digest's slot
        )
        return max(gas, TRANSACTION_GAS + self.calldata_floor_gas * shape.calldata_bytes)

    def deployment_gas(self, gas: int, *, runtime_bytes: int) -> int:
        """Return what a deployment of today's `gas` would cost under this fork."""
        return gas + (self.code_byte_gas - CODE_BYTE_GAS) * runtime_bytes


REPRICINGS = (
    Repricing(
        name="Glamsterdam (drafts)",
        as_of="2026-08",
        eips=(7976, 8037, 8038),
        old_slot_gas=2_100 + 10_000,
        new_slot_gas=2_100 + 10_000 + 64 * 1_530,
        code_byte_gas=1_530,
        calldata_floor_gas=64,
    ),
)
"""EIP-8037: a new slot pays 64 bytes of state at 1,530 gas each, code a byte likewise; EIP-8038: a
written slot 10,000 and 2,100; EIP-7976: a calldata floor of 64 gas a byte."""


@dataclass(slots=True)
class Totals:
    """The sums over batches that a plan reports."""

    batches: int = 0
    entries: int = 0
    floor: int = 0
    gas: int = 0
    gas_max: int = 0
    calldata_bytes: int = 0
    repriced: dict[str, int] = field(default_factory=dict)

    def add(self, batch: BatchForecast) -> None:
        """Count one batch."""
        self.batches += 1
        self.entries += batch.shape.rows
        self.floor += batch.floor
        self.gas += batch.gas
        self.gas_max = max(self.gas_max, batch.gas)
        self.calldata_bytes += batch.shape.calldata_bytes
        for fork in REPRICINGS:
            self.repriced[fork.name] = self.repriced.get(fork.name, 0) + fork.batch_gas(batch)
