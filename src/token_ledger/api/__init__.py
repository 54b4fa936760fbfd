"""The HTTP API (extra `token-ledger[api]`): parse, call one verb, serialize."""

from __future__ import annotations

from token_ledger.api.app import create_app
from token_ledger.api.guard import Limits

__all__ = ["Limits", "create_app"]
