"""account claim through the command, on a real Anvil."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

OWNER = "0x" + "77" * 20


def test_a_vault_is_claimed(book, fresh_anvil: str) -> None:
    """The operator's keystore signs; the vault is where the account's address always was."""
    words = ("account", "claim", "alice", "--owner", OWNER, "--rpc", fresh_anvil)
    done = book(*words, "--json").document
    assert (True, done["vault"]) == (
        done["factory_deployed"],
        book("account", "show", "alice", "--json").document["address"],
    )
    assert "already" in book(*words).out


def test_a_claim_signed_elsewhere(book, fresh_anvil: str) -> None:
    """--unsigned prints what a wallet signs; its signature is submitted with --signature."""
    words = ("account", "claim", "alice", "--owner", OWNER, "--rpc", fresh_anvil)
    document = book(*words, "--unsigned").document
    expiry = document["typed_data"]["message"]["expiry"]
    keystore = json.loads(Path("token_ledger.db.operator.json").read_text())
    password = Path("token_ledger.db.operator.password").read_text().strip()
    key = Account.decrypt(keystore, password)
    signed = Account.sign_message(encode_typed_data(full_message=document["typed_data"]), key)
    Path("signature").write_text("0x" + signed.signature.hex().removeprefix("0x") + "\n")
    ended = book(*words, "--signature", "signature", "--expiry", expiry, "--json")
    assert (0, True) == (ended.status, ended.document["transaction"] is not None)


@pytest.mark.parametrize("text", ["", "0x", "hello", "0x123", "0x" + "0g" * 65])
def test_a_file_that_holds_no_signature(book, fresh_anvil: str, text: str) -> None:
    """What is no 0x-hex is refused before anything is asked."""
    Path("signature").write_text(text)
    ended = book(
        "account", "claim", "alice", "--owner", OWNER, "--rpc", fresh_anvil,
        "--signature", "signature", "--expiry", 2_000_000_000, "--json",
    )  # fmt: skip
    assert (2, "bad_file") == (ended.status, ended.error["code"])


def test_what_cannot_be_claimed(book, fresh_anvil: str) -> None:
    """A registered account is refused by a rule; both ways at once are wrong usage."""
    book("account", "create", "bob", "--address", "0x" + "66" * 20)
    words = ("--owner", OWNER, "--rpc", fresh_anvil, "--json")
    ended = book("account", "claim", "bob", *words)
    assert (1, "claim") == (ended.status, ended.error["code"])
    ended = book("account", "claim", "alice", *words, "--unsigned", "--signature", "x")
    assert (2, "bad_usage") == (ended.status, ended.error["code"])


def test_a_claim_as_a_file(book, fresh_anvil: str) -> None:
    """Signed by the operator, written for a Safe or an offline key; nothing is sent."""
    owner = "0x" + "1f" * 20
    words = ("account", "claim", "alice", "--owner", owner, "--rpc", fresh_anvil)
    told = book(*words, "--safe-json", "claim.json", "--json").document
    assert (2, ["claim.json"]) == (told["transactions"], told["files"])
    told = book(*words, "--unsigned-tx", "out.json", "--payer", owner, "--json").document
    assert ["out.json"] == told["files"]
    ended = book(*words, "--unsigned-tx", "out.json", "--json")
    assert (2, "--unsigned-tx and --payer") == (ended.status, ended.error["message"][:25])
