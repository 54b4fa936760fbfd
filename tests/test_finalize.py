"""`migrate --finalize`: everything is looked at first, then there is no way back.

Method: a real Anvil whose blocks become final one slot later, the operator's own key as admin, and
every role tried against the finalized contract.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_abi import encode as abi_encode
from tests import books

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.contracts import replay_calldata, selector
from token_ledger.chain.rpc import NodeError, Rpc, hex_data
from token_ledger.chain.state import read_state
from token_ledger.errors import (
    DatabaseError,
    NotReadyError,
    SigningKeyError,
    TokenFinalizedError,
)
from token_ledger.finalize import finalize, reopen
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, batches, cutover, posting
from token_ledger.load import load
from token_ledger.migrate import migrate
from token_ledger.plan import plan
from token_ledger.seal import seal
from token_ledger.sign import sign


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with Anvil(args=("--slots-in-an-epoch", "1")) as node:
        yield node


@pytest.fixture
def url(node: Anvil) -> Iterator[str]:
    """Yield the node, with money for the operator; take back what the test did."""
    with Rpc(node.url) as rpc:
        snapshot = rpc.call("evm_snapshot")
        for signer in (books.operator(), books.stranger()):
            rpc.call("anvil_setBalance", [hex_data(signer.address), hex(10**20)])
        yield node.url
        rpc.call("evm_revert", [snapshot])


def mine(url: str, blocks: int = 8) -> None:
    with Rpc(url) as rpc:
        rpc.call("anvil_mine", [hex(blocks)])


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, 40)
        yield ledger


def bring_over(ledger: Ledger, url: str) -> bytes:
    """Seal, sign, migrate, import, and let it become final; return the contract."""
    seal(ledger)
    sign(ledger, books.operator())
    done = migrate(ledger, url)
    mine(url)
    ingest(ledger, url)
    return done.contract


def test_the_cut_over(ledger: Ledger, url: str) -> None:
    """Finalizing opens transfers, closes the books, is final a few blocks later, and repeats."""
    contract = bring_over(ledger, url)
    done = finalize(ledger, url, admin=books.operator())
    assert (True, False, 1) == (done.finalized, done.final, done.number)
    assert done.tx_hash is not None
    mine(url)
    again = finalize(ledger, url, admin=books.operator())
    assert (True, True, None, 0) == (again.finalized, again.final, again.tx_hash, again.stranded)
    assert again == finalize(ledger, url)
    with ledger.read() as connection:
        closing, finalized = cutover.read_state(connection, ledger.token)
    assert closing is not None
    assert finalized is not None
    with Rpc(url) as rpc:
        assert read_state(rpc, contract).finalized
        data = selector("transfer(address,uint256)") + abi_encode(
            ["address", "uint256"], [hex_data(books.stranger().address), 1]
        )
        alice = hex_data(ledger.get_account("alice").address)
        call = {"from": alice, "to": hex_data(contract), "data": hex_data(data)}
        assert 1 == int(rpc.call("eth_call", [call, "latest"]), 16)


def test_the_price_of_the_cut_over_is_bounded(ledger: Ledger, url: str) -> None:
    """It offers no more than `gas_price_max` for a unit of gas."""
    bring_over(ledger, url)
    done = finalize(ledger, url, admin=books.operator(), gas_price_max=10**9, take_over=True)
    assert done.tx_hash is not None
    with Rpc(url) as rpc:
        sent = rpc.call("eth_getTransactionByHash", [hex_data(done.tx_hash)])
    assert 10**9 == int(sent["maxFeePerGas"], 16)


def test_closed_books_refuse_entries_and_say_what_to_call(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    """Every way of posting is refused with the contract's address; repeats and imports are not."""
    first = ledger.transfer("alice", "bob", 1, reason="x", idempotency_key="before")
    contract = bring_over(ledger, url)
    finalize(ledger, url, admin=books.operator())
    for post in (
        lambda: ledger.transfer("alice", "bob", 1, reason="x"),
        lambda: ledger.mint("alice", 1, reason="x"),
        lambda: ledger.burn("alice", 1, reason="x"),
        lambda: ledger.create_account("new", initial_balance=1),
    ):
        with pytest.raises(TokenFinalizedError) as caught:
            post()
        assert "transfer(address,uint256)" in str(caught.value.hint)
        assert contract.hex() in str(caught.value.hint).lower()
    path = tmp_path / "more.csv"
    path.write_text(
        "timestamp,from_account,to_account,amount,reason\n2024-01-01T00:00:00Z,system,bob,1,x\n"
    )
    with pytest.raises(TokenFinalizedError):
        load(ledger, path)
    again = ledger.transfer("alice", "bob", 1, reason="x", idempotency_key="before")
    assert (first.id, True) == (again.id, again.repeated)
    context = replace(ledger.context, imported=True)
    record = ledger.record("alice", "bob", 1, reason="imported", timestamp=dt.datetime.now(dt.UTC))
    posted = ledger.run(lambda c: posting.post(c, context, ledger.token, [record]))
    assert not posted[0].repeated


def test_no_role_can_replay_afterwards(ledger: Ledger, url: str) -> None:
    """The admin, the sealer, a new sealer and a role granted anew: replay reverts for each."""
    contract = bring_over(ledger, url)
    finalize(ledger, url, admin=books.operator())
    token, operator, stranger = ledger.token, books.operator(), books.stranger()
    with ledger.read() as connection:
        batch = batches.read_batch(connection, token, 1)
    header = replace(batch.header, number=2, parent=batch.digest, first_seq=batch.header.count)
    data = replay_calldata(replace(batch, header=header))
    attempts = {
        "replay": data,
        "finalize": selector("finalize()"),
    }
    preparations = (
        selector("setSealer(address)") + abi_encode(["address"], [hex_data(stranger.address)]),
        selector("grantRole(bytes32,address)")
        + abi_encode(["bytes32", "address"], [bytes(32), hex_data(stranger.address)]),
    )
    with Rpc(url) as rpc:
        rpc.call("anvil_impersonateAccount", [hex_data(operator.address)])
        for prepared in preparations:
            tx = {
                "from": hex_data(operator.address),
                "to": hex_data(contract),
                "data": hex_data(prepared),
            }
            rpc.call("eth_sendTransaction", [tx])
        for who in (operator, stranger):
            for what, payload in attempts.items():
                call = {
                    "from": hex_data(who.address),
                    "to": hex_data(contract),
                    "data": hex_data(payload),
                }
                with pytest.raises(NodeError) as caught:
                    rpc.call("eth_call", [call, "latest"])
                assert selector("AlreadyFinalized()") == (caught.value.data or b"")[:4], what


def test_it_waits_for_everything(ledger: Ledger, url: str) -> None:
    """Unsealed, unreplayed, not final, not imported: each is refused with what to do, in turn."""

    def refused(match: str) -> None:
        with pytest.raises(NotReadyError, match=match):
            finalize(ledger, url, admin=books.operator())
        with ledger.read() as connection:
            assert (None, None) == cutover.read_state(connection, ledger.token)

    mine(url)
    seal(ledger)
    sign(ledger, books.operator())
    migrate(ledger, url)
    refused("not yet in a final block|stands at batch 0")
    mine(url)
    with pytest.raises(Exception, match="imported"):
        finalize(ledger, url, admin=books.operator())
    ingest(ledger, url)
    ledger.transfer("alice", "bob", 1, reason="late")
    refused("1 entry of TKN not sealed yet")
    seal(ledger)
    sign(ledger, books.operator())
    refused("stands at batch 1, the ledger at 2")
    migrate(ledger, url)
    refused("stands at batch 1, the ledger at 2")
    mine(url)
    refused("do not agree")
    ingest(ledger, url)
    assert finalize(ledger, url, admin=books.operator()).finalized


def test_open_holds_stop_it(ledger: Ledger, url: str) -> None:
    """A hold is money that nobody could move any more: released, sealed, replayed, then it goes."""
    held = ledger.hold("alice", 1)
    bring_over(ledger, url)
    with pytest.raises(NotReadyError, match="1 hold of TKN open") as caught:
        finalize(ledger, url, admin=books.operator())
    assert "`release` or `capture`" in str(caught.value.hint)
    ledger.release(held.id)
    with pytest.raises(NotReadyError, match="1 entry of TKN not sealed yet"):
        finalize(ledger, url, admin=books.operator())
    bring_over(ledger, url)
    assert finalize(ledger, url, admin=books.operator()).finalized
    with pytest.raises(TokenFinalizedError):
        ledger.hold("alice", 1)


def test_a_difference_stops_it(ledger: Ledger, url: str) -> None:
    """A balance changed behind the contract's back is found at the final block; nothing is sent."""
    contract = bring_over(ledger, url)
    with Rpc(url) as rpc:
        victim = hex_data(ledger.get_account("alice").address)
        rpc.call("anvil_dealERC20", [victim, hex_data(contract), hex(5)])
    mine(url)
    ingest(ledger, url)
    with pytest.raises(NotReadyError, match="balance_drift"):
        finalize(ledger, url, admin=books.operator())
    ledger.transfer("alice", "bob", 1, reason="the books are open")


def test_only_the_admin_finalizes(ledger: Ledger, url: str) -> None:
    """Another key is refused before anything is closed."""
    bring_over(ledger, url)
    with pytest.raises(SigningKeyError, match="not the admin"):
        finalize(ledger, url, admin=books.stranger())
    ledger.transfer("alice", "bob", 1, reason="the books are open")


def test_a_safe_sends_it_and_the_ledger_follows(ledger: Ledger, url: str) -> None:
    """Without a key the books are closed and wait; given up, they open again; sent, they stay."""
    contract = bring_over(ledger, url)
    waiting = finalize(ledger, url)
    assert (False, None) == (waiting.finalized, waiting.tx_hash)
    with pytest.raises(TokenFinalizedError):
        ledger.transfer("alice", "bob", 1, reason="x")
    reopen(ledger, url)
    finalize(ledger, url)
    with Rpc(url) as rpc:
        rpc.call("anvil_impersonateAccount", [hex_data(ledger.operator)])
        tx = {
            "from": hex_data(ledger.operator),
            "to": hex_data(contract),
            "data": hex_data(selector("finalize()")),
        }
        rpc.call("eth_sendTransaction", [tx])
    mine(url)
    assert finalize(ledger, url).final
    with pytest.raises(NotReadyError, match="is finalized"):
        reopen(ledger, url)


def test_a_contract_finalized_past_the_command_closes_the_books(ledger: Ledger, url: str) -> None:
    """Entries that were left behind are counted, and no more can join them."""
    contract = bring_over(ledger, url)
    ledger.transfer("alice", "bob", 1, reason="left behind")
    with Rpc(url) as rpc:
        rpc.call("anvil_impersonateAccount", [hex_data(ledger.operator)])
        tx = {"from": hex_data(ledger.operator), "to": hex_data(contract)}
        rpc.call("eth_sendTransaction", [tx | {"data": hex_data(selector("finalize()"))}])
    assert 1 == finalize(ledger, url).stranded
    with pytest.raises(TokenFinalizedError):
        ledger.transfer("alice", "bob", 1, reason="x")


def test_a_finalized_token_stays_so(ledger: Ledger, url: str) -> None:
    """The database refuses to take the record back, whoever asks."""
    bring_over(ledger, url)
    finalize(ledger, url, admin=books.operator())
    mine(url)
    assert finalize(ledger, url).final
    for change in ("closing_at = NULL", "finalized_at = NULL", "finalized_at = 5"):
        with pytest.raises(DatabaseError, match="stays finalized"), ledger.write() as connection:
            connection.exec_driver_sql(f"UPDATE tokens SET {change}")


def test_no_entry_slips_in_while_the_books_close(ledger: Ledger, url: str) -> None:
    """Writers on their way while the books are closed are either counted or refused."""
    bring_over(ledger, url)
    stop = threading.Event()
    refused: list[BaseException] = []

    def write() -> None:
        while not stop.is_set():
            try:
                ledger.transfer("alice", "bob", "0.000001", reason="x")
            except TokenFinalizedError as error:
                refused.append(error)
                return

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(50):
            try:
                seal(ledger)
                ledger.run(lambda c: cutover.close_books(c, ledger.token, now=ledger.now()))
                break
            except NotReadyError:
                continue
        else:  # they were always faster: close over their heads, as for a finalized contract
            ledger.run(
                lambda c: cutover.close_books(
                    c, ledger.token, now=ledger.now(), whatever_waits=True
                )
            )
        with ledger.read() as connection:
            before = batches.count_unsealed(connection, ledger.token)
        for writer in writers:
            writer.join(30)
    finally:
        stop.set()
    with ledger.read() as connection:
        assert before == batches.count_unsealed(connection, ledger.token)
    assert 3 == len(refused)


def test_the_cut_over_costs_what_the_plan_says(ledger: Ledger, url: str) -> None:
    """The receipt's gas is forecast to within two in a hundred, and never under."""
    bring_over(ledger, url)
    planned = plan(ledger, url).finalize_gas
    done = finalize(ledger, url, admin=books.operator())
    assert done.tx_hash is not None
    with Rpc(url) as rpc:
        receipt = rpc.call("eth_getTransactionReceipt", [hex_data(done.tx_hash)])
    assert 1 <= planned / int(receipt["gasUsed"], 16) <= 1.02
