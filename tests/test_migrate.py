"""Migrate: every sealed entry once on the chain, whatever interrupts it, and only this ledger's.

Method: real databases, a real Anvil; a fake node stands in between where a node must misbehave.
Ledgers of `books` share uid, secret and operator: two of them are copies of one ledger.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from tests import books
from tests.chain.fake_node import FakeNode, Raw, forward
from tests.onchain import ENTRIES, books_of, check_on_chain, contract_of

from token_ledger.chain import contracts
from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.signer import KeySigner
from token_ledger.chain.state import get_code, read_supply
from token_ledger.errors import (
    CanonicalChainError,
    ChainError,
    RpcError,
    SigningKeyError,
    UnknownBatchError,
    WrongChainError,
)
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.migrate import migrate
from token_ledger.seal import seal
from token_ledger.sign import sign


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a sealed and signed ledger, on each engine."""
    with books_of(database_url, tmp_path) as ledger:
        yield ledger


@pytest.fixture
def sqlite_ledger(sqlite_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a sealed and signed ledger on SQLite, where the engine does not matter."""
    with books_of(sqlite_url, tmp_path) as ledger:
        yield ledger


def test_everything_sealed_is_on_the_chain_once(ledger: Ledger, fresh_anvil: str) -> None:
    """All batches are replayed; a second run finds nothing to do and sends nothing."""
    done = migrate(ledger, fresh_anvil)
    assert contracts.token_address(ledger.token, ledger.operator) == done.contract
    assert (31337, ENTRIES, 0) == (done.chain_id, done.entries, done.unsealed)
    assert done.batches > 2
    assert done.gas_used > done.deployment_gas_used > 0
    with Rpc(fresh_anvil) as rpc:
        assert ledger.get_total_supply() == read_supply(rpc, done.contract)
        height = rpc.quantity("eth_blockNumber")
        again = migrate(ledger, fresh_anvil)
        assert (done.contract, 0, 0, 0) == (
            again.contract, again.batches, again.entries, again.gas_used,
        )  # fmt: skip
        assert height == rpc.quantity("eth_blockNumber")
    check_on_chain(ledger, fresh_anvil, entries=ENTRIES)


def test_what_is_sealed_later_is_added(ledger: Ledger, fresh_anvil: str) -> None:
    """A later run replays only what the contract's head lacks; unsealed entries are counted."""
    first = migrate(ledger, fresh_anvil)
    books.fill(ledger, 10, seed=2)
    assert (0, 10) == (migrate(ledger, fresh_anvil).batches, migrate(ledger, fresh_anvil).unsealed)
    seal(ledger)
    sign(ledger, books.operator())
    second = migrate(ledger, fresh_anvil)
    assert (first.contract, 1, 10, 0) == (
        second.contract, second.batches, second.entries, second.deployment_gas_used,
    )  # fmt: skip
    check_on_chain(ledger, fresh_anvil, entries=ENTRIES + 10)


def test_progress_is_told_in_entries(sqlite_ledger: Ledger, fresh_anvil: str) -> None:
    """The listener hears of every batch, and the last word is the total."""
    told: list[tuple[str, int, int | None]] = []
    migrate(sqlite_ledger, fresh_anvil, progress=lambda *words: told.append(words))
    assert ("replay", ENTRIES, ENTRIES) == told[-1]
    assert sorted(told) == told


# --- refused before anything is sent


def test_nothing_sealed_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    """Without a batch there is nothing to migrate; the error names `seal`."""
    with books.create(sqlite_url, tmp_path) as ledger:
        books.fill(ledger, 5)
        with pytest.raises(UnknownBatchError, match="run `seal --sign` first"):
            migrate(ledger, "http://127.0.0.1:9")


@pytest.mark.parametrize("by_stranger", [False, True])
def test_unsigned_batches_are_refused(
    database_url: str, tmp_path: Path, fresh_anvil: str, by_stranger: bool
) -> None:
    """Without the sealer's own signature nothing is deployed; another key's is no help."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, 20)
        seal(ledger)
        if by_stranger:
            sign(ledger, books.stranger(), sealer=books.stranger().address)
        with pytest.raises(SigningKeyError, match="run `sign` with the sealer's key"):
            migrate(ledger, fresh_anvil)
        with Rpc(fresh_anvil) as rpc:
            assert b"" == get_code(rpc, contracts.token_address(ledger.token, ledger.operator))
        assert contract_of(ledger) is None


def test_a_payer_without_money_is_refused(sqlite_ledger: Ledger, fresh_anvil: str) -> None:
    """A gas key that holds nothing is told before anything is recorded."""
    broke = KeySigner(Account.from_key("0x" + "0e" * 32))
    with pytest.raises(ChainError, match="nothing to pay gas with"):
        migrate(sqlite_ledger, fresh_anvil, gas_signer=broke)
    assert contract_of(sqlite_ledger) is None


def test_a_deployment_that_failed_binds_no_chain(ledger: Ledger, fresh_anvil: str) -> None:
    """A payer with too little for the deployment: another chain can still become the token's."""
    poor = KeySigner(Account.from_key("0x" + "0e" * 32))
    with Anvil(args=("--chain-id", "7777")) as wrong, Anvil(args=("--chain-id", "7778")) as right:
        with Rpc(wrong.url) as rpc:
            rpc.call("anvil_setBalance", [hex_data(poor.address), "0x1"])
        with pytest.raises(ChainError):
            migrate(ledger, wrong.url, gas_signer=poor)
        assert None is ledger.token.canonical_chain_id
        assert ENTRIES == migrate(ledger, right.url).entries
        assert 7778 == ledger.token.canonical_chain_id
        with pytest.raises(CanonicalChainError, match="lives on chain 7778, not on 7777"):
            migrate(ledger, wrong.url)
        check_on_chain(ledger, right.url, entries=ENTRIES)


def test_a_contract_that_a_killed_run_left_binds_its_chain(
    sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when the contract was there and not yet recorded: the next run finds it and binds."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with Anvil(args=("--chain-id", "7777")) as node:
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "set_canonical_chain", killed)
            with pytest.raises(KeyboardInterrupt):
                migrate(sqlite_ledger, node.url)
        assert None is sqlite_ledger.token.canonical_chain_id
        done = migrate(sqlite_ledger, node.url)
        assert (0, ENTRIES) == (done.deployment_gas_used, done.entries)
        assert 7777 == sqlite_ledger.token.canonical_chain_id


def test_any_funded_key_may_pay(sqlite_ledger: Ledger, fresh_anvil: str) -> None:
    """The gas key is no sealer: anybody's key can submit what the sealer signed."""
    payer = books.stranger()
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_setBalance", [hex_data(payer.address), hex(10**20)])
    assert ENTRIES == migrate(sqlite_ledger, fresh_anvil, gas_signer=payer).entries


# --- a node that is none


@pytest.mark.parametrize(
    "raw", [Raw(body=b"<html>"), Raw(status=500, body=b"oops"), Raw(body=b'{"id":1,"result":null}')]
)
def test_a_node_that_answers_nonsense_changes_nothing(sqlite_ledger: Ledger, raw: Raw) -> None:
    """HTML, 500 and null are RpcErrors, and the ledger knows no chain afterwards."""
    with FakeNode(lambda *_: raw) as node, pytest.raises(RpcError):
        migrate(sqlite_ledger, node.url)
    assert contract_of(sqlite_ledger) is None


def test_a_node_that_fails_in_the_middle_is_gone_on_with(ledger: Ledger, fresh_anvil: str) -> None:
    """Whichever call a node fails at, the next run finishes, and nothing is there twice."""
    real = forward(fresh_anvil)
    budget = [0]

    def answer(method: str, params: list[Any]) -> Any:
        budget[0] -= 1
        return Raw(status=400, body=b"broken") if budget[0] < 0 else real(method, params)

    with FakeNode(answer) as node:
        for calls in range(3, 200, 5):
            budget[0] = calls
            try:
                migrate(ledger, node.url)
            except RpcError:
                continue
            break
    assert 0 == migrate(ledger, fresh_anvil).batches
    check_on_chain(ledger, fresh_anvil, entries=ENTRIES)


# --- killed


_CHILD = """
import sys
from token_ledger.ledger import Ledger
from token_ledger.migrate import migrate
with Ledger.open(sys.argv[1], secret_file=sys.argv[2]) as ledger:
    print("ready", flush=True)
    migrate(ledger, sys.argv[3])
"""


@pytest.mark.parametrize("args", [(), ("--block-time", "1")], ids=["at once", "in blocks"])
def test_a_migration_killed_at_any_instant_is_finished_by_the_next(
    database_url: str, tmp_path: Path, args: tuple[str, ...]
) -> None:
    """SIGKILL at random instants, with transactions on their way or not: each entry lands once."""
    chance = random.Random(7)
    with books_of(database_url, tmp_path, entries=400) as ledger, Anvil(args=args) as node:
        command = [
            sys.executable, "-c", _CHILD, database_url, str(tmp_path / "secret"), node.url,
        ]  # fmt: skip
        for _ in range(4):
            child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert child.stdout is not None
            assert "ready\n" == child.stdout.readline()
            time.sleep(chance.uniform(0.01, 0.3))
            child.send_signal(signal.SIGKILL)
            child.wait()
            child.stdout.close()
        done = migrate(ledger, node.url)
        with Rpc(node.url) as rpc:
            query = {"fromBlock": "0x0", "toBlock": "latest"}
            logs = rpc.call("eth_getLogs", [query | {"address": hex_data(done.contract)}])
            proxies = rpc.call("eth_getLogs", [query])
        transfer = hex_data(contracts.TRANSFER_TOPIC)
        assert 400 == sum(1 for log in logs if log["topics"][0] == transfer)
        assert {hex_data(done.contract)} == {log["address"] for log in proxies}
        check_on_chain(ledger, node.url, entries=400)


# --- chains


def test_a_restarted_test_chain_is_another_chain(ledger: Ledger) -> None:
    """What was mirrored of the old Anvil is dropped; the new one gets everything."""
    for _ in range(2):
        with Anvil() as node:
            assert ENTRIES == migrate(ledger, node.url).entries
            check_on_chain(ledger, node.url, entries=ENTRIES)


def test_a_test_chain_that_was_taken_back_is_filled_again(
    sqlite_ledger: Ledger, fresh_anvil: str
) -> None:
    """After evm_revert the known contract is gone: it is deployed again at the same address."""
    with Rpc(fresh_anvil) as rpc:
        snapshot = rpc.call("evm_snapshot")
        first = migrate(sqlite_ledger, fresh_anvil)
        ingest(sqlite_ledger, fresh_anvil)
        rpc.call("evm_revert", [snapshot])
    second = migrate(sqlite_ledger, fresh_anvil)
    assert (first.contract, ENTRIES) == (second.contract, second.entries)
    check_on_chain(sqlite_ledger, fresh_anvil, entries=ENTRIES)


def test_a_token_has_one_canonical_chain(ledger: Ledger) -> None:
    """Outside test chains the first deployment binds the token; test chains stay open to it."""
    with Anvil(args=("--chain-id", "5")) as five, Anvil(args=("--chain-id", "6")) as six:
        migrate(ledger, five.url)
        with pytest.raises(CanonicalChainError, match="lives on chain 5, not on 6"):
            migrate(ledger, six.url)
        assert 0 == migrate(ledger, five.url).batches
        # Another block 0, whatever the second in which both were started.
        with (
            Anvil(args=("--chain-id", "5", "--timestamp", "1")) as imposter,
            pytest.raises(WrongChainError, match="another chain 5 than the ledger knows"),
        ):
            migrate(ledger, imposter.url)
        check_on_chain(ledger, five.url, entries=ENTRIES)
        with Anvil() as test_chain:
            assert ENTRIES == migrate(ledger, test_chain.url).entries
