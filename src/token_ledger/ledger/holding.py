"""The verbs of holds and staking. Methods of `Ledger`."""

from __future__ import annotations

import datetime as dt

from token_ledger.core.parse import Amount, parse_account_id, parse_amount, parse_timestamp
from token_ledger.core.types import SYSTEM
from token_ledger.errors import HoldError
from token_ledger.ledger import holds, queries
from token_ledger.ledger.composite import Desk
from token_ledger.ledger.holds import Asked, Hold
from token_ledger.ledger.posted import Posted
from token_ledger.ledger.verbs import Verbs


class Holding(Verbs):
    """What `Ledger` gets from this module."""

    def hold(
        self,
        account_id: str,
        amount: Amount,
        *,
        expires_at: str | dt.datetime | None = None,
        reason: str = "hold",
        idempotency_key: str | None = None,
        memo: str = "",
    ) -> Posted:
        """Set an amount of an account aside, in its escrow account; the result's id is the hold's.

        `expires_at` (zoned): from then on it cannot be captured, and goes back to the holder. It
        leaves the balance and counts as staked and as spent. Raises what a transfer raises.
        """
        token, name = self.token, parse_account_id(account_id)
        value = parse_amount(amount, decimals=token.decimals)
        until = None if expires_at is None else parse_timestamp(expires_at)
        words = Asked(reason, idempotency_key, memo)
        return self.run(
            lambda c: holds.hold(
                Desk(c, self.context, token), name, value, expires_at=until, words=words
            )
        )

    def capture(
        self,
        hold_id: bytes | str,
        amount: Amount | None = None,
        *,
        to: str = SYSTEM,
        reason: str = "capture",
        idempotency_key: str | None = None,
        memo: str = "",
    ) -> Posted:
        """Pay a held amount, or all that is left of it, to an account or back to the issuer.

        As often as something is left. Raises HoldError for a hold that has ended, expired or holds
        less, and AccountFrozenError where the holder may not spend.
        """
        token, wanted = self.token, _hold_id(hold_id)
        parse_account_id(to, allow_system=True)
        value = None if amount is None else parse_amount(amount, decimals=token.decimals)
        words = Asked(reason, idempotency_key, memo)
        result = self.run(
            lambda c: holds.capture(
                Desk(c, self.context, token), wanted, value=value, to=to, words=words
            )
        )
        if isinstance(result, HoldError):  # after the release of what had expired was committed
            raise result
        return result

    def release(
        self,
        hold_id: bytes | str,
        *,
        reason: str = "release",
        idempotency_key: str | None = None,
        memo: str = "",
    ) -> Posted:
        """Give what is left of a hold back to its holder, frozen or not.

        Raises HoldError for a hold that has ended.
        """
        token, wanted = self.token, _hold_id(hold_id)
        words = Asked(reason, idempotency_key, memo)
        return self.run(lambda c: holds.release(Desk(c, self.context, token), wanted, words=words))

    def get_hold(self, hold_id: bytes | str) -> Hold:
        """Return a hold, ended or not. Raises UnknownHoldError for an id that is none."""
        token, wanted = self.token, _hold_id(hold_id)
        with self.read() as connection:
            return holds.read(Desk(connection, self.context, token), wanted)

    def holds(self, account_id: str | None = None) -> list[Hold]:
        """Return the holds that have not ended, of an account or of all: the 1,000 oldest."""
        token = self.token
        with self.read() as connection:
            return holds.list_holds(Desk(connection, self.context, token), account_id=account_id)

    def expire_holds(self) -> int:
        """Release every hold that has expired; return how many this did. One transaction each."""
        token, expired = self.token, 0
        while True:
            with self.read() as connection:
                desk = Desk(connection, self.context, token)
                due = holds.list_holds(desk, expired_at=self.now())
            done = sum(self._expire(item.id) for item in due)
            expired += done
            if not done:
                return expired

    def _expire(self, hold_id: bytes) -> bool:
        token = self.token
        return self.run(lambda c: holds.expire(Desk(c, self.context, token), hold_id))


def _hold_id(hold_id: bytes | str) -> bytes:
    return queries.parse_entry_id(hold_id) if isinstance(hold_id, str) else hold_id
