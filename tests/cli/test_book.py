"""Accounts, postings and questions, through the command, on both engines."""

from __future__ import annotations

import pytest

MINTED = {
    "id",
    "entry_no",
    "timestamp",
    "from",
    "to",
    "amount",
    "value",
    "balance_after_from",
    "balance_after_to",
    "supply_after",
    "idempotency_key",
    "repeated",
}


@pytest.fixture
def books(run, database_url: str):
    """Return `run` on a ledger of either engine, with one token of two decimals."""

    def call(*words: object):
        return run("--db", database_url, *words)

    ended = call("init", "--symbol", "TKN", "--name", "Token", "--decimals", "2")
    assert 0 == ended.status, ended.err
    call("account", "create", "alice", "--initial", "100")
    call("account", "create", "bob")
    return call


def test_postings_and_questions_agree(books) -> None:
    """Mint, transfer and burn move what they say; balance, supply and statement agree."""
    minted = books("mint", "bob", "50.50", "--reason", "award", "--json").document
    assert set(minted) == MINTED
    assert ("system", "bob", "50.5", "5050", None, "50.5", "150.5", False) == tuple(
        minted[name]
        for name in (
            "from",
            "to",
            "amount",
            "value",
            "balance_after_from",
            "balance_after_to",
            "supply_after",
            "repeated",
        )
    )
    moved = books("transfer", "alice", "bob", "0.01", "--reason", "tip", "--json").document
    assert ("99.99", "50.51", None) == tuple(
        moved[name] for name in ("balance_after_from", "balance_after_to", "supply_after")
    )
    burned = books("burn", "bob", "0.51", "--reason", "fee", "--json").document
    assert ("50", None, "149.99") == tuple(
        burned[name] for name in ("balance_after_from", "balance_after_to", "supply_after")
    )
    assert {"account_id": "bob", "token": "TKN", "amount": "50", "value": "5000"} == books(
        "balance", "bob", "--json"
    ).document
    supply = books("supply", "--json").document
    assert ("149.99", "150.5", "0.51") == tuple(
        supply[name] for name in ("amount", "total_minted", "total_burned")
    )
    entries = books("statement", "bob", "--json").document["entries"]
    assert ["50", "50.51", "50.5"] == [entry["balance_after"] for entry in entries]


def test_people_see_tables(books) -> None:
    """Without --json a person sees names, amounts and columns, plain when piped."""
    assert "TKN" in books("mint", "bob", "1", "--reason", "x").out
    assert "100 TKN\n" == books("balance", "alice").out
    lines = books("statement", "alice").out.splitlines()
    assert ["time", "amount", "balance", "with", "reason", "id"] == lines[0].split()
    assert ["+100", "100", "system", "endow"] == lines[1].split()[1:5]
    assert "alice" in books("account", "list").out
    assert "derived" in books("account", "show", "alice").out
    assert "supply" in books("supply").out


def test_everything_said_of_an_entry_is_kept(books) -> None:
    """Reference, memo, metadata, key and timestamp come back from `entry show`."""
    posted = books(
        *("mint", "alice", "1", "--reason", "award", "--key", "k1", "--ref", "paper:42:b"),
        *("--memo", "thanks", "--metadata", '{"b": 1, "a": [true, null]}'),
        *("--timestamp", "2020-02-29T12:00:00+02:00", "--json"),
    ).document
    shown = books("entry", "show", posted["id"], "--json").document
    expected = {
        "reason": "award",
        "reference_type": "paper",
        "reference_id": "42:b",
        "memo": "thanks",
        "metadata": {"a": [True, None], "b": 1},
        "idempotency_key": "k1",
        "timestamp": "2020-02-29T10:00:00Z",
        "redacted": False,
    }
    assert expected == {name: shown[name] for name in expected}
    assert "paper" in books("entry", "show", posted["id"]).out


def test_a_repeat_returns_the_first_result(books) -> None:
    """The same request with the same key posts once; another request with it is refused."""
    words = ("transfer", "alice", "bob", "1", "--reason", "x", "--key", "k", "--json")
    first, second = books(*words).document, books(*words).document
    assert (False, True) == (first.pop("repeated"), second.pop("repeated"))
    assert first == second
    ended = books("transfer", "alice", "bob", "2", "--reason", "x", "--key", "k", "--json")
    assert (1, "key_conflict") == (ended.status, ended.error["code"])


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("mint", "alice", "-5", "--reason", "x"), 1, "amount_out_of_range"),
        (("mint", "alice", "--reason", "x", "-.5"), 2, "bad_amount"),
        (("mint", "alice", "0", "--reason", "x"), 1, "amount_out_of_range"),
        (("mint", "alice", "1.001", "--reason", "x"), 2, "bad_amount"),
        (("mint", "alice", "1e2", "--reason", "x"), 2, "bad_amount"),
        (("mint", "alice", "NaN", "--reason", "x"), 2, "bad_amount"),
        (("mint", "alice", "1,000", "--reason", "x"), 2, "bad_amount"),
        (("mint", "alice", str(2**256), "--reason", "x"), 1, "amount_out_of_range"),
        (("mint", "nobody", "1", "--reason", "x"), 1, "unknown_account"),
        (("mint", "system", "1", "--reason", "x"), 1, "system_account"),
        (("mint", "alice", "1"), 2, "bad_usage"),
        (("mint", "alice", "1", "--reason", "x", "--ref", "paper"), 2, "bad_usage"),
        (("mint", "alice", "1", "--reason", "x", "--metadata", "{"), 2, "bad_metadata"),
        (("mint", "alice", "1", "--reason", "x", "--metadata", '{"a":1,"a":2}'), 2, "bad_metadata"),
        (("mint", "alice", "1", "--reason", "x", "--timestamp", "2020-01-01"), 2, "bad_timestamp"),
        (("mint", "alice", "1", "--reason", "x", "--key", ""), 2, "bad_text"),
        (("transfer", "alice", "alice", "1", "--reason", "x"), 1, "self_transfer"),
        (("transfer", "alice", "bob", "100.01", "--reason", "x"), 1, "insufficient_balance"),
        (("burn", "bob", "1", "--reason", "x"), 1, "insufficient_balance"),
        (("account", "create", "alice"), 1, "account_exists"),
        (("account", "create", "c", "--address", "0x12"), 2, "bad_address"),
        (("account", "create", " c"), 2, "bad_text"),
        (("account", "show", "nobody"), 1, "unknown_account"),
        (("statement", "nobody"), 1, "unknown_account"),
        (("statement", "alice", "--limit", "0"), 2, "bad_usage"),
        (("statement", "alice", "--limit", "-5"), 2, "bad_usage"),
        (("statement", "alice", "--cursor", "nonsense"), 2, "bad_usage"),
        (("statement", "alice", "--since", "yesterday"), 2, "bad_timestamp"),
        (("account", "list", "--cursor", "nonsense"), 2, "bad_usage"),
        (("entry", "show", "0x12"), 2, "bad_usage"),
        (("entry", "show", "0x" + "00" * 32), 1, "unknown_entry"),
        (("--token", "NONE", "supply"), 1, "unknown_token"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(book, words, status: int, code: str) -> None:
    """Each bad input gives its own error as one JSON document, and the books stay as they were."""
    book("account", "create", "bob")
    ended = book(*words, "--json")
    assert (status, code, "") == (ended.status, ended.error["code"], ended.err)
    assert "100" == book("supply", "--json").document["amount"]
    assert (status, "") == (book(*words).status, book(*words).out)


def test_an_empty_balance_is_zero_and_a_missing_one_an_error(books) -> None:
    """The balance of an empty account is 0; that of an account that does not exist is refused."""
    assert "0 TKN\n" == books("balance", "bob").out
    ended = books("balance", "nobody", "--json")
    assert (1, "unknown_account") == (ended.status, ended.document["error"]["code"])


def test_applications_words_post_too(books) -> None:
    """Credit makes a missing account, spend and debit pay, seed endows, history pages."""
    why = ("--reason", "x", "--json")
    assert "7" == books("credit", "dora", "7", "--create-account", *why).document["amount"]
    assert "2" == books("spend", "dora", "2", "--to", "bob", *why).document["balance_after_to"]
    assert "4" == books("debit", "dora", "1", *why).document["balance_after_from"]
    assert [2, 0] == [books("seed", "10", "--json").document["seeded"] for _ in range(2)]
    page = books("history", "dora", "--limit", "2", "--offset", "1", "--json").document
    assert ["1", "2"] == [entry["amount"] for entry in page["entries"]]


def test_pages_join_without_gap_or_repetition(books) -> None:
    """Following the cursors of statement and account list shows each row exactly once."""
    for i in range(7):
        books("mint", "bob", i + 1, "--reason", "x")
        books("account", "create", f"account-{i}")
    for words, rows, name in (
        (("statement", "bob"), "entries", "amount"),
        (("account", "list"), "accounts", "account_id"),
    ):
        whole = [row[name] for row in books(*words, "--json").document[rows]]
        pages: list[str] = []
        cursor: tuple[str, ...] = ()
        while True:
            page = books(*words, "--limit", "3", *cursor, "--json").document
            pages += [row[name] for row in page[rows]]
            if page["cursor"] is None:
                break
            cursor = ("--cursor", page["cursor"])
        assert whole == pages
    assert "more: --cursor" in books("statement", "bob", "--limit", "3").out


def test_a_registered_address_is_kept(books) -> None:
    """An account can be registered at an address, which no other account may have."""
    address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    made = books("account", "create", "carol", "--address", address, "--json").document
    assert (address, False) == (made["address"], made["derived"])
    assert 1 == books("account", "create", "dave", "--address", address).status


def test_reversal_and_limits(books) -> None:
    """Reverse sends back once; limits, freezing and closing refuse with their own codes."""
    why = ("--reason", "x", "--json")
    paid = books("transfer", "alice", "bob", "9", *why).document["id"]
    assert "4" == books("reverse", paid, "4", "--json").document["amount"]
    assert "reversal" == books("reverse", paid, "--json").document["error"]["code"]
    assert 0 == books("limit", "balance", "50").status
    assert 0 == books("limit", "balance", "none", "--account", "bob").status
    code = books("transfer", "alice", "bob", "46", *why).document["error"]["code"]
    assert "balance_limit" == code
    assert 0 == books("limit", "spending", "alice", "1", "--per", "day").status
    assert "spend_limit" == books("burn", "alice", "2", *why).document["error"]["code"]
    assert 0 == books("limit", "spending", "alice", "none").status
    assert 2 == books("limit", "spending", "alice", "1").status
    assert books("account", "freeze", "alice", "--json").document["frozen"]
    assert "account_frozen" == books("burn", "alice", "2", *why).document["error"]["code"]
    assert not books("account", "unfreeze", "alice", "--json").document["frozen"]
    assert "account_closed" == books("account", "close", "bob", "--json").document["error"]["code"]


def test_overdrafts(books) -> None:
    """A limit lets an account go below zero; debtors are listed, written off, and remembered."""
    why = ("--reason", "x", "--json")
    held = int(books("balance", "bob", "--json").document["amount"])
    assert 0 == books("limit", "overdraft", "bob", "10").status
    assert "-4" == books("burn", "bob", str(held + 4), *why).document["balance_after_from"]
    assert "-4" == books("balance", "bob", "--json").document["amount"]
    assert "insufficient_balance" == books("burn", "bob", "7", *why).document["error"]["code"]
    assert "4" == books("supply", "--json").document["credit"]
    (debtor,) = books("overdraft", "list", "--json").document["debtors"]
    assert {"account_id": "bob", "debt": "4", "overdraft_max": "10"} == debtor
    assert "bob" in books("overdraft", "list").out
    assert "owes" in books("account", "show", "bob").out
    words = ("overdraft", "write-off", "bob", "--by", "me", "--reason", "gone", "--json")
    assert "4" == books(*words).document["amount"]
    assert "overdraft" == books(*words).document["error"]["code"]
    (gone,) = books("overdraft", "list", "--written-off", "--json").document["write_offs"]
    assert ("me", "gone") == (gone["by"], gone["reason"])
    assert "gone" in books("overdraft", "list", "--written-off").out
    assert 0 == books("limit", "overdraft", "bob", "none").status


def test_holds_are_kept_captured_and_released(books) -> None:
    """Hold, capture and release by id; the list holds what has not ended; expire finds none."""
    held = books("hold", "alice", "9", "--key", "h", "--json").document["id"]
    won = books("capture", held, "4", "--to", "bob", "--memo", "won", "--json").document
    assert "4" == won["amount"]
    (paid,) = books("statement", "bob", "--json").document["entries"]
    assert "won" == paid["memo"]
    (listed,) = books("holds", "list", "--json").document["holds"]
    assert ("alice", "5", "4", False) == tuple(
        listed[name] for name in ("account_id", "remaining", "captured", "ended")
    )
    assert 0 == books("holds", "list", "--account", "alice").status
    assert "5" == books("release", held, "--memo", "rest", "--json").document["amount"]
    memos = [e["memo"] for e in books("statement", "alice", "--json").document["entries"]]
    assert "rest" in memos
    assert books("holds", "show", held, "--json").document["ended"]
    assert 0 == books("holds", "show", held).status
    assert {"expired": 0} == books("holds", "expire", "--json").document
    assert "hold" == books("release", held, "--json").document["error"]["code"]


def test_balance_as_of_an_entry_or_a_time(book) -> None:
    """`balance --at-entry` and `--at-time` tell what was, and that it rests on back-dated words."""
    book("account", "create", "bob")
    first = book("transfer", "alice", "bob", "30", "--reason", "x", "--json").document
    late = ("--timestamp", "2020-01-01T00:00:00Z")
    book("transfer", "alice", "bob", "30", "--reason", "x", *late)
    for entry in (first["id"], first["entry_no"]):
        assert "70 TKN\n" == book("balance", "alice", "--at-entry", entry).out
    assert "40 TKN\n" == book("balance", "alice").out
    then = ("--at-time", "2020-06-01T00:00:00Z")
    found = book("balance", "alice", *then, "--json").document
    assert ("-30", True, True) == (found["amount"], found["negative"], found["back_dated"])
    assert "back-dated entries are in it, and below zero" in book("balance", "alice", *then).out
    both = book("balance", "alice", "--at-entry", "1", *then, "--json")
    assert "bad_usage" == both.error["code"]
    assert 1 == book("balance", "nobody", "--at-entry", "1").status
    assert (
        "unknown_entry"
        == book("balance", "alice", "--at-entry", "0x" + "12" * 32, "--json").error["code"]
    )


def test_statements_and_entries_by_filter(book) -> None:
    """`statement` and `entries` choose by reason, reference, counterparty, direction and time."""
    book("account", "create", "bob")
    book("transfer", "alice", "bob", "1", "--reason", "earn:cite", "--ref", "paper:1")
    book("transfer", "bob", "alice", "0.5", "--reason", "earn:remix", "--ref", "paper:2")
    book("mint", "bob", "7", "--reason", "x", "--timestamp", "2020-01-01T00:00:00Z")

    def amounts(*words: str) -> list[str]:
        ended = book(*words, "--json")
        assert 0 == ended.status, ended.out
        return [entry["amount"] for entry in ended.document["entries"]]

    assert ["7", "0.5", "1", "100"] == amounts("entries")
    assert ["0.5", "1"] == amounts("entries", "--reason-prefix", "earn:")
    assert ["1"] == amounts("entries", "--ref", "paper:1")
    assert ["7"] == amounts("entries", "--until", "2021-01-01T00:00:00Z")
    assert ["1"] == amounts("statement", "bob", "--direction", "in", "--with", "alice")
    assert ["0.5"] == amounts("statement", "bob", "--direction", "out")
    assert ["7"] == amounts("statement", "bob", "--with", "system")
    assert ["0.5", "1"] == amounts("statement", "bob", "--ref", "paper")
    assert ["1"] == amounts("statement", "bob", "--reason", "earn:cite")
    assert "earn:remix" in book("entries", "--limit", "2").out
    assert "more: --cursor" in book("entries", "--limit", "2").out


def test_stats_say_what_moved(book) -> None:
    """`stats` shows the parts of the supply, the velocity of a period, holders and reasons."""
    book("account", "create", "bob")
    words = ("--reason", "tip", "--timestamp", "2026-01-05T10:00:00Z")
    book("transfer", "alice", "bob", "25", *words)
    book("hold", "alice", "5")
    period = ("--since", "2026-01-01", "--until", "2026-02-01")
    document = book("stats", *period, "--json").document
    assert ("100", "5", "95") == tuple(
        document[name] for name in ("total_supply", "staked", "circulating")
    )
    assert ("25", "0.250000") == (
        document["velocity"]["moved"],
        document["velocity"]["velocity"],
    )
    spread = document["distribution"]
    assert (2, "0.250000") == (spread["holders"], spread["gini"])
    assert [{"account_id": "alice", "amount": "75"}] == book(
        "stats", "--top", "1", "--json"
    ).document["distribution"]["top"]
    assert {"endow", "tip", "hold"} == {figure["reason"] for figure in document["reasons"]}
    shown = book("stats", *period).out
    assert "velocity" in shown
    assert "0.250000" in shown
    assert "bad_usage" == book("stats", "--since", "soon", "--json").error["code"]


def test_an_account_shows_its_limits_and_what_it_staked(books) -> None:
    """Made again with --exist-ok it is the same; limits and holds stand in it."""
    assert 1 == books("account", "create", "bob").status
    again = books("account", "create", "bob", "--initial", "7", "--exist-ok", "--json").document
    assert ("bob", "7") == (again["account_id"], again["balance"])
    books("limit", "balance", "200", "--account", "bob")
    books("limit", "spending", "bob", "50", "--per", "day")
    books("hold", "bob", "3")
    shown = books("account", "show", "bob", "--json").document
    assert ("200", "50", 86400, "3") == tuple(
        shown[name] for name in ("balance_max", "spend_max", "spend_period_s", "total_staked")
    )
    lines = books("account", "show", "bob").out.splitlines()
    assert ["staked", "may hold", "may spend"] == [
        name for name in ("staked", "may hold", "may spend") for line in lines if name in line
    ]
