"""Proving: one entry's path to its header, opened only on demand."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from tests import books

from token_ledger.core.entry import entry_ref
from token_ledger.core.files import proof_to_json, read_proof
from token_ledger.core.strict import decode, encode
from token_ledger.core.types import Texts
from token_ledger.core.verification import verify_proof
from token_ledger.errors import (
    DatabaseError,
    UnavailableError,
    UnknownBatchError,
    UnknownEntryError,
)
from token_ledger.prove import prove
from token_ledger.seal import seal


def test_every_sealed_entry_can_be_proved(database_url: str, tmp_path: Path) -> None:
    """The proof of each entry verifies, comes back from its file, and names the right batch."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, 40)
        seal(ledger, gas_max=300_000)
        for stored in ledger.get_statement("alice", limit=100).entries:
            proof = prove(ledger, stored.id)
            assert verify_proof(proof).consistent
            assert stored.id == proof.entry.id
            assert proof == read_proof(decode(encode(proof_to_json(proof))))


def test_an_opened_proof_shows_the_texts(database_url: str, tmp_path: Path) -> None:
    """An opened proof carries salt and texts that give the ref; a closed one does not."""
    with books.create(database_url, tmp_path) as ledger:
        ledger.create_account("alice")
        posted = ledger.mint(
            "alice",
            "2.5",
            reason="award",
            reference=("paper", "42"),
            memo="well done",
            metadata={"b": 1, "a": "é"},
        )
        seal(ledger)
        closed, opened = prove(ledger, posted.id), prove(ledger, posted.id, open_texts=True)
        assert closed.opening is None
        assert opened.opening is not None
        expected = Texts("award", "paper", "42", "well done", '{"a":"é","b":1}')
        assert expected == opened.opening.texts
        assert opened.entry.ref == entry_ref(opened.opening.salt, expected)
        assert verify_proof(opened).consistent


def test_an_unknown_or_unsealed_entry_has_no_proof(sqlite_url: str, tmp_path: Path) -> None:
    """The errors tell an entry that does not exist from one that awaits sealing."""
    with books.create(sqlite_url, tmp_path) as ledger:
        books.fill(ledger, 5)
        with pytest.raises(UnknownEntryError):
            prove(ledger, bytes(32))
        with pytest.raises(UnknownBatchError, match="not sealed yet"):
            prove(ledger, ledger.get_statement("alice").entries[0].id)


def test_redacted_texts_cannot_be_opened(sqlite_url: str, tmp_path: Path) -> None:
    """After redaction the entry is still proved, and its texts are said to be gone."""
    with books.create(sqlite_url, tmp_path) as ledger:
        books.fill(ledger, 10)
        seal(ledger)
        entry = ledger.get_statement("alice").entries[0]
        ledger.redact(entry.id, ["key"])
        assert "play" == prove(ledger, entry.id, open_texts=True).opening.texts.reason  # type: ignore[union-attr]
        ledger.redact(entry.id)
        assert verify_proof(prove(ledger, entry.id)).consistent
        with pytest.raises(UnavailableError, match="redacted"):
            prove(ledger, entry.id, open_texts=True)


def test_altered_rows_are_not_proved(sqlite_url: str, tmp_path: Path) -> None:
    """A timestamp changed behind the ledger's back breaks the root, and the proof is refused."""
    with books.create(sqlite_url, tmp_path) as ledger:
        books.fill(ledger, 10)
        seal(ledger)
        with ledger.write() as connection:
            connection.execute(text("DROP TRIGGER token_ledger_no_update"))
            connection.execute(
                text("UPDATE token_ledger SET timestamp = timestamp + 1 WHERE entry_no = 2")
            )
        with pytest.raises(DatabaseError, match="no longer gives its own entries root"):
            prove(ledger, ledger.get_statement("alice").entries[0].id)
