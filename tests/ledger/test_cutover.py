"""The books' side of the cut-over: the column that an older database gets."""

from __future__ import annotations

from token_ledger.ledger import engine as engines
from token_ledger.ledger import upgrade
from token_ledger.ledger.schema import SCHEMA_VERSION


def test_a_database_of_the_first_schema_is_upgraded(database_url: str) -> None:
    """0001 gains the columns and the trigger of 0002, and is then this release's."""
    engine = engines.open_engine(database_url, create=True)
    with engines.writing(engine) as connection:
        engines.migrate(connection, revision="0001")
        assert "0001" == engines.schema_version(connection)
    assert SCHEMA_VERSION == upgrade(database_url)
    with engines.reading(engine) as connection:
        rows = connection.exec_driver_sql("SELECT closing_at, finalized_at FROM tokens").all()
    engine.dispose()
    assert [] == rows
