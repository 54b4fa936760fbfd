"""`check`: a good ledger is clean, and every single invariant that is broken is named.

Method: a ledger that holds every kind of row is broken by one raw statement past its guards, which
are put back; the kinds of findings that come of it are exactly those expected, they name the row,
and they hold no account id and no text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books
from tests.breakages import AN_ENTRY, BROKEN, BY_THE_ENGINE
from tests.damage import blob, damage, is_sqlite, number

from token_ledger.check import check
from token_ledger.core.address import to_checksum
from token_ledger.core.strict import to_hex
from token_ledger.core.types import Finding
from token_ledger.ledger import Ledger, grant_application_role
from token_ledger.seal import seal
from token_ledger.sign import sign

PRIVATE = (*books.PEOPLE, "a private word", "escrow:")


@pytest.fixture
def full(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger with two batches, signed, and every other kind of row after them."""
    ledger = books.create(database_url, tmp_path)
    books.fill(ledger, 40)
    seal(ledger)
    books.fill(ledger, 25, seed=2)
    seal(ledger)
    sign(ledger, books.operator())
    gift = ledger.transfer("alice", "bob", 3, reason="gift", memo="a private word")
    ledger.reverse(gift.id, 1)
    held = ledger.hold("carol", 10)
    ledger.capture(held.id, 4, to="dave")
    award = ledger.mint("bob", 7, reason="award", idempotency_key="award", memo="a private word")
    ledger.redact(award.id)
    ledger.burn("bob", 2, reason="fee")
    ledger.set_rule("publish", 2)
    for _ in range(2):
        ledger.award("erin", "publish")
    ledger.create_account("frank")
    ledger.limit_overdraft("frank", 9)
    ledger.burn("frank", 5, reason="debt")
    ledger.mint("frank", 1, reason="back")
    ledger.write_off("frank", by="somebody", reason="a private word")
    yield ledger
    ledger.close()


@pytest.fixture
def small(postgres_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger of ten entries on PostgreSQL."""
    with books.create(postgres_url, tmp_path) as ledger:
        books.fill(ledger, 10)
        yield ledger


def found(ledger: Ledger) -> list[Finding]:
    """Return what `check` finds; no name, no text may be in it."""
    result = check(ledger)
    said = json.dumps(result.to_json())
    assert not any(word in said for word in PRIVATE)
    return result.findings


def kinds(ledger: Ledger) -> set[str]:
    """Return the kinds of what `check` finds."""
    return {finding.kind for finding in found(ledger)}


def test_a_good_ledger_is_clean(full: Ledger) -> None:
    """Nothing is found, every level was checked, and nothing was changed by checking."""
    full.create_token("TWO", "Second", 0)
    full.use("TWO")
    full.mint("alice", 2**256 - 1, reason="all", metadata={"a": [1, "ü"]})
    result = check(full)
    assert [] == result.findings
    assert result.clean
    assert {"ok"} == {level.status for level in result.checks}
    assert {"TKN: entries": "77 entries", "TWO: entries": "1 entry"} == {
        level.name: level.detail for level in result.checks if "entries" in level.name
    }
    assert result.to_json() == check(full).to_json()


@pytest.mark.parametrize("what", BROKEN)
def test_whatever_is_broken_is_named(what: str, full: Ledger) -> None:
    """One thing changed behind the ledger's back gives exactly the findings that follow from it."""
    expected, table, statement = BROKEN[what]
    if what == "an amount of nothing" and not is_sqlite(full):
        drop_check(full, "token_ledger", "amount >=")
        expected = {*expected, "schema_differs", "row_invalid"}
    assert damage(full, table, statement(full)) >= 1
    if what == "the order" and not is_sqlite(full):
        expected = {*expected, "sequence_behind"}
    if is_sqlite(full) and what in BY_THE_ENGINE:
        expected = {*expected, "integrity"}
    assert expected == kinds(full)


def drop_check(ledger: Ledger, table: str, part: str) -> str:
    """Drop the CHECK of PostgreSQL whose definition holds a text; return its name."""
    with ledger.engine.begin() as connection:
        name = connection.exec_driver_sql(
            "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = %s::regclass"
            " AND pg_get_constraintdef(oid) LIKE %s",
            (table, f"%{part}%"),
        ).scalar_one()
        connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    return str(name)


def test_the_first_bad_row_is_named(full: Ledger) -> None:
    """A finding says which entry, and which account by its address, and what was expected."""
    gift = full.get_statement("alice").entries[1]
    assert "gift" == gift.reason
    damage(
        full,
        "token_ledger",
        f"UPDATE token_ledger SET balance_after_to = {number(full, 10**24)} WHERE {AN_ENTRY}",
    )
    first = found(full)[0]
    assert "balance_after_differs" == first.kind
    assert (to_hex(gift.id), gift.entry_no) == (
        first.details["entry_id"],
        first.details["entry_no"],
    )
    assert to_checksum(gift.to_address) == first.details["address"]
    assert (str(10**24), str(gift.balance_after_to)) == (
        first.details["stored"],
        first.details["computed"],
    )


def test_a_batch_is_named_by_its_number(full: Ledger) -> None:
    """A finding in the sealed history says in which batch."""
    damage(full, "token_batches", "UPDATE token_batches SET sealed_at = 5 WHERE number = 2")
    (finding,) = found(full)
    assert ("TKN", 2) == (finding.details["token"], finding.details["batch"])


def test_every_guard_that_is_dropped_is_named(full: Ledger) -> None:
    """Each trigger, dropped, is a finding that says which; on PostgreSQL so is one switched off."""
    with full.read() as connection:
        if is_sqlite(full):
            query = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'"
        else:
            query = (
                "SELECT t.tgname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
                " WHERE NOT t.tgisinternal"
            )
        triggers = connection.exec_driver_sql(query).all()
    assert len(triggers) > 30
    with full.engine.begin() as connection:
        for number_, (name, table) in enumerate(triggers):
            on = "" if is_sqlite(full) else f" ON {table}"
            if number_ % 2 and not is_sqlite(full):
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
            else:
                connection.exec_driver_sql(f"DROP TRIGGER {name}{on}")
    named = {str(f.details["name"]).rpartition(".")[2] for f in found(full)}
    assert {name for name, _ in triggers} <= named
    assert {"schema_differs"} == kinds(full)


def test_a_dropped_index_is_named(full: Ledger) -> None:
    """An index that the migrations make is missed; one that an operator added is his own."""
    with full.engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX token_ledger_by_time")
        connection.exec_driver_sql("CREATE INDEX my_own ON token_ledger (memo)")
    (finding,) = found(full)
    assert ("schema_differs", "token_ledger_by_time") == (finding.kind, finding.details["name"])


def test_a_dropped_check_is_named_with_the_row_it_kept_out(small: Ledger) -> None:
    """On PostgreSQL a CHECK that is gone is missed, and the first row that breaks it is named."""
    ledger = small
    drop_check(ledger, "token_accounts", "total_staked >=")
    assert {"schema_differs"} == kinds(ledger)
    damage(ledger, "token_accounts", "UPDATE token_accounts SET total_staked = -1")
    assert {"schema_differs", "row_invalid", "figure_drift"} == kinds(ledger)
    row = next(f for f in found(ledger) if f.kind == "row_invalid")
    assert ("token_accounts", "1") == (row.details["table"], row.details["token_no"])


def test_rows_that_cannot_be_read_are_a_finding(small: Ledger) -> None:
    """NaN in an amount, let in past a dropped CHECK, is found and stops no other level."""
    ledger = small
    drop_check(ledger, "token_ledger", "(amount >=")
    damage(ledger, "token_ledger", "UPDATE token_ledger SET amount = 'NaN' WHERE entry_no = 6")
    assert {"schema_differs", "row_invalid", "row_unreadable"} == kinds(ledger)


def test_an_id_that_two_entries_bear_is_named(small: Ledger) -> None:
    """On PostgreSQL, without its UNIQUEs: an entry that is there twice is found as such."""
    ledger = small
    with ledger.engine.begin() as connection:
        for name in ("token_ledger_id_key", "token_ledger_token_no_nonce_key"):
            connection.exec_driver_sql(f"ALTER TABLE token_ledger DROP CONSTRAINT {name}")
    columns = "token_no, id, timestamp, from_account, to_account, amount, reason, reference_type,"
    columns += " reference_id, memo, metadata, idempotency_key, nonce, ref, balance_after_from,"
    columns += " balance_after_to, supply_after, created_at, redacted_at"
    copied = f"INSERT INTO token_ledger (entry_no, {columns}) SELECT 1000, {columns}"
    damage(ledger, "token_ledger", f"{copied} FROM token_ledger WHERE entry_no = 7")
    assert "entry_repeated" in kinds(ledger)


def test_a_sequence_that_fell_behind_is_named(small: Ledger) -> None:
    """On PostgreSQL a sequence that would hand out a taken number is found before it does."""
    ledger = small
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("SELECT setval('token_ledger_entry_no', 3)")
    (finding,) = found(ledger)
    assert ("sequence_behind", 10) == (finding.kind, finding.details["highest"])


def test_an_application_role_may_check(small: Ledger, tmp_path: Path) -> None:
    """A role that owns nothing proves all but the schema, and is told that this was left out."""
    with small.write() as connection:
        connection.exec_driver_sql(
            "DO $$ BEGIN CREATE ROLE checker LOGIN;"
            " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        grant_application_role(connection, "checker")
    url = small.engine.url.set(username="checker").render_as_string()
    with Ledger.open(url, secret_file=tmp_path / "secret") as mine:
        result = check(mine)
    assert result.clean
    assert {"schema"} == {level.name for level in result.checks if level.status == "not checked"}


def test_signatures_of_contracts_are_counted_apart(full: Ledger) -> None:
    """What only a chain can judge is no finding, once the signer is said to be a contract."""
    signer = b"\x5a" * 20
    with full.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO batch_signatures (token_no, number, signer, signature, signed_at)"
            f" SELECT token_no, number, {blob(full, signer)}, signature, signed_at"
            " FROM batch_signatures"
        )
    assert {"signature_differs"} == kinds(full)
    result = check(full, contract_signers=[signer])
    assert result.clean
    assert "4 signatures, 2 of contracts not checked" == result.checks[-1].detail
