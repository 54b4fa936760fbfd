"""What the database keeps by itself: every invariant is broken here by raw SQL, and refused.

Method: a good row is copied inside the database with one expression changed, so that nothing but
the rule under test can be what refuses it; and the unchanged copy is accepted, to prove that.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, inspect, text

from token_ledger.core.types import UINT256_MAX
from token_ledger.errors import DatabaseError
from token_ledger.ledger import Ledger, mirror_schema, schema
from token_ledger.ledger.engine import parse_database_url

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
@pytest.mark.parametrize("kept", ["entry_no", "id", "nonce"])
def test_sqlite_replace_is_refused(
    verb: str, recursive: str, kept: str, sqlite_url: str, tmp_path: Path
) -> None:
    """INSERT OR REPLACE rewrites no entry, on a connection with no pragma of ours either."""
    with Ledger.create(sqlite_url, operator=b"\1" * 20) as ledger:
        _two_entries(ledger)
        changes = fresh(ledger) | {"memo": "'rewritten'"}
        del changes[kept]
        statement = copy(ledger, "token_ledger", "entry_no = 2", verb=verb, **changes)
    path = parse_database_url(sqlite_url).database
    with sqlite3.connect(str(path)) as connection:
        connection.execute(f"PRAGMA recursive_triggers = {recursive}")
        with pytest.raises(sqlite3.IntegrityError, match="already"):
            connection.execute(statement)
        assert [("",), ("",)] == connection.execute("SELECT memo FROM token_ledger").fetchall()
    connection.close()


@pytest.mark.parametrize("column", ["from_account", "to_account", "token_no"])
def test_sqlite_entry_of_nobody_is_refused(column: str, sqlite_url: str) -> None:
    """Token and accounts of an entry exist, on a connection without foreign keys too."""
    with Ledger.create(sqlite_url, operator=b"\1" * 20) as ledger:
        _two_entries(ledger)
        good, bad = (
            copy(ledger, "token_ledger", "entry_no = 2", **fresh(ledger), **changes)
            for changes in ({}, {column: "77"})
        )
    with contextlib.closing(sqlite3.connect(str(parse_database_url(sqlite_url).database))) as raw:
        assert (0,) == raw.execute("PRAGMA foreign_keys").fetchone()
        with pytest.raises(sqlite3.IntegrityError, match="no such token or account"):
            raw.execute(bad)
        assert 1 == raw.execute(good).rowcount


@pytest.mark.parametrize("table", ["accounts", "tokens", "ledger"])
def test_sqlite_replace_of_other_rows_is_refused(table: str, sqlite_url: str) -> None:
    """INSERT OR REPLACE rewrites no account, token or identity."""
    with Ledger.create(sqlite_url, operator=b"\1" * 20) as ledger:
        _two_entries(ledger)
        statement = copy(ledger, table, "TRUE", verb="INSERT OR REPLACE", created_at="5")
        refused(ledger, statement, match="already")


@pytest.mark.parametrize(
    "table",
    [
        *("token_ledger", "token_batches", "batch_signatures", "accounts", "tokens", "ledger"),
        *("token_supply", "token_accounts"),
    ],
)
def test_postgresql_truncate_is_refused(table: str, postgres_url: str) -> None:
    """TRUNCATE, which fires no row trigger, is refused on every append-only table."""
    with Ledger.create(postgres_url, operator=b"\1" * 20) as ledger:
        _two_entries(ledger)
        refused(ledger, f"TRUNCATE {table} CASCADE", match="append-only")


def test_batches_and_signatures_are_append_only(moved: Ledger) -> None:
    """A header and a signature, once written, are neither changed nor deleted nor replaced."""
    hashes = ", ".join([binary(moved, b"\3" * 32)] * 3)
    header = (
        "INSERT INTO token_batches (token_no, number, first_entry_no, last_entry_no, first_seq,"
        " count, parent, entries_root, rows_hash, total_supply, sealed_at, digest) VALUES"
        f" (1, 1, 1, 3, 0, 3, {hashes}, {number(moved, 1)}, 5, {binary(moved, b'4' * 32)})"
    )
    signature = (
        "INSERT INTO batch_signatures (token_no, number, signer, signature, signed_at) VALUES"
        f" (1, 1, {binary(moved, b'5' * 20)}, {binary(moved, b'6' * 65)}, 7)"
    )
    execute(moved, header)
    execute(moved, signature)
    for table in ("token_batches", "batch_signatures"):
        refused(moved, f"UPDATE {table} SET number = 2", match="append-only")
        refused(moved, f"DELETE FROM {table}", match="append-only")
    if is_sqlite(moved):
        refused(moved, header.replace("INSERT", "INSERT OR REPLACE"), match="already")
        refused(moved, signature.replace("INSERT", "INSERT OR REPLACE"), match="already")
    refused(moved, signature.replace("(1, 1,", "(1, 2,"))  # of a batch that does not exist


@pytest.mark.parametrize("kept", [(name,) for name in TEXTS] + [TEXTS], ids=str)
def test_redaction_of_a_part_is_refused(kept: tuple[str, ...], moved: Ledger) -> None:
    """An entry is stamped as redacted only when all its texts and its key are gone."""
    nulls = "".join(f"{name} = NULL, " for name in TEXTS if name not in kept)
    statement = f"UPDATE token_ledger SET {nulls}redacted_at = 9 WHERE entry_no = 3"
    refused(moved, statement, match="append-only")
    refused(moved, copy(moved, "token_ledger", "entry_no = 3", **fresh(moved), redacted_at="9"))


def test_redaction_passes_and_only_once(moved: Ledger) -> None:
    """Texts and key may turn NULL with a time, which is then fixed; nothing comes back."""
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
