"""A double-entry token ledger whose every row is an ERC-20 Transfer in waiting.

The nouns are here: `from token_ledger import Ledger`. Each verb is the function of its own module
and the command of its name: `from token_ledger.seal import seal` is `token-ledger seal`. Names are
loaded when they are first asked for, so that nobody waits for a library that he does not use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from token_ledger import errors
from token_ledger.errors import TokenLedgerError

if TYPE_CHECKING:
    from token_ledger.core.types import (
        Batch,
        Entry,
        Finding,
        Header,
        Proof,
        Record,
        Texts,
        Token,
        Transfer,
    )
    from token_ledger.ledger import (
        Account,
        AsyncLedger,
        Awarded,
        BalanceAt,
        EarningRule,
        Ledger,
        Posted,
        StatementPage,
        Statistics,
        StoredEntry,
        StoredToken,
        Supply,
        TokenTerms,
        upgrade,
    )

__all__ = [
    "Account",
    "AsyncLedger",
    "Awarded",
    "BalanceAt",
    "Batch",
    "EarningRule",
    "Entry",
    "Finding",
    "Header",
    "Ledger",
    "Posted",
    "Proof",
    "Record",
    "StatementPage",
    "Statistics",
    "StoredEntry",
    "StoredToken",
    "Supply",
    "Texts",
    "Token",
    "TokenLedgerError",
    "TokenTerms",
    "Transfer",
    "errors",
    "upgrade",
]

_FROM_CORE = frozenset(
    ["Batch", "Entry", "Finding", "Header", "Proof", "Record", "Texts", "Token", "Transfer"]
)


def __getattr__(name: str) -> Any:
    """Load a public name from where it lives."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "token_ledger.core.types" if name in _FROM_CORE else "token_ledger.ledger"
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
