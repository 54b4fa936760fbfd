"""Which contract is a ledger's own: the address that it deploys to, or one with its history.

Method: on a real Anvil, contracts of our own code and the token's uid that somebody else made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books
from tests.onchain import ENTRIES, books_of, contract_of, copy_of, mined

from token_ledger.chain import contracts
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.state import read_state
from token_ledger.core.address import DEPLOYMENT_PROXY
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, mirror
from token_ledger.migrate import migrate


@pytest.fixture
def ledger(sqlite_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a sealed and signed ledger; the engine does not matter here."""
    with books_of(sqlite_url, tmp_path) as ledger:
        yield ledger


def send(url: str, data: bytes, to: bytes | None = None) -> str | None:
    """Send a transaction of a stranger; return the address that it created, if any."""
    with Rpc(url) as rpc:
        call = {"from": rpc.call("eth_accounts")[5], "data": hex_data(data)}
        if to is not None:
            call["to"] = hex_data(to)
        sent = rpc.call("eth_sendTransaction", [call | {"gas": hex(12_000_000)}])
        receipt = mined(rpc, sent)
    assert "0x1" == receipt["status"]
    created: str | None = receipt["contractAddress"]
    return created


def token_no_of(ledger: Ledger, address: bytes) -> int | None:
    """Return which token the mirror takes a contract for."""
    with ledger.read() as connection:
        stored = mirror.find_contract(connection, 31337, address)
    assert stored is not None
    return stored.token_no


def test_another_operators_contract_is_a_plain_erc20(ledger: Ledger, fresh_anvil: str) -> None:
    """Our code and our uid under another operator: imported, and never the token's contract."""
    other = books.stranger().address
    send(fresh_anvil, contracts.deployment_calldata(ledger.token, other), DEPLOYMENT_PROXY)
    spoof = contracts.token_address(ledger.token, other)
    with Rpc(fresh_anvil) as rpc:
        assert ledger.token.uid == read_state(rpc, spoof).token_uid
    ingest(ledger, fresh_anvil, contract=spoof)
    assert (None, None) == (token_no_of(ledger, spoof), contract_of(ledger))
    own = migrate(ledger, fresh_anvil).contract
    done = ingest(ledger, fresh_anvil)
    assert (own, ENTRIES) == (done.contract, done.transfers)


def test_our_own_address_is_known_before_anything_is_replayed(
    ledger: Ledger, fresh_anvil: str
) -> None:
    """Whoever deployed it, the contract at our address is ours."""
    calldata = contracts.deployment_calldata(ledger.token, ledger.operator)
    send(fresh_anvil, calldata, DEPLOYMENT_PROXY)
    own = contracts.token_address(ledger.token, ledger.operator)
    ingest(ledger, fresh_anvil, contract=own)
    assert ledger.token.token_no == token_no_of(ledger, own)


def test_elsewhere_only_our_history_makes_it_ours(
    ledger: Ledger, tmp_path: Path, fresh_anvil: str
) -> None:
    """At another address an empty contract is plain; one whose head is our batch is ours."""
    created = send(fresh_anvil, contracts.init_code(ledger.token, ledger.operator))
    assert created is not None
    elsewhere = bytes.fromhex(created[2:])
    with copy_of(ledger, tmp_path) as copy:
        ingest(copy, fresh_anvil, contract=elsewhere)
        assert None is token_no_of(copy, elsewhere)
    with ledger.read() as connection:
        batch = mirror.read_replayable(connection, ledger.token, 1, ledger.operator)
    send(fresh_anvil, contracts.replay_calldata(batch), elsewhere)
    done = ingest(ledger, fresh_anvil, contract=elsewhere)
    assert (1, batch.header.count) == (done.batches, done.transfers)
    assert ledger.token.token_no == token_no_of(ledger, elsewhere)
