"""Life after the cut-over: holders and bridges move the token, the books follow, reconcile agrees.

Method: a real Anvil whose blocks become final one slot later; accounts of the ledger act on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_abi import encode as abi_encode
from tests import books
from tests.chain.faults import Alter
from tests.chain.proxy import Proxy
from tests.damage import damage
from tests.onchain import alter, found, mined

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.contracts import FINALIZED_CALL, selector
from token_ledger.chain.rpc import NodeError, Rpc, hex_data
from token_ledger.core import findings as kinds
from token_ledger.core.address import to_checksum
from token_ledger.errors import DisagreementError, TokenFinalizedError
from token_ledger.export import export
from token_ledger.finalize import finalize
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.migrate import migrate
from token_ledger.plan import plan
from token_ledger.reconcile import Scope, reconcile
from token_ledger.seal import seal
from token_ledger.sign import sign
from token_ledger.status import status
from token_ledger.verify import Anchors, verify

STRANGER = b"\x77" * 20
BRIDGE = b"\xb2" * 20
LIMIT = 10**24


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with Anvil(args=("--slots-in-an-epoch", "1")) as node:
        yield node


@pytest.fixture
def url(node: Anvil) -> Iterator[str]:
    """Yield the node, with money for the operator; take back what the test did."""
    with Rpc(node.url) as rpc:
        snapshot = rpc.call("evm_snapshot")
        rpc.call("anvil_setBalance", [hex_data(books.operator().address), hex(10**20)])
        yield node.url
        rpc.call("evm_revert", [snapshot])


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, 40)
        yield ledger


def mine(url: str, blocks: int = 8) -> None:
    with Rpc(url) as rpc:
        rpc.call("anvil_mine", [hex(blocks)])


def call(url: str, sender: bytes, contract: bytes, signature: str, *arguments: object) -> None:
    """Have an account call the contract, and wait until that is mined."""
    types = signature[signature.index("(") + 1 : -1]
    data = selector(signature) + abi_encode(_types(types), list(arguments))
    with Rpc(url) as rpc:
        rpc.call("anvil_setBalance", [hex_data(sender), hex(10**20)])
        rpc.call("anvil_impersonateAccount", [hex_data(sender)])
        tx = {"from": hex_data(sender), "to": hex_data(contract), "data": hex_data(data)}
        receipt = mined(rpc, rpc.call("eth_sendTransaction", [tx]))
    assert "0x1" == receipt["status"], signature


def _types(text: str) -> list[str]:
    """Return the types of a signature, tuples of this test's functions among them."""
    pair = "(uint128,uint128)"
    return {"": [], f"address,{pair},{pair}": ["address", pair, pair]}.get(text, text.split(","))


def let_bridge(url: str, contract: bytes) -> None:
    """Let the test's bridge mint and burn."""
    admin = books.operator().address
    with Rpc(url) as rpc:
        data = selector("BRIDGE_ADMIN_ROLE()")
        role = rpc.call("eth_call", [{"to": hex_data(contract), "data": hex_data(data)}, "latest"])
    call(url, admin, contract, "grantRole(bytes32,address)", bytes.fromhex(role[2:]),
         hex_data(admin))  # fmt: skip
    limit = (LIMIT, LIMIT)
    call(url, admin, contract, "setBridgeLimits(address,(uint128,uint128),(uint128,uint128))",
         hex_data(BRIDGE), limit, limit)  # fmt: skip


def cut_over(ledger: Ledger, url: str) -> bytes:
    """Bring the ledger onto the chain, for ever; return the contract."""
    seal(ledger)
    sign(ledger, books.operator())
    contract = migrate(ledger, url).contract
    mine(url)
    ingest(ledger, url)
    finalize(ledger, url, admin=books.operator())
    return contract


def address_of(ledger: Ledger, name: str) -> bytes:
    return ledger.get_account(name).address


def test_the_books_follow_the_chain_and_reconcile_agrees(ledger: Ledger, url: str) -> None:
    """Transfers, a burn and a bridge's mint and burn become entries; then all three sides agree.

    What is not final yet is counted as not imported, and no finding.
    """
    contract = cut_over(ledger, url)
    mine(url)
    alice, bob = address_of(ledger, "alice"), address_of(ledger, "bob")
    before = {name: ledger.get_balance(name) for name in ("alice", "bob")}
    let_bridge(url, contract)
    call(url, alice, contract, "transfer(address,uint256)", hex_data(bob), 7)
    call(url, bob, contract, "transfer(address,uint256)", hex_data(STRANGER), 3)
    call(url, bob, contract, "transfer(address,uint256)", hex_data(bob), 1)
    call(url, BRIDGE, contract, "crosschainMint(address,uint256)", hex_data(alice), 50)
    call(url, BRIDGE, contract, "crosschainBurn(address,uint256)", hex_data(bob), 2)
    call(url, alice, contract, "transfer(address,uint256)", hex_data(STRANGER), 1)
    ingest(ledger, url)
    early = reconcile(ledger, url)
    assert [] == found(early)
    assert early.pending > 0
    mine(url)
    done = ingest(ledger, url)
    assert done.entered is not None
    assert (0, 5) == (done.entered.waiting, done.entered.entries + 5 - early.pending)
    result = reconcile(ledger, url)
    assert [] == found(result)
    assert (45, 45, 5, 0, 1, 1) == (
        result.matched, result.entries, result.imported, result.pending, result.bridge_mints,
        result.bridge_burns,
    )  # fmt: skip
    assert before["alice"] - 7 + 50 - 1 == ledger.get_balance("alice")
    assert before["bob"] + 7 - 3 - 2 == ledger.get_balance("bob")
    assert 4 == ledger.get_balance(to_checksum(STRANGER))
    said = [entry.reason for entry in ledger.get_statement("alice").entries[:3]]
    assert ["chain:transfer", "bridge:mint", "chain:transfer"] == said
    assert [] == found(reconcile(ledger))


def test_a_bridge_waits_for_the_cut_over(ledger: Ledger, url: str) -> None:
    """Before it the contract lets no bridge in, whatever its limits; nothing is imported then."""
    seal(ledger)
    sign(ledger, books.operator())
    contract = migrate(ledger, url).contract
    let_bridge(url, contract)
    data = selector("crosschainMint(address,uint256)") + abi_encode(
        ["address", "uint256"], [hex_data(STRANGER), 5]
    )
    with Rpc(url) as rpc, pytest.raises(NodeError) as caught:
        tx = {"from": hex_data(BRIDGE), "to": hex_data(contract), "data": hex_data(data)}
        rpc.call("eth_call", [tx, "latest"])
    assert selector("NotFinalized()") == (caught.value.data or b"")[:4]
    assert ingest(ledger, url).entered is None
    assert [] == found(reconcile(ledger, url))


@pytest.mark.parametrize("what", ["mint", "burn"])
def test_a_bridge_before_the_books_know_of_the_cut_over_is_found(
    ledger: Ledger, url: str, what: str
) -> None:
    """Finalized and bridged past the commands: a finding, no issuance; once final, an entry."""
    seal(ledger)
    sign(ledger, books.operator())
    contract = migrate(ledger, url).contract
    let_bridge(url, contract)
    mine(url)
    ingest(ledger, url)
    alice, before = address_of(ledger, "alice"), ledger.get_balance("alice")
    call(url, books.operator().address, contract, "finalize()")
    call(url, BRIDGE, contract, f"crosschain{what.title()}(address,uint256)", hex_data(alice), 2)
    ingest(ledger, url)
    assert ledger.tokens()[0].finalized_at is None
    kind = kinds.BRIDGE_MINT if what == "mint" else kinds.BRIDGE_BURN
    assert [kind] == found(reconcile(ledger))
    early = reconcile(ledger, url)
    assert kind in found(early)
    assert kinds.MISSING_IN_LEDGER not in found(early)
    assert (40, 0) == (early.matched, early.bridge_mints + early.bridge_burns)
    assert before == ledger.get_balance("alice")
    mine(url)
    ingest(ledger, url)
    result = reconcile(ledger, url)
    assert [] == found(result)
    minted = what == "mint"
    assert (41, minted, not minted) == (result.matched, result.bridge_mints, result.bridge_burns)
    assert before + (2 if minted else -2) == ledger.get_balance("alice")


def test_import_records_a_cut_over_that_became_final(ledger: Ledger, url: str) -> None:
    """Nobody has to run the command again: the import sees that the cut-over is final."""
    cut_over(ledger, url)
    assert ledger.tokens()[0].finalized_at is None
    mine(url)
    ingest(ledger, url)
    assert ledger.tokens()[0].finalized_at is not None
    assert 0 == finalize(ledger, url).stranded


@pytest.mark.parametrize("liar", [0, 1])
@pytest.mark.parametrize("finalized", [False, True])
def test_one_node_alone_does_not_close_the_books(
    ledger: Ledger, url: str, liar: int, finalized: bool
) -> None:
    """With --quorum 2 a node that lies about the cut-over, either way, is a disagreement."""
    if finalized:
        cut_over(ledger, url)
    else:
        seal(ledger)
        sign(ledger, books.operator())
        migrate(ledger, url)
    mine(url)
    lie = "0x" + (b"" if finalized else b"\1").rjust(32, b"\0").hex()
    says = Alter(
        change=lambda *_: lie,
        methods=["eth_call"],
        when=lambda call: call.params[0]["data"] == hex_data(FINALIZED_CALL),
    )
    with Proxy(url) as proxy, proxy.suffering(says):
        urls = [proxy.url, url] if liar == 0 else [url, proxy.url]
        with pytest.raises(DisagreementError, match=r"not finalized.*, at batch"):
            ingest(ledger, urls, quorum=2)
    assert says.struck > 0
    assert ledger.tokens()[0].finalized_at is None
    ingest(ledger, url)
    assert finalized is (ledger.tokens()[0].finalized_at is not None)


def test_batches_after_the_cut_over_are_for_audit(ledger: Ledger, url: str, tmp_path: Path) -> None:
    """Imported entries are sealed, signed, exported and verified; nothing replays them."""
    contract = cut_over(ledger, url)
    mine(url)
    alice, bob = address_of(ledger, "alice"), address_of(ledger, "bob")
    call(url, alice, contract, "transfer(address,uint256)", hex_data(bob), 7)
    mine(url)
    ingest(ledger, url)
    assert 1 == seal(ledger).entries
    done = migrate(ledger, url)
    assert (0, contract) == (done.batches, done.contract)
    assert (0, True) == ((made := plan(ledger)).transactions, made.finalized)
    stood = status(ledger)
    assert (2, 0, 0) == (stood.batches, stood.unreplayed, stood.drift)
    assert 0 == finalize(ledger, url).stranded
    sign(ledger, books.operator())
    export(ledger, tmp_path / "export")
    signed = verify(tmp_path / "export", Anchors(signer=books.operator().address))
    assert ([], True) == (signed.findings, signed.anchored)
    result = reconcile(ledger, url)
    assert ([], 2) == (found(result), result.headers)
    with pytest.raises(TokenFinalizedError):
        ledger.transfer("alice", "bob", 1, reason="x")


def test_what_was_altered_after_an_import_is_found(ledger: Ledger, url: str) -> None:
    """A value altered in the books, and a log lost in the mirror, are findings of their kinds."""
    contract = cut_over(ledger, url)
    mine(url)
    alice, bob = address_of(ledger, "alice"), address_of(ledger, "bob")
    for value in (7, 8):
        call(url, alice, contract, "transfer(address,uint256)", hex_data(bob), value)
    mine(url)
    ingest(ledger, url)
    assert [] == found(reconcile(ledger))
    last = "(SELECT max(entry_no) FROM token_imports)"
    alter(
        ledger,
        "token_ledger",
        "UPDATE token_ledger SET amount = (SELECT amount FROM token_ledger WHERE entry_no ="
        f" {last} - 1) WHERE entry_no = {last}",
    )
    assert {kinds.VALUE_DIFFERS, kinds.ENTRY_ALTERED} == set(found(reconcile(ledger)))
    with ledger.write() as connection:
        connection.exec_driver_sql(
            "DELETE FROM chain_transfers WHERE block_number ="
            " (SELECT min(block_number) FROM token_imports)"
        )
    assert {kinds.MISSING_ON_CHAIN, kinds.VALUE_DIFFERS} <= set(found(reconcile(ledger)))


def test_money_that_came_without_a_log_is_found(ledger: Ledger, url: str) -> None:
    """A balance changed behind the logs' back is a drift of balance, at the pinned block."""
    contract = cut_over(ledger, url)
    mine(url)
    with Rpc(url) as rpc:
        rpc.call("anvil_dealERC20", [hex_data(STRANGER), hex_data(contract), hex(5)])
        alice = hex_data(address_of(ledger, "alice"))
        rpc.call("anvil_dealERC20", [alice, hex_data(contract), hex(5)])
    mine(url)
    ingest(ledger, url)
    assert [kinds.BALANCE_DRIFT] == found(reconcile(ledger, url))


def test_what_the_cut_over_left_behind_is_found(ledger: Ledger, url: str) -> None:
    """An entry that was never replayed is missing on the chain, and its balances differ there."""
    seal(ledger)
    sign(ledger, books.operator())
    contract = migrate(ledger, url).contract
    mine(url)
    ingest(ledger, url)
    ledger.transfer("alice", "bob", 1, reason="left behind")
    call(url, books.operator().address, contract, "finalize()")
    mine(url)
    ingest(ledger, url)
    result = reconcile(ledger)
    assert [kinds.MISSING_ON_CHAIN] == found(result)
    assert "left behind" in result.findings[0].message
    assert 1 == finalize(ledger, url).stranded


def test_a_hold_that_the_chain_emptied_is_found(ledger: Ledger, url: str) -> None:
    """Finalized past the command with a hold open: what left its escrow vault is told."""
    ledger.hold("alice", "5", reason="deposit")
    seal(ledger)
    sign(ledger, books.operator())
    contract = migrate(ledger, url).contract
    mine(url)
    ingest(ledger, url)
    call(url, books.operator().address, contract, "finalize()")
    escrow = address_of(ledger, "escrow:alice")
    call(url, escrow, contract, "transfer(address,uint256)", hex_data(STRANGER), 3 * 10**18)
    mine(url)
    ingest(ledger, url)
    result = reconcile(ledger, url)
    assert [kinds.HOLD_UNCOVERED] == found(result)
    assert {"claimed": str(5 * 10**18), "ledger": str(2 * 10**18)} == {
        name: result.findings[0].details[name] for name in ("claimed", "ledger")
    }
    assert "Have it brought back, or settle" in result.findings[0].message


def test_a_bridge_may_pass_the_ledgers_maximum(ledger: Ledger, url: str) -> None:
    """What is minted beyond the token's maximum is there: an entry, and a finding that says so."""
    ledger.create_token("CAP", "Capped", 18, max_supply="100000")
    ledger.use("CAP")
    books.fill(ledger, 20, seed=3)
    contract = cut_over(ledger, url)
    mine(url)
    let_bridge(url, contract)
    call(url, BRIDGE, contract, "crosschainMint(address,uint256)", hex_data(STRANGER), LIMIT)
    mine(url)
    done = ingest(ledger, url)
    assert done.entered is not None
    assert ["supply_exceeded"] == [found.details["rule"] for found in done.entered.findings]
    assert LIMIT == ledger.get_balance(to_checksum(STRANGER))
    assert [kinds.RULE_BROKEN] == found(reconcile(ledger, url))


def test_as_of_a_block_before_the_cut_over_the_ledger_issued_it(ledger: Ledger, url: str) -> None:
    """What was replayed later, and the cut-over itself, are left out of an earlier block."""
    seal(ledger)
    sign(ledger, books.operator())
    migrate(ledger, url)
    with Rpc(url) as rpc:
        early = rpc.quantity("eth_blockNumber")
    mine(url)
    books.fill(ledger, 10, seed=2)
    contract = cut_over(ledger, url)
    mine(url)
    ingest(ledger, url)
    alice, bob = address_of(ledger, "alice"), hex_data(address_of(ledger, "bob"))
    call(url, alice, contract, "transfer(address,uint256)", bob, 1)
    mine(url)
    ingest(ledger, url)
    for node in (None, url):
        then = reconcile(ledger, node, scope=Scope(as_of=early))
        assert ([], 40, 10) == (found(then), then.matched, then.unreplayed)
        now = reconcile(ledger, node)
        assert ([], 51, 1) == (found(now), now.matched, now.imported)


def test_a_forged_entry_after_the_cut_over_is_owed_to_nobody(ledger: Ledger, url: str) -> None:
    """Without the row that names its log it is no entry that the cut-over left behind."""
    contract = cut_over(ledger, url)
    mine(url)
    alice, bob = address_of(ledger, "alice"), hex_data(address_of(ledger, "bob"))
    for value in (3, 4):
        call(url, alice, contract, "transfer(address,uint256)", bob, value)
    mine(url)
    ingest(ledger, url)
    damage(
        ledger,
        "token_imports",
        "DELETE FROM token_imports WHERE entry_no = (SELECT max(entry_no) FROM token_imports)",
    )
    told = [f for f in reconcile(ledger).findings if f.kind == kinds.MISSING_ON_CHAIN]
    assert 1 == len(told)
    assert "owe nothing" in told[0].message
