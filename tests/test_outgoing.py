"""What snapshot, anchor and account claim send, as files: for a Safe, for a key without a network.

Method: a real Safe executes the Transaction Builder files on a real Anvil, a key that meets no
node signs the others; the verb run again finds everything done.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account
from tests import books
from tests.safes import Safe

from token_ledger.anchor import anchor
from token_ledger.broadcast import broadcast
from token_ledger.chain.calls import described
from token_ledger.chain.contracts import balance_of_calldata
from token_ledger.chain.creation import destination_calldata
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.chain.signer import KeySigner
from token_ledger.chain.state import call_contract
from token_ledger.chain.vaults import vault_owner
from token_ledger.claim import claim as claim_vault
from token_ledger.claim import unsigned
from token_ledger.compose import Composition, sign_file, unsigned_file
from token_ledger.core.address import to_checksum as shown
from token_ledger.core.outbox import safe_document, safe_groups
from token_ledger.core.snapshot import Snapshot
from token_ledger.errors import (
    FileFormatError,
    ForeignContractError,
    NotReadyError,
    RevertedError,
    SigningKeyError,
    TokenFinalizedError,
)
from token_ledger.ledger import Ledger
from token_ledger.outgoing import (
    compose_anchor,
    compose_publish,
    compose_snapshot_claim,
    compose_sweep,
    compose_vault_claim,
)
from token_ledger.seal import seal
from token_ledger.sign import add_signature
from token_ledger.snapshot import claim, digest_to_sign, publish, take
from token_ledger.snapshot import reopen as reopen_published

LATER = 4_000_000_000
PAYER = KeySigner(Account.from_key("0x" + "0d" * 32))


@pytest.fixture
def url(fresh_anvil: str) -> str:
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_setBalance", [hex_data(PAYER.address), hex(10**21)])
    return fresh_anvil


@pytest.fixture
def safe(project: Path, url: str) -> Safe:
    return Safe(project, url)


@pytest.fixture
def ledger(sqlite_url: str, safe: Safe, url: str) -> Iterator[Ledger]:
    """Yield a ledger of the Safe's with one batch, which the Safe has signed."""
    with Ledger.create(sqlite_url, operator=safe.address) as ledger:
        ledger.create_token("TKN", "Token of the tests", 18)
        books.fill(ledger, 20)
        digest = seal(ledger).head_digest
        assert digest is not None
        add_signature(ledger, 1, safe.sign_message(digest), rpc_url=url)
        yield ledger


def taken(ledger: Ledger, safe: Safe) -> Snapshot:
    """Return a snapshot that the Safe's owners signed."""
    made = take(ledger, deadline=LATER)
    return replace(made, signature=safe.sign_message(digest_to_sign(ledger, made, 31337)))


def reopen(ledger: Ledger, url: str) -> None:
    """Give a snapshot up that the operator was to send."""
    reopen_published(ledger, url, payers=[ledger.operator])


def by_safe(safe: Safe, made: Composition) -> int:
    """Have the Safe execute the files of a composition; return how many calls they held."""
    for group in safe_groups(made.calls):
        safe.execute(safe_document(group, chain_id=31337, safe=None, name="x", created_ms=1))
    return len(made.calls)


def offline(made: Composition, url: str, **words: bytes | None) -> int:
    """Sign a composition without a network and broadcast it; return how many were sent."""
    file = unsigned_file(made, url, payer=PAYER.address)
    return broadcast(sign_file(file, PAYER, **words), url).sent


def test_a_safe_publishes_a_snapshot(ledger: Ledger, safe: Safe, url: str) -> None:
    """The books close when the file is written; the Safe opens the claims; publish records it."""
    made = taken(ledger, safe)
    composed = compose_publish(ledger, url, made)
    with pytest.raises(TokenFinalizedError):
        ledger.transfer("alice", "bob", 1, reason="x")
    assert 2 == by_safe(safe, composed)
    assert None is publish(ledger, url, made).tx_hash
    with pytest.raises(NotReadyError, match="nothing is left"):
        compose_publish(ledger, url, made)
    with pytest.raises(NotReadyError, match="are open"):
        reopen(ledger, url)


def test_a_publish_can_be_given_up(ledger: Ledger, safe: Safe, url: str) -> None:
    """Written and not sent, the books open again; a snapshot that nobody signed is no call."""
    with pytest.raises(SigningKeyError):
        compose_publish(ledger, url, take(ledger, deadline=LATER))
    compose_publish(ledger, url, taken(ledger, safe))
    reopen(ledger, url)
    ledger.transfer("alice", "bob", 1, reason="the books are open")


def test_claims_opened_by_others_close_the_books(ledger: Ledger, safe: Safe, url: str) -> None:
    """Anybody may submit what the sealer signed: publish then closes the books all the same."""
    made = taken(ledger, safe)
    composed = compose_publish(ledger, url, made)
    reopen(ledger, url)
    ledger.transfer("alice", "bob", 1, reason="too late")
    assert 2 == offline(composed, url)
    assert None is publish(ledger, url, made).tx_hash
    with pytest.raises(TokenFinalizedError):
        ledger.transfer("alice", "bob", 1, reason="x")


def test_a_holders_claim_is_a_file(ledger: Ledger, safe: Safe, url: str) -> None:
    """A proof file becomes a transaction that any key may sign and anybody may send, once."""
    made = taken(ledger, safe)
    contract = publish(ledger, url, made).contract
    (account, amount), *_ = made.holdings
    document = made.proof_to_json(account, amount)
    assert 1 == offline(compose_snapshot_claim(url, contract, document), url)
    with Rpc(url) as rpc:
        held = call_contract(rpc, contract, balance_of_calldata(account))
    assert amount == int.from_bytes(held, "big")
    assert None is claim(url, contract, document).tx_hash
    with pytest.raises(NotReadyError):
        compose_snapshot_claim(url, contract, document)
    with pytest.raises(RevertedError, match="InvalidProof"):
        other, worth = made.holdings[1]
        wrong = made.proof_to_json(other, worth) | {"amount": str(worth + 1)}
        compose_snapshot_claim(url, contract, wrong)


def test_a_safe_sweeps(ledger: Ledger, safe: Safe, url: str) -> None:
    """The admin's Safe names the destination and sweeps, in one file, after the deadline."""
    contract = publish(ledger, url, taken(ledger, safe)).contract
    composed = compose_sweep(url, contract, destination=PAYER.address)
    with Rpc(url) as rpc:
        rpc.call("evm_setNextBlockTimestamp", [LATER + 1])
        rpc.call("anvil_mine", ["0x1"])
        assert 2 == by_safe(safe, composed)
        swept = call_contract(rpc, contract, balance_of_calldata(PAYER.address))
    assert ledger.get_total_supply() == int.from_bytes(swept, "big")


def test_only_a_destination_that_is_named_is_signed(ledger: Ledger, safe: Safe, url: str) -> None:
    """An altered file cannot lead a sweep elsewhere: the key's machine says where it may go."""
    contract = publish(ledger, url, taken(ledger, safe)).contract
    composed = compose_sweep(url, contract, destination=PAYER.address)
    file = unsigned_file(composed, url, payer=PAYER.address)
    assert 2 == len(sign_file(file, PAYER, destination=PAYER.address).transactions)
    for named in (None, b"\x66" * 20):
        with pytest.raises(FileFormatError, match="none of these"):
            sign_file(file, PAYER, destination=named)
    first, last = file.transactions
    altered = replace(first, call=replace(first.call, data=destination_calldata(b"\x66" * 20)))
    with pytest.raises(FileFormatError):
        sign_file(replace(file, transactions=(altered, last)), PAYER, destination=PAYER.address)


@pytest.mark.parametrize("who", ["safe", "offline"])
def test_headers_are_anchored_by_a_file(ledger: Ledger, safe: Safe, url: str, who: str) -> None:
    """Registry and headers through a Safe or an offline key: anchor finds nothing left."""
    composed = compose_anchor(ledger, url)
    assert 2 == (by_safe(safe, composed) if who == "safe" else offline(composed, url))
    done = anchor(ledger, url)
    assert (0, 1) == (done.headers, done.head_number)
    with pytest.raises(NotReadyError):
        compose_anchor(ledger, url)


@pytest.mark.parametrize("who", ["safe", "offline"])
def test_a_vault_is_claimed_by_a_file(ledger: Ledger, safe: Safe, url: str, who: str) -> None:
    """Factory and vault through a Safe or an offline key, with the Safe's own permission."""
    owner = books.stranger().address
    wanted = unsigned(ledger, url, "alice", owner=owner)
    words = {
        "owner": owner,
        "signature": safe.sign_message(wanted.digest),
        "expiry": wanted.expiry,
    }
    composed = compose_vault_claim(ledger, url, "alice", **words)
    last = composed.calls[-1]
    assert (
        f"claim vault {shown(wanted.vault)} of operator {shown(safe.address)} for {shown(owner)}, "
        f"until {wanted.expiry}"
    ) == described(last.to, last.data)
    sent = by_safe(safe, composed) if who == "safe" else offline(composed, url)
    assert len(composed.calls) == sent
    with Rpc(url) as rpc:
        assert owner == vault_owner(rpc, wanted.vault, safe.address)
    assert None is claim_vault(ledger, url, "alice", **words).tx_hash
    with pytest.raises(NotReadyError):
        compose_vault_claim(ledger, url, "alice", **words)


def test_a_snapshot_of_another_copy_is_told(
    ledger: Ledger, safe: Safe, url: str, tmp_path: Path
) -> None:
    """Claims opened by a copy that went on otherwise: this ledger says whose they are."""
    source = Path(str(ledger.engine.url.database))
    ledger.engine.dispose()  # the last connection writes the log back into the file
    shutil.copyfile(source, tmp_path / "copy.db")
    copy = Ledger.open(f"sqlite:///{tmp_path / 'copy.db'}")
    copy.transfer("alice", "bob", 1, reason="elsewhere")
    seal(copy)
    copy.transfer("bob", "alice", 1, reason="elsewhere")
    seal(copy)
    publish(copy, url, taken(copy, safe))
    with pytest.raises(ForeignContractError, match="none of this ledger's"):
        publish(ledger, url, taken(ledger, safe))
    copy.close()
