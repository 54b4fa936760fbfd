"""The books: schema, posting, accounts, queries. Alone with `migrations` it asks the database."""

from __future__ import annotations

from sqlalchemy import Connection

from token_ledger.ledger.accounts import Account
from token_ledger.ledger.asof import BalanceAt
from token_ledger.ledger.asynchronous import AsyncLedger
from token_ledger.ledger.ledger import Ledger, upgrade
from token_ledger.ledger.posted import Posted
from token_ledger.ledger.queries import StoredEntry, Supply
from token_ledger.ledger.roles import grant_application_role
from token_ledger.ledger.rules import Awarded, EarningRule
from token_ledger.ledger.statements import StatementPage
from token_ledger.ledger.statistics import Statistics
from token_ledger.ledger.tokens import StoredToken, TokenTerms

__all__ = [
    "Account",
    "AsyncLedger",
    "Awarded",
    "BalanceAt",
    "Connection",
    "EarningRule",
    "Ledger",
    "Posted",
    "StatementPage",
    "Statistics",
    "StoredEntry",
    "StoredToken",
    "Supply",
    "TokenTerms",
    "grant_application_role",
    "upgrade",
]
