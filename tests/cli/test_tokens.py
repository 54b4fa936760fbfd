"""token: further tokens of one ledger, through the command."""

from __future__ import annotations

import pytest
from tests.chain.fake_node import FakeNode
from tests.chain.living import TOKEN, LivingToken
from tests.entered import life

from token_ledger.core.address import to_checksum

MORE = ("token", "create", "--symbol", "BAR", "--name", "Bar", "--decimals", "4")


def test_a_second_token_is_made_and_listed(book) -> None:
    """A second token has decimals, supply and ceiling of its own; both are listed in order."""
    made = book(*MORE, "--max-supply", "12.5", "--json").document
    assert ("BAR", "Bar", 4, "12.5") == tuple(
        made[name] for name in ("symbol", "name", "decimals", "max_supply")
    )
    assert 66 == len(made["uid"])
    listed = book("token", "list", "--json").document["tokens"]
    assert (["TKN", "BAR"], made) == ([token["symbol"] for token in listed], listed[1])
    assert 0 == book("mint", "alice", "1.2345", "--reason", "r", "--token", "BAR").status
    assert "1.2345 BAR\n" == book("balance", "alice", "--token", "BAR").out
    assert "100 TKN\n" == book("balance", "alice", "--token", "TKN").out
    assert "--token" in book("balance", "alice").err


def test_people_see_tokens_as_a_table(book, monkeypatch: pytest.MonkeyPatch) -> None:
    """People see symbol, decimals, name and uid, whatever token is meant elsewhere."""
    monkeypatch.setenv("TOKEN_LEDGER_TOKEN", "BAR")
    assert "BAR: Bar, 4 decimals" in book(*MORE).out
    header, *lines = book("token", "list").out.splitlines()
    assert ["token", "decimals", "name", "uid"] == header.split()
    assert ["TKN", "BAR"] == [line.split()[0] for line in lines]


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("--symbol", "TKN", "--name", "x", "--decimals", "1"), 1, "token_exists"),
        (("--symbol", "X", "--name", "x", "--decimals", "99"), 2, "bad_usage"),
        (("--symbol", "X", "--name", "x", "--decimals", "1", "--max-supply", "0"), 2, "bad_usage"),
        (("--symbol", "X", "--name", "x"), 2, "bad_usage"),
        (("--symbol", "X", "--name", "x", "--decimals", "1", "--from-block", "1"), 2, "bad_usage"),
        (("--on-chain", "0x" + "c0" * 20, "--max-supply", "5"), 2, "bad_usage"),
    ],
)
def test_a_bad_token_is_refused(book, words: tuple[str, ...], status: int, code: str) -> None:
    """A taken symbol is refused by a rule, terms that no token has as wrong usage."""
    ended = book("token", "create", *words, "--json")
    assert (status, code) == (ended.status, ended.error["code"])


def test_a_token_of_a_chain_is_taken_in_and_followed(book) -> None:
    """--on-chain asks the contract for its terms; import answers how many entries that brought."""
    with FakeNode(LivingToken(life(), head=20)) as node:
        asked = ("token", "create", "--on-chain", to_checksum(TOKEN), "--rpc", node.url)
        made = book(*asked, "--json").document
        done = book("import", "--token", "LIV", "--rpc", node.url, "--json").document
        again = book("import", "--token", "LIV", "--rpc", node.url)
    assert ("LIV", "Living Token", 18) == tuple(
        made[name] for name in ("symbol", "name", "decimals")
    )
    assert (7, 3, []) == tuple(
        done["entered"][name] for name in ("entries", "accounts", "findings")
    )
    assert (0, True) == (again.status, "0, up to block 18" in again.out)
