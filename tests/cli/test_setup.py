"""init, upgrade, status, demo."""

from __future__ import annotations

import json
import sqlite3
import stat
from pathlib import Path

import pytest

from token_ledger.ledger.engine import creating

OPERATOR = "0x" + "11" * 20
INIT = ("init", "--symbol", "TKN", "--name", "Token", "--decimals", "2")


def test_init_makes_ledger_token_and_key(run, tmp_path: Path) -> None:
    """Init makes the database, the token, and the operator's key in two files of mode 0600."""
    document = run(*INIT, "--json").document
    assert {
        "ledger_uid",
        "operator",
        "token",
        "keystore",
        "password_file",
    } == set(document)
    assert {"symbol", "name", "decimals", "uid", "max_supply"} == set(document["token"])
    keystore, password = tmp_path / document["keystore"], tmp_path / document["password_file"]
    for path in (keystore, password):
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    address = json.loads(keystore.read_text())["address"]
    assert document["operator"].lower() == f"0x{address.lower().removeprefix('0x')}"
    assert 0 == run("account", "create", "alice", "--initial", "1.5").status


def test_init_says_what_to_do_with_the_key(run) -> None:
    """A person who runs init is told where the key is and what to do before real value."""
    out = run(*INIT).out
    assert "token_ledger.db.operator.json" in out
    assert "token_ledger.db.operator.password" in out
    assert "Before the ledger holds anything of value" in out


def test_init_works_on_both_engines(run, database_url: str, tmp_path: Path) -> None:
    """Init makes a ledger on SQLite and PostgreSQL; its key lies beside the database, or here."""
    document = run("--db", database_url, *INIT, "--json").document
    assert tmp_path / document["keystore"]
    assert (tmp_path / document["keystore"]).exists()
    assert 0 == run("--db", database_url, "supply").status


@pytest.mark.parametrize("words", [(), ("--operator", OPERATOR)])
def test_init_twice_is_refused_without_harm(run, tmp_path: Path, words) -> None:
    """A second init is refused clearly and changes no file."""
    assert 0 == run(*INIT, *words).status
    run("account", "create", "alice", "--initial", "5")
    keys = {path.name: path.read_bytes() for path in tmp_path.glob("*.operator.*")}
    ended = run(*INIT, *words, "--json")
    assert 2 == ended.status
    assert "the database holds a ledger already" == ended.error["message"]
    assert keys == {path.name: path.read_bytes() for path in tmp_path.glob("*.operator.*")}
    assert "5" == run("supply", "--json").document["amount"]


def test_init_never_overwrites_a_key(run, tmp_path: Path) -> None:
    """A key file without its ledger is refused too: it may be the only copy."""
    (tmp_path / "token_ledger.db.operator.password").write_text("old")
    ended = run(*INIT, "--json")
    assert (2, "signing_key") == (ended.status, ended.error["code"])
    assert "old" == (tmp_path / "token_ledger.db.operator.password").read_text()
    assert [] == list(tmp_path.glob("*.db"))


@pytest.mark.parametrize("words", [(), ("--operator", OPERATOR)])
def test_a_failed_init_leaves_nothing_behind(run, tmp_path: Path, words) -> None:
    """An init that is refused takes back the files that it made, and no others."""
    terms = ("init", "--symbol", "TKN", "--name", "Token", "--decimals", "99", *words)
    assert 2 == run(*terms, "--db", "sqlite:///z.db").status
    assert [] == list(tmp_path.iterdir())
    (tmp_path / "z.db").touch()
    assert 2 == run(*terms, "--db", "sqlite:///z.db").status
    assert ["z.db"] == [path.name for path in tmp_path.iterdir() if "z.db-" not in path.name]


def test_a_file_in_which_others_wrote_is_not_taken_back(tmp_path: Path) -> None:
    """A database that somebody filled while ours failed stays as it is."""
    url, path = f"sqlite:///{tmp_path / 'z.db'}", tmp_path / "z.db"

    def fill_and_fail() -> None:
        with creating(url):
            connection = sqlite3.connect(path)
            connection.execute("CREATE TABLE theirs (x)")
            connection.close()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fill_and_fail()
    assert path.exists()


@pytest.mark.parametrize("words", [(), ("--operator", OPERATOR)])
def test_init_in_no_directory_names_it(run, tmp_path: Path, words) -> None:
    """A database in a directory that is not there: the message names that directory."""
    ended = run(*INIT, *words, "--db", f"sqlite:///{tmp_path}/none/x.db", "--json")
    assert 2 == ended.status
    assert f"{tmp_path}/none" in ended.error["message"]
    assert "password" not in ended.error["message"]
    assert ended.error["hint"]


@pytest.mark.parametrize("maximum", ["-1", "0", "1" + "0" * 80])
def test_a_maximum_out_of_range_is_wrong_usage(run, tmp_path: Path, maximum: str) -> None:
    """A ceiling that no token can have is wrong usage, in words about the supply."""
    ended = run(*INIT, "--max-supply", maximum, "--json")
    assert (2, "bad_usage") == (ended.status, ended.error["code"])
    assert "maximum supply" in ended.error["message"]
    assert [] == list(tmp_path.iterdir())


def test_init_takes_an_operator(run, tmp_path: Path) -> None:
    """With --operator no key is made, and every derived address depends on it."""
    uid = "ab" * 32
    document = run(*INIT, "--operator", OPERATOR, "--ledger-uid", uid, "--json").document
    assert document["operator"].lower() == OPERATOR
    assert document["ledger_uid"] == f"0x{uid}"
    assert (None, None) == (document["keystore"], document["password_file"])
    assert [] == list(tmp_path.glob("*.operator.*"))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"--symbol": "S" * 32}, "bad_text"),
        ({"--name": "é" * 16}, "bad_text"),
        ({"--symbol": ""}, "bad_text"),
        ({"--decimals": "78"}, "bad_usage"),
        ({"--decimals": "-1"}, "bad_usage"),
        ({"--max-supply": "1.234"}, "bad_amount"),
        ({"--max-supply": "0"}, "bad_usage"),
        ({"--operator": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD1"}, "bad_address"),
        ({"--operator": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD"}, "bad_address"),
        ({"--operator": "0x" + "00" * 20}, "bad_address"),
        ({"--ledger-uid": "12"}, "bad_usage"),
    ],
)
def test_init_refuses_bad_terms_and_makes_nothing(run, tmp_path: Path, changes, code) -> None:
    """Terms that no token can have are refused; neither a ledger nor a key is left behind."""
    words = {"--symbol": "TKN", "--name": "Token", "--decimals": "2", **changes}
    ended = run("init", *[word for pair in words.items() for word in pair], "--json")
    assert code == ended.error["code"]
    assert [] == list(tmp_path.glob("*.operator.*"))
    assert 0 == run(*INIT).status


def test_a_secret_file_keeps_the_secret_out_of_the_database(run, tmp_path: Path) -> None:
    """With --secret-file the database alone opens nothing, and the file is needed afterwards."""
    assert 0 == run(*INIT, "--secret-file", "secret").status
    assert 0o600 == stat.S_IMODE((tmp_path / "secret").stat().st_mode)
    secret = bytes.fromhex((tmp_path / "secret").read_text().strip().removeprefix("0x"))
    assert secret not in (tmp_path / "token_ledger.db").read_bytes()
    assert 2 == run("supply").status
    assert 0 == run("supply", "--secret-file", "secret").status
    assert 0 == run("--secret-file", "secret", "supply").status


def test_without_a_ledger_the_way_out_is_named(run) -> None:
    """A command on no database says to run init."""
    ended = run("supply", "--json")
    assert (2, "database") == (ended.status, ended.error["code"])
    assert "init" in ended.error["hint"]


def test_a_foreign_file_is_no_database(run, tmp_path: Path) -> None:
    """A file that is no database, and a database that is no ledger, are each refused clearly."""
    (tmp_path / "token_ledger.db").write_text("hello " * 1000)
    assert 2 == run("supply").status
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    ended = run("--db", "sqlite:///other.db", "supply", "--json")
    assert (2, "schema_version") == (ended.status, ended.error["code"])


def test_upgrade_leaves_a_current_database_alone(book) -> None:
    """Upgrade names the schema's version and changes nothing where there is nothing to do."""
    first = book("upgrade", "--json").document
    assert {"schema"} == set(first)
    assert first == book("upgrade", "--json").document
    assert "100" == book("supply", "--json").document["amount"]


def test_status_counts_what_waits(book) -> None:
    """Status counts what is unsealed, unsigned and unreplayed, and knows of no drift."""
    document = book("status", "--json").document
    assert (1, 1, 0, 0) == tuple(
        document[name] for name in ("entries", "unsealed", "batches", "unsigned")
    )
    book("seal")
    document = book("status", "--json").document
    assert (0, 1, 1, 1) == tuple(
        document[name] for name in ("unsealed", "batches", "unsigned", "unreplayed")
    )
    assert ("100", "0") == (document["total_supply"], document["drift"])
    assert "not signed" in book("status").out


def test_demo_runs_the_whole_path(run, tmp_path: Path) -> None:
    """Demo ends good, tells every step, and leaves its files where it was told."""
    ended = run("demo", "--dir", "demo")
    assert (0, "") == (ended.status, ended.err)
    for word in ("init", "load", "seal --sign", "export", "migrate", "import", "reconcile"):
        assert f"$ token-ledger {word}" in ended.out
    assert 2 == ended.out.count("CAUGHT: ")
    assert (tmp_path / "demo" / "proof.json").is_file()
    again = run("demo", "--dir", "demo", "--json")
    assert (2, "bad_usage") == (again.status, again.error["code"])
