"""docs/start.md: its code runs, its transcripts are what is answered, its table is complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests import docs_text
from tests.docs_scenes import scene

from token_ledger import errors

PAGE = "docs/start.md"
OPERATOR = bytes.fromhex("2ed47bd8f636cbd0244fee8660f1d7afec5bbc7b")


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python example runs as it stands, in the order of the page, asserts included."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    sources = docs_text.blocks(docs_text.page(PAGE), "python")
    assert sources
    for source in sources:
        exec(compile(source, PAGE, "exec"), names)
    names["ledger"].close()  # type: ignore[attr-defined]


@pytest.fixture
def application_url(postgres_url: str) -> Iterator[str]:
    """Yield the URL of a database for a new role, which owns nothing in it."""
    admin = postgres_url.replace("+psycopg", "")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("CREATE ROLE coins_app LOGIN")
        yield postgres_url.replace("postgres@", "coins_app@")
        connection.execute("DROP OWNED BY coins_app")
        connection.execute("DROP ROLE coins_app")


def test_a_role_that_owns_nothing_is_enough(postgres_url: str, application_url: str) -> None:
    """The PostgreSQL example runs, and the role of the application can rewrite nothing."""
    (source,) = docs_text.blocks(docs_text.page(PAGE), "python postgresql")
    for shown, real in (
        ("postgresql://owner@db.example/coins", postgres_url),
        ("postgresql://coins_app@db.example/coins", application_url),
    ):
        assert shown in source
        source = source.replace(shown, real)
    exec(compile(source, PAGE, "exec"), {"operator": OPERATOR})
    application = application_url.replace("+psycopg", "")
    with psycopg.connect(application, autocommit=True) as connection:
        for statement in (
            "UPDATE token_ledger SET amount = 1",
            "DELETE FROM token_ledger",
            "TRUNCATE token_ledger",
            "ALTER TABLE token_ledger DISABLE TRIGGER ALL",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_the_transcripts_are_what_is_answered() -> None:
    """Each command of the page answers what the page shows, but for hashes and the time."""
    with scene("start.md") as where:
        docs_text.check(docs_text.page(PAGE), **where)


def test_every_error_is_explained() -> None:
    """The table names every error that can be raised, with its code."""
    groups = {"TokenLedgerError", "InputError", "RuleError", "UnavailableError"}
    raised = {
        name: kind.code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, Exception) and name not in groups
    }
    table = re.findall(r"^\| (`\w+Error`[^|]*) \| ([^|]+) \|", docs_text.page(PAGE), re.MULTILINE)
    explained: dict[str, str] = {}
    for names, codes in table:
        words = re.findall(r"`(\w+)`", names), re.findall(r"`(\w+)`", codes)
        explained |= dict(zip(*words, strict=True))
    assert raised == explained
