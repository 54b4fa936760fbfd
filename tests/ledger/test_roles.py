"""PostgreSQL: the role that an application connects as can add and cannot rewrite."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import make_url, text
from tests.chain.fake_node import FakeNode
from tests.chain.living import LivingToken
from tests.entered import bring, expected, held, life, take_in

from token_ledger.errors import DatabaseError, UsageError
from token_ledger.ledger import Ledger, rollups
from token_ledger.ledger.roles import grant_application_role


@pytest.fixture
def application(postgres_url: str) -> Iterator[str]:
    """Yield the URL of a granted role on a ledger with two accounts and three entries."""
    database = make_url(postgres_url)
    role = f"app_{database.database}"
    with Ledger.create(postgres_url, operator=b"\1" * 20) as ledger:
        ledger.create_token("T", "Token", 0)
        ledger.create_account("a", initial_balance=10)
        ledger.create_account("b")
        ledger.transfer("a", "b", 1, reason="x")
        with ledger.write() as connection:
            connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'app'"))
            grant_application_role(connection, role)
    yield database.set(username=role, password="app").render_as_string(hide_password=False)
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        connection.execute(f"DROP OWNED BY {role}")
        connection.execute(f"DROP ROLE {role}")


def test_application_works_as_that_role(application: str) -> None:
    """Accounts, mints, transfers, lists, statements: everything that an application does."""
    with Ledger.open(application) as ledger:
        ledger.create_account("c", initial_balance=5)
        ledger.transfer("a", "c", 2, reason="x")
        ledger.post_many([ledger.record("a", "b", 1, reason="x", memo=str(i)) for i in range(5)])
        ledger.burn("c", 1, reason="x")
        ledger.set_rule("play", 1)
        ledger.burn("d", ledger.award("d", "play").amount, reason="x")
        ledger.create_token("U", "Another", 2)
        ledger.use("T")
        ledger.set_canonical_chain(5)
        assert (6, 14) == (ledger.get_balance("c"), ledger.get_total_supply())
        assert 4 == len(ledger.get_statement("c").entries) + 1


def test_statistics_are_kept_as_that_role(
    application: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `stats` adds up is written by the role too, at first and on top of what is there."""
    monkeypatch.setattr(rollups, "TAIL_MAX", 0)
    with Ledger.open(application) as ledger:
        for count in (1, 2):
            ledger.transfer("a", "b", 1, reason="x")
            ledger.get_statistics()
            with ledger.read() as connection:
                assert [] == list(rollups.tail(connection, 1))
                kept = rollups.read_sums(connection, 1)
            every = rollups.Key(rollups.ALL_DAYS, rollups.MOVE, "x")
            assert rollups.Sum(count + 1, count + 1) == kept[every]


def test_an_import_works_as_that_role(application: str) -> None:
    """A token of a chain is taken in, and its transfers become entries, run after run."""
    chain = LivingToken(life(), head=8)
    with Ledger.open(application) as ledger, FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        chain.head = 20
        assert bring(ledger, node.url).entered is not None
        assert expected(chain, 20) == held(ledger)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE token_ledger SET memo = 'x'",
        "UPDATE token_ledger SET amount = 5",
        "DELETE FROM token_ledger",
        "TRUNCATE token_ledger CASCADE",
        "ALTER TABLE token_ledger DISABLE TRIGGER ALL",
        "ALTER TABLE token_ledger DISABLE TRIGGER token_ledger_no_update",
        "DROP TRIGGER token_ledger_no_delete ON token_ledger",
        "DROP TABLE token_ledger CASCADE",
        "UPDATE earning_rules SET retired = TRUE",
        "ALTER TABLE token_ledger DROP CONSTRAINT token_ledger_check",
        "DROP FUNCTION token_ledger_refuse() CASCADE",
        "SET session_replication_role = replica",
        "UPDATE token_batches SET count = 1",
        "DELETE FROM token_batches",
        "UPDATE accounts SET address = address",
        "DELETE FROM accounts",
        "UPDATE tokens SET max_supply = 5",
        "UPDATE ledger SET operator = operator",
        "DELETE FROM token_accounts",
        "UPDATE token_accounts SET account_no = 2",
        "DELETE FROM token_supply",
        "SELECT setval('token_ledger_entry_no', 1)",
        "UPDATE token_ledger_version SET version_num = '0'",
        "ALTER TABLE token_ledger OWNER TO CURRENT_USER",
    ],
)
def test_role_cannot_rewrite_history(statement: str, application: str) -> None:
    """The role may neither change what is append-only nor switch off what refuses it."""
    with (
        Ledger.open(application) as ledger,
        pytest.raises(DatabaseError) as caught,
        ledger.write() as connection,
    ):
        connection.exec_driver_sql(statement)
    refusals = ("permission denied", "must be owner", "append-only")
    assert any(word in str(caught.value) for word in refusals)


def test_grant_wants_an_ordinary_role(postgres_url: str) -> None:
    """A missing role, the owner and a superuser are refused: they would prove nothing."""
    with Ledger.create(postgres_url, operator=b"\1" * 20) as ledger:
        owner = make_url(postgres_url).username
        for role, match in (("nobody_here", "no role"), (str(owner), "superuser")):
            with pytest.raises(UsageError, match=match), ledger.write() as connection:
                grant_application_role(connection, role)


def test_sqlite_has_no_roles(sqlite_url: str) -> None:
    """On SQLite the grant says that there are no roles."""
    with (
        Ledger.create(sqlite_url, operator=b"\1" * 20) as ledger,
        pytest.raises(UsageError, match="SQLite"),
        ledger.write() as connection,
    ):
        grant_application_role(connection, "anybody")
