"""The token's supply while postings are computed: what mints and burns change, and draws.

Locked after the accounts and before the entry numbers, so that its order is that of the entries.
"""

from __future__ import annotations

from token_ledger.core.parse import format_amount
from token_ledger.core.types import UINT256_MAX
from token_ledger.errors import SupplyExceededError
from token_ledger.ledger.store import Store, SupplyFigures
from token_ledger.ledger.tokens import StoredToken


class LockedSupply:
    """The supply that this transaction has locked, once `lock` was called.

    `credit` is the part of it that accounts have drawn and not repaid; it counts as minted, and
    what is repaid as burned.
    """

    __slots__ = ("_token", "burned", "changed", "credit", "locked", "minted", "total")

    def __init__(self, token: StoredToken) -> None:
        self._token = token
        self.total = self.minted = self.burned = self.credit = 0
        self.locked = self.changed = False

    def lock(self, store: Store, figures: SupplyFigures | None = None) -> None:
        """Lock it, unless that was done already, or give it the `figures` that were locked."""
        if not self.locked:
            found = store.lock_supply() if figures is None else figures
            self.total, self.minted, self.burned, self.credit = found
            self.locked = True

    def check_mint(self, value: int, *, capped: bool = True) -> None:
        """Raise SupplyExceededError unless so much may be minted."""
        ceiling = self._token.max_supply if capped else UINT256_MAX
        if self.total + value > ceiling:
            decimals = self._token.decimals
            raise SupplyExceededError(
                f"minting {format_amount(value, decimals=decimals)} {self._token.symbol} on top of"
                f" {format_amount(self.total, decimals=decimals)} would exceed the maximum of"
                f" {format_amount(ceiling, decimals=decimals)}",
                hint=f"{format_amount(ceiling - self.total, decimals=decimals)} can be minted",
            )

    def mint(self, value: int, *, capped: bool = True) -> int:
        """Issue a value; return the supply after it. Raises SupplyExceededError.

        `capped`: below the token's maximum, and not only below what a uint256 counts.
        """
        assert self.locked, "whoever mints has locked the supply"
        self.check_mint(value, capped=capped)
        self.total += value
        self.minted += value
        self.changed = True
        return self.total

    def burn(self, value: int) -> int:
        """Take a value back; return the supply after it."""
        assert self.locked, "whoever burns has locked the supply"
        assert self.total >= value, "no balance is above the supply"
        self.total -= value
        self.burned += value
        self.changed = True
        return self.total

    def figures(self) -> SupplyFigures:
        """Return what is written of it."""
        return self.total, self.minted, self.burned, self.credit
