"""Signing: the sealer's word on a header, once, and never on an altered one."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from tests import books

from token_ledger.core.signature import recover_signer
from token_ledger.errors import DatabaseError, SigningKeyError, UnknownBatchError
from token_ledger.ledger import batches
from token_ledger.seal import seal
from token_ledger.sign import add_signature, sign


def test_every_unsigned_batch_is_signed_once(database_url: str, tmp_path: Path) -> None:
    """Signing covers what is unsigned, and again covers nothing."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, 40)
        sealed = seal(ledger, gas_max=300_000).batches
        signer = books.operator()
        assert (sealed, signer.address) == (sign(ledger, signer).signed, signer.address)
        assert 0 == sign(ledger, signer).signed
        with ledger.read() as connection:
            for number in range(1, sealed + 1):
                batch = batches.read_batch(connection, ledger.token, number)
                assert signer.address == recover_signer(batch.digest, batch.signature or b"")


def test_chosen_batches_alone_are_signed(database_url: str, tmp_path: Path) -> None:
    """Named batches are signed and the others left; an unknown number signs nothing."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, 40)
        sealed = seal(ledger, gas_max=300_000).batches
        with pytest.raises(UnknownBatchError, match=f"no batch {sealed + 1}"):
            sign(ledger, books.operator(), numbers=[1, sealed + 1])
        assert 2 == sign(ledger, books.operator(), numbers=[2, 1, 2]).signed
        with ledger.read() as connection:
            assert sealed - 2 == batches.count_unsigned(connection, ledger.token)


def test_two_signers_may_sign_one_batch(database_url: str, tmp_path: Path) -> None:
    """A new sealer signs what an old one had signed; the later signature is the one shown."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, 5)
        seal(ledger)
        assert 1 == sign(ledger, books.operator()).signed
        stranger = books.stranger()
        assert 1 == sign(ledger, stranger, sealer=stranger.address).signed
        with ledger.read() as connection:
            batch = batches.read_batch(connection, ledger.token, 1)
        assert books.stranger().address == recover_signer(batch.digest, batch.signature or b"")


def test_a_key_without_the_role_signs_nothing(sqlite_url: str, tmp_path: Path) -> None:
    """A stranger's key is refused by name, and would have spoiled the export."""
    with books.create(sqlite_url, tmp_path) as ledger:
        books.fill(ledger, 5)
        seal(ledger)
        with pytest.raises(SigningKeyError, match="the sealer is"):
            sign(ledger, books.stranger())
        with pytest.raises(SigningKeyError, match="the sealer is"):
            sign(ledger, books.operator(), sealer=books.stranger().address)
        with ledger.read() as connection:
            assert 1 == batches.count_unsigned(connection, ledger.token)


def test_a_signature_made_elsewhere_is_checked_and_kept(database_url: str, tmp_path: Path) -> None:
    """A wallet's signature is taken if it is the sealer's, once; another one is refused."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, 5)
        digest = seal(ledger).head_digest
        with pytest.raises(SigningKeyError, match="not that of"):
            add_signature(ledger, 1, books.stranger().sign_digest(digest))
        with pytest.raises(SigningKeyError, match="not that of"):
            add_signature(ledger, 1, b"\1\2\3")
        with pytest.raises(UnknownBatchError):
            add_signature(ledger, 2, books.operator().sign_digest(digest))
        good = books.operator().sign_digest(digest)
        assert 1 == add_signature(ledger, 1, good).signed
        assert 0 == add_signature(ledger, 1, good).signed
        assert 0 == sign(ledger, books.operator()).signed


def test_an_altered_header_is_never_signed(sqlite_url: str, tmp_path: Path) -> None:
    """A stored digest that is not its header's stops the signer, and nothing is signed."""
    with books.create(sqlite_url, tmp_path) as ledger:
        books.fill(ledger, 5)
        seal(ledger)
        with ledger.write() as connection:
            connection.execute(text("DROP TRIGGER token_batches_no_update"))
            connection.execute(text("UPDATE token_batches SET sealed_at = sealed_at + 1"))
        with pytest.raises(DatabaseError, match="altered"):
            sign(ledger, books.operator())
        with ledger.read() as connection:
            assert 1 == batches.count_unsigned(connection, ledger.token)
