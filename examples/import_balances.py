"""Bring an existing table of balances into the ledger: every account, and one endowment each.

    python examples/import_balances.py

Run it again, or after an interruption: what is there already stays as it is.
"""

from __future__ import annotations

import sqlite3
import tempfile
from decimal import Decimal
from pathlib import Path

from token_ledger import Ledger, TokenTerms
from token_ledger.core.types import SYSTEM

CHUNK = 1_000


def bring_in(ledger: Ledger, old: sqlite3.Connection) -> int:
    """Make every account and endow it with its old balance; return how many accounts there are."""
    rows = old.execute("SELECT user_id, balance FROM balances").fetchall()
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        for user, _ in part:
            ledger.create_account(f"user:{user}", exist_ok=True)
        ledger.post_many(
            [
                ledger.record(
                    SYSTEM,
                    f"user:{user}",
                    balance,
                    reason="opening_balance",
                    idempotency_key=f"opening_balance:{user}",
                )
                for user, balance in part
                if Decimal(balance) != 0  # as text a zero has many forms: '0', '0.00000000'
            ]
        )
    return len(rows)


def main(folder: Path) -> None:
    """Make an old table, bring it in twice, and compare."""
    old = sqlite3.connect(folder / "old.db")
    old.execute("CREATE TABLE balances (user_id INTEGER, balance TEXT)")
    balances = [(1, "12.5"), (2, "0"), (3, "0.01"), (4, "0.00000000")]
    old.executemany("INSERT INTO balances VALUES (?, ?)", balances)
    terms = TokenTerms("OLD", "Old coin", 8)
    with Ledger.create(f"sqlite:///{folder / 'new.db'}", operator=b"\x11" * 20, token=terms) as new:
        for _ in range(2):
            brought = bring_in(new, old)
        print(f"accounts: {brought}; supply: {new.get_supply().amount}")
    old.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
