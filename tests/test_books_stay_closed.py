"""While a cut-over may be on its way the books stay closed; in doubt they do too, and it is said.

Method: a real Anvil, a proxy before it that takes a transaction and answers with an error, and keys
whose owner is overtaken before they sign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from tests import books
from tests.chain.faults import Alter
from tests.chain.proxy import Call, Fault, Proxy, RefusedError, Result

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.creation import create, snapshot_init_code
from token_ledger.chain.delivery import open_courier
from token_ledger.chain.rpc import NodeError, Rpc, hex_data
from token_ledger.chain.signer import KeySigner
from token_ledger.compose import sign_file, unsigned_file
from token_ledger.core.outbox import SignedFile
from token_ledger.errors import NotReadyError, RpcError, TokenFinalizedError, UsageError
from token_ledger.finalize import finalize
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, cutover
from token_ledger.migrate import migrate
from token_ledger.outgoing import compose_publish
from token_ledger.seal import seal
from token_ledger.sign import sign
from token_ledger.snapshot import publish, reopen, take

LATER = 4_000_000_000
POOR = KeySigner(Account.from_key("0x" + "0f" * 32))


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


def bring_over(ledger: Ledger, url: str) -> None:
    migrate(ledger, url)
    with Rpc(url) as rpc:
        rpc.call("anvil_mine", ["0x8"])
    ingest(ledger, url)


def created(ledger: Ledger, url: str) -> None:
    """Create the snapshot token, so that only its `open` is left to send."""
    with Rpc(url) as rpc:
        sender = open_courier(rpc, books.stranger(), chain_id=31337)
        init_code = snapshot_init_code(ledger.token, ledger.operator)
        create(sender, ledger.token, init_code, name="SnapshotToken")


def check_closed(ledger: Ledger) -> None:
    with pytest.raises(TokenFinalizedError):
        ledger.transfer("alice", "bob", 1, reason="the books are closed")


def check_open(ledger: Ledger) -> None:
    ledger.transfer("alice", "bob", 1, reason="the books are open")


@dataclass
class Takes(Fault):
    """Takes what it is sent, and answers with an error."""

    text: str = "request timed out"

    def answer(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        """Raise, once the node behind has it."""
        ask(call)
        raise RefusedError({"code": -32603, "message": self.text})


class Overtaken:
    """A key whose owner is overtaken: before it signs its first transaction, something happens."""

    def __init__(self, key: KeySigner, meanwhile: Callable[[], object]) -> None:
        self.address, self.sign_digest = key.address, key.sign_digest
        self._key, self._meanwhile = key, [meanwhile]

    def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        while self._meanwhile:
            self._meanwhile.pop()()
        return self._key.sign_transaction(transaction)


@pytest.mark.parametrize("text", ["request timed out", "insufficient funds"])
def test_an_error_is_no_proof_that_nothing_was_taken(ledger: Ledger, url: str, text: str) -> None:
    """The node takes `finalize` and answers with an error: the books stay closed, and it is said.

    Once mined, the same command records it, and no entry is stranded.
    """
    bring_over(ledger, url)
    with Rpc(url) as rpc, Proxy(url) as proxy:
        rpc.call("evm_setAutomine", [False])
        with (
            proxy.suffering(Takes(text, methods=["eth_sendRawTransaction"])),
            pytest.raises(NodeError, match=text) as caught,
        ):
            finalize(ledger, proxy.url, admin=books.operator())
        assert "books stay closed" in str(caught.value.hint)
        assert "`migrate --reopen`" in str(caught.value.hint)
        check_closed(ledger)
        rpc.call("anvil_mine", ["0x8"])
    done = finalize(ledger, url)
    assert (True, 0) == (done.finalized, done.stranded)


def test_nor_for_a_snapshot(ledger: Ledger, url: str) -> None:
    """The node takes `open` and answers with an error: the same."""
    created(ledger, url)
    made = take(ledger, deadline=LATER)
    with Rpc(url) as rpc, Proxy(url) as proxy:
        rpc.call("evm_setAutomine", [False])
        with (
            proxy.suffering(Takes(methods=["eth_sendRawTransaction"])),
            pytest.raises(NodeError) as caught,
        ):
            publish(ledger, proxy.url, made, sealer=books.operator(), gas_signer=books.stranger())
        assert "`snapshot reopen`" in str(caught.value.hint)
        check_closed(ledger)


def test_a_node_that_is_gone_proves_nothing(ledger: Ledger, url: str) -> None:
    """Refused for want of money, and then unreachable: in doubt the books stay closed."""
    created(ledger, url)
    made = take(ledger, deadline=LATER)
    with Proxy(url) as proxy:
        gone = Fault(methods=["eth_getTransactionByHash"])
        gone.answer = lambda *_: (_ for _ in ()).throw(  # type: ignore[method-assign]
            RefusedError({"code": -32603, "message": "gone"})
        )
        with proxy.suffering(gone), pytest.raises(RpcError, match=r"(?i)insufficient funds"):
            publish(ledger, proxy.url, made, sealer=books.operator(), gas_signer=POOR)
    check_closed(ledger)


def test_who_has_no_money_reopens_only_what_is_his(ledger: Ledger, url: str) -> None:
    """A penniless operator closes and reopens the books; not where another one relies on them."""
    created(ledger, url)
    made = take(ledger, deadline=LATER)
    with pytest.raises(NodeError, match=r"(?i)insufficient funds") as caught:
        publish(ledger, url, made, sealer=books.operator(), gas_signer=POOR)
    assert "stay closed" not in str(caught.value.hint)
    with ledger.read() as connection:
        assert (None, None) == cutover.read_state(connection, ledger.token)
    late = Overtaken(POOR, lambda: compose_publish(ledger, url, made, sealer=books.operator()))
    with pytest.raises(NodeError, match=r"(?i)insufficient funds") as caught:
        publish(ledger, url, made, sealer=books.operator(), gas_signer=late)
    assert "books stay closed" in str(caught.value.hint)
    check_closed(ledger)


def test_books_reopened_meanwhile_are_closed_again(ledger: Ledger, url: str) -> None:
    """Whatever became of the closing while `open` was sent, an open snapshot has closed books."""
    created(ledger, url)
    made = take(ledger, deadline=LATER)

    def meanwhile() -> None:
        ledger.run(lambda c: cutover.reopen_books(c, ledger.token))
        check_open(ledger)

    done = publish(
        ledger,
        url,
        made,
        sealer=books.operator(),
        gas_signer=Overtaken(books.stranger(), meanwhile),
    )
    assert 1 == done.stranded
    assert 1 == publish(ledger, url, made).stranded
    check_closed(ledger)


def sign_for_stranger(ledger: Ledger, url: str) -> tuple[bytes, SignedFile]:
    """Write `publish` down, signed by a payer who has no network; return contract and file."""
    composed = compose_publish(ledger, url, take(ledger, deadline=LATER), sealer=books.operator())
    file = unsigned_file(composed, url, payer=books.stranger().address)
    contract = composed.contract
    return contract, sign_file(file, books.stranger(), contract=contract)


def test_the_offline_payers_call_is_seen(ledger: Ledger, url: str) -> None:
    """Reopening is refused while the payer of the files has them on their way, named or not.

    Also where nobody is named at all: the ledger does not know who has the files.
    """
    created(ledger, url)
    _, signed = sign_for_stranger(ledger, url)
    with pytest.raises(UsageError, match="who was to send"):
        reopen(ledger, url)
    with Rpc(url) as rpc:
        rpc.call("evm_setAutomine", [False])
        for transaction in signed.transactions:
            rpc.call("eth_sendRawTransaction", [hex_data(transaction.raw)])
        with pytest.raises(NotReadyError, match="concerns the token's contract"):
            reopen(ledger, url, payers=[POOR.address])
        with Proxy(url) as proxy:
            blind = Alter(
                change=lambda _, block: block | {"transactions": []},
                methods=["eth_getBlockByNumber"],
            )
            with (
                proxy.suffering(blind),
                pytest.raises(NotReadyError, match=r"1 transaction of .* on the way"),
            ):
                reopen(ledger, proxy.url, payers=[POOR.address, books.stranger().address])
        check_closed(ledger)
        rpc.call("anvil_mine", ["0x1"])
    with pytest.raises(NotReadyError, match="are open"):
        reopen(ledger, url, payers=[POOR.address])


def test_a_strangers_deployment_on_its_way_is_seen(ledger: Ledger, url: str) -> None:
    """The pending deployment of the snapshot token stops a reopening too."""
    _, signed = sign_for_stranger(ledger, url)
    with Rpc(url) as rpc:
        rpc.call("evm_setAutomine", [False])
        rpc.call("eth_sendRawTransaction", [hex_data(signed.transactions[0].raw)])
        with pytest.raises(NotReadyError, match="concerns the token's contract"):
            reopen(ledger, url, payers=[POOR.address])
        rpc.call("anvil_dropAllTransactions")
    reopen(ledger, url, payers=[POOR.address])
    check_open(ledger)


def test_a_head_that_moved_reopens_nothing_of_others(ledger: Ledger, url: str) -> None:
    """Finalize reopens the books it closed when a batch slipped in; not those closed before it."""
    bring_over(ledger, url)

    def slip_in(*, close: bool) -> Callable[..., None]:
        left = [True]

        def progress(*_: object) -> None:
            while left:
                left.pop()
                ledger.run(lambda c: cutover.reopen_books(c, ledger.token))
                check_open(ledger)
                seal(ledger)
                sign(ledger, books.operator())
                if close:
                    ledger.run(lambda c: cutover.close_books(c, ledger.token, now=ledger.now()))

        return progress

    with pytest.raises(NotReadyError, match="while the books were being closed") as caught:
        finalize(ledger, url, progress=slip_in(close=True))
    assert "`migrate --reopen`" in str(caught.value.hint)
    check_closed(ledger)
    ledger.run(lambda c: cutover.reopen_books(c, ledger.token))
    bring_over(ledger, url)
    with pytest.raises(NotReadyError, match="while the books were being closed") as caught:
        finalize(ledger, url, progress=slip_in(close=False))
    assert "stay closed" not in str(caught.value.hint)
    check_open(ledger)
