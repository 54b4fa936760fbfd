"""A real Safe as operator: it claims vaults, signs batches, migrates and cuts over.

Method: Safe's own contracts on a real Anvil whose blocks become final one slot later, two of three
owners' keys; what one owner alone signed is refused everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books
from tests.safes import Safe

from token_ledger.anchor import anchor
from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import Rpc
from token_ledger.chain.vaults import vault_owner
from token_ledger.claim import claim, unsigned
from token_ledger.compose import compose
from token_ledger.core.outbox import safe_document, safe_groups
from token_ledger.errors import ClaimError, RevertedError, SigningKeyError
from token_ledger.finalize import finalize
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, batches
from token_ledger.migrate import migrate
from token_ledger.reconcile import reconcile
from token_ledger.seal import seal
from token_ledger.sign import add_signature, sign

ENTRIES = 30


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with Anvil(args=("--slots-in-an-epoch", "1")) as node:
        yield node


@pytest.fixture
def url(node: Anvil) -> Iterator[str]:
    """Yield the node; take back what the test did."""
    with Rpc(node.url) as rpc:
        snapshot = rpc.call("evm_snapshot")
        yield node.url
        rpc.call("evm_revert", [snapshot])


@pytest.fixture
def safe(project: Path, url: str) -> Safe:
    return Safe(project, url)


@pytest.fixture
def ledger(database_url: str, safe: Safe) -> Iterator[Ledger]:
    """Yield a sealed, unsigned ledger whose operator is the Safe, on each engine."""
    with Ledger.create(database_url, operator=safe.address) as ledger:
        ledger.create_token("TKN", "Token of the tests", 18)
        books.fill(ledger, ENTRIES)
        seal(ledger)
        yield ledger


class Owners:
    """A signer for the Safe, with as many owners as are asked."""

    def __init__(self, safe: Safe, *, by: int = 2) -> None:
        self.address = safe.address
        self._safe = safe
        self._by = by

    def sign_digest(self, digest: bytes) -> bytes:
        return self._safe.sign_message(digest, by=self._by)

    def sign_transaction(self, _transaction: object) -> bytes:
        raise SigningKeyError("a Safe pays no gas here")


def execute(safe: Safe, ledger: Ledger, url: str, *, finalizes: bool = False) -> int:
    """Have the Safe execute what migrate lacks, as a Transaction Builder's files; count calls."""
    made = compose(ledger, url, finalize=finalizes)
    for group in safe_groups(made.calls):
        document = safe_document(
            group, chain_id=made.chain_id, safe=safe.address, name="x", created_ms=1
        )
        safe.execute(document)
    return len(made.calls)


def test_a_safe_claims_a_vault(ledger: Ledger, safe: Safe, url: str) -> None:
    """Two owners' signatures of the claim, as a Safe message, give the vault to its owner."""
    owner = books.stranger().address
    wanted = unsigned(ledger, url, "alice", owner=owner)
    words = {"owner": owner, "expiry": wanted.expiry}
    with pytest.raises(ClaimError, match="InvalidSignature"):
        claim(ledger, url, "alice", signature=safe.sign_message(wanted.digest, by=1), **words)
    done = claim(ledger, url, "alice", signature=safe.sign_message(wanted.digest), **words)
    with Rpc(url) as rpc:
        assert owner == vault_owner(rpc, done.claim.vault, safe.address)


def test_a_safe_signs_batches(ledger: Ledger, safe: Safe, url: str) -> None:
    """The contract asks the Safe about the header: what two owners signed is replayed."""
    sign(ledger, Owners(safe))
    assert ENTRIES == migrate(ledger, url).entries
    ingest(ledger, url)
    assert [] == reconcile(ledger, url).findings


def test_one_owner_alone_signs_nothing(ledger: Ledger, safe: Safe, url: str) -> None:
    """A signature below the Safe's threshold is refused by the contract, and moves nothing."""
    sign(ledger, Owners(safe, by=1))
    with pytest.raises(RevertedError, match="InvalidSignature"):
        migrate(ledger, url)


def test_a_safe_migrates_and_cuts_over(ledger: Ledger, safe: Safe, url: str) -> None:
    """Deployment, replay and finalize as transactions of the Safe itself, through MultiSend."""
    sign(ledger, Owners(safe))
    assert 2 == execute(safe, ledger, url)
    assert (0, 0) == ((done := migrate(ledger, url)).batches, done.gas_used)
    with Rpc(url) as rpc:
        rpc.call("anvil_mine", ["0x8"])
        ingest(ledger, url)
        assert not finalize(ledger, url).finalized
        assert 1 == execute(safe, ledger, url, finalizes=True)
        rpc.call("anvil_mine", ["0x8"])
    assert finalize(ledger, url).final


def test_a_safe_signs_what_is_anchored(ledger: Ledger, safe: Safe, url: str) -> None:
    """The registry too asks the Safe about the last header."""
    sign(ledger, Owners(safe))
    assert 1 == anchor(ledger, url).head_number


def test_a_safes_signature_is_added_to_a_batch(ledger: Ledger, safe: Safe, url: str) -> None:
    """What owners signed elsewhere is stored once the Safe itself says that it counts."""
    with ledger.read() as connection:
        _, digest = batches.read_header(connection, ledger.token, 1)
    with pytest.raises(SigningKeyError):
        add_signature(ledger, 1, safe.sign_message(digest, by=1), rpc_url=url)
    add_signature(ledger, 1, safe.sign_message(digest), rpc_url=url)
    assert ENTRIES == migrate(ledger, url).entries
