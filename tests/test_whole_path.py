"""The whole path on real input: record → ledger → batch → chain → reconcile → proof.

Goal: the 12,428 rows of a real payroll ledger come through every station, on both databases, with
the same supply at each of them. Method: the verbs as a user would call them, a real Anvil with the
gas cap of mainnet, and no shortcut between the stations.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import books

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.state import read_supply
from token_ledger.core.files import proof_to_json, read_batch, read_manifest
from token_ledger.core.parse import format_amount
from token_ledger.core.strict import decode, encode
from token_ledger.export import export
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.load import load
from token_ledger.migrate import migrate
from token_ledger.prove import prove
from token_ledger.reconcile import reconcile
from token_ledger.seal import seal
from token_ledger.sign import sign
from token_ledger.status import status
from token_ledger.verify import Anchors, verify

PAYROLL = "ledgers/makerdao_dai_payroll_2020-2022.csv"
ENTRIES, ACCOUNTS, SUPPLY = 12_428, 148, "373908.08"


def human(value: int) -> str:
    """Return base units of 18 decimals in human units."""
    return format_amount(value, decimals=18)


def test_a_real_payroll_goes_the_whole_way(
    database_url: str, tmp_path: Path, shared_data: Path
) -> None:
    """Load, seal, export, migrate, import, reconcile with 0 findings, prove, verify."""
    ledger = Ledger.create(database_url, operator=books.operator().address)
    with ledger, Anvil(args=("--enable-tx-gas-limit", "--slots-in-an-epoch", "1")) as node:
        ledger.create_token("DAI", "Payroll", 18)
        loaded = load(ledger, shared_data / PAYROLL, create_accounts=True)
        assert (ENTRIES, ENTRIES, ACCOUNTS) == (loaded.rows, loaded.posted, loaded.accounts_created)
        assert SUPPLY == human(ledger.get_total_supply())
        again = load(ledger, shared_data / PAYROLL, create_accounts=True)
        assert (0, ENTRIES) == (again.posted, again.repeated)

        sealed = seal(ledger)
        sign(ledger, books.operator())
        assert ENTRIES == sealed.entries
        exported = export(ledger, tmp_path / "export")
        assert (ENTRIES, sealed.batches) == (exported.entries, exported.batches)
        last = tmp_path / "export" / "batches" / f"{sealed.batches:08d}.json"
        assert SUPPLY == human(read_batch(decode(last.read_bytes())).header.total_supply)
        manifest = read_manifest(decode((tmp_path / "export" / "manifest.json").read_bytes()))
        assert sealed.head_digest == manifest.head_digest
        assert verify(tmp_path / "export", Anchors(signer=books.operator().address)).anchored

        migrated = migrate(ledger, node.url)
        assert (ENTRIES, sealed.batches) == (migrated.entries, migrated.batches)
        assert (0, 0) == (migrate(ledger, node.url).entries, migrate(ledger, node.url).batches)
        imported = ingest(ledger, node.url)
        assert ENTRIES == imported.transfers
        assert 0 == ingest(ledger, node.url).transfers
        reconciled = reconcile(ledger, node.url)
        assert (ENTRIES, []) == (reconciled.matched, reconciled.findings)
        with Rpc(node.url) as rpc:
            assert SUPPLY == human(read_supply(rpc, migrated.contract, block="latest"))
            rpc.call("anvil_mine", ["0x8"])
        assert (0, 0, 0, 0) == (
            status(ledger).unsealed,
            status(ledger).unsigned,
            status(ledger).unreplayed,
            status(ledger).drift,
        )
        check_proofs(ledger, node.url, migrated.contract, tmp_path)


def check_proofs(ledger: Ledger, url: str, contract: bytes, tmp_path: Path) -> None:
    """Prove the first and the last entry, and anchor both on the chain and by export."""
    export_path = tmp_path / "export"
    first = read_batch(decode((export_path / "batches" / "00000001.json").read_bytes())).entries[0]
    newest = max(
        (
            ledger.get_statement(account.account_id, limit=1).entries[0]
            for account in ledger.accounts(limit=20)[0]
        ),
        key=lambda entry: entry.entry_no,
    )
    for entry_id in (first.id, newest.id):
        path = tmp_path / f"{entry_id.hex()}.json"
        path.write_bytes(encode(proof_to_json(prove(ledger, entry_id))))
        chain = Anchors(rpc_url=url, contract=contract)
        report = verify(path, chain)
        assert (True, True) == (report.consistent, report.anchored)
        against = Anchors(rpc_url=url, contract=contract, against=export_path)
        assert verify(path, against).anchored
    assert verify(export_path, Anchors(rpc_url=url, contract=contract)).anchored


def test_a_balance_changed_on_the_chain_is_found(sqlite_url: str, tmp_path: Path) -> None:
    """A balance that moved without a log is a finding, with account and both figures."""
    with books.create(sqlite_url, tmp_path) as ledger, Anvil() as node:
        books.fill(ledger, 20)
        seal(ledger)
        sign(ledger, books.operator())
        contract = migrate(ledger, node.url).contract
        ingest(ledger, node.url)
        assert [] == reconcile(ledger, node.url).findings
        victim = ledger.get_account("alice").address
        with Rpc(node.url) as rpc:
            rpc.call("anvil_dealERC20", [hex_data(victim), hex_data(contract), hex(7)])
        ingest(ledger, node.url)
        kinds = {finding.kind for finding in reconcile(ledger, node.url).findings}
        assert "balance_drift" in kinds


@pytest.mark.parametrize("anchor", ["other token", "too early", "no contract"])
def test_a_chain_that_does_not_vouch(sqlite_url: str, tmp_path: Path, anchor: str) -> None:
    """Another token's contract, a block before finality, or no contract anchor nothing."""
    from token_ledger.errors import ForeignContractError

    with books.create(sqlite_url, tmp_path) as ledger, Anvil() as node:
        books.fill(ledger, 20)
        seal(ledger)
        sign(ledger, books.operator())
        export(ledger, tmp_path / "export")
        contract = migrate(ledger, node.url).contract
        if anchor == "other token":
            ledger.create_token("TWO", "The second", 6)
            ledger.use("TWO")
            ledger.mint("alice", 1, reason="award")
            seal(ledger)
            sign(ledger, books.operator())
            contract = migrate(ledger, node.url).contract
        if anchor != "too early":
            with Rpc(node.url) as rpc:
                rpc.call("anvil_mine", ["0x80"])
        if anchor == "no contract":
            contract = bytes.fromhex("11" * 20)
        anchors = Anchors(rpc_url=node.url, contract=contract)
        if anchor == "other token":
            findings = verify(tmp_path / "export", anchors).findings
            assert {"anchor_token_differs"} == {finding.kind for finding in findings}
        else:
            with pytest.raises(ForeignContractError, match="finalized block"):
                verify(tmp_path / "export", anchors)
