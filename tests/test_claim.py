"""Claiming vaults: the derived address becomes its owner's, and what was sent there can be moved.

Method: a real Anvil, the operator as an EOA and as a contract that speaks ERC-1271, and for each
refusal a claim that differs from a good one in one thing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_abi import encode as abi_encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from tests import books
from tests.onchain import mined

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.contracts import balance_of_calldata, selector, token_address
from token_ledger.chain.creation import created_at, registry_init_code, snapshot_init_code
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.state import call_contract
from token_ledger.chain.vaults import vault_owner
from token_ledger.claim import claim, prepare, unsigned
from token_ledger.core.address import (
    DEPLOYMENT_PROXY,
    VAULT_FACTORY,
    VAULT_IMPLEMENTATION,
    derive_vault,
)
from token_ledger.errors import ClaimError, SigningKeyError, UnknownAccountError
from token_ledger.finalize import finalize
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.migrate import migrate
from token_ledger.seal import seal
from token_ledger.sign import sign

OWNER = Account.from_key("0x" + "0d" * 32)
OWNER_ADDRESS = bytes.fromhex(OWNER.address[2:])
TRANSFER = selector("transfer(address,uint256)")
EXECUTE = selector("execute(address,uint256,bytes)")


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with Anvil(args=("--slots-in-an-epoch", "1")) as node:
        yield node


@pytest.fixture
def url(node: Anvil) -> Iterator[str]:
    with Rpc(node.url) as rpc:
        snapshot = rpc.call("evm_snapshot")
        for address in (books.operator().address, OWNER_ADDRESS):
            rpc.call("anvil_setBalance", [hex_data(address), hex(10**20)])
        yield node.url
        rpc.call("evm_revert", [snapshot])


@pytest.fixture
def ledger(sqlite_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with books.create(sqlite_url, tmp_path) as ledger:
        ledger.create_account("alice", initial_balance=100)
        ledger.create_account("bob", address=books.stranger().address)
        yield ledger


def test_migrated_tokens_move_out_of_a_claimed_vault(ledger: Ledger, url: str) -> None:
    """Migrate, finalize, claim: the owner, and nobody else, moves the tokens by `execute`."""
    seal(ledger)
    sign(ledger, books.operator())
    contract = migrate(ledger, url).contract
    with Rpc(url) as rpc:
        rpc.call("anvil_mine", ["0x8"])
        ingest(ledger, url)
        assert finalize(ledger, url, admin=books.operator()).finalized
        done = claim(ledger, url, "alice", owner=OWNER_ADDRESS, operator=books.operator())
        vault = ledger.get_account("alice").address
        assert (vault, OWNER_ADDRESS) == (
            done.claim.vault,
            vault_owner(rpc, vault, ledger.operator),
        )
        target = bytes.fromhex("77" * 20)
        inner = TRANSFER + abi_encode(["address", "uint256"], [hex_data(target), 40 * 10**18])
        data = EXECUTE + abi_encode(["address", "uint256", "bytes"], [hex_data(contract), 0, inner])
        for sender in (books.operator().address, OWNER_ADDRESS):
            rpc.call("anvil_impersonateAccount", [hex_data(sender)])
            tx = {"from": hex_data(sender), "to": hex_data(vault), "data": hex_data(data)}
            tx_hash = rpc.call("eth_sendTransaction", [tx | {"gas": hex(300_000)}])
            receipt = mined(rpc, tx_hash)
            assert (sender == OWNER_ADDRESS) == (receipt["status"] == "0x1")
        balance = call_contract(rpc, contract, balance_of_calldata(target))
        assert 40 * 10**18 == int.from_bytes(balance, "big")


def test_a_repeated_claim_changes_nothing(ledger: Ledger, url: str) -> None:
    """The factory is deployed once; the same claim again sends nothing; another's is refused."""
    first = claim(ledger, url, "alice", owner=OWNER_ADDRESS, operator=books.operator())
    assert (True, True) == (first.factory_deployed, first.tx_hash is not None)
    again = claim(ledger, url, "alice", owner=OWNER_ADDRESS)
    assert (False, None, 0) == (again.factory_deployed, again.tx_hash, again.gas_used)
    with pytest.raises(ClaimError, match="belongs to"):
        claim(ledger, url, "alice", owner=books.stranger().address, operator=books.operator())
    ledger.create_account("carol")
    second = claim(ledger, url, "carol", owner=OWNER_ADDRESS, operator=books.operator())
    assert not second.factory_deployed


def test_the_digest_is_the_factorys_and_a_wallets(ledger: Ledger, url: str) -> None:
    """The digest on the chain, eth-account on the typed data and our own hash are one."""
    claim(ledger, url, "alice", owner=OWNER_ADDRESS, operator=books.operator())
    made = prepare(ledger, "alice", owner=OWNER_ADDRESS, chain_id=31337, expiry=2_000_000_000)
    data = selector("claimDigest(address,address,uint256)") + abi_encode(
        ["address", "address", "uint256"],
        [hex_data(made.vault), hex_data(made.owner), made.expiry],
    )
    with Rpc(url) as rpc:
        assert made.digest == call_contract(rpc, VAULT_FACTORY, data)
    signable = encode_typed_data(full_message=made.typed_data())
    signed = Account.from_key("0x" + "0b" * 32).sign_message(signable)
    assert books.operator().sign_digest(made.digest) == bytes(signed.signature)


def test_a_signature_made_elsewhere(ledger: Ledger, url: str) -> None:
    """It counts for exactly the owner, expiry and chain that it was made for."""
    good = prepare(ledger, "alice", owner=OWNER_ADDRESS, chain_id=31337, expiry=3_000_000_000)
    signature = books.operator().sign_digest(good.digest)
    bad = {
        "another owner": replace(good, owner=books.stranger().address),
        "another expiry": replace(good, expiry=3_000_000_001),
        "another chain": replace(good, chain_id=1),
        "another vault": replace(good, vault=b"\7" * 20),
    }
    for what, other in bad.items():
        made = books.operator().sign_digest(other.digest)
        with pytest.raises(ClaimError, match="not that of the operator"):
            claim(ledger, url, "alice", owner=OWNER_ADDRESS, signature=made, expiry=good.expiry)
        assert made != signature, what
    for other in (b"", b"\0" * 65, signature[:64]):
        with pytest.raises(ClaimError):
            claim(ledger, url, "alice", owner=OWNER_ADDRESS, signature=other, expiry=good.expiry)
    with pytest.raises(ClaimError, match="expiry"):
        claim(ledger, url, "alice", owner=OWNER_ADDRESS, signature=signature)
    done = claim(ledger, url, "alice", owner=OWNER_ADDRESS, signature=signature, expiry=good.expiry)
    assert done.tx_hash is not None


def test_an_expired_permission_is_refused(ledger: Ledger, url: str) -> None:
    """The factory says why, and nothing is sent."""
    with pytest.raises(ClaimError, match="ClaimExpired"):
        claim(ledger, url, "alice", owner=OWNER_ADDRESS, operator=books.operator(), expiry=1)


def test_who_cannot_be_claimed_for_or_by(ledger: Ledger, url: str) -> None:
    """Registered accounts, unknown ones, the zero owner, the vault itself and other keys."""
    operator = books.operator()
    with pytest.raises(ClaimError, match="registered"):
        claim(ledger, url, "bob", owner=OWNER_ADDRESS, operator=operator)
    with pytest.raises(UnknownAccountError):
        claim(ledger, url, "nobody", owner=OWNER_ADDRESS, operator=operator)
    for owner in (bytes(20), ledger.get_account("alice").address, VAULT_FACTORY):
        with pytest.raises(ClaimError, match="cannot own"):
            claim(ledger, url, "alice", owner=owner, operator=operator)
    for key in (None, books.stranger()):
        with pytest.raises(SigningKeyError):
            claim(ledger, url, "alice", owner=OWNER_ADDRESS, operator=key)


def test_an_owner_that_could_never_act_is_refused(ledger: Ledger, url: str) -> None:
    """Precompiles, the proxy, our contracts of every token and derived addresses own no vault."""
    token, carol = ledger.token, ledger.create_account("carol")
    for owner in (
        (1).to_bytes(20, "big"),
        (0xFFFF).to_bytes(20, "big"),
        DEPLOYMENT_PROXY,
        VAULT_IMPLEMENTATION,
        token_address(token, ledger.operator),
        created_at(token, snapshot_init_code(token, ledger.operator)),
        created_at(token, registry_init_code(token, ledger.operator)),
        carol.address,
    ):
        with pytest.raises(ClaimError, match="cannot own"):
            prepare(ledger, "alice", owner=owner, chain_id=1, expiry=2_000_000_000)


def test_a_contract_owns_a_vault_only_where_it_was_allowed(ledger: Ledger, url: str) -> None:
    """Code at the owner's address wants --contract-owner; a wallet's delegation is no contract."""
    wallet, contract = b"\x31" * 20, b"\x32" * 20
    with Rpc(url) as rpc:
        rpc.call("anvil_setCode", [hex_data(wallet), "0xef0100" + "77" * 20])
        rpc.call("anvil_setCode", [hex_data(contract), hex_data(YES)])
    words = {"owner": contract, "operator": books.operator()}
    with pytest.raises(ClaimError, match="is a contract"):
        claim(ledger, url, "alice", **words)
    with pytest.raises(ClaimError, match="is a contract"):
        unsigned(ledger, url, "alice", owner=contract)
    assert contract == unsigned(ledger, url, "alice", owner=contract, contract_owner=True).owner
    assert claim(ledger, url, "alice", **words, contract_owner=True).tx_hash is not None
    assert claim(ledger, url, "alice", **words).tx_hash is None  # it has it already
    ledger.create_account("carol")
    assert claim(ledger, url, "carol", owner=wallet, operator=books.operator()).tx_hash is not None


def test_a_node_cannot_stretch_an_expiry(ledger: Ledger) -> None:
    """A chain whose time is years ahead of this machine's: nothing is signed that follows it."""
    words = ("--chain-id", "5001", "--timestamp", "9000000000")
    with Anvil(args=words) as ahead:
        for attempt in (
            lambda: unsigned(ledger, ahead.url, "alice", owner=OWNER_ADDRESS),
            lambda: claim(
                ledger, ahead.url, "alice", owner=OWNER_ADDRESS, operator=books.operator()
            ),
        ):
            with pytest.raises(ClaimError, match="the node says that it is 9000000"):
                attempt()
        told = unsigned(ledger, ahead.url, "alice", owner=OWNER_ADDRESS, expiry=2_000_000_000)
    assert 2_000_000_000 == told.expiry


def test_escrow_obeys_the_operator_only(ledger: Ledger, url: str) -> None:
    """The vault of an escrow account is the operator's to claim, and nobody else's."""
    address = derive_vault(ledger.secret, "pot", ledger.operator, kind="escrow")
    ledger.create_account("pot", address=address)
    with pytest.raises(ClaimError, match="escrow"):
        claim(ledger, url, "pot", owner=OWNER_ADDRESS, operator=books.operator())
    done = claim(ledger, url, "pot", owner=ledger.operator, operator=books.operator())
    assert address == done.claim.vault


# Answers 0x1626ba7e to every isValidSignature: a wallet contract that accepts anything.
YES = bytes.fromhex("7f1626ba7e" + "00" * 28 + "60005260206000f3")


def test_a_safe_as_operator(sqlite_url: str, tmp_path: Path, url: str) -> None:
    """A contract that speaks ERC-1271 vouches for a claim; where it has no code, none counts."""
    safe = bytes.fromhex("5a" * 20)
    with Ledger.create(sqlite_url, operator=safe) as ledger:
        ledger.create_token("T", "Token", 0)
        ledger.create_account("alice")
        words = {"owner": OWNER_ADDRESS, "signature": b"\1\2\3", "expiry": 3_000_000_000}
        with pytest.raises(ClaimError, match="not that of the operator"):
            claim(ledger, url, "alice", **words)
        with Rpc(url) as rpc:
            rpc.call("anvil_setCode", [hex_data(safe), hex_data(YES)])
            done = claim(ledger, url, "alice", **words)
            assert OWNER_ADDRESS == vault_owner(rpc, done.claim.vault, safe)


def test_a_chain_without_the_proxy_is_refused(ledger: Ledger, url: str) -> None:
    """Where the deterministic proxy is missing the addresses are nobody's: say so, send nothing."""
    from token_ledger.errors import ChainError

    with Rpc(url) as rpc:
        rpc.call("anvil_setCode", [hex_data(DEPLOYMENT_PROXY), "0x"])
    with pytest.raises(ChainError, match="proxy"):
        claim(ledger, url, "alice", owner=OWNER_ADDRESS, operator=books.operator())
