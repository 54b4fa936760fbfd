"""A tournament site's service layer: payouts inside the site's own transaction, safe to repeat.

    python examples/tournament.py

The site keeps registrations in its own tables. A payout marks the registration and moves the coins
in one transaction, under a key made of the registration: run twice, or by two, it pays once.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from token_ledger import Ledger, Posted, TokenTerms
from token_ledger.errors import RetryableError

ATTEMPTS = 5


def _wallet(user_id: int) -> str:
    return f"user:{user_id}"


def _result(posted: Posted) -> dict[str, Any]:
    """Return what the site's views know: wallets, balances after, transaction and key."""
    return {
        "from_wallet": posted.from_account,
        "to_wallet": posted.to_account,
        "amount": posted.amount,
        "from_balance_after": posted.balance_after_from,
        "to_balance_after": posted.balance_after_to,
        "transaction_id": posted.id.hex(),
        "idempotency_key": posted.idempotency_key,
        "repeated": posted.repeated,
    }


class CoinService:
    """What the site's views call: result dictionaries, as they know them."""

    def __init__(self, ledger: Ledger, session: Session) -> None:
        self._coins = ledger.bound_to(session)
        self._session = session

    def credit(
        self, user_id: int, amount: str, *, reason: str, key: str | None = None
    ) -> dict[str, Any]:
        """Issue coins to a user, once for a key. The wallet is made when it is missing."""
        posted = self._coins.credit(
            _wallet(user_id), amount, create_account=True, reason=reason, idempotency_key=key
        )
        return _result(posted)

    def debit(
        self, user_id: int, amount: str, *, reason: str, key: str | None = None
    ) -> dict[str, Any]:
        """Take coins from a user, once for a key."""
        return _result(
            self._coins.debit(_wallet(user_id), amount, reason=reason, idempotency_key=key)
        )

    def transfer(
        self, sender: int, receiver: int, amount: str, *, reason: str, key: str | None = None
    ) -> dict[str, Any]:
        """Move coins from a user to another, once for a key, wholly or not at all."""
        posted = self._coins.transfer(
            _wallet(sender), _wallet(receiver), amount, reason=reason, idempotency_key=key
        )
        return _result(posted)

    def balance(self, user_id: int) -> int:
        """Return a user's coins; 0 without a wallet."""
        return self._coins.get_balance(_wallet(user_id))

    def history(self, user_id: int, *, limit: int = 50, offset: int = 0) -> list[dict[str, Any]]:
        """Return what happened to a user's coins, the newest first."""
        wallet = _wallet(user_id)
        return [
            {
                "transaction_id": entry.id.hex(),
                "amount": entry.value if entry.to_account == wallet else -entry.value,
                "reason": entry.reason,
                "balance_after": entry.balance_after(wallet),
            }
            for entry in self._coins.get_history(wallet, limit, offset)
        ]

    def award_participation(self, registration: int, user_id: int) -> dict[str, Any]:
        """Pay for taking part, and mark the registration, together."""
        key = f"participation_award_reg_{registration}"
        result = self.credit(user_id, "10", reason="participation_award", key=key)
        self._session.execute(
            text("UPDATE registration SET paid = 1 WHERE id = :id"), {"id": registration}
        )
        return result

    def award_placements(self, winners: list[tuple[int, int]]) -> list[dict[str, Any]]:
        """Pay the first places; `winners`: (registration, user), the best first."""
        return [
            self.credit(
                user_id,
                prize,
                reason="placement_award",
                key=f"placement_award_reg_{registration}_place_{place}",
            )
            for place, ((registration, user_id), prize) in enumerate(
                zip(winners, ("100", "50", "25"), strict=False), 1
            )
        ]


def pay_tournament(ledger: Ledger, engine: Any, winners: list[tuple[int, int]]) -> None:
    """Pay everybody in one transaction of the site's, run again after a deadlock."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with Session(engine) as session, session.begin():
                service = CoinService(ledger, session)
                for registration, user_id in winners:
                    service.award_participation(registration, user_id)
                service.award_placements(winners)
        except RetryableError:
            if attempt == ATTEMPTS:
                raise
        else:
            return


def main(url: str) -> None:
    """Pay a tournament of three twice: every coin is paid once."""
    terms = TokenTerms("COIN", "Tournament coin", 0)
    with Ledger.create(url, operator=b"\x11" * 20, token=terms) as ledger:
        engine = create_engine(ledger.engine.url)
        with engine.begin() as connection:
            connection.execute(
                text("CREATE TABLE registration (id INTEGER PRIMARY KEY, paid INTEGER DEFAULT 0)")
            )
            connection.execute(text("INSERT INTO registration (id) VALUES (7), (8), (9)"))
        winners = [(8, 2), (7, 1), (9, 3)]
        for _ in range(2):
            pay_tournament(ledger, engine, winners)
        with engine.connect() as connection:
            paid = connection.execute(text("SELECT sum(paid) FROM registration")).scalar_one()
        engine.dispose()
        balances = [ledger.get_balance(f"user:{user}") for user in (1, 2, 3)]
        print(f"registrations paid: {paid}; balances: {balances}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(f"sqlite:///{Path(folder) / 'site.db'}")
