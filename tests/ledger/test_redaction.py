"""Redaction: the words go, the entry, its id and every root stay, and it is recorded."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from tests import books

from token_ledger.check import check
from token_ledger.core.verification import verify_proof
from token_ledger.errors import (
    KeyConflictError,
    UnavailableError,
    UnknownEntryError,
    UsageError,
)
from token_ledger.export import export
from token_ledger.ledger import Ledger, grant_application_role
from token_ledger.prove import prove
from token_ledger.seal import seal
from token_ledger.verify import Anchors, verify

PRIVATE = "Jane Doe of 5 Elm Street"
WORDS = {
    "reason": "gift",
    "reference": ("letter", PRIVATE),
    "memo": PRIVATE,
    "metadata": {"to": PRIVATE},
    "idempotency_key": f"gift:{PRIVATE}",
}


@pytest.fixture
def told(ledger: Ledger) -> Ledger:
    """Return a ledger whose third entry says something private."""
    ledger.transfer("alice", "bob", 1, **WORDS)  # type: ignore[arg-type]
    return ledger


def gift(ledger: Ledger) -> bytes:
    """Return the id of the entry that says it."""
    return ledger.feed(2, 1).entries[0].id


def test_the_usual_words_go_and_the_rest_stays(told: Ledger) -> None:
    """Reference, memo and metadata turn None; reason, key, sides, amount, id and ref stay."""
    before = told.get_entry(gift(told))
    assert told.get_redaction(before.id) is None
    done = told.redact(before.id, actor="the clerk")
    after = told.get_entry(before.id)
    assert (None,) * 4 == (
        after.reference_type,
        after.reference_id,
        after.memo,
        after.metadata,
    )
    for name in ("id", "ref", "nonce", "reason", "idempotency_key", "value", "balance_after_to"):
        assert getattr(before, name) == getattr(after, name)
    assert done == told.get_redaction(before.id)
    assert (("reference", "memo", "metadata"), ("the clerk",), after.redacted_at) == (
        done.fields,
        done.actors,
        done.redacted_at,
    )


def test_more_can_go_later_and_a_repeat_changes_nothing(told: Ledger) -> None:
    """A second redaction erases what is left of its fields; the first one's time and actor stay."""
    first = told.redact(gift(told), ["memo"], actor="one")
    assert first == told.redact(gift(told), ["memo"], actor="two")
    second = told.redact(gift(told), ["key", "reason", "memo"], actor="two")
    assert (("reason", "memo", "key"), ("one", "two")) == (second.fields, second.actors)
    assert first.redacted_at == second.redacted_at == told.get_entry(first.id).redacted_at
    assert ("letter", None) == (
        told.get_entry(first.id).reference_type,
        told.get_entry(first.id).idempotency_key,
    )


@pytest.mark.parametrize("fields", [["memo"], ["key"], ["reason", "reference", "metadata", "key"]])
def test_proofs_and_batches_stay_good(fields: list[str], told: Ledger, tmp_path: Path) -> None:
    """Export, root and proof are the same bytes; only the texts cannot be opened any more."""
    seal(told)
    entry_id = gift(told)
    opened, proof = prove(told, entry_id, open_texts=True), prove(told, entry_id)
    export(told, tmp_path / "before")
    told.redact(entry_id, fields)
    export(told, tmp_path / "after")
    for path in (tmp_path / "before").rglob("*.json"):
        again = tmp_path / "after" / path.relative_to(tmp_path / "before")
        assert path.read_bytes() == again.read_bytes()
    assert verify(tmp_path / "after", Anchors(digest=proof.digest)).consistent
    assert proof == prove(told, entry_id)
    assert verify_proof(proof).consistent
    if fields == ["key"]:
        assert opened == prove(told, entry_id, open_texts=True)
    else:
        with pytest.raises(UnavailableError, match="redacted"):
            prove(told, entry_id, open_texts=True)
    assert [] == check(told).findings
    assert 0 == told.recalc().findings_total


def test_a_repeat_under_an_erased_key_is_still_a_repeat(told: Ledger) -> None:
    """The same request returns the first result, another one under that key is a conflict."""
    entry_id = gift(told)
    told.redact(entry_id, ["reason", "reference", "memo", "metadata", "key"])
    again = told.transfer("alice", "bob", 1, **WORDS)  # type: ignore[arg-type]
    assert (entry_id, True) == (again.id, again.repeated)
    with pytest.raises(KeyConflictError):
        told.transfer("alice", "bob", 2, **WORDS)  # type: ignore[arg-type]


def test_holds_and_reversals_survive_redaction(ledger: Ledger) -> None:
    """Links between entries are no words: a capture stays one, a reversal is still the only one."""
    held = ledger.hold("alice", 10, idempotency_key="h", memo=PRIVATE)
    taken = ledger.capture(held.id, 4, to="bob", idempotency_key="c", memo=PRIVATE)
    paid = ledger.transfer("alice", "carol", 1, reason="x", memo=PRIVATE)
    back = ledger.reverse(paid.id, memo=PRIVATE)
    everything = ["reason", "reference", "memo", "metadata", "key"]
    for posted in (held, taken, paid, back):
        ledger.redact(posted.id, everything)
    assert ("hold", None) == (
        ledger.get_entry(taken.id).reference_type,
        ledger.get_entry(taken.id).memo,
    )
    with pytest.raises(UsageError, match="own"):
        ledger.redact(ledger.release(held.id).id, ["reference"])
    assert taken.id == ledger.capture(held.id, 4, to="bob", idempotency_key="c", memo=PRIVATE).id
    reversal = ledger.get_reversal(paid.id)
    assert reversal is not None
    assert back.id == reversal.id
    assert [] == check(ledger).findings


def test_what_is_not_there_cannot_be_redacted(told: Ledger) -> None:
    """An unknown entry, an unknown field and no field at all are refused; nothing is written."""
    with pytest.raises(UnknownEntryError):
        told.redact(bytes(32))
    for fields in (["amount"], []):
        with pytest.raises(UsageError):
            told.redact(gift(told), fields)
    assert told.get_entry(gift(told)).redacted_at is None


def test_the_words_are_gone_from_the_file(sqlite_url: str, tmp_path: Path) -> None:
    """On SQLite neither the file nor its log holds the words any more."""
    with books.create(sqlite_url, tmp_path) as ledger:
        ledger.create_account("alice", initial_balance=100)
        ledger.create_account("bob")
        for n in range(30):
            ledger.transfer("alice", "bob", 1, reason="x", memo=f"number {n}")
        entry = ledger.transfer("alice", "bob", 1, **WORDS)  # type: ignore[arg-type]
        database = Path(str(ledger.engine.url.database))
        files = (database, database.with_name(database.name + "-wal"))
        assert any(PRIVATE.encode() in file.read_bytes() for file in files)
        ledger.redact(entry.id, ["reference", "memo", "metadata", "key"])
        assert not any(PRIVATE.encode() in file.read_bytes() for file in files if file.exists())


def test_the_application_role_may_redact(postgres_url: str, tmp_path: Path) -> None:
    """A role that owns nothing erases words, and nothing else of an entry."""
    with books.create(postgres_url, tmp_path) as ledger:
        ledger.create_account("alice", initial_balance=100)
        with ledger.write() as connection:
            connection.execute(text("CREATE ROLE eraser LOGIN"))
            grant_application_role(connection, "eraser")
        url = ledger.engine.url.set(username="eraser").render_as_string()
        with Ledger.open(url, secret_file=tmp_path / "secret") as mine:
            entry = mine.mint("alice", 1, reason="x", memo=PRIVATE)
            mine.redact(entry.id)
            assert mine.get_entry(entry.id).memo is None
            assert check(mine).clean
        with ledger.engine.begin() as connection:
            connection.execute(text("DROP OWNED BY eraser"))
            connection.execute(text("DROP ROLE eraser"))


def test_the_schema_was_changed_without_touching_rows(sqlite_url: str, tmp_path: Path) -> None:
    """SQLite's file is sound after the upgrade, and a fresh connection sees the new rule."""
    with books.create(sqlite_url, tmp_path) as ledger:
        books.fill(ledger, 8)
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    assert ("ok",) == connection.execute("PRAGMA integrity_check").fetchone()
    (made,) = connection.execute(
        "SELECT sql FROM sqlite_master WHERE name = 'token_ledger'"
    ).fetchone()
    assert "redacted_at IS NOT NULL OR (" in made
    assert "redacted_at IS NULL OR (" not in made
    connection.close()
