"""Tokens: what can be made, how one is chosen, and its one chain."""

from __future__ import annotations

from typing import Any

import pytest

from token_ledger.core.entry import token_uid
from token_ledger.errors import (
    CanonicalChainError,
    TextError,
    TokenExistsError,
    TokenLedgerError,
    UnknownTokenError,
    UsageError,
)
from token_ledger.ledger import Ledger


def test_token_uid_commits_to_its_terms(ledger: Ledger) -> None:
    """The uid is the hash of ledger uid, symbol, name and decimals."""
    token = ledger.token
    expected = token_uid(ledger.ledger_uid, symbol="TKN", name="Token of the tests", decimals=18)
    assert expected == token.uid
    assert [token] == ledger.tokens()


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        (("TKN", "Again", 18), TokenExistsError),
        (("", "Name", 18), TextError),
        (("S", "", 18), TextError),
        (("S ", "Name", 18), TextError),
        (("S", "x" * 32, 18), TextError),
        (("S", "é" * 16, 18), TextError),
        (("S" * 32, "Name", 18), TextError),
        (("S", "Name", -1), UsageError),
        (("S", "Name", 78), UsageError),
        (("S", "Name", True), UsageError),
        (("S", "Name", 18, 0), UsageError),
        (("S", "Name", 0, 2**256), UsageError),
    ],
    ids=str,
)
def test_bad_terms_are_refused(
    terms: tuple[Any, ...], error: type[TokenLedgerError], ledger: Ledger
) -> None:
    """Taken symbols, names that no contract could carry, and impossible numbers are refused."""
    with pytest.raises(error):
        ledger.create_token(*terms)
    assert 1 == len(ledger.tokens())


def test_one_token_needs_no_name_and_two_do(database_url: str) -> None:
    """The only token is meant; of several one must be named, and a wrong name is told."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        with pytest.raises(UnknownTokenError, match="holds none"):
            _ = ledger.token
        first = ledger.create_token("A", "First", 0)
        assert first == ledger.token
    with Ledger.open(database_url) as ledger:
        assert first == ledger.token
        second = ledger.create_token("B", "Second", 0)
        with pytest.raises(UnknownTokenError, match="A, B"):
            _ = ledger.token
        assert second == ledger.use("B") == ledger.token
    with Ledger.open(database_url, token="A") as ledger:
        assert first == ledger.token
    with pytest.raises(UnknownTokenError, match="'C'"):
        Ledger.open(database_url, token="C")


def test_canonical_chain(ledger: Ledger) -> None:
    """A token's chain is recorded once; the same again is no news, another is refused."""
    ledger.set_canonical_chain(1)
    ledger.set_canonical_chain(1)
    assert 1 == ledger.token.canonical_chain_id
    with pytest.raises(CanonicalChainError, match="chain 1"):
        ledger.set_canonical_chain(10)
    assert 1 == ledger.token.canonical_chain_id
