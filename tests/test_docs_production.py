"""docs/production.md: its code runs against a real PostgreSQL with the two roles."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from tests import docs_text

PAGE = "docs/production.md"


def test_the_two_roles(postgres_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The example runs as it stands, with the owner's and the application's connections."""
    monkeypatch.chdir(tmp_path)
    role = f"app_{tmp_path.parent.name}_{tmp_path.name}".replace("-", "_").lower()[:60]
    (source,) = docs_text.blocks(docs_text.page(PAGE), "python postgresql")
    for shown, real in (
        ("postgresql://owner@db.example/coins", postgres_url),
        (
            "postgresql://coins_app@db.example/coins?",
            postgres_url.replace("postgres@", f"{role}@") + "&",
        ),
        ('"coins_app"', f'"{role}"'),
    ):
        assert shown in source
        source = source.replace(shown, real)
    admin = postgres_url.replace("+psycopg", "")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'CREATE ROLE "{role}" LOGIN')
        try:
            exec(compile(source, PAGE, "exec"), {})
        finally:
            connection.execute(f'DROP OWNED BY "{role}"')
            connection.execute(f'DROP ROLE "{role}"')
