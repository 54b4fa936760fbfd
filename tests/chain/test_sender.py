"""Transactions go out in order, are found again, and what goes wrong is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from eth_account import Account
from tests.chain.fake_node import Failure, FakeNode, forward

from token_ledger.chain import contracts
from token_ledger.chain.anvil import Anvil
from token_ledger.chain.deploy import check_can_deploy, deploy, deployment_block
from token_ledger.chain.replay import Replayed, replay
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.sender import Sender, decode_receipt, node_account
from token_ledger.chain.signer import KeySigner
from token_ledger.chain.state import (
    check_token_contract,
    get_code,
    pinned,
    read_balances,
    read_digests,
    read_state,
    read_supply,
)
from token_ledger.core.batch import make_batch
from token_ledger.core.entry import token_uid
from token_ledger.core.types import ZERO_ADDRESS, ZERO_HASH, Batch, Entry, Token
from token_ledger.errors import (
    ChainError,
    ForeignContractError,
    RevertedError,
    RpcError,
    SigningKeyError,
)

UID = b"\x11" * 32
TOKEN = Token(token_uid(UID, symbol="T", name="Tee", decimals=2), UID, "T", "Tee", 2)
SEALER = KeySigner(Account.from_key("0x" + "0b" * 32))
PAYER = KeySigner(Account.from_key("0x" + "0d" * 32))
ALICE, BOB = b"\xa1" * 20, b"\xb0" * 20


@pytest.fixture
def rpc(fresh_anvil: str) -> Iterator[Rpc]:
    """Yield a connection to an Anvil that is taken back afterwards."""
    with Rpc(fresh_anvil) as rpc:
        yield rpc


def sender(rpc: Rpc, payer: KeySigner | None = None, **other: Any) -> Sender:
    """Return a sender for a key, or for the node's first account."""
    return Sender(rpc, payer or node_account(rpc), chain_id=31337, **other)


def batches(count: int) -> list[Batch]:
    """Return signed batches: one mint each to Alice, but the second moves half to Bob."""
    made: list[Batch] = []
    for number in range(1, count + 1):
        side = (ALICE, BOB, 3) if number == 2 else (ZERO_ADDRESS, ALICE, 10)
        entry = Entry(number - 1, bytes([number]) * 32, 0, *side, ZERO_HASH, ZERO_HASH)
        batch = make_batch(
            TOKEN.uid,
            [entry],
            number=number,
            parent=made[-1].digest if made else ZERO_HASH,
            supply_before=made[-1].header.total_supply if made else 0,
            sealed_at=1,
        )
        made.append(with_signature(batch, SEALER))
    return made


def with_signature(batch: Batch, signer: KeySigner) -> Batch:
    """Return a batch signed by somebody."""
    return Batch(
        batch.token_uid, batch.header, batch.digest, (), batch.rows,
        signer.sign_digest(batch.digest),
    )  # fmt: skip


def deployed(rpc: Rpc) -> bytes:
    """Return the address of the token's contract, deployed."""
    return deploy(sender(rpc), TOKEN, SEALER.address).address


def test_a_key_of_ours_pays_for_deployment_and_replay(rpc: Rpc) -> None:
    """With a signer, transactions are signed here; the node holds no key."""
    rpc.call("anvil_setBalance", [hex_data(PAYER.address), hex(10**20)])
    out = sender(rpc, PAYER)
    contract = deploy(out, TOKEN, SEALER.address).address
    done: list[Replayed] = []
    replay(out, contract, batches(3), in_flight_max=2, on_replayed=done.append)
    assert [1, 2, 3] == [item.header.number for item in done]
    assert all(item.receipt.gas_used > 21_000 for item in done)
    assert 4 == rpc.quantity("eth_getTransactionCount", [hex_data(PAYER.address), "latest"])
    assert [17, 3] == read_balances(rpc, contract, [ALICE, BOB])
    assert 20 == read_supply(rpc, contract)
    state = read_state(rpc, contract)
    last = batches(3)[-1]
    assert (3, last.digest, 3, False) == (
        state.head_number, state.head_digest, state.next_seq, state.finalized,
    )  # fmt: skip
    assert (TOKEN.uid, SEALER.address) == (state.token_uid, state.sealer)
    assert [last.digest, ZERO_HASH] == read_digests(rpc, contract, [3, 4])


def test_a_deployment_is_found_again_not_repeated(rpc: Rpc) -> None:
    """The second deployment sends nothing and returns the same contract."""
    first = deploy(sender(rpc), TOKEN, SEALER.address)
    height = rpc.quantity("eth_blockNumber")
    again = deploy(sender(rpc), TOKEN, SEALER.address)
    assert contracts.token_address(TOKEN, SEALER.address) == first.address == again.address
    assert (None, 0) == (again.tx_hash, again.gas_used)
    assert height == rpc.quantity("eth_blockNumber")
    assert first.block_number == deployment_block(rpc, first.address)


def test_a_chain_without_the_proxy_is_refused(rpc: Rpc) -> None:
    """Where derived addresses could never be claimed, nothing is deployed."""
    rpc.call("anvil_setCode", ["0x4e59b44847b379578588920cA78FbF26c0B4956C", "0x"])
    with pytest.raises(ChainError, match="lacks the deterministic deployment proxy"):
        check_can_deploy(sender(rpc))


def test_a_payer_without_money_is_told_before_anything_is_sent(rpc: Rpc) -> None:
    """An empty account pays for nothing."""
    with pytest.raises(ChainError, match="nothing to pay gas with"):
        check_can_deploy(sender(rpc, PAYER))


@pytest.mark.parametrize("code", ["0x", "0x6001", "0x60806040"])
def test_foreign_code_is_no_contract_of_ours(rpc: Rpc, code: str) -> None:
    """No code, other code: neither is this token's contract."""
    contract = deployed(rpc)
    rpc.call("anvil_setCode", [hex_data(contract), code])
    with pytest.raises(ForeignContractError):
        check_token_contract(rpc, contract, TOKEN)
    with pytest.raises(ForeignContractError):
        read_state(rpc, contract)


def test_another_tokens_contract_is_no_contract_of_ours(rpc: Rpc) -> None:
    """The code is right, the token uid is another one."""
    contract = deployed(rpc)
    other = Token(b"\x22" * 32, UID, "T", "Tee", 2)
    with pytest.raises(ForeignContractError, match="another token"):
        check_token_contract(rpc, contract, other)


def test_what_the_contract_refuses_costs_nothing(rpc: Rpc) -> None:
    """The first batch is tried without sending: a stranger's signature is named, no gas spent."""
    contract = deployed(rpc)
    height = rpc.quantity("eth_blockNumber")
    stranger = with_signature(batches(1)[0], PAYER)
    with pytest.raises(RevertedError, match=r"refuses batch 1: InvalidSignature\(sealer=0x"):
        replay(sender(rpc), contract, [stranger], on_replayed=lambda _: None)
    assert height == rpc.quantity("eth_blockNumber")


def test_a_failure_in_the_middle_is_explained_and_stops(rpc: Rpc) -> None:
    """When a later batch fails, those before count, those behind fail too, the reason is named."""
    contract = deployed(rpc)
    one, two, three, four = batches(4)
    done: list[Replayed] = []
    with pytest.raises(RevertedError, match="refuses batch 2: InvalidSignature"):
        replay(
            sender(rpc),
            contract,
            [one, with_signature(two, PAYER), three, four],
            on_replayed=done.append,
        )
    assert [1] == [item.header.number for item in done]
    assert 1 == read_state(rpc, contract).head_number
    replay(sender(rpc), contract, [two, three, four], on_replayed=done.append)
    assert [1, 2, 3, 4] == [item.header.number for item in done]


def test_state_is_read_at_a_pinned_block(rpc: Rpc) -> None:
    """A block named by its hash answers as of then; a hash that the chain lacks is an error."""
    contract = deployed(rpc)
    block = rpc.call("eth_getBlockByNumber", ["latest", False])
    replay(sender(rpc), contract, batches(1), on_replayed=lambda _: None)
    at = pinned(bytes.fromhex(block["hash"][2:]))
    assert (0, 10) == (read_supply(rpc, contract, block=at), read_supply(rpc, contract))
    with pytest.raises(RpcError):
        read_supply(rpc, contract, block=pinned(b"\1" * 32))


def test_what_is_on_its_way_is_waited_for_and_a_stuck_one_is_told() -> None:
    """A killed run's transactions are mined first; one that stays unmined is named."""
    with Anvil(args=("--no-mining",)) as node, Rpc(node.url) as rpc:
        before = sender(rpc)
        tx_hash = before.send(ALICE, b"", gas=100_000)
        with pytest.raises(ChainError, match=r"1 transactions of .* stay unmined"):
            sender(rpc, timeout_s=0.1).settle()
        with pytest.raises(ChainError, match="is not mined after"):
            sender(rpc, timeout_s=0.1).wait(tx_hash)
        rpc.call("anvil_mine", [])
        sender(rpc, timeout_s=0.1).settle()
        assert before.wait(tx_hash).succeeded


def test_a_transaction_that_the_node_knows_already_counts_as_sent(fresh_anvil: str) -> None:
    """`already known` is no failure: the hash of a signed transaction is known beforehand."""
    real = forward(fresh_anvil)

    def answer(method: str, params: list[Any]) -> Any:
        result = real(method, params)
        return Failure(-32000, "already known") if method == "eth_sendRawTransaction" else result

    with FakeNode(answer) as node, Rpc(node.url) as rpc:
        rpc.call("anvil_setBalance", [hex_data(PAYER.address), hex(10**20)])
        assert sender(rpc, PAYER).send_and_wait(ALICE, b"", gas=100_000).succeeded


def test_a_node_that_names_another_hash_is_not_trusted(fresh_anvil: str) -> None:
    """The hash that a node answers must be that of what was signed."""
    real = forward(fresh_anvil)

    def answer(method: str, params: list[Any]) -> Any:
        return "0x" + "77" * 32 if method == "eth_sendRawTransaction" else real(method, params)

    with FakeNode(answer) as node, Rpc(node.url) as rpc:
        rpc.call("anvil_setBalance", [hex_data(PAYER.address), hex(10**20)])
        with pytest.raises(RpcError, match="names another hash"):
            sender(rpc, PAYER).send(ALICE, b"", gas=100_000)


@pytest.mark.parametrize("answer", [[], Failure(-32601, "no such method")])
def test_a_node_without_accounts_needs_a_key(answer: Any) -> None:
    """A real node signs for nobody: a key must be given."""
    with (
        FakeNode(lambda *_: answer) as node,
        Rpc(node.url) as rpc,
        pytest.raises(SigningKeyError, match="holds no account") as caught,
    ):
        node_account(rpc)
    assert "TOKEN_LEDGER_GAS_KEY" in str(caught.value.hint)


def test_a_chain_without_base_fee_is_paid_by_gas_price(fresh_anvil: str) -> None:
    """Where blocks have no base fee the transaction is a legacy one."""
    real = forward(fresh_anvil)
    sent: list[dict[str, Any]] = []

    def answer(method: str, params: list[Any]) -> Any:
        result = real(method, params)
        if method == "eth_getBlockByNumber":
            result.pop("baseFeePerGas")
        if method == "eth_sendTransaction":
            sent.append(params[0])
        return result

    with FakeNode(answer) as node, Rpc(node.url) as rpc:
        assert sender(rpc).send_and_wait(ALICE, b"", gas=100_000).succeeded
    assert "gasPrice" in sent[0]
    assert "maxFeePerGas" not in sent[0]


@pytest.mark.parametrize("other", [{"status": "0x2"}, {"gasUsed": None}, {"blockHash": "0x1"}])
def test_an_odd_receipt_is_refused(other: dict[str, Any]) -> None:
    """A receipt has status 0 or 1 and whole hashes."""
    receipt = {
        "status": "0x1", "gasUsed": "0x5208", "blockNumber": "0x1",
        "blockHash": "0x" + "11" * 32, "transactionHash": "0x" + "22" * 32,
    }  # fmt: skip
    assert decode_receipt(receipt).succeeded
    with pytest.raises((ValueError, TypeError)):
        decode_receipt(receipt | other)


def test_code_is_empty_where_no_contract_is(rpc: Rpc) -> None:
    """An ordinary account has no code."""
    assert b"" == get_code(rpc, ALICE)
