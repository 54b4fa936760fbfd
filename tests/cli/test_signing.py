"""Transactions as files through the command, on a real Anvil."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.signer import create_keystore, keystore_address


def test_signed_offline_and_broadcast(book, fresh_anvil: str, monkeypatch) -> None:
    """Migrate --unsigned, sign-offline without a network, broadcast; migrate finds it done."""
    payer = hex_data(create_keystore("payer.json", "payer.password"))
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_setBalance", [payer, hex(10**20)])
    book("seal", "--sign")
    words = ("--rpc", fresh_anvil)
    ended = book(
        "migrate", *words, "--unsigned", "out.json", "--payer", payer, "--max-gas-price", "9",
        "--json",
    )  # fmt: skip
    assert (0, 2, ["out.json"]) == (
        ended.status,
        ended.document["transactions"],
        ended.document["files"],
    )
    contract = ended.document["contract"]
    key = ("--keystore", "payer.json", "--password-file", "payer.password")
    signed = book(
        "--db", "sqlite:///nowhere.db", "sign-offline", "out.json", "-o", "signed.json",
        "--contract", contract, *key, "--json",
    )  # fmt: skip
    assert (0, [0, 1]) == (signed.status, signed.document["nonces"])
    sent = book("--db", "sqlite:///nowhere.db", "broadcast", "signed.json", *words, "--json")
    assert (0, 2) == (sent.status, sent.document["sent"])
    assert 0 == book("broadcast", "signed.json", *words, "--json").document["sent"]
    assert 0 == book("migrate", *words, "--json").document["batches"]
    assert not Path("nowhere.db").exists()


@pytest.fixture(scope="module")
def final_node() -> Iterator[str]:
    """Yield an Anvil whose blocks become final two blocks later."""
    with Anvil(args=("--slots-in-an-epoch", "1")) as node:
        yield node.url


COMMANDS = {
    "anchor": ("anchor",),
    "account claim": ("account", "claim", "alice", "--owner", "0x" + "44" * 20),
    "snapshot publish": ("snapshot", "publish", "--deadline", "DEADLINE"),
    "snapshot claim": ("snapshot", "claim", "PROOF", "--contract", "SNAPSHOT"),
    "snapshot sweep": ("snapshot", "sweep", "--contract", "SNAPSHOT", "--to", "0x" + "88" * 20),
    "migrate --finalize": ("migrate", "--finalize"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_goes_round_by_files(book, final_node: str, name: str) -> None:
    """Written unsigned, signed without network or database, broadcast; run again, it is done."""
    rpc_words, payer = ("--rpc", final_node), keystore_address("token_ledger.db.operator.json")
    with Rpc(final_node) as rpc:
        rpc.call("anvil_setBalance", [hex_data(payer), hex(10**20)])
        now = int(rpc.call("eth_getBlockByNumber", ["latest", False])["timestamp"], 16)
        words = {"DEADLINE": str(max(now, int(time.time())) + 3000)}
        book("seal", "--sign")
        if "SNAPSHOT" in COMMANDS[name]:
            deadline = ("--deadline", words["DEADLINE"])
            book("snapshot", "take", "snap", *deadline)
            words["PROOF"] = str(next(Path("snap/proofs").iterdir()))
            made = book("snapshot", "publish", *deadline, *rpc_words, "--json")
            words["SNAPSHOT"] = made.document["contract"]
        if name == "snapshot sweep":
            rpc.call("evm_increaseTime", [9000])
            rpc.call("anvil_mine", ["0x1"])
        if name == "migrate --finalize":
            book("migrate", *rpc_words)
            rpc.call("anvil_mine", ["0x8"])
            book("import", *rpc_words)
    command = (*(words.get(word, word) for word in COMMANDS[name]), *rpc_words)
    unsigned = "--unsigned-tx" if name == "account claim" else "--unsigned"
    price = ("--max-gas-price", "9")
    ended = book(*command, unsigned, "out.json", "--payer", hex_data(payer), *price, "--json")
    assert (0, ["out.json"]) == (ended.status, ended.document["files"]), ended.err
    fees = {t["maxFeePerGas"] for t in json.loads(Path("out.json").read_text())["transactions"]}
    assert {str(9 * 10**9)} == fees
    allowed = {
        "snapshot sweep": ("--destination", "0x" + "88" * 20),
        "migrate --finalize": (
            "--finalize",
            "--chain-id",
            "31337",
            "--contract",
            ended.document["contract"],
        ),
    }.get(name, ())
    operator = ("--keystore", "token_ledger.db.operator.json")
    key = (*operator, "--password-file", "token_ledger.db.operator.password")
    sign = ("--db", "sqlite:///nowhere.db", "sign-offline", "out.json", "-o", "signed.json", *key)
    if allowed:
        assert 2 == book(*sign, "--json").status
    told = book(*sign, *allowed, "--json")
    assert 0 == told.status
    if name == "account claim":
        assert "for 0x" + "44" * 20 + ", until " in told.document["calls"][-1]
    send = ("--db", "sqlite:///nowhere.db", "broadcast", "signed.json", *rpc_words, "--json")
    assert ended.document["transactions"] == book(*send).document["sent"]
    assert 0 == book(*send).document["sent"]
    again = book(*command, "--json")
    assert 0 == again.status
    assert not again.document.get("transaction")
    assert 0 == again.document.get("headers", 0)


def test_a_file_for_a_safe(book, fresh_anvil: str) -> None:
    """Migrate --safe-json writes what the Transaction Builder imports, and sends nothing."""
    book("seal", "--sign")
    told = book("migrate", "--rpc", fresh_anvil, "--safe-json", "safe.json", "--json").document
    assert (2, ["safe.json"]) == (told["transactions"], told["files"])
    document = json.loads(Path("safe.json").read_text())
    assert ("1.0", "31337", 2) == (
        document["version"],
        document["chainId"],
        len(document["transactions"]),
    )
    with Rpc(fresh_anvil) as rpc:
        assert "0x" == rpc.call("eth_getCode", [told["contract"], "latest"])


@pytest.mark.parametrize(
    "words",
    [
        ("--safe-json", "a", "--unsigned", "b", "--payer", "0x" + "11" * 20),
        ("--unsigned", "b"),
        ("--payer", "0x" + "11" * 20),
        ("--nonce", "1"),
        ("--plan", "--safe-json", "a", "--finalize"),
        ("--max-gas-price", "free", "--safe-json", "a", "--nonce", "0"),
    ],
)
def test_options_that_do_not_go_together(book, fresh_anvil: str, words: tuple[str, ...]) -> None:
    """Contradictions are wrong usage, and no file is written."""
    ended = book("migrate", "--rpc", fresh_anvil, *words, "--json")
    assert (2, "bad_usage") == (ended.status, ended.error["code"])
    assert not Path("a").exists()


@pytest.mark.parametrize("text", ["", "{}\n", "[]", '{"format":"x"}\n', "\x00"])
def test_files_that_are_none(book, fresh_anvil: str, text: str) -> None:
    """What is not exactly such a file is refused by both commands."""
    Path("file.json").write_text(text)
    for words in (("sign-offline", "file.json", "-o", "x"), ("broadcast", "file.json")):
        more = ("--rpc", fresh_anvil) if words[0] == "broadcast" else ()
        ended = book(*words, *more, "--json")
        assert (2, "bad_file") == (ended.status, ended.error["code"])
