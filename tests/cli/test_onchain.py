"""migrate, import and reconcile through the command, on a real Anvil."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest


def test_the_way_onto_the_chain(book, fresh_anvil: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed entries reach the chain once, come back as transfers, and match one to one."""
    monkeypatch.setenv("TOKEN_LEDGER_RPC_URL", fresh_anvil)
    book("account", "create", "bob")
    book("transfer", "alice", "bob", "40", "--reason", "x")
    ended = book("migrate", "--json")
    assert (1, "unknown_batch") == (ended.status, ended.error["code"])
    book("seal")
    ended = book("migrate", "--json")
    assert (2, "signing_key") == (ended.status, ended.error["code"])
    book("sign")
    done = book("migrate", "--json").document
    assert {"contract", "chain_id", "batches", "entries", "gas_used"} <= set(done)
    assert (31337, 1, 2) == (done["chain_id"], done["batches"], done["entries"])
    assert (0, 0) == tuple(book("migrate", "--json").document[n] for n in ("batches", "entries"))

    imported = book("import", "--json").document
    assert {"transfers", "from_block", "to_block"} <= set(imported)
    assert 2 == imported["transfers"]
    assert 0 == book("import", "--json").document["transfers"]
    for words in (("reconcile",), ("reconcile", "--rpc", fresh_anvil)):
        ended = book(*words, "--json")
        assert (0, 2, []) == (ended.status, ended.document["matched"], ended.document["findings"])
    for command in ("migrate", "import", "reconcile", "status"):
        assert done["contract"] in book(command).out


def test_a_changed_balance_is_a_finding(book, fresh_anvil: str) -> None:
    """A balance changed on the chain without a log makes reconcile exit 1 and name its kind."""
    from token_ledger.chain.rpc import Rpc

    rpc_words = ("--rpc", fresh_anvil)
    book("seal", "--sign")
    contract = book("migrate", *rpc_words, "--json").document["contract"]
    address = book("account", "show", "alice", "--json").document["address"]
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_dealERC20", [address, contract, hex(10**6)])
    book("import", *rpc_words)
    ended = book("reconcile", *rpc_words, "--json")
    assert 1 == ended.status
    assert ["balance_drift"] == [finding["kind"] for finding in ended.document["findings"]]
    assert "balance_drift" in book("reconcile", *rpc_words).out


def test_a_known_finding_is_acknowledged(book, fresh_anvil: str) -> None:
    """With reason, name and date it stands apart and the exit status is 0; withdrawn, 1 again."""
    from token_ledger.chain.rpc import Rpc

    rpc_words = ("--rpc", fresh_anvil)
    book("seal", "--sign")
    contract = book("migrate", *rpc_words, "--json").document["contract"]
    address = book("account", "show", "alice", "--json").document["address"]
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_dealERC20", [address, contract, hex(10**6)])
    book("import", *rpc_words)
    ended = book("reconcile", *rpc_words, "--jsonl", "found.jsonl", "--html", "found.html")
    name = next(line.split()[1] for line in ended.out.splitlines() if line.startswith("  id"))
    assert (1, 14) == (ended.status, len(name))
    lines = Path("found.jsonl").read_text(encoding="utf-8").splitlines()
    assert [name] == [json.loads(line)["id"][:14] for line in lines]
    assert f"<code>{name}</code>" in Path("found.html").read_text(encoding="utf-8")
    words = ("--reason", "seed round", "--by", "Grace")
    ended = book("finding", "acknowledge", name, *words, "--until", "2099-12-31", "--json")
    assert (0, "acknowledged") == (ended.status, ended.document["state"])
    ended = book("reconcile", *rpc_words)
    assert 0 == ended.status
    assert "acknowledged  1\nfindings      0\n" in ended.out
    assert f"{name}  balance_drift\n    by Grace, today until 2099-12-31: seed round" in ended.out
    assert "acknowledged" in book("finding", "list").out
    assert 0 == book("reconcile", *rpc_words, "--incremental").status
    assert 1 == book("finding", "acknowledge", "0x00000000", *words, "--until", "2099-01-01").status
    assert 2 == book("finding", "acknowledge", name, *words, "--until", "tomorrow").status
    assert "open" in book("finding", "withdraw", name, *words).out
    assert 1 == book("reconcile", *rpc_words, "--no-record").status
    ended = book("reconcile", *rpc_words, "--as-of", "99999", "--json")
    assert (2, "bad_usage") == (ended.status, ended.error["code"])


def test_verify_against_the_chain(book, fresh_anvil: str) -> None:
    """--rpc and --contract anchor an export in the contract's finalized headers."""
    from token_ledger.chain.rpc import Rpc

    book("seal", "--sign")
    contract = book("migrate", "--rpc", fresh_anvil, "--json").document["contract"]
    book("export", "export")
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_mine", ["0x80"])
    words = ("verify", "export", "--rpc", fresh_anvil, "--contract", contract, "--json")
    ended = book(*words)
    assert (0, "VERIFIED") == (ended.status, ended.document["verdict"])


@pytest.mark.parametrize("command", ["migrate", "import"])
def test_a_node_must_be_named_and_answer(book, command: str) -> None:
    """Without --rpc the command says so; a node that is down is told as such."""
    book("seal", "--sign")
    ended = book(command, "--json")
    assert (2, "bad_usage") == (ended.status, ended.error["code"])
    ended = book(command, "--rpc", "http://127.0.0.1:1", "--json")
    assert (2, "rpc") == (ended.status, ended.error["code"])


def test_the_environment_may_name_several_nodes(
    book, fresh_anvil: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Import, reconcile and verify go on to the next; the others take the first; none is told."""
    from token_ledger.chain.rpc import Rpc

    down = "http://127.0.0.1:1/secret"
    monkeypatch.setenv("TOKEN_LEDGER_RPC_URL", f"ws://127.0.0.1:1 {fresh_anvil},{down}")
    book("seal", "--sign")
    contract = book("migrate", "--json").document["contract"]
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_mine", ["0x80"])
    book("export", "export")
    several = f"wss://127.0.0.1:1, {down} {fresh_anvil}"
    monkeypatch.setenv("TOKEN_LEDGER_RPC_URL", several)
    assert 1 == book("import", "--json").document["transfers"]
    ended = book("reconcile", "--json")
    assert (0, 31337) == (ended.status, ended.document["chain_id"])
    assert ended.document["compared_with_chain"]
    asked = ("verify", "export", "--contract", contract, "--json")
    assert (0, "VERIFIED") == ((ended := book(*asked)).status, ended.document["verdict"])
    assert 0 == book("reconcile", "--rpc", down, "--rpc", fresh_anvil).status
    monkeypatch.setenv("TOKEN_LEDGER_RPC_URL", f"{down} http://127.0.0.1:2")
    for words in (("reconcile", "--json"), asked):
        ended = book(*words)
        assert (2, "rpc") == (ended.status, ended.error["code"]), words
        assert ended.error["message"].startswith("none of 2 nodes answers: ")
        assert "secret" not in ended.out + ended.err


def test_files_that_cannot_be_are_refused_before_anything_is_compared(
    book, fresh_anvil: str
) -> None:
    """A missing folder, or one path for two files: nothing is compared, recorded or written."""
    rpc_words = ("--rpc", fresh_anvil)
    book("seal", "--sign")
    book("migrate", *rpc_words)
    book("import", *rpc_words)
    Path("linked.html").symlink_to("found.html")
    for words in (
        ("--html", "missing/found.html"),
        ("--jsonl", "found.jsonl", "--html", "missing/found.html"),
        ("--jsonl", "found.html", "--html", "found.html"),
        ("--jsonl", "found.html", "--html", "./found.html"),
        ("--jsonl", "found.html", "--html", "linked.html"),
    ):
        assert 2 == book("reconcile", *words).status, words
    assert [] == [*Path().glob("found*")]
    ended = book(
        "reconcile", *rpc_words, "--jsonl", "found.jsonl", "--html", "found.html", "--json"
    )
    assert (0, 1) == (ended.status, ended.document["run"])


def test_a_mirror_is_read_again(book, fresh_anvil: str) -> None:
    """What it mended is told, and that it found nothing to mend."""
    rpc_words = ("--rpc", fresh_anvil)
    book("seal", "--sign")
    book("migrate", *rpc_words)
    assert None is book("import", *rpc_words, "--json").document["mended"]
    assert "mended" not in book("import", *rpc_words).out
    assert "nothing: the mirror is what the chain says" in book("import", *rpc_words, "--again").out
    [database] = Path().glob("*.db")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM chain_transfers")
    assert 1 == book("reconcile", *rpc_words).status
    assert "0 rows dropped, 1 added" in book("import", *rpc_words, "--again").out
    assert 0 == book("reconcile", *rpc_words).status
