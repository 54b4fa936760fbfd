"""Files with batches of after the cut-over, held against the contract: what it can vouch for.

Method: a real Anvil whose blocks become final one slot later; a ledger that was cut over there and
imports, seals and signs what its accounts do.
"""

from __future__ import annotations

from pathlib import Path

from tests import books
from tests.test_after_cut_over import address_of, call, cut_over, ledger, mine, node, url

from token_ledger.chain.rpc import hex_data
from token_ledger.core.address import to_checksum
from token_ledger.core.files import proof_to_json
from token_ledger.core.strict import encode
from token_ledger.export import export
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.prove import prove
from token_ledger.seal import seal
from token_ledger.sign import sign
from token_ledger.verify import Anchors, verify

__all__ = ["ledger", "node", "url"]


def test_the_contract_vouches_for_what_it_holds_and_its_sealer_for_the_rest(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    """Signed by the contract's sealer, later batches verify; else what is not proven is named."""
    contract = cut_over(ledger, url)
    mine(url)
    alice, bob = address_of(ledger, "alice"), address_of(ledger, "bob")
    for name in ("sealed", "unsigned"):
        call(url, alice, contract, "transfer(address,uint256)", hex_data(bob), 7)
        mine(url)
        ingest(ledger, url)
        seal(ledger)
        if name == "sealed":
            sign(ledger, books.operator())
        export(ledger, tmp_path / name)
        entry = ledger.get_statement("bob").entries[0]
        document = proof_to_json(prove(ledger, entry.id))
        (tmp_path / f"{name}.json").write_bytes(encode(document))
    on_chain = Anchors(rpc_url=url, contract=contract)
    for path in ("sealed", "sealed.json"):
        report = verify(tmp_path / path, on_chain)
        assert ([], True) == (report.findings, report.anchored), path
        [check] = [check for check in report.checks if check.name.startswith("anchor")]
        assert ("ok", True) == (check.status, "batch 2: of after the cut-over" in check.detail)
    for path, oks in (("unsigned", 1), ("unsigned.json", 0)):
        report = verify(tmp_path / path, on_chain)
        assert ([], False) == (report.findings, report.anchored), path
        checks = [check for check in report.checks if check.name.startswith("anchor")]
        assert ["ok"] * oks + ["not checked"] == [check.status for check in checks]
        assert "anchor: batch 3" == checks[-1].name
        assert to_checksum(books.operator().address) in checks[-1].detail
    stranger = Anchors(rpc_url=url, contract=contract, signer=books.operator().address)
    assert ["anchor_unsigned"] == [f.kind for f in verify(tmp_path / "unsigned", stranger).findings]


def test_a_forged_batch_behind_the_cut_over_is_not_vouched_for(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    """Anybody can append batches to an export: signed by another key, they are not proven."""
    contract = cut_over(ledger, url)
    mine(url)
    alice, bob = address_of(ledger, "alice"), address_of(ledger, "bob")
    call(url, alice, contract, "transfer(address,uint256)", hex_data(bob), 7)
    mine(url)
    ingest(ledger, url)
    seal(ledger)
    thief = books.stranger()
    sign(ledger, thief, sealer=thief.address, numbers=[2])
    export(ledger, tmp_path / "export")
    report = verify(tmp_path / "export", Anchors(rpc_url=url, contract=contract))
    assert ([], False) == (report.findings, report.anchored)
    former = Anchors(rpc_url=url, contract=contract, former_signers=(thief.address,))
    assert verify(tmp_path / "export", former).anchored
