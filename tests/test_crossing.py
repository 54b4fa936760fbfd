"""A token crosses to the chain one way, and does not come back: what each verb refuses.

Method: a real Anvil whose blocks become final one slot later; some with the id of a real chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account
from tests import books
from tests.chain.faults import Alter
from tests.chain.proxy import Call as ProxyCall
from tests.chain.proxy import Proxy, Result

from token_ledger.anchor import anchor
from token_ledger.broadcast import broadcast
from token_ledger.chain.anvil import Anvil
from token_ledger.chain.contracts import selector
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.signer import KeySigner
from token_ledger.chain.state import read_state
from token_ledger.compose import compose, sign_file, unsigned_file
from token_ledger.core.outbox import Call
from token_ledger.errors import (
    CanonicalChainError,
    NotReadyError,
    TokenFinalizedError,
    UsageError,
)
from token_ledger.finalize import finalize
from token_ledger.finalize import reopen as reopen_replayed
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.migrate import migrate
from token_ledger.outgoing import compose_publish
from token_ledger.plan import plan
from token_ledger.seal import seal
from token_ledger.sign import sign
from token_ledger.snapshot import publish, take
from token_ledger.snapshot import reopen as reopen_published

LATER = 4_000_000_000
PAYER = KeySigner(Account.from_key("0x" + "0d" * 32))


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
def ledger(sqlite_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with books.create(sqlite_url, tmp_path) as ledger:
        books.fill(ledger, 20)
        seal(ledger)
        sign(ledger, books.operator())
        yield ledger


def reopen(ledger: Ledger, url: str) -> None:
    """Give a snapshot up that the operator was to send."""
    reopen_published(ledger, url, payers=[ledger.operator])


def publish_it(ledger: Ledger, url: str) -> None:
    publish(ledger, url, take(ledger, deadline=LATER), sealer=books.operator())


def bring_over(ledger: Ledger, url: str) -> bytes:
    """Replay and import everything, and let it become final; return the contract."""
    contract = migrate(ledger, url).contract
    with Rpc(url) as rpc:
        rpc.call("anvil_mine", ["0x8"])
    ingest(ledger, url)
    return contract


def check_closed(ledger: Ledger) -> None:
    with pytest.raises(TokenFinalizedError):
        ledger.transfer("alice", "bob", 1, reason="the books are closed")


def test_what_a_snapshot_brought_over_is_not_replayed(ledger: Ledger, url: str) -> None:
    """After `snapshot publish` migrate, its files and its plan are refused: one supply, not two."""
    publish_it(ledger, url)
    for attempt in (
        lambda: migrate(ledger, url),
        lambda: compose(ledger, url),
        lambda: compose(ledger, url, finalize=True),
        lambda: plan(ledger, url),
    ):
        with pytest.raises(NotReadyError, match="by a snapshot"):
            attempt()
    with pytest.raises(NotReadyError, match="closed by a snapshot"):
        plan(ledger)


def test_a_replayed_token_is_not_finalized_beside_a_snapshot(ledger: Ledger, url: str) -> None:
    """A snapshot that was signed and opened past the commands stops the cut-over of the replay."""
    with Rpc(url) as rpc:
        before = rpc.call("evm_snapshot")
        composed = compose_publish(
            ledger, url, take(ledger, deadline=LATER), sealer=books.operator()
        )
        reopen(ledger, url)
        rpc.call("evm_revert", [before])
        bring_over(ledger, url)
        payer = rpc.call("eth_accounts")[0]
        for call in composed.calls:
            tx = {"from": payer, "to": hex_data(call.to), "data": hex_data(call.data)}
            rpc.call("eth_sendTransaction", [tx | {"gas": hex(call.gas)}])
    with pytest.raises(NotReadyError, match="by a snapshot"):
        finalize(ledger, url, admin=books.operator())


def test_a_snapshot_on_its_way_stops_a_replay_too(ledger: Ledger) -> None:
    """The files of `publish` bind the token to their chain: neither another one, nor a replay."""
    made = take(ledger, deadline=LATER)
    with Anvil(args=("--chain-id", "7777")) as one, Anvil(args=("--chain-id", "7778")) as other:
        compose_publish(ledger, one.url, made, sealer=books.operator())
        assert 7777 == ledger.token.canonical_chain_id
        with pytest.raises(CanonicalChainError):
            compose_publish(ledger, other.url, made, sealer=books.operator())
        with pytest.raises(CanonicalChainError):
            publish(ledger, other.url, made, sealer=books.operator())
        with pytest.raises(NotReadyError, match="closed by a snapshot"):
            migrate(ledger, one.url)
        with pytest.raises(CanonicalChainError, match="lives on chain 7777, not on 7778"):
            reopen(ledger, other.url)
        check_closed(ledger)
        reopen(ledger, one.url)
        ledger.transfer("alice", "bob", 1, reason="given up")


def test_the_files_of_a_migration_bind_the_token_to_its_chain(ledger: Ledger) -> None:
    """What is written down for one real chain is not written down for a second one."""
    with Anvil(args=("--chain-id", "7777")) as one, Anvil(args=("--chain-id", "7778")) as other:
        compose(ledger, one.url)
        with pytest.raises(CanonicalChainError):
            compose(ledger, other.url)
        with pytest.raises(CanonicalChainError):
            migrate(ledger, other.url)


def test_no_way_back_by_the_other_command(ledger: Ledger, url: str) -> None:
    """Neither `snapshot reopen` opens the books of a finalized replay, nor a node of elsewhere."""
    bring_over(ledger, url)
    finalize(ledger, url, admin=books.operator())
    for attempt in (reopen, reopen_replayed):
        with pytest.raises(NotReadyError, match="is finalized"):
            attempt(ledger, url)
    check_closed(ledger)


def test_a_published_snapshot_is_not_given_up_as_a_migration(ledger: Ledger, url: str) -> None:
    """`migrate --reopen` looks at the snapshot's contract too, when it knows one of a replay."""
    with Rpc(url) as rpc:
        before = rpc.call("evm_snapshot")
        migrate(ledger, url)
        rpc.call("evm_revert", [before])
    publish_it(ledger, url)
    for attempt in (reopen, reopen_replayed):
        with pytest.raises(NotReadyError, match="are open"):
            attempt(ledger, url)
    check_closed(ledger)


def test_a_cut_over_on_its_way_is_not_given_up(ledger: Ledger, url: str) -> None:
    """While the operator's call is not mined, reopening is refused; mined, there is no way back."""
    contract = bring_over(ledger, url)
    finalize(ledger, url)
    operator = hex_data(ledger.operator)
    with Rpc(url) as rpc:
        rpc.call("evm_setAutomine", [False])
        try:
            rpc.call("anvil_impersonateAccount", [operator])
            tx = {"from": operator, "to": hex_data(contract), "gas": hex(200_000)}
            rpc.call("eth_sendTransaction", [tx | {"data": hex_data(selector("finalize()"))}])
            for attempt in (reopen, reopen_replayed):
                with pytest.raises(
                    NotReadyError, match=r"1 transaction of .* on the way"
                ) as caught:
                    attempt(ledger, url)
                assert "cancel nonce 0" in str(caught.value.hint)
            check_closed(ledger)
            rpc.call("anvil_mine", ["0x1"])
            with pytest.raises(NotReadyError, match="is finalized"):
                reopen_replayed(ledger, url)
        finally:
            rpc.call("evm_setAutomine", [True])


def test_another_deadline_than_the_one_in_force_is_told(ledger: Ledger, url: str) -> None:
    """Published again with another deadline, nothing is opened "before": the one in force is named.

    The same snapshot again changes nothing, even when its deadline is over.
    """
    publish_it(ledger, url)
    other = take(ledger, deadline=LATER + 1)
    for attempt in (publish, compose_publish):
        with pytest.raises(UsageError, match=f"open until {LATER}, not until {LATER + 1}"):
            attempt(ledger, url, other, sealer=books.operator())
    assert None is publish(ledger, url, take(ledger, deadline=LATER, over=True)).tx_hash


def test_a_deadline_that_is_over_is_no_deadline(ledger: Ledger) -> None:
    """Nobody could claim: refused when the snapshot is taken, before anybody signs it."""
    second = ledger.now() // 1_000_000
    with pytest.raises(UsageError, match=f"{second} is over"):
        take(ledger, deadline=second)
    assert second + 1 == take(ledger, deadline=second + 1).deadline


def test_books_closed_by_a_snapshot_name_its_claims(ledger: Ledger) -> None:
    """Before and after claims open, a refused entry is sent to them, not to a contract of a replay.

    Rehearsed on a test chain by replay, published on another: the rehearsal's is not named.
    """
    with Anvil() as rehearsal, Anvil(args=("--chain-id", "7777")) as real:
        contract = migrate(ledger, rehearsal.url).contract
        publish_it(ledger, real.url)
    with pytest.raises(TokenFinalizedError, match="by a snapshot") as caught:
        ledger.transfer("alice", "bob", 1, reason="x")
    hint = str(caught.value.hint)
    assert "`snapshot claim`" in hint
    assert "the snapshot's contract on chain 7777" in hint
    assert "import" not in hint
    assert contract.hex() not in hint.lower()


def test_nothing_that_closes_the_books_is_rehearsed_on_them(ledger: Ledger, url: str) -> None:
    """A token with a chain of its own is neither published nor finalized on a test chain."""
    bring_over(ledger, url)
    ledger.set_canonical_chain(7777)
    made = take(ledger, deadline=LATER)
    for attempt in (
        lambda: finalize(ledger, url, admin=books.operator()),
        lambda: publish(ledger, url, made, sealer=books.operator()),
        lambda: compose_publish(ledger, url, made, sealer=books.operator()),
    ):
        with pytest.raises(CanonicalChainError, match="lives on chain 7777, not on 31337"):
            attempt()
    ledger.transfer("alice", "bob", 1, reason="the books are open")


def check_told_by_a_snapshot(ledger: Ledger, contract: bytes) -> None:
    with pytest.raises(TokenFinalizedError, match="by a snapshot") as caught:
        ledger.transfer("alice", "bob", 1, reason="x")
    assert contract.hex() not in str(caught.value.hint).lower()


def test_a_node_that_was_started_anew_is_not_taken_for_the_old_one(ledger: Ledger) -> None:
    """Replayed on a test chain that is gone, published on the next of its id: by a snapshot."""
    with Anvil() as gone:
        contract = migrate(ledger, gone.url).contract
    with Anvil(args=("--timestamp", "1700000001")) as anew:
        publish_it(ledger, anew.url)
        check_told_by_a_snapshot(ledger, contract)
    with Anvil(args=("--timestamp", "1700000002")) as third:  # the books closed by what is gone
        reopen(ledger, third.url)
        assert contract == migrate(ledger, third.url).contract
    ledger.transfer("alice", "bob", 1, reason="the books are open")


@pytest.mark.parametrize("begun", ["written down", "deployed"])
def test_a_replay_that_was_begun_is_told_and_forgotten(ledger: Ledger, begun: str) -> None:
    """Files of a replay, or its empty contract: publish says so, and remembers the snapshot alone.

    The files sent after all fill a contract whose transfers never open: the cut-over is refused.
    """
    with Anvil(args=("--chain-id", "7777")) as node, Rpc(node.url) as rpc:
        for signer in (books.operator(), PAYER):
            rpc.call("anvil_setBalance", [hex_data(signer.address), hex(10**20)])
        composed = compose(ledger, node.url)

        def send(*calls: Call) -> None:
            file = unsigned_file(replace(composed, calls=calls), node.url, payer=PAYER.address)
            broadcast(sign_file(file, PAYER), node.url)

        left = list(composed.calls)
        if begun == "deployed":
            send(left.pop(0))
        made = take(ledger, deadline=LATER)
        assert publish(ledger, node.url, made, sealer=books.operator()).replay_begun
        assert not publish(ledger, node.url, made, sealer=books.operator()).replay_begun
        check_told_by_a_snapshot(ledger, composed.contract)
        send(*left)
        assert 1 == read_state(rpc, composed.contract).head_number
        assert not read_state(rpc, composed.contract).finalized
        for attempt in (
            lambda: migrate(ledger, node.url),
            lambda: finalize(ledger, node.url, admin=books.operator()),
        ):
            with pytest.raises(NotReadyError, match="by a snapshot"):
                attempt()


def test_the_files_of_a_publish_tell_it_too(ledger: Ledger, url: str) -> None:
    """`compose_publish` says that a replay was begun, given up for it."""
    compose(ledger, url)
    made = take(ledger, deadline=LATER)
    assert compose_publish(ledger, url, made, sealer=books.operator()).replay_begun


def test_anchored_and_then_replayed_is_replayed(ledger: Ledger, url: str) -> None:
    """A registry is no way onto the chain: before, beside and after it the token is replayed."""
    assert 1 == anchor(ledger, url).headers
    contract = bring_over(ledger, url)
    assert 0 == anchor(ledger, url).headers
    assert finalize(ledger, url, admin=books.operator()).finalized
    with pytest.raises(TokenFinalizedError) as caught:
        ledger.transfer("alice", "bob", 1, reason="x")
    assert contract.hex() in str(caught.value.hint).lower()


def test_an_old_handle_pays_for_no_second_chain(sqlite_url: str, tmp_path: Path) -> None:
    """A handle that looked before the token had its chain is refused before it deploys elsewhere.

    By replay and by snapshot; and one whose choice comes between look and deployment, too.
    """
    with (
        Anvil(args=("--chain-id", "7777")) as one,
        Anvil(args=("--chain-id", "7778")) as other,
        books.create(sqlite_url, tmp_path) as ledger,
        Ledger.open(sqlite_url, secret_file=tmp_path / "secret") as old,
        Rpc(other.url) as rpc,
    ):
        books.fill(ledger, 20)
        seal(ledger)
        sign(ledger, books.operator())
        made = take(old, deadline=LATER)
        assert None is old.token.canonical_chain_id
        migrate(ledger, one.url)
        assert None is old.token.canonical_chain_id
        for attempt in (
            lambda: migrate(old, other.url),
            lambda: publish(old, other.url, made, sealer=books.operator()),
        ):
            with pytest.raises(CanonicalChainError, match="lives on chain 7777, not on 7778"):
                attempt()
        assert 0 == rpc.quantity("eth_blockNumber")


def test_the_chain_is_looked_at_again_before_it_is_paid_for(ledger: Ledger) -> None:
    """Two migrations to two chains at once: the one that comes second deploys nothing."""
    with (
        Anvil(args=("--chain-id", "7777")) as one,
        Anvil(args=("--chain-id", "7778")) as other,
        Rpc(one.url) as rpc,
        Proxy(one.url) as proxy,
    ):

        def meanwhile(_: ProxyCall, balance: Result) -> Result:
            migrate(ledger, other.url)
            return balance

        asks = Alter(change=meanwhile, methods=["eth_getBalance"], times=1)
        with proxy.suffering(asks), pytest.raises(CanonicalChainError):
            migrate(ledger, proxy.url)
        assert 1 == asks.struck
        assert 0 == rpc.quantity("eth_blockNumber")
