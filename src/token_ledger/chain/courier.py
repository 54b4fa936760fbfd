"""A sender that does not give up: stuck transactions are replaced, lost ones sent again.

    stuck     not mined for a while, and first in line: the same with higher fees (EIP-1559: an
              eighth more of both at least, or the node refuses), up to a ceiling
    lost      the node no longer knows it: sent again as it was, so that no gap of nonces stays
    overtaken another transaction took the nonce: NonceTakenError, and the caller looks where
              the chain stands before it sends anything more
    taken back a reorganisation took back what was mined before it, and the node forgot that:
              NonceTakenError as well, for the gap would never close by itself

Whatever becomes of a nonce, at most one of the transactions that bear it is ever executed.
"""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass, field
from typing import Any

from token_ledger.chain.rpc import NodeError, Rpc, hex_data
from token_ledger.chain.sender import Receipt, Sender
from token_ledger.chain.signer import GasPayer
from token_ledger.core.address import to_checksum
from token_ledger.errors import ChainError

STUCK_AFTER_S = 60.0
GAP_AFTER_S = 3.0
FEE_STEPS_MAX = 40
PRICE_MAX_WEI, TIP_MAX_WEI = 500 * 10**9, 50 * 10**9
"""The most that is offered unasked for a unit of gas, and as its tip: the figures are the node's,
which may be broken or hostile. Where a chain is dearer, --max-gas-price says so."""
RAISED_MAX = 16
"""A replacement pays so many times what the node says gas costs, unasked, and no more."""
_POLL_MIN_S, _POLL_MAX_S = 0.002, 1.0
_GWEI = 10**9
_UNDERPRICED = re.compile(
    r"underpriced|fee too low|less than block base fee|fee cap (?:is )?less than", re.IGNORECASE
)
_POOR = re.compile(r"insufficient ?funds|upfront cost exceeds", re.IGNORECASE)
_LOW = re.compile(r"nonce (?:is )?too low|invalid nonce|already been used", re.IGNORECASE)


class NonceTakenError(ChainError):
    """Another transaction of the same payer was mined in the place of ours."""


class TooDearError(ChainError):
    """Gas costs more now than may be offered."""


@dataclass(slots=True)
class _Letter:
    """One nonce's worth: what is to happen, and every transaction that was sent for it."""

    nonce: int
    to: bytes
    data: bytes
    gas: int
    fees: dict[str, int]
    hashes: list[bytes] = field(default_factory=list)


def raised(fees: dict[str, int], *, floor: dict[str, int]) -> dict[str, int]:
    """Return fees that replace others: an eighth more of each, and no less than `floor`."""
    return {name: max(wei + wei // 8 + 1, floor.get(name, 0)) for name, wei in fees.items()}


class Courier(Sender):
    """Sends as `Sender` does, and sees to it that what was sent is mined.

    `fee_max_wei`: never offer more than this for a unit of gas; without it, no more than the
    module's ceilings, over which TooDearError is raised before anything is sent. `take_over`: what
    an earlier run or a wallet left unmined is replaced by ours, instead of waited for.
    """

    def __init__(
        self,
        rpc: Rpc,
        payer: GasPayer,
        *,
        chain_id: int,
        stuck_after_s: float = STUCK_AFTER_S,
        fee_max_wei: int | None = None,
        take_over: bool = False,
        **other: Any,
    ) -> None:
        super().__init__(rpc, payer, chain_id=chain_id, **other)
        self._stuck_after_s = stuck_after_s
        self._fee_max_wei = fee_max_wei
        self._take_over = take_over
        self._letters: dict[bytes, _Letter] = {}
        self._gave_up = False
        self._tried: list[bytes] = []
        self._handed_over = False

    def settle(self) -> None:
        """Wait until nothing of this payer is on its way, or (`take_over`) go before it."""
        self._gave_up = self._gave_up or bool(self._letters)
        self._letters.clear()
        if self._take_over:
            self._nonce = self._mined()
        else:
            super().settle()

    def send(self, to: bytes, data: bytes, *, gas: int) -> bytes:
        """Send a transaction with the next nonce; return its hash, by which `wait` knows it."""
        if self._nonce is None:
            self.settle()
        if self._sent % 16 == 0:
            self._fees = self._within(self._current_fees())
        assert self._nonce is not None
        letter = _Letter(self._nonce, to, data, gas, dict(self._fees))
        self._post(letter)
        self._nonce += 1
        self._sent += 1
        self._letters[letter.hashes[0]] = letter
        return letter.hashes[0]

    def wait(self, tx_hash: bytes) -> Receipt:
        """Return the receipt of a transaction or of the one that replaced it.

        Raises ChainError when it stays unmined, NonceTakenError when another one was mined.
        """
        letter = self._letters.get(tx_hash)
        if letter is None:
            return super().wait(tx_hash)
        deadline = time.monotonic() + self._timeout_s
        push_at = time.monotonic() + self._stuck_after_s
        gap_at = time.monotonic() + min(GAP_AFTER_S, self._stuck_after_s)
        pause_s = _POLL_MIN_S
        while True:
            receipt = next((r for r in self.receipts(letter.hashes) if r is not None), None)
            if receipt is not None:
                del self._letters[tx_hash]
                return receipt
            now = time.monotonic()
            if now > deadline:
                raise ChainError(
                    f"nonce {letter.nonce} of {to_checksum(self.payer.address)} is not mined after "
                    f"{self._timeout_s:g} s, at {letter.fees} wei",
                    hint="raise --max-gas-price, or wait, then run it again: nothing is lost",
                )
            if now > gap_at:
                self._check_gap(letter)
                gap_at = time.monotonic() + GAP_AFTER_S
            if now > push_at:
                self._push(letter)
                push_at = time.monotonic() + self._stuck_after_s
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, _POLL_MAX_S, self._stuck_after_s)

    @property
    def is_idle(self) -> bool:
        """Whether nothing that this courier sent may still be executed, as far as it knows."""
        return not self._letters and not self._gave_up

    def watch(self) -> None:
        """Look from now on at what is handed over: see `took_nothing`."""
        self._tried, self._handed_over = [], False

    def took_nothing(self) -> bool:
        """Return whether the node provably has nothing of what was sent since `watch`.

        It refused everything for its price or for lack of money, knows none of the hashes, and has
        nothing of the payer on its way. Any other error is one under which it may have taken it.
        """
        if self._handed_over or not self.is_idle:
            return False
        asked = [("eth_getTransactionByHash", [hex_data(tx_hash)]) for tx_hash in self._tried]
        if asked and any(answer is not None for answer in self.rpc.batch(asked)):
            return False
        return self.rpc.quantity("eth_getTransactionCount", [self._from, "pending"]) <= (
            self._mined()
        )

    # --- one letter

    def _post(self, letter: _Letter) -> None:
        """Send a letter, with higher fees where the node wants them for a replacement."""
        for _ in range(FEE_STEPS_MAX):
            before, self._handed_over = self._handed_over, True
            try:
                self._remember(letter, self._transmit(letter))
            except NodeError as error:
                if _UNDERPRICED.search(error.text) or _POOR.search(error.text):
                    self._handed_over = before
                if _LOW.search(error.text):
                    if any(self.receipts(letter.hashes)):
                        return
                    raise NonceTakenError(
                        f"nonce {letter.nonce} of {to_checksum(self.payer.address)} was taken by "
                        "another transaction",
                        hint="does somebody else send with this key? Run it again",
                    ) from None
                if not _UNDERPRICED.search(error.text):
                    raise
                if (passed := self._raise_fees(letter)) is not None:
                    raise TooDearError(
                        f"gas costs more than {passed} wei now: {error.text[:200]}",
                        hint="raise --max-gas-price, or wait, then run it again",
                    ) from None
            else:
                return
        raise ChainError(
            f"nonce {letter.nonce} is held by a transaction that pays too much to be replaced",
            hint="wait until it is mined, then run it again",
        )

    def _transmit(self, letter: _Letter) -> bytes:
        transaction: dict[str, Any] = {
            "chainId": self._chain_id,
            "nonce": letter.nonce,
            "value": 0,
            "gas": letter.gas,
            **letter.fees,
        }
        return self._dispatch(letter.to, letter.data, transaction)

    def _signed(self, tx_hash: bytes) -> None:
        self._tried.append(tx_hash)

    @staticmethod
    def _remember(letter: _Letter, tx_hash: bytes) -> None:
        if tx_hash not in letter.hashes:
            letter.hashes.append(tx_hash)

    def _push(self, letter: _Letter) -> None:
        """Do what a letter needs that is not mined yet."""
        mined = self._mined()
        if mined > letter.nonce:
            if not any(self.receipts(letter.hashes)):
                raise NonceTakenError(
                    f"nonce {letter.nonce} of {to_checksum(self.payer.address)} was taken by "
                    "another transaction",
                    hint="does somebody else send with this key? Run it again",
                )
            return
        last = letter.hashes[-1]
        lost = self.rpc.call("eth_getTransactionByHash", [hex_data(last)]) is None
        dearer = mined == letter.nonce and self._is_cheap(letter)
        dearer = dearer and self._raise_fees(letter) is None
        if lost or dearer:  # those behind it wait for this nonce
            with contextlib.suppress(TooDearError):  # it waits for cheaper days
                self._post(letter)

    def _check_gap(self, letter: _Letter) -> None:
        """Raise NonceTakenError where a nonce before this letter's is free, and nobody fills it."""
        mined = self._mined()
        if mined >= letter.nonce or any(mined == other.nonce for other in self._letters.values()):
            return
        if self.rpc.quantity("eth_getTransactionCount", [self._from, "pending"]) <= mined:
            raise NonceTakenError(
                f"the chain took back nonces {mined} to {letter.nonce - 1} of "
                f"{to_checksum(self.payer.address)}",
                hint="it was reorganised: run it again",
            )

    def _mined(self) -> int:
        return self.rpc.quantity("eth_getTransactionCount", [self._from, "latest"])

    # --- fees

    def _is_cheap(self, letter: _Letter) -> bool:
        """Return whether its fees may be why a block passes it by: else higher ones do not help."""
        wanted = self._current_fees()
        tip = wanted.get("maxPriorityFeePerGas", 0)
        least = (_most(wanted) - tip) // 2 + tip if tip else _most(wanted)
        return _most(letter.fees) < least or letter.fees.get("maxPriorityFeePerGas", tip) < tip

    def _raise_fees(self, letter: _Letter) -> int | None:
        """Raise a letter's fees to what replaces it; return the ceiling where that is over it."""
        floor = self._current_fees()
        fees = raised(letter.fees, floor=floor)
        passed = self._passed(fees)
        if passed is None and self._fee_max_wei is None:
            often = RAISED_MAX * max(_most(floor), _GWEI)
            passed = often if _most(fees) > often else None
        if passed is None:
            letter.fees = fees
        return passed

    def _passed(self, fees: dict[str, int]) -> int | None:
        """Return the ceiling that fees are over, in wei a unit of gas, or None."""
        most = PRICE_MAX_WEI if self._fee_max_wei is None else self._fee_max_wei
        if _most(fees) > most:
            return most
        tip = fees.get("maxPriorityFeePerGas", 0)
        return TIP_MAX_WEI if self._fee_max_wei is None and tip > TIP_MAX_WEI else None

    def _within(self, fees: dict[str, int]) -> dict[str, int]:
        """Return fees cut to the ceiling: a transaction that waits for cheaper days is fine.

        Raises TooDearError where no ceiling was given and the node's figures are over ours.
        """
        if self._fee_max_wei is not None:
            return {name: min(wei, self._fee_max_wei) for name, wei in fees.items()}
        if (passed := self._passed(fees)) is not None:
            shown = ", ".join(f"{name} {wei}" for name, wei in sorted(fees.items()))
            raise TooDearError(
                f"{self.rpc.shown} asks for {shown} wei: more than {passed} wei a unit of gas is "
                "not offered unasked",
                hint="ask another node; where gas is so dear indeed, give --max-gas-price",
            )
        return fees


def _most(fees: dict[str, int]) -> int:
    return fees.get("maxFeePerGas", fees.get("gasPrice", 0))
