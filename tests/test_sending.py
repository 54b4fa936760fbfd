"""Every command that sends keeps to one way: its price, its place in the line, and its fellows.

Method: one scenario a verb, on a real Anvil. The other operator is forced in between: the first
one's key, when asked for its n-th signature, has the other one do the whole thing before it signs.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from tests import books

from token_ledger.anchor import anchor
from token_ledger.chain.anvil import Anvil
from token_ledger.chain.courier import Courier, TooDearError
from token_ledger.chain.creation import destination_calldata
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.signer import KeySigner, Signer
from token_ledger.claim import claim as claim_vault
from token_ledger.finalize import finalize
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, cutover
from token_ledger.migrate import migrate
from token_ledger.seal import seal
from token_ledger.sign import sign
from token_ledger.snapshot import claim, publish, sweep, take

GWEI = 10**9
ONE = KeySigner(Account.from_key("0x" + "0d" * 32))
OTHER = KeySigner(Account.from_key("0x" + "0e" * 32))
Act = Callable[..., bytes | None]
"""Does the whole thing with a gas payer's key; returns the hash of its last transaction."""


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with Anvil(args=("--slots-in-an-epoch", "1")) as node:
        yield node


@pytest.fixture
def url(node: Anvil) -> Iterator[str]:
    """Yield the node, with money for all keys; take back what the test did."""
    with Rpc(node.url) as rpc:
        snapshot = rpc.call("evm_snapshot")
        for signer in (books.operator(), ONE, OTHER):
            rpc.call("anvil_setBalance", [hex_data(signer.address), hex(10**20)])
        yield node.url
        rpc.call("anvil_dropAllTransactions")
        rpc.call("evm_setAutomine", [True])
        rpc.call("evm_revert", [snapshot])


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, 20)
        seal(ledger)
        sign(ledger, books.operator())
        yield ledger


def opened(ledger: Ledger, url: str) -> tuple[bytes, Any]:
    """Open the claims of a snapshot that lasts for a thousand seconds."""
    with Rpc(url) as rpc:
        now = int(rpc.call("eth_getBlockByNumber", ["latest", False])["timestamp"], 16)
    made = take(ledger, deadline=now + 1000)
    return publish(ledger, url, made, sealer=books.operator()).contract, made


def scene_publish(ledger: Ledger, url: str) -> Act:
    made = take(ledger, deadline=4_000_000_000)
    sealer = books.operator()
    return lambda key, **terms: (
        publish(ledger, url, made, sealer=sealer, gas_signer=key, **terms).tx_hash
    )


def scene_claim(ledger: Ledger, url: str) -> Act:
    contract, made = opened(ledger, url)
    proof = made.proof_to_json(*made.holdings[0])
    return lambda key, **terms: claim(url, contract, proof, gas_signer=key, **terms).tx_hash


def scene_sweep(ledger: Ledger, url: str) -> Act:
    contract, _ = opened(ledger, url)
    with Rpc(url) as rpc:
        data = destination_calldata(b"\x88" * 20)
        assert (
            Courier(rpc, books.operator(), chain_id=31337)
            .send_and_wait(contract, data, gas=100_000)
            .succeeded
        )
        rpc.call("evm_increaseTime", [2000])
        rpc.call("anvil_mine", ["0x1"])
    return lambda key, **terms: sweep(url, contract, gas_signer=key, **terms).tx_hash


def scene_anchor(ledger: Ledger, url: str) -> Act:
    def act(key: Signer, **terms: Any) -> bytes | None:
        done = anchor(ledger, url, gas_signer=key, **terms)
        assert 1 == done.head_number
        return b"sent" if done.headers else None

    return act


def scene_claim_vault(ledger: Ledger, url: str) -> Act:
    words = {"owner": books.stranger().address, "operator": books.operator()}
    return lambda key, **terms: (
        claim_vault(ledger, url, "alice", gas_signer=key, **words, **terms).tx_hash
    )


def scene_migrate(ledger: Ledger, url: str) -> Act:
    def act(key: Signer, **terms: Any) -> bytes | None:
        return b"sent" if migrate(ledger, url, gas_signer=key, **terms).batches else None

    return act


def scene_finalize(ledger: Ledger, url: str) -> Act:
    """The admin alone may: his key in two hands."""
    migrate(ledger, url)
    with Rpc(url) as rpc:
        rpc.call("anvil_mine", ["0x8"])
    ingest(ledger, url)

    def act(key: Signer, **terms: Any) -> bytes | None:
        done = finalize(ledger, url, admin=key, **terms)
        assert done.finalized
        return done.tx_hash

    return act


SCENES = [
    scene_anchor,
    scene_claim,
    scene_claim_vault,
    scene_finalize,
    scene_migrate,
    scene_publish,
    scene_sweep,
]
every_verb = pytest.mark.parametrize("scene", SCENES, ids=lambda s: s.__name__[6:])


def payer_of(scene: Any) -> KeySigner:
    return books.operator() if scene is scene_finalize else ONE


def sent_by(rpc: Rpc, *payers: KeySigner) -> list[dict[str, Any]]:
    """Return all mined transactions of some payers."""
    names = {hex_data(payer.address) for payer in payers}
    blocks = range(1, rpc.quantity("eth_blockNumber") + 1)
    return [
        transaction
        for number in blocks
        for transaction in rpc.call("eth_getBlockByNumber", [hex(number), True])["transactions"]
        if transaction["from"].lower() in names
    ]


class Interrupted:
    """A key whose owner is overtaken: before its n-th transaction is signed, something happens."""

    def __init__(self, key: KeySigner, at: int, meanwhile: Callable[[], object]) -> None:
        self.address = key.address
        self.sign_digest = key.sign_digest
        self._key, self._left, self._meanwhile = key, at, meanwhile

    def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        self._left -= 1
        if self._left == 0:
            self._meanwhile()
        return self._key.sign_transaction(transaction)

    @property
    def was_overtaken(self) -> bool:
        """Whether it came to that."""
        return self._left <= 0


@every_verb
def test_the_price_is_kept(ledger: Ledger, url: str, scene: Any) -> None:
    """No transaction of any verb offers more than `gas_price_max` for a unit of gas."""
    act = scene(ledger, url)
    payer = payer_of(scene)
    with Rpc(url) as rpc:
        before = len(sent_by(rpc, payer))
        most = int(rpc.call("eth_getBlockByNumber", ["latest", False])["baseFeePerGas"], 16)
        most += most // 8 + 7
        assert act(payer, gas_price_max=most) is not None
        sent = sent_by(rpc, payer)[before:]
    assert sent
    assert {most} == {int(transaction["maxFeePerGas"], 16) for transaction in sent}


@every_verb
def test_too_dear_changes_nothing(ledger: Ledger, url: str, scene: Any) -> None:
    """Where the ceiling is under the base fee nothing is sent, and open books stay open."""
    act = scene(ledger, url)
    payer = payer_of(scene)
    with ledger.read() as connection:
        before = cutover.read_state(connection, ledger.token)
    with Rpc(url) as rpc:
        sent = len(sent_by(rpc, payer, books.operator()))
        with pytest.raises(TooDearError, match="more than 1 wei"):
            act(payer, gas_price_max=1)
        assert sent == len(sent_by(rpc, payer, books.operator()))
    with ledger.read() as connection:
        assert before == cutover.read_state(connection, ledger.token)
    assert act(payer) is not None


@contextlib.contextmanager
def mining_once_gone(url: str, tx_hash: str) -> Iterator[None]:
    """Have the node mine again as soon as a transaction was replaced, and not before."""
    over = threading.Event()

    def run() -> None:
        with Rpc(url) as other:
            while other.call("eth_getTransactionByHash", [tx_hash]) and not over.wait(0.05):
                pass
            other.call("evm_setAutomine", [True])

    miner = threading.Thread(target=run)
    miner.start()
    try:
        yield
    finally:
        over.set()
        miner.join()


@every_verb
def test_what_is_stuck_is_taken_over(ledger: Ledger, url: str, scene: Any) -> None:
    """`take_over` puts the verb's transaction in the place of one that a wallet left unmined."""
    act = scene(ledger, url)
    payer = payer_of(scene)
    with Rpc(url) as rpc:
        nonce = rpc.quantity("eth_getTransactionCount", [hex_data(payer.address), "latest"])
        stuck = {"chainId": 31337, "nonce": nonce, "to": "0x" + "99" * 20, "value": 0}
        fees = {"gas": 21_000, "maxFeePerGas": 3 * GWEI, "maxPriorityFeePerGas": 1}
        rpc.call("evm_setAutomine", [False])
        left = rpc.call("eth_sendRawTransaction", [hex_data(payer.sign_transaction(stuck | fees))])
        with mining_once_gone(url, left):
            assert act(payer, take_over=True) is not None
        mined = [transaction["hash"] for transaction in sent_by(rpc, payer)]
        assert left not in mined
        assert rpc.call("eth_getTransactionByHash", [left]) is None


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize(
    ("scene", "same_key"),
    [
        pytest.param(scene, same, id=f"{scene.__name__[6:]}-{'one key' if same else 'two keys'}")
        for scene in SCENES
        for same in (True, False)
        if same or scene is not scene_finalize  # there is one admin
    ],
)
def test_two_operators_meet(
    ledger: Ledger, url: str, scene: Any, at: int, *, same_key: bool
) -> None:
    """Whoever is overtaken, with the same key or another, finds it done: no error, no double."""
    act = scene(ledger, url)
    payer = payer_of(scene)
    other = payer if same_key else OTHER
    told: list[bytes | None] = []
    key = Interrupted(payer, at, lambda: told.append(act(other)))
    mine = act(key)
    if key.was_overtaken:
        assert told[0] is not None
        nothing_twice = scene is scene_sweep and not same_key  # a sweep of nothing is executed
        assert nothing_twice or mine is None
    else:  # one transaction was all there was
        assert (1, []) == (key._left, told)
        assert mine is not None
    assert None is act(payer)
    assert None is act(OTHER if scene is not scene_finalize else payer)
