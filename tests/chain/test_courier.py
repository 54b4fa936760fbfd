"""Transactions that are stuck, lost or overtaken: replaced, sent again, or told; never doubled.

Method: an Anvil that mines when told, its base fee lifted over what was offered, its pool emptied
behind the sender's back.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes
from tests.chain.faults import Alter
from tests.chain.proxy import Call, Fault, Proxy, RefusedError, Result

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.courier import (
    PRICE_MAX_WEI,
    TIP_MAX_WEI,
    Courier,
    NonceTakenError,
    TooDearError,
    raised,
)
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.sender import node_account
from token_ledger.chain.signer import KeySigner
from token_ledger.errors import ChainError

PAYER = KeySigner(Account.from_key("0x" + "0d" * 32))
TO = b"\x99" * 20
GWEI = 10**9


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with Anvil(args=("--no-mining",)) as node:
        yield node


@pytest.fixture
def rpc(node: Anvil) -> Iterator[Rpc]:
    with Rpc(node.url) as rpc:
        snapshot = rpc.call("evm_snapshot")
        rpc.call("anvil_setBalance", [hex_data(PAYER.address), hex(10**22)])
        rpc.call("anvil_setNextBlockBaseFeePerGas", [hex(GWEI)])
        rpc.call("anvil_mine", ["0x1"])
        yield rpc
        rpc.call("anvil_dropAllTransactions")
        rpc.call("evm_revert", [snapshot])


def courier(rpc: Rpc, **other: Any) -> Courier:
    return Courier(rpc, PAYER, chain_id=31337, **{"stuck_after_s": 0.2, "timeout_s": 20} | other)


class WantsMore(Fault):
    """Takes nothing: whatever is offered is too little."""

    def answer(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        """Never return."""
        raise RefusedError({"code": -32000, "message": "replacement transaction underpriced"})


@contextlib.contextmanager
def mining(node: Anvil) -> Iterator[None]:
    """Mine a block now and then, on another connection, from a little later on."""
    done = threading.Event()

    def run() -> None:
        with Rpc(node.url) as other:
            while not done.wait(0.5):
                other.call("anvil_mine", ["0x1"])

    miner = threading.Thread(target=run)
    miner.start()
    try:
        yield
    finally:
        done.set()
        miner.join()


def count(rpc: Rpc) -> int:
    return rpc.quantity("eth_getTransactionCount", [hex_data(PAYER.address), "latest"])


def test_a_stuck_transaction_is_replaced(rpc: Rpc, node: Anvil) -> None:
    """When the base fee rises over the offer, the same nonce is offered more, and one is mined."""
    sent = courier(rpc)
    tx_hash = sent.send(TO, b"", gas=50_000)
    rpc.call("anvil_setNextBlockBaseFeePerGas", [hex(40 * GWEI)])
    rpc.call("anvil_mine", ["0x1"])
    assert 0 == count(rpc)
    with mining(node):
        receipt = sent.wait(tx_hash)
    assert receipt.succeeded
    assert tx_hash != receipt.tx_hash
    assert 1 == count(rpc)


def test_a_lost_transaction_is_sent_again(rpc: Rpc, node: Anvil) -> None:
    """A nonce that the node dropped holds up those behind it: it is sent again, all are mined."""
    sent = courier(rpc)
    hashes = [sent.send(TO, bytes([n]), gas=50_000) for n in range(3)]
    rpc.call("anvil_dropTransaction", [hex_data(hashes[0])])
    rpc.call("anvil_mine", ["0x1"])
    assert 0 == count(rpc)
    with mining(node):
        receipts = [sent.wait(tx_hash) for tx_hash in hashes]
    assert hashes == [receipt.tx_hash for receipt in receipts]
    assert 3 == count(rpc)


def test_a_taken_nonce_is_told(rpc: Rpc) -> None:
    """Another transaction of the same key in our place: an error, and nothing is sent in blind."""
    one, other = courier(rpc), courier(rpc, take_over=True)
    mine = one.send(TO, b"\1", gas=50_000)
    other.settle()
    theirs = other.send(TO, b"\2", gas=60_000)  # the node wants more for it, and gets it
    rpc.call("anvil_mine", ["0x1"])
    assert other.wait(theirs).succeeded
    with pytest.raises(NonceTakenError):
        one.wait(mine)
    late = courier(rpc)
    late._nonce = 0
    with pytest.raises(NonceTakenError):
        late.send(TO, b"\3", gas=50_000)
    assert 1 == count(rpc)


def test_what_an_earlier_run_left_is_taken_over(rpc: Rpc) -> None:
    """take_over replaces what is unmined from its first nonce on, instead of waiting for it."""
    left = courier(rpc)
    for n in range(2):
        left.send(TO, bytes([n]), gas=50_000)
    sent = courier(rpc, take_over=True)
    hashes = [sent.send(TO, bytes([8 + n]), gas=50_000) for n in range(2)]
    rpc.call("anvil_mine", ["0x1"])
    assert all(sent.wait(tx_hash).succeeded for tx_hash in hashes)
    assert 2 == count(rpc)


def test_a_gap_that_a_reorganisation_leaves_is_told(rpc: Rpc) -> None:
    """What was mined before ours is taken back and forgotten: told, settled, and sent anew."""
    sent = courier(rpc)
    before = rpc.call("evm_snapshot")
    first = sent.send(TO, b"\1", gas=50_000)
    rpc.call("anvil_mine", ["0x1"])
    assert sent.wait(first).succeeded
    rpc.call("evm_revert", [before])
    rpc.call("anvil_dropAllTransactions")
    second = sent.send(TO, b"\2", gas=50_000)
    with pytest.raises(NonceTakenError, match="took back nonces 0 to 0"):
        sent.wait(second)
    assert not sent.is_idle
    sent.settle()
    hashes = [sent.send(TO, data, gas=60_000) for data in (b"\1", b"\2")]
    rpc.call("anvil_mine", ["0x1"])
    assert all(sent.wait(tx_hash).succeeded for tx_hash in hashes)
    assert 2 == count(rpc)


def test_the_ceiling_holds(rpc: Rpc) -> None:
    """Over the ceiling nothing more is offered: it is said that the transaction waits."""
    sent = courier(rpc, fee_max_wei=2 * GWEI, timeout_s=1.5)
    tx_hash = sent.send(TO, b"", gas=50_000)
    offered = rpc.call("eth_getTransactionByHash", [hex_data(tx_hash)])
    assert int(offered["maxFeePerGas"], 16) <= 2 * GWEI
    rpc.call("anvil_setNextBlockBaseFeePerGas", [hex(40 * GWEI)])
    rpc.call("anvil_mine", ["0x1"])
    with pytest.raises(ChainError, match="is not mined"):
        sent.wait(tx_hash)
    assert 0 == count(rpc)


def test_the_nodes_own_account_is_replaced_too(rpc: Rpc, node: Anvil) -> None:
    """An account that the node signs for gets the same care."""
    sent = Courier(rpc, node_account(rpc), chain_id=31337, stuck_after_s=0.2, timeout_s=20)
    tx_hash = sent.send(TO, b"", gas=50_000)
    rpc.call("anvil_setNextBlockBaseFeePerGas", [hex(40 * GWEI)])
    rpc.call("anvil_mine", ["0x1"])
    with mining(node):
        assert sent.wait(tx_hash).succeeded


@pytest.mark.parametrize("wei", [0, 1, 7, 8, 10**9, 2**64])
def test_raised_fees_are_what_nodes_want(wei: int) -> None:
    """Geth asks for a tenth more, others for an eighth, of both figures."""
    fees = raised({"maxFeePerGas": wei, "maxPriorityFeePerGas": wei}, floor={})
    assert all(8 * new >= 9 * wei and new > wei for new in fees.values())
    assert 10**20 == raised({"maxFeePerGas": wei}, floor={"maxFeePerGas": 10**20})["maxFeePerGas"]


def test_a_node_does_not_set_the_price(rpc: Rpc, node: Anvil) -> None:
    """A tip, a base fee or a gas price out of all reason is not offered unasked: nothing is sent.

    Who gives a ceiling of his own is asked nothing.
    """

    def dear_block(_: Call, block: Result) -> Result:
        return block | {"baseFeePerGas": hex(10**15)}

    def old_block(_: Call, block: Result) -> Result:
        return {name: value for name, value in block.items() if name != "baseFeePerGas"}

    block, tip = ["eth_getBlockByNumber"], ["eth_maxPriorityFeePerGas"]
    dear = Alter(change=lambda *_: hex(TIP_MAX_WEI + 1), methods=tip)
    price = Alter(change=lambda *_: hex(PRICE_MAX_WEI + 1), methods=["eth_gasPrice"])
    for faults in (
        [dear],
        [Alter(change=dear_block, methods=block)],
        [Alter(change=old_block, methods=block), price],
    ):
        with Proxy(node.url) as proxy, Rpc(proxy.url) as lying, proxy.suffering(*faults):
            with pytest.raises(TooDearError, match="not offered unasked") as caught:
                courier(lying).send(TO, b"", gas=50_000)
            assert "--max-gas-price" in str(caught.value.hint)
            assert [] == proxy.asked("eth_sendRawTransaction")
            courier(lying, fee_max_wei=2 * GWEI).send(TO, b"", gas=50_000)
            (sent,) = proxy.asked("eth_sendRawTransaction")
        assert sent
        rpc.call("anvil_dropAllTransactions")


def test_a_node_that_always_wants_more_is_not_paid(rpc: Rpc, node: Anvil) -> None:
    """Told "underpriced" again and again, it stops at sixteen times what gas costs there."""
    want = WantsMore(methods=["eth_sendRawTransaction"])
    with Proxy(node.url) as proxy, Rpc(proxy.url) as lying, proxy.suffering(want):
        with pytest.raises(TooDearError, match="underpriced"):
            courier(lying).send(TO, b"", gas=50_000)
        asked = proxy.asked("eth_sendRawTransaction")
    offered = [decode_fee(call.params[0]) for call in asked]
    assert offered == sorted(offered)
    assert 16 >= offered[-1] / offered[0] > 8


def decode_fee(raw: str) -> int:
    """Return what a raw transaction offers at most for a unit of gas."""
    fields: Any = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    return int(fields["maxFeePerGas"])
