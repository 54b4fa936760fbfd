"""What the database keeps by itself: every invariant is broken here by raw SQL, and refused.

Method: a good row is copied inside the database with one expression changed, so that nothing but
the rule under test can be what refuses it; and the unchanged copy is accepted, to prove that.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, inspect, text

from token_ledger.core.types import UINT256_MAX
from token_ledger.errors import DatabaseError
from token_ledger.ledger import Ledger, mirror_schema, schema

TEXTS = ("reason", "reference_type", "reference_id", "memo", "metadata", "idempotency_key")


def is_sqlite(ledger: Ledger) -> bool:
    return ledger.engine.dialect.name == "sqlite"


def binary(ledger: Ledger, data: bytes) -> str:
    """Return a literal of bytes."""
    return f"X'{data.hex()}'" if is_sqlite(ledger) else f"'\\x{data.hex()}'::bytea"


def number(ledger: Ledger, value: int, *, size: int = 32) -> str:
    """Return a literal of a Uint256 (or of a wide figure, of 40 bytes)."""
    return binary(ledger, value.to_bytes(size, "big")) if is_sqlite(ledger) else str(value)


def execute(ledger: Ledger, statement: str) -> int:
    with ledger.write() as connection:
        return connection.exec_driver_sql(statement).rowcount


def refused(ledger: Ledger, statement: str, *, match: str | None = None) -> None:
    with pytest.raises(DatabaseError, match=match):
        execute(ledger, statement)


def copy(ledger: Ledger, table: str, where: str, *, verb: str = "INSERT", **changes: str) -> str:
    """Return a statement that inserts a copy of a row with some expressions changed."""
    columns = mirror_schema.metadata.tables[table].c.keys()
    chosen = ", ".join(changes.get(name, name) for name in columns)
    return f"{verb} INTO {table} ({', '.join(columns)}) SELECT {chosen} FROM {table} WHERE {where}"


def fresh(ledger: Ledger) -> dict[str, str]:
    """Return what makes a copied entry another entry."""
    return {
        "entry_no": "99",
        "id": binary(ledger, b"\x11" * 32),
        "nonce": binary(ledger, b"\x22" * 32),
    }


@pytest.fixture
def moved(ledger: Ledger) -> Ledger:
    """Return the ledger after entry 3, a transfer from alice to bob."""
    ledger.transfer("alice", "bob", 1, reason="gift", memo="for you", metadata={"a": 1})
    return ledger


def test_a_good_copy_is_accepted(moved: Ledger) -> None:
    """A copied entry with fresh id and nonce is taken: the other tests change one thing of it."""
    assert 1 == execute(moved, copy(moved, "token_ledger", "entry_no = 3", **fresh(moved)))


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "'NaN'", "'Infinity'", str(2**256), "NULL"])
def test_amount_out_of_range_is_refused_by_postgresql(
    value: str, postgres_url: str, tmp_path: Path
) -> None:
    """0 < amount < 2**256 and whole: fractions are not rounded and NaN is no large number."""
    with Ledger.create(postgres_url, operator=b"\1" * 20) as ledger:
        _two_entries(ledger)
        statement = copy(ledger, "token_ledger", "entry_no = 2", amount=value, **fresh(ledger))
        refused(ledger, statement)


@pytest.mark.parametrize(
    "value",
    [f"X'{'00' * 32}'", "X'01'", f"X'01{'00' * 32}'", "5", "1.5", "'5'", "NULL", "9e999"],
)
def test_amount_out_of_range_is_refused_by_sqlite(
    value: str, sqlite_url: str, tmp_path: Path
) -> None:
    """Amounts are 32 bytes and not zero: integers, reals, text and other widths are refused."""
    with Ledger.create(sqlite_url, operator=b"\1" * 20) as ledger:
        _two_entries(ledger)
        statement = copy(ledger, "token_ledger", "entry_no = 2", amount=value, **fresh(ledger))
        refused(ledger, statement)


def _two_entries(ledger: Ledger) -> None:
    ledger.create_token("T", "Token", 0)
    ledger.create_account("alice", initial_balance=10)
    ledger.create_account("bob")
    ledger.transfer("alice", "bob", 5, reason="gift")


def test_full_range_of_amounts_is_accepted(moved: Ledger) -> None:
    """1 and 2**256 - 1 pass the CHECKs of both engines."""
    for entry_no, value in ((98, 1), (99, UINT256_MAX)):
        changes = fresh(moved) | {
            "entry_no": str(entry_no),
            "id": binary(moved, bytes([entry_no]) * 32),
            "nonce": binary(moved, bytes([entry_no]) * 32),
            "amount": number(moved, value),
        }
        execute(moved, copy(moved, "token_ledger", "entry_no = 3", **changes))
    with moved.read() as connection:
        found = connection.execute(
            schema.token_ledger.select().where(schema.token_ledger.c.entry_no > 97)
        ).all()
    assert [1, UINT256_MAX] == [row.amount for row in found]


@pytest.mark.parametrize(
    "changes",
    [
        {"to_account": "from_account"},
        {"from_account": "77"},
        {"to_account": "77"},
        {"token_no": "77"},
        {"timestamp": "-1"},
        {"timestamp": "253402300800000000"},
        {"reason": "NULL"},
        {"idempotency_key": "NULL"},
        {"balance_after_from": "NULL"},
        {"balance_after_to": "NULL"},
        {"supply_after": "balance_after_to"},
        {"entry_no": "0"},
        {"entry_no": "3"},
        {"id": "ref", "entry_no": "99", "nonce": "nonce"},
    ],
    ids=str,
)
def test_broken_entry_is_refused(changes: dict[str, str], moved: Ledger) -> None:
    """Self-transfers, unknown accounts and tokens, times out of range and half rows are refused."""
    refused(moved, copy(moved, "token_ledger", "entry_no = 3", **(fresh(moved) | changes)))


@pytest.mark.parametrize("column", ["id", "nonce", "ref"])
def test_hash_of_another_size_is_refused(column: str, moved: Ledger) -> None:
    """Hashes are 32 bytes in the database too."""
    changes = fresh(moved) | {column: binary(moved, b"\1" * 31)}
    refused(moved, copy(moved, "token_ledger", "entry_no = 3", **changes))


@pytest.mark.parametrize("column", ["id", "nonce"])
def test_repeated_hash_is_refused(column: str, moved: Ledger) -> None:
    """Neither an id nor a nonce stands in a token twice."""
    changes = fresh(moved)
    del changes[column]
    refused(moved, copy(moved, "token_ledger", "entry_no = 3", **changes))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE token_ledger SET amount = balance_after_to WHERE entry_no = 3",
        "UPDATE token_ledger SET reason = 'another' WHERE entry_no = 3",
        "UPDATE token_ledger SET memo = NULL WHERE entry_no = 3",
        "UPDATE token_ledger SET memo = 'other', redacted_at = 1 WHERE entry_no = 3",
        "UPDATE token_ledger SET memo = NULL, redacted_at = 1, timestamp = 5 WHERE entry_no = 3",
        "UPDATE token_ledger SET to_account = 3, redacted_at = 1 WHERE entry_no = 3",
        "UPDATE token_ledger SET nonce = ref, redacted_at = 1 WHERE entry_no = 3",
        "UPDATE token_ledger SET entry_no = 9 WHERE entry_no = 3",
        "UPDATE token_ledger SET created_at = 0",
        "DELETE FROM token_ledger WHERE entry_no = 3",
        "DELETE FROM token_ledger",
        "UPDATE accounts SET address = (SELECT id FROM token_ledger WHERE entry_no = 3)",
        "UPDATE accounts SET account_id = 'mallory' WHERE account_id = 'alice'",
        "DELETE FROM accounts WHERE account_id = 'carol'",
        "UPDATE tokens SET symbol = 'OTHER'",
        "UPDATE tokens SET decimals = 2",
        "UPDATE tokens SET max_supply = (SELECT balance FROM token_accounts WHERE account_no = 1)",
        "DELETE FROM token_supply",
        "UPDATE token_supply SET token_no = 2",
        "DELETE FROM token_accounts WHERE account_no = 1",
        "UPDATE token_accounts SET account_no = 3 WHERE account_no = 1",
        "DELETE FROM tokens",
        "UPDATE ledger SET operator = (SELECT address FROM accounts WHERE account_no = 1)",
        "DELETE FROM ledger",
    ],
)
def test_rewriting_history_is_refused(statement: str, moved: Ledger) -> None:
    """Entries, accounts, tokens and the ledger's identity are append-only for raw SQL too.

    So are the rows of supply and balances, whose figures alone may change.
    """
    refused(moved, statement, match="append-only")


@pytest.mark.parametrize("verb", ["INSERT OR REPLACE", "REPLACE"])
@pytest.mark.parametrize("recursive", ["ON", "OFF"])
def redaction(field: str) -> str:
    """Return a statement that records an erased field of entry 3."""
    return (
        "INSERT INTO token_redactions (entry_no, field, redacted_at, actor)"
        f" VALUES (3, '{field}', 9, 'me')"
    )


@pytest.mark.parametrize("field", TEXTS)
def test_an_erasure_that_is_not_recorded_is_refused(field: str, moved: Ledger) -> None:
    """A text may turn NULL only where that very field of that very entry is recorded as erased."""
    for other in set(TEXTS) - {field}:
        execute(moved, redaction(other))
    statement = f"UPDATE token_ledger SET {field} = NULL, redacted_at = 9 WHERE entry_no = 3"
    refused(moved, statement, match="append-only")
    execute(moved, redaction(field))
    refused(moved, statement.replace(", redacted_at = 9", ""), match="append-only")
    refused(moved, statement.replace("= 3", "= 2"), match="append-only")
    execute(moved, statement)


def test_redactions_are_append_only(moved: Ledger) -> None:
    """What was erased cannot be denied, and a field that there is not cannot be recorded."""
    execute(moved, redaction("memo"))
    refused(moved, "UPDATE token_redactions SET actor = 'you'", match="append-only")
    refused(moved, "DELETE FROM token_redactions", match="append-only")
    refused(moved, redaction("amount"))
    refused(moved, redaction("memo"))
    if is_sqlite(moved):
        replaced = redaction("memo").replace("INSERT", "INSERT OR REPLACE")
        refused(moved, replaced, match="already")


def test_redaction_passes_and_only_once(moved: Ledger) -> None:
    """Texts and key may turn NULL with a time, which is then fixed; nothing comes back."""
    for field in TEXTS:
        execute(moved, redaction(field))
    nulls = ", ".join(f"{name} = NULL" for name in TEXTS)
    execute(moved, f"UPDATE token_ledger SET {nulls}, redacted_at = 9 WHERE entry_no = 3")
    refused(moved, "UPDATE token_ledger SET redacted_at = 10 WHERE entry_no = 3")
    refused(moved, "UPDATE token_ledger SET redacted_at = NULL WHERE entry_no = 3")
    refused(moved, "UPDATE token_ledger SET memo = 'back' WHERE entry_no = 3")


@pytest.mark.parametrize("column", ["balance", "total_staked"])
def test_negative_balance_is_refused(column: str, moved: Ledger) -> None:
    """A balance below zero or of another width is refused by a CHECK."""
    low = "X'ff'" if is_sqlite(moved) else "-1"
    refused(moved, f"UPDATE token_accounts SET {column} = {low}")
    high = f"X'01{'00' * 32}'" if is_sqlite(moved) else str(2**256)
    refused(moved, f"UPDATE token_accounts SET {column} = {high}")


def test_system_has_no_balance_row(moved: Ledger) -> None:
    """`system` is nobody's account: it has no balance to fight over."""
    refused(moved, copy(moved, "token_accounts", "account_no = 1", account_no="0"))


def test_supply_above_the_maximum_is_refused(database_url: str) -> None:
    """The database refuses a supply above the token's maximum, whoever writes it."""
    with Ledger.create(database_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("T", "Token", 0, max_supply=100)
        over = number(ledger, 101)
        refused(ledger, f"UPDATE token_supply SET total_supply = {over}", match="maximum")
        execute(ledger, f"UPDATE token_supply SET total_supply = {number(ledger, 100)}")


def test_cumulative_figures_are_wider_than_uint256(moved: Ledger) -> None:
    """total_earned goes beyond 2**256 and comes back exact."""
    with moved.write() as connection:
        connection.execute(schema.token_accounts.update().values(total_earned=2**300 + 1))
    assert 2**300 + 1 == moved.get_account("alice").total_earned


def test_canonical_chain_is_set_once(moved: Ledger) -> None:
    """A token's chain is fixed by its first deployment."""
    execute(moved, "UPDATE tokens SET canonical_chain_id = 1")
    refused(moved, "UPDATE tokens SET canonical_chain_id = 10", match="append-only")


def test_migrations_make_the_tables_of_the_schema(ledger: Ledger) -> None:
    """Columns, nullability and primary keys in the database are those that queries assume."""
    with ledger.read() as connection:
        found = inspect(connection)
        for name, table in mirror_schema.metadata.tables.items():
            columns = {c["name"]: c["nullable"] for c in found.get_columns(name)}
            key = set(found.get_pk_constraint(name)["constrained_columns"])
            expected = {c.name: bool(c.nullable) for c in table.c}
            # SQLite says of its rowid alias that it could be NULL; it never is.
            assert expected == {n: null and n not in key for n, null in columns.items()}, name
            assert {c.name for c in table.primary_key} == key, name


def test_entries_have_the_indexes_that_reading_needs(ledger: Ledger) -> None:
    """From, to, time, reason: each is read in order of entry_no by an index."""
    with ledger.read() as connection:
        found = {tuple(i["column_names"]) for i in inspect(connection).get_indexes("token_ledger")}
    expected = {
        ("token_no", *middle, "entry_no")
        for middle in ((), ("from_account",), ("to_account",), ("timestamp",), ("reason",))
    }
    assert expected <= found


def test_foreign_keys_hold_without_python(postgres_url: str) -> None:
    """A driver of its own meets the same rules: nothing depends on this package's code."""
    with Ledger.create(postgres_url, operator=b"\1" * 20) as ledger:
        _two_entries(ledger)
    with (
        psycopg.connect(postgres_url.replace("+psycopg", "")) as connection,
        pytest.raises(psycopg.errors.RestrictViolation),
    ):
        connection.execute("DELETE FROM token_ledger")


def test_every_sqlite_table_is_strict(sqlite_url: str) -> None:
    """SQLite stores in each column nothing but its declared type."""
    with Ledger.create(sqlite_url, operator=b"\1" * 20):
        pass
    engine = create_engine(sqlite_url)
    with engine.connect() as connection:
        strict = _strict(connection)
    engine.dispose()
    assert set(mirror_schema.metadata.tables) == strict


def _strict(connection: Connection) -> set[str]:
    found = connection.execute(text("SELECT name, strict FROM pragma_table_list"))
    return {row.name for row in found if row.strict}
