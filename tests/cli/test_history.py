"""seal, sign, export, verify, prove, through the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account

from token_ledger.core.strict import decode, encode


@pytest.fixture
def sealed(book):
    """Return `run` on a ledger with one sealed and signed batch, exported to `export`."""
    book("account", "create", "bob")
    for i in range(5):
        book("transfer", "alice", "bob", i + 1, "--reason", "tip", "--key", f"k{i}")
    ended = book("seal", "--sign", "--json")
    assert 0 == ended.status, ended.out
    assert 0 == book("export", "export").status
    return book


def _head(run) -> str:
    return run("status", "--json").document["heads"]["ledger"]["digest"]


def _signer(run) -> str:
    return run("sign", "--json").document["signer"]


def _entry_id(tmp_path: Path) -> str:
    batch = json.loads((tmp_path / "export" / "batches" / "00000001.json").read_text())
    return batch["entries"][2]["id"]


def test_seal_and_sign_say_what_they_did(book) -> None:
    """Seal counts what it sealed; sign signs what is unsigned, and once."""
    document = book("seal", "--json").document
    assert (1, 1, 1) == (document["batches"], document["entries"], document["head"]["number"])
    assert (0, 0) == tuple(book("seal", "--json").document[name] for name in ("batches", "entries"))
    assert 1 == book("sign", "--json").document["signed"]
    assert 0 == book("sign", "1", "--json").document["signed"]
    ended = book("sign", "7", "--json")
    assert (1, "unknown_batch") == (ended.status, ended.error["code"])
    assert "signed" in book("sign").out


def test_export_again_writes_only_what_is_new(sealed) -> None:
    """A second export writes nothing until there is something new."""
    assert 0 == sealed("export", "export", "--json").document["written"]
    sealed("mint", "bob", "1", "--reason", "x")
    sealed("seal")
    assert (1, 2) == tuple(
        sealed("export", "export", "--json").document[name] for name in ("written", "batches")
    )


def test_verify_demands_an_anchor(sealed) -> None:
    """Without an anchor the verdict is NOT ANCHORED and the status 2; --unanchored accepts."""
    ended = sealed("verify", "export", "--json")
    assert (2, "NOT ANCHORED") == (ended.status, ended.document["verdict"])
    ended = sealed("verify", "export", "--unanchored", "--json")
    assert (0, "CONSISTENT, NOT ANCHORED") == (ended.status, ended.document["verdict"])
    assert "Anchor it with" in sealed("verify", "export").out


def test_verify_takes_each_anchor_that_needs_no_chain(sealed, tmp_path: Path) -> None:
    """A digest, a signer, and an anchored export each verify export, batch file and proof."""
    digest, signer = _head(sealed), _signer(sealed)
    sealed("prove", _entry_id(tmp_path), "-o", "proof.json")
    for path in ("export", "export/batches/00000001.json", "proof.json"):
        for anchor in (
            ("--digest", digest),
            ("--signer", signer),
            ("--against", "export", "--signer", signer),
        ):
            ended = sealed("verify", path, *anchor, "--json")
            assert (0, "VERIFIED") == (ended.status, ended.document["verdict"])
            assert [] == ended.document["findings"]
            assert ended.document["anchors"]
    assert "VERIFIED by signer" in sealed("verify", "export", "--signer", signer).out


def test_a_wrong_anchor_is_a_finding(sealed) -> None:
    """A digest or a signer that is not the file's gives a finding and status 1."""
    for anchor in (("--digest", "0x" + "12" * 32), ("--signer", "0x" + "12" * 20)):
        ended = sealed("verify", "export", *anchor, "--json")
        assert (1, "FAILED", 1) == (
            ended.status,
            ended.document["verdict"],
            len(ended.document["findings"]),
        )
        assert "FAILED" in sealed("verify", "export", *anchor).out


def test_an_altered_export_is_found_out(sealed, tmp_path: Path) -> None:
    """An altered amount gives findings; bytes that are not canonical are refused."""
    path = tmp_path / "export" / "batches" / "00000001.json"
    original = path.read_bytes()
    document = decode(original)
    document["entries"][2]["value"] = "999"
    path.write_bytes(encode(document))
    ended = sealed("verify", "export", "--unanchored", "--json")
    assert (1, "FAILED") == (ended.status, ended.document["verdict"])
    assert {"kind", "message"} <= set(ended.document["findings"][0])
    for data in (original[:-1], original[:-2], original + b"\n", b"\xff", b"[]", b""):
        path.write_bytes(data)
        ended = sealed("verify", "export", "--json")
        assert (2, "bad_file") == (ended.status, ended.error["code"])


def test_chain_anchors_go_together(sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    """--rpc needs --contract; a node that is only configured does not get in the way."""
    assert "bad_usage" == sealed("verify", "export", "--rpc", "http://x", "--json").error["code"]
    monkeypatch.setenv("TOKEN_LEDGER_RPC_URL", "http://127.0.0.1:1")
    assert 0 == sealed("verify", "export", "--unanchored").status


def test_prove_writes_a_file_or_standard_output(sealed, tmp_path: Path) -> None:
    """Without -o standard output is the very proof file; --open adds the texts."""
    entry_id = _entry_id(tmp_path)
    printed = sealed("prove", entry_id).out
    answer = sealed("prove", entry_id.removeprefix("0x"), "-o", "proof.json", "--json").document
    assert printed == (tmp_path / "proof.json").read_text()
    assert (entry_id, 1, True) == (answer["id"], answer["batch"], answer["signed"])
    assert "tip" not in printed
    assert "tip" == json.loads(sealed("prove", entry_id, "--open").out)["opening"]["reason"]
    assert [] == list(tmp_path.glob(".proof*"))


def test_prove_refuses_what_it_cannot_prove(sealed) -> None:
    """No such entry, one that is not sealed yet, and a place that cannot be written."""
    ended = sealed("prove", "0x" + "00" * 32, "--json")
    assert (1, "unknown_entry") == (ended.status, ended.error["code"])
    fresh = sealed("mint", "bob", "1", "--reason", "x", "--json").document["id"]
    ended = sealed("prove", fresh, "--json")
    assert (1, "unknown_batch") == (ended.status, ended.error["code"])
    sealed("seal")
    assert 2 == sealed("prove", fresh, "-o", "nowhere/proof.json").status


def test_the_key_is_the_operators_by_default(book, tmp_path: Path) -> None:
    """Without its key or password beside the database signing fails, saying what to give."""
    book("seal")
    password = tmp_path / "token_ledger.db.operator.password"
    password.rename(tmp_path / "elsewhere")
    ended = book("sign", "--json")
    assert (2, "signing_key") == (ended.status, ended.error["code"])
    assert "--password-file" in ended.error["hint"]
    assert 1 == book("sign", "--password-file", "elsewhere", "--json").document["signed"]
    (tmp_path / "token_ledger.db.operator.json").rename(tmp_path / "key.json")
    assert "--keystore" in book("sign", "--json").error["hint"]
    words = ("--keystore", "key.json", "--password-file", "elsewhere")
    assert 0 == book("sign", *words).status
    (tmp_path / "elsewhere").write_text("wrong\n")
    assert "signing_key" == book("sign", *words, "--json").error["code"]
    assert "bad_usage" == book("seal", *words, "--json").error["code"]


def test_the_key_may_come_from_the_environment(book, monkeypatch: pytest.MonkeyPatch) -> None:
    """TOKEN_LEDGER_SEALER_KEY signs for the sealer that is named, and its value is never shown."""
    book("seal")
    monkeypatch.setenv("TOKEN_LEDGER_SEALER_KEY", "0x" + "0b" * 32)
    ended = book("sign")
    assert 2 == ended.status  # not the operator's key
    assert "the sealer is" in ended.err
    assert "0b0b" not in ended.out + ended.err
    address = Account.from_key("0x" + "0b" * 32).address
    ended = book("sign", "--sealer", address)
    assert 0 == ended.status
    assert "0b0b" not in ended.out + ended.err
    monkeypatch.setenv("TOKEN_LEDGER_SEALER_KEY", "0x" + "0b" * 31)
    ended = book("sign")
    assert 2 == ended.status
    assert "0b0b" not in ended.out + ended.err


def test_a_proof_that_cannot_be_written(sealed, tmp_path: Path) -> None:
    """A place that cannot be written is named as it was given, with a way out."""
    ended = sealed("prove", _entry_id(tmp_path), "-o", "nodir/p", "--json")
    assert (2, "bad_usage") == (ended.status, ended.error["code"])
    assert "cannot write nodir/p: no such file or directory" == ended.error["message"]
    assert ended.error["hint"]


def test_a_directory_that_is_no_export(sealed) -> None:
    """A directory without a manifest is said to be no export."""
    ended = sealed("verify", ".", "--json")
    assert (2, "bad_file") == (ended.status, ended.error["code"])
    assert ". is not an export" in ended.error["message"]


def test_one_is_not_spoken_of_as_several(sealed) -> None:
    """One batch and one entry are singular; several are plural."""
    assert "5 entries in 1 batches" not in sealed("export", "export").out
    assert "6 entries in 1 batch\n" in sealed("export", "export").out
    assert "0 entries in 0 batches\n" in sealed("seal").out
    sealed("mint", "alice", "1", "--reason", "r")
    assert "1 entry in 1 batch\n" in sealed("seal").out
    assert "1 batch, 6 entries" not in sealed("verify", "export").out
