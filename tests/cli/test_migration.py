"""migrate with its plan and its cut-over, through the command, on a real Anvil."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.signer import keystore_address


@pytest.fixture(scope="module")
def final_node() -> Iterator[str]:
    """Yield an Anvil whose blocks become final two blocks later."""
    with Anvil(args=("--slots-in-an-epoch", "1")) as node:
        yield node.url


def test_a_plan_is_told_before_anything_is_sent(book, fresh_anvil: str) -> None:
    """Without a node and with one: transactions, gas, money, ways and forks; nothing is sent."""
    for words in ((), ("--rpc", fresh_anvil), ("--gas-price", "3", "--gas-price", "0.5")):
        ended = book("migrate", "--plan", *words, "--json")
        assert 0 == ended.status, ended.err
        told = ended.document
        assert (1, 1, 3, 1) == tuple(
            told[name] for name in ("batches", "entries", "transactions", "new_holders")
        )
        assert int(told["costs"][0]["cost_wei"]) > 0
        assert 0 == book("migrate", "--plan", *words).status
    assert ["3 gwei", "0.5 gwei"] == [cost["network"] for cost in told["costs"]]
    with Rpc(fresh_anvil) as rpc:
        assert "0x" == rpc.call("eth_getCode", [told["contract"], "latest"])


@pytest.mark.parametrize(
    "words",
    [
        ("--plan", "--finalize"),
        ("--plan", "--reopen"),
        ("--finalize", "--from", "x"),
        ("--gas-price", "1"),
        ("--plan", "--gas-price", "cheap"),
        ("--finalize",),
        ("--unsent",),
        ("--unsent", "--plan"),
        ("--plan", "--safe-json", "out"),
        ("--plan", "--unsigned", "out", "--payer", "0x" + "11" * 20),
        ("--plan", "--max-gas-price", "abc"),
        ("--plan", "--part-rows", "3"),
        ("--plan", "--take-over"),
        ("--plan", "--record", "out"),
        ("--plan", "--allow-code", "0x" + "11" * 32),
        ("--reopen", "--safe-json", "out"),
        ("--reopen", "--keystore", "out"),
        ("--safe-json", "out", "--record", "out"),
        ("--safe-json", "out", "--take-over"),
        ("--safe-json", "out", "--max-gas-price", "1"),
        ("--safe-json", "out", "--from", "x"),
        ("--finalize", "--part-rows", "3"),
        ("--finalize", "--record", "out"),
        ("--finalize", "--max-gas-price", "abc"),
        ("--finalize", "--unsent", "--take-over"),
        ("--keystore", "out"),
    ],
)
def test_options_that_do_not_go_together(book, words: tuple[str, ...]) -> None:
    """A contradiction, an option that the mode ignores, a price that is none: wrong usage.

    Nothing is asked of a node and no file is written.
    """
    node = () if words == ("--finalize",) else ("--rpc", "http://127.0.0.1:9")
    ended = book("migrate", *words, *node, "--json")
    assert (2, "bad_usage") == (ended.status, ended.error["code"])
    assert not Path("out").exists()


def test_a_record_that_cannot_be_written_stops_before_anything_is_sent(
    book, fresh_anvil: str
) -> None:
    """A bad --record is refused with the path as given, before the node is asked to do anything."""
    book("seal", "--sign")
    for command in ("migrate", "anchor"):
        for path in ("nowhere/record.json", "."):
            ended = book(command, "--rpc", fresh_anvil, "--record", path, "--json")
            assert 2 == ended.status
            assert ended.error["message"].startswith(f"{path}: ")
    with Rpc(fresh_anvil) as rpc:
        assert 0 == rpc.quantity("eth_blockNumber")


@pytest.mark.parametrize("command", ["migrate", "anchor", "snapshot publish"])
def test_a_record_of_something_else_stops_before_anything_is_sent(
    book, fresh_anvil: str, command: str
) -> None:
    """Another contract's record in the place of ours is told before gas is spent, and kept."""
    book("seal", "--sign")
    deadline = ("--deadline", "4000000000") if command == "snapshot publish" else ()
    words = (*command.split(), *deadline, "--rpc", fresh_anvil, "--record")
    assert 0 == book("anchor", "--rpc", fresh_anvil, "--record", "theirs.json").status
    if command == "anchor":
        document = json.loads(Path("theirs.json").read_text())
        Path("theirs.json").write_text(json.dumps(document | {"chainId": 1}))
    there = Path("theirs.json").read_bytes()
    with Rpc(fresh_anvil) as rpc:
        before = rpc.quantity("eth_blockNumber")
        ended = book(*words, "theirs.json", "--json")
        assert (2, "bad_file") == (ended.status, ended.error["code"])
        assert "nothing was sent" in ended.error["hint"]
        assert before == rpc.quantity("eth_blockNumber")
    assert there == Path("theirs.json").read_bytes()
    for _ in range(2):
        assert 0 == book(*words, "ours.json").status


SENDING = (
    ("anchor",),
    ("account", "claim", "alice", "--owner", "0x" + "44" * 20),
    ("snapshot", "publish", "--deadline", "4000000000"),
    ("snapshot", "claim", "snap/proofs/ALICE.json", "--contract", "SNAPSHOT"),
)


@pytest.mark.parametrize("command", SENDING, ids=lambda words: " ".join(words[:2]))
def test_a_price_is_kept_and_a_repeat_says_so(
    book, fresh_anvil: str, command: tuple[str, ...]
) -> None:
    """--max-gas-price bounds all that a command sends; the second run says that it is done."""
    book("seal", "--sign")
    words = ("--rpc", fresh_anvil)
    if "SNAPSHOT" in command:
        deadline = ("--deadline", "4000000000")
        book("snapshot", "take", "snap", *deadline)
        made = book("snapshot", "publish", *deadline, *words, "--json").document["contract"]
        proof = str(next(Path("snap/proofs").iterdir()))
        command = (*command[:2], proof, "--contract", made)
    with Rpc(fresh_anvil) as rpc:
        before = rpc.quantity("eth_blockNumber")
        base = int(rpc.call("eth_getBlockByNumber", ["latest", False])["baseFeePerGas"], 16)
    price = ("--max-gas-price", f"{(most := base + base // 8 + 7) / 10**9:.9f}")
    ended = book(*command, *words, *price, "--take-over", "--json")
    assert 0 == ended.status, ended.err
    with Rpc(fresh_anvil) as rpc:
        sent = [
            transaction
            for number in range(before + 1, rpc.quantity("eth_blockNumber") + 1)
            for transaction in rpc.call("eth_getBlockByNumber", [hex(number), True])["transactions"]
        ]
        assert {most} == {int(transaction["maxFeePerGas"], 16) for transaction in sent}
        again = book(*command, *words, *price)
        assert 0 == again.status
        assert "already" in again.out
        assert before + len(sent) == rpc.quantity("eth_blockNumber")


@pytest.mark.parametrize("command", SENDING, ids=lambda words: " ".join(words[:2]))
def test_options_on_sending_that_contradict_each_other(book, command: tuple[str, ...]) -> None:
    """A price for a Safe's file, and --take-over with any file, are wrong usage."""
    command = tuple("0x" + "11" * 20 if word == "SNAPSHOT" else word for word in command)
    unsigned = "--unsigned-tx" if command[0] == "account" else "--unsigned"
    for words in (
        ("--safe-json", "out", "--max-gas-price", "1"),
        ("--safe-json", "out", "--take-over"),
        (unsigned, "out", "--payer", "0x" + "11" * 20, "--take-over"),
        ("--max-gas-price", "cheap"),
    ):
        ended = book(*command, *words, "--rpc", "http://127.0.0.1:9", "--json")
        assert (2, "bad_usage") == (ended.status, ended.error["code"])
    assert not Path("out").exists()


def test_the_cut_over_through_the_command(book, final_node: str) -> None:
    """--finalize refuses what is not ready, cuts over with the operator's key, then is final."""
    rpc_words = ("--rpc", final_node)

    def mine() -> None:
        with Rpc(final_node) as rpc:
            rpc.call("anvil_mine", ["0x8"])

    book("seal", "--sign")
    book("migrate", *rpc_words)
    ended = book("migrate", "--finalize", *rpc_words, "--json")
    assert (1, "not_ready") == (ended.status, ended.error["code"])
    mine()
    book("import", *rpc_words)
    ended = book("migrate", "--finalize", *rpc_words, "--json")
    assert (2, "signing_key") == (ended.status, ended.error["code"])  # the operator has no gas
    assert 0 == book("mint", "alice", "1", "--reason", "still open").status
    book("seal", "--sign")
    book("migrate", *rpc_words)
    mine()
    book("import", *rpc_words)
    operator = book("migrate", "--finalize", "--unsent", *rpc_words, "--json")
    assert (0, False) == (operator.status, operator.document["finalized"])
    assert 0 == book("migrate", "--reopen", *rpc_words).status
    with Rpc(final_node) as rpc:
        address = keystore_address("token_ledger.db.operator.json")
        rpc.call("anvil_setBalance", [hex_data(address), hex(10**19)])
    done = book("migrate", "--finalize", *rpc_words, "--json")
    assert (0, True, False) == (done.status, done.document["finalized"], done.document["final"])
    ended = book("mint", "alice", "1", "--reason", "too late", "--json")
    assert (1, "token_finalized") == (ended.status, ended.error["code"])
    mine()
    assert "yes, for ever" in book("migrate", "--finalize", *rpc_words).out
    ended = book("migrate", "--reopen", *rpc_words, "--json")
    assert (1, "not_ready") == (ended.status, ended.error["code"])
