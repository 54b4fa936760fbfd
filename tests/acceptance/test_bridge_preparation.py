"""Acceptance, bridge preparation: an operator's commands and an auditor's, on SQLite and Anvil.

Only the command is used, as an operator at a terminal uses it; the auditor works in another folder,
with the exported files, a proof and a node, and no database.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from token_ledger.chain.rpc import Rpc
from token_ledger.cli import main
from token_ledger.sample import write_sample

Command = Callable[..., tuple[int, Any]]


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """Run commands in the operator's folder; return the status and the JSON document."""
    (tmp_path / "operator").mkdir()
    monkeypatch.chdir(tmp_path / "operator")

    def run(*words: str) -> tuple[int, Any]:
        capsys.readouterr()
        status = main([*words, "--json"])
        return status, json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def migrated(command: Command, fresh_anvil: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Take 500 entries of a legacy ledger from a file to the chain and back."""
    monkeypatch.setenv("TOKEN_LEDGER_RPC_URL", fresh_anvil)
    write_sample(Path("economy.csv"), rows=500)
    for words in (
        ["init", "--symbol", "RSC", "--name", "Research Coin", "--decimals", "18"],
        ["load", "economy.csv", "--create-accounts"],
        ["seal", "--sign"],
        ["export", "export"],
        ["migrate"],
        ["import"],
    ):
        status, document = command(*words)
        assert 0 == status, (words, document)
    return command


def test_export_and_import(migrated: Command) -> None:
    """What was exported is what the chain says: as many transfers as entries, one to one."""
    _, told = migrated("reconcile")
    assert (500, []) == (told["matched"], told["findings"])
    assert (0, 0) == (migrated("migrate")[1]["entries"], migrated("import")[1]["transfers"])


def test_an_auditor_verifies_without_a_database(
    migrated: Command, tmp_path: Path, fresh_anvil: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roots, signatures and one proof hold for somebody who has the files and a node alone."""
    contract = migrated("status")[1]["heads"]["chains"][0]["contract"]
    entry = json.loads(Path("export/batches/00000001.json").read_text())["entries"][3]
    assert 0 == migrated("prove", entry["id"], "-o", "proof.json")[0]
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_mine", ["0x60"])  # past the block that is final
    auditor = tmp_path / "auditor"
    auditor.mkdir()
    shutil.copytree("export", auditor / "export")
    shutil.copy("proof.json", auditor)
    monkeypatch.chdir(auditor)
    for file in ("export", "proof.json"):
        status, told = migrated("verify", file, "--contract", contract)
        assert 0 == status, told
    batch = auditor / "export/batches/00000001.json"
    batch.write_text(batch.read_text().replace(entry["value"], "1" + entry["value"][1:] + "0", 1))
    status, told = migrated("verify", "export", "--contract", contract)
    assert 1 == status
    assert told["findings"]


def test_reconcile_sees_both_sides(migrated: Command, fresh_anvil: str) -> None:
    """A balance changed on the chain, and an entry posted meanwhile, are told apart."""
    status, told = migrated("reconcile")
    assert (0, []) == (status, told["findings"])
    contract = migrated("status")[1]["heads"]["chains"][0]["contract"]
    address = migrated("account", "list")[1]["accounts"][1]["address"]
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_dealERC20", [address, contract, hex(10**30)])
    assert 0 == migrated("import")[0]
    status, told = migrated("reconcile")
    assert 1 == status
    assert {"balance_drift"} == {finding["kind"] for finding in told["findings"]}


def test_a_migration_to_a_real_chain_asks_first(migrated: Command) -> None:
    """What a migration costs is told before anything is sent, and sends nothing."""
    before = migrated("status")[1]
    status, plan = migrated("migrate", "--plan")
    assert 0 == status
    assert plan
    assert before == migrated("status")[1]
