"""`move`: SQLite to PostgreSQL and back, resumable, with the same ids, roots and proofs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests import books

from token_ledger.check import check
from token_ledger.core.files import proof_to_json
from token_ledger.errors import NotReadyError, SchemaVersionError, UsageError
from token_ledger.ledger import Ledger, copying
from token_ledger.move import move
from token_ledger.prove import prove
from token_ledger.seal import seal


@pytest.fixture
def other_url(database_url: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return an empty database of the other engine."""
    if database_url.startswith("sqlite"):
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path / 'other.db'}"


@pytest.fixture
def full(database_url: str, tmp_path: Path) -> Ledger:
    """Return a ledger of two tokens: sealed, signed by nobody, and some entries not sealed yet."""
    ledger = books.create(database_url, tmp_path)
    books.fill(ledger, 120)
    seal(ledger)
    books.fill(ledger, 30, seed=2)
    ledger.set_rule("play", "0.5", count_max=2)
    ledger.award("bob", "play", idempotency_key="play")
    ledger.retire_rule("play")
    ledger.create_token("TWO", "Second", 0)
    ledger.use("TWO")
    ledger.mint("alice", 2**256 - 1, reason="all", metadata={"a": [1, "ü"]})
    ledger.use("TKN")
    ledger.redact(ledger.feed(30, 1).entries[0].id, actor="clerk")
    return ledger


def _open(url: str, tmp_path: Path) -> Ledger:
    return Ledger.open(url, token="TKN", secret_file=tmp_path / "secret")


def test_everything_is_the_same(full: Ledger, other_url: str, tmp_path: Path) -> None:
    """Ids, balances, supply, digests and proofs are the same there, and posting goes on."""
    moved = move(full, other_url)
    assert 152 == moved.entries_copied
    assert 1 <= moved.batches_recomputed
    with _open(other_url, tmp_path) as there:
        for person in books.PEOPLE:
            assert full.get_account(person) == there.get_account(person)
            assert full.get_statement(person) == there.get_statement(person)
        assert full.get_supply() == there.get_supply()
        redacted = full.feed(30, 1).entries[0].id
        assert ("clerk",) == there.get_redaction(redacted).actors  # type: ignore[union-attr]
        assert [] == check(there).findings
        assert full.rules(history=True) == there.rules(history=True)
        awarded = there.award("bob", "play", idempotency_key="play")
        assert (True, full.rule_of(awarded.id)) == (awarded.repeated, there.rule_of(awarded.id))
        entry = full.get_statement("bob").entries[-1]
        assert proof_to_json(prove(full, entry.id)) == proof_to_json(prove(there, entry.id))
        key = {"reason": "play", "idempotency_key": "after"}
        assert full.mint("bob", 1, **key).id == there.mint("bob", 1, **key).id
        made = there.create_account("zoe", initial_balance=1)
        assert made.balance == 10**18
        seal(there)
    full.close()


def test_it_goes_on_where_it_was_interrupted(
    full: Ledger, other_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted after any chunk it resumes; until it is done the target is no ledger."""
    monkeypatch.setattr(copying, "CHUNK", 40)

    def stop_after(chunks: int) -> Callable[[str, int, int | None], None]:
        def progress(stage: str, done: int, total: int | None) -> None:
            nonlocal chunks
            chunks -= 1
            if not chunks:
                raise KeyboardInterrupt

        return progress

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            move(full, other_url, progress=stop_after(1))
        with pytest.raises(SchemaVersionError):
            _open(other_url, tmp_path)
    assert 152 - 80 == move(full, other_url).entries_copied
    assert 0 == move(full, other_url).entries_copied
    full.close()


def test_differences_are_refused(full: Ledger, other_url: str, tmp_path: Path) -> None:
    """A source that went on, and a target that holds another ledger, are refused."""
    move(full, other_url)
    full.mint("bob", 1, reason="late")
    with pytest.raises(NotReadyError, match="differs"):
        move(full, other_url)
    full.close()
    folder = tmp_path / "stranger"
    folder.mkdir()
    with (
        Ledger.create(f"sqlite:///{folder / 'x.db'}", operator=b"\x01" * 20) as stranger,
        pytest.raises(UsageError, match="another ledger"),
    ):
        move(stranger, other_url)


def test_there_and_back(full: Ledger, other_url: str, tmp_path: Path) -> None:
    """A ledger moved to the other engine and back is the one it was, row by row."""
    move(full, other_url)
    with _open(other_url, tmp_path) as there:
        moved = move(there, f"sqlite:///{tmp_path / 'back.db'}")
    with _open(f"sqlite:///{tmp_path / 'back.db'}", tmp_path) as back:
        assert moved.rows_compared == move(full, f"sqlite:///{tmp_path / 'back.db'}").rows_compared
        assert full.get_supply() == back.get_supply()
    full.close()
