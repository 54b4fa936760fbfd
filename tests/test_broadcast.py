"""Broadcast: what stands behind a transaction that failed stays unsent.

Method: a snapshot token on a real Anvil whose sweep leads elsewhere than the file means it to.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books

from token_ledger.broadcast import IN_FLIGHT_MAX, broadcast
from token_ledger.chain.contracts import balance_of_calldata
from token_ledger.chain.creation import SWEEP_CALL, destination_calldata
from token_ledger.chain.delivery import open_courier
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.state import call_contract
from token_ledger.compose import Composition, compose, sign_file, unsigned_file
from token_ledger.core.outbox import Call
from token_ledger.errors import FileFormatError, RevertedError, UsageError
from token_ledger.ledger import Ledger
from token_ledger.outgoing import compose_sweep
from token_ledger.seal import seal
from token_ledger.sign import sign
from token_ledger.snapshot import publish, sweep, take

LATER = 4_000_000_000
OLD, ASKED = b"\x11" * 20, b"\x22" * 20


@pytest.fixture
def url(fresh_anvil: str) -> str:
    with Rpc(fresh_anvil) as rpc:
        for signer in (books.operator(), books.stranger()):
            rpc.call("anvil_setBalance", [hex_data(signer.address), hex(10**21)])
    return fresh_anvil


@pytest.fixture
def ledger(sqlite_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with books.create(sqlite_url, tmp_path) as ledger:
        books.fill(ledger, 20)
        seal(ledger)
        sign(ledger, books.operator())
        yield ledger


@pytest.fixture
def contract(ledger: Ledger, url: str) -> bytes:
    """Return a snapshot token whose claims are over, and whose sweep the admin led to OLD."""
    made = publish(ledger, url, take(ledger, deadline=LATER), sealer=books.operator()).contract
    with Rpc(url) as rpc:
        courier = open_courier(rpc, books.operator(), chain_id=31337)
        courier.send_and_wait(made, destination_calldata(OLD), gas=200_000)
        rpc.call("evm_setNextBlockTimestamp", [LATER + 1])
        rpc.call("anvil_mine", ["0x1"])
    return made


def test_nothing_is_sent_behind_what_failed(contract: bytes, url: str) -> None:
    """A naming that only the admin may send fails: the sweep behind it, to OLD, is not sent."""
    calls = (
        Call(contract, destination_calldata(ASKED), 200_000, "name"),
        Call(contract, SWEEP_CALL, 200_000, "sweep"),
    )
    payer = books.stranger()
    file = unsigned_file(Composition(31337, contract, calls), url, payer=payer.address)
    signed = sign_file(file, payer, contract=contract, destination=ASKED)
    for _ in range(2):  # again, with the failed one known to the chain
        with pytest.raises(RevertedError, match="name 0x2222") as caught:
            broadcast(signed, url)
        assert "behind it was not sent" in str(caught.value.hint)
    with Rpc(url) as rpc:
        for who in (OLD, ASKED):
            assert not any(call_contract(rpc, contract, balance_of_calldata(who)))


def test_a_sweep_is_composed_for_who_may_name_its_destination(contract: bytes, url: str) -> None:
    """Another payer than the admin is refused; the admin's file sweeps to where it says."""
    with pytest.raises(RevertedError, match="AccessControlUnauthorizedAccount"):
        compose_sweep(url, contract, destination=ASKED, payer=books.stranger().address)
    admin = books.operator()
    made = compose_sweep(url, contract, destination=ASKED, payer=admin.address)
    file = unsigned_file(made, url, payer=admin.address)
    assert 2 == broadcast(sign_file(file, admin, destination=ASKED), url).sent
    with Rpc(url) as rpc:
        assert any(call_contract(rpc, contract, balance_of_calldata(ASKED)))


def test_a_destination_is_signed_before_its_sweep(contract: bytes, url: str) -> None:
    """With --destination a sweep alone, or before the naming, is not signed."""
    name = Call(contract, destination_calldata(ASKED), 200_000, "name")
    swept = Call(contract, SWEEP_CALL, 200_000, "sweep")
    payer = books.operator()
    for calls in ((swept,), (swept, name)):
        file = unsigned_file(Composition(31337, contract, calls), url, payer=payer.address)
        with pytest.raises(FileFormatError, match="without naming"):
            sign_file(file, payer, contract=contract, destination=ASKED)


def test_nothing_is_swept_to_the_token_itself(contract: bytes, url: str) -> None:
    """The token's own address is no destination: nobody could move what is there."""
    with pytest.raises(UsageError, match="the token itself"):
        sweep(url, contract, destination=contract, admin=books.operator())
    with pytest.raises(UsageError, match="the token itself"):
        compose_sweep(url, contract, destination=contract)


def test_replays_go_several_at_once(sqlite_url: str, tmp_path: Path, url: str) -> None:
    """More replays than fit one run, behind their deployment: all are mined, in order."""
    with busy(sqlite_url, tmp_path) as ledger:
        made = compose(ledger, url)
        file = unsigned_file(made, url, payer=books.stranger().address)
        done = broadcast(sign_file(file, books.stranger()), url)
    assert IN_FLIGHT_MAX + 3 == done.sent


def busy(sqlite_url: str, tmp_path: Path) -> Ledger:
    """Return a ledger of two batches more than go at once."""
    ledger = books.create(sqlite_url, tmp_path)
    for seed in range(1, IN_FLIGHT_MAX + 3):
        books.fill(ledger, 3, seed=seed)
        seal(ledger)
    sign(ledger, books.operator())
    return ledger
