"""A tournament site as its own tests know it: users by number, a service in its own transactions.

The service is that of `examples/tournament.py`; wallets and results are dictionaries, as the site's
views have them.
"""

from __future__ import annotations

import importlib.util
import random
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from token_ledger import Ledger, TokenTerms
from token_ledger.errors import RetryableError

ATTEMPTS = 50
USERS = (1, 2, 3)


@cache
def example() -> ModuleType:
    """Return the example's module."""
    path = Path(__file__).parents[2] / "examples" / "tournament.py"
    spec = importlib.util.spec_from_file_location("tournament_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Site:
    """A site whose three users hold 100 coins each."""

    def __init__(self, url: str) -> None:
        self.url = url
        terms = TokenTerms("COIN", "Tournament coin", 0)
        self.ledger = Ledger.create(url, operator=b"\x11" * 20, token=terms)
        self.engine: Engine = create_engine(self.ledger.engine.url)
        for user in USERS:
            self.call("credit", user, "100", reason="welcome")

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
        self.ledger.close()

    def run(self, work: Callable[[Any], Any]) -> Any:
        """Return what `work` returns of the service, in one transaction of the site's.

        Run again after a deadlock or a busy database, as the site does.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with Session(self.engine) as session, session.begin():
                    return work(example().CoinService(self.ledger, session))
            except RetryableError:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(random.uniform(0.001, 0.02))
        raise AssertionError

    def call(self, verb: str, *arguments: Any, **words: Any) -> Any:
        """Call one verb of the service in a transaction of its own."""
        return self.run(lambda service: getattr(service, verb)(*arguments, **words))

    def coins(self) -> list[int]:
        """Return the users' balances."""
        return [self.call("balance", user) for user in USERS]

    def damage(self, user: int, coins: int) -> None:
        """Change a stored balance behind the ledger's back, as a bug would."""
        stored = f"x'{coins:064x}'" if self.sqlite else str(coins)
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    f"UPDATE token_accounts SET balance = {stored} WHERE account_no ="
                    " (SELECT account_no FROM accounts WHERE account_id = :id)"
                ),
                {"id": f"user:{user}"},
            )

    @property
    def sqlite(self) -> bool:
        """Whether the database is SQLite."""
        return self.engine.dialect.name == "sqlite"
