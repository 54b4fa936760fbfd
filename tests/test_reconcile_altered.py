"""Reconcile: one thing altered in the mirror or in the books gives the finding of that kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books
from tests.onchain import ENTRIES, SMALL, found, sql

from token_ledger.core import findings as kinds
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.migrate import migrate
from token_ledger.reconcile import reconcile
from token_ledger.seal import seal
from token_ledger.sign import sign


@pytest.fixture
def ledger(database_url: str, tmp_path: Path, fresh_anvil: str) -> Iterator[Ledger]:
    """Yield a ledger that is migrated and imported, on each engine."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, ENTRIES)
        seal(ledger, gas_max=SMALL)
        sign(ledger, books.operator())
        migrate(ledger, fresh_anvil)
        ingest(ledger, fresh_anvil)
        yield ledger


INTO_TRANSFERS = (
    "INSERT INTO chain_transfers (contract_no, block_hash, log_index, block_number, tx_hash,"
    " tx_index, from_address, to_address, value, seq) "
)


# --- the mirror altered: the rows, the statement, the kinds that appear

TRANSFERS = [
    ("DELETE FROM chain_transfers WHERE seq = 20", [kinds.MISSING_ON_CHAIN]),
    ("DELETE FROM chain_transfers WHERE seq >= 58", [kinds.MISSING_ON_CHAIN] * 2),
    (
        "UPDATE chain_transfers SET seq = NULL WHERE seq = 20",
        [kinds.MISSING_IN_LEDGER, kinds.MISSING_ON_CHAIN],
    ),
    (
        "UPDATE chain_transfers SET seq = 999 WHERE seq = 20",
        [kinds.MISSING_IN_LEDGER, kinds.MISSING_ON_CHAIN],
    ),
    ("UPDATE chain_transfers SET value = NUM(1) WHERE seq = 20", [kinds.VALUE_DIFFERS]),
    (
        "UPDATE chain_transfers SET to_address = X'" + "ee" * 20 + "' WHERE seq = 20",
        [kinds.PARTY_DIFFERS],
    ),
    (
        "UPDATE chain_transfers SET seq = 82 - seq WHERE seq IN (40, 42)",
        [kinds.ORDER_DIFFERS] * 2,
    ),
    ("UPDATE chain_transfers SET seq = 30 WHERE seq = 29",
     [kinds.DUPLICATED, kinds.MISSING_ON_CHAIN, kinds.VALUE_DIFFERS]),
    (
        (INTO_TRANSFERS + "SELECT contract_no, block_hash, log_index + 1000,"
        " block_number, tx_hash, tx_index, from_address, to_address, value, seq"
        " FROM chain_transfers WHERE seq = 20"),
        [kinds.DUPLICATED],
    ),
    (
        (INTO_TRANSFERS + "SELECT contract_no, block_hash, log_index + 1000,"
        " block_number, tx_hash, tx_index, from_address, to_address, value, NULL"
        " FROM chain_transfers WHERE seq = 20"),
        [kinds.MISSING_IN_LEDGER],
    ),
    ("UPDATE chain_batches SET digest = X'" + "ee" * 32 + "' WHERE number = 2",
     [kinds.HEADER_DIFFERS]),
    ("UPDATE chain_batches SET count = 1 WHERE number = 2", [kinds.HEADER_DIFFERS]),
    ("DELETE FROM chain_batches WHERE number = 1", [kinds.HEADER_DIFFERS]),
    (
        ("INSERT INTO chain_batches SELECT contract_no, block_hash, log_index + 1000, block_number,"
        " tx_hash, number, digest, entries_root, first_seq, count FROM chain_batches"
        " WHERE number = 1"),
        [kinds.HEADER_DIFFERS],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "expected"), TRANSFERS)
def test_an_altered_mirror_is_found(ledger: Ledger, statement: str, expected: list[str]) -> None:
    """One row deleted, added, moved or changed gives exactly the findings of that difference."""
    sql(ledger, statement)
    result = reconcile(ledger)
    if kinds.DUPLICATED in expected and len(expected) == 3:
        # Which of the two is the further one depends on the amounts: the entry itself matches.
        assert {kinds.DUPLICATED, kinds.MISSING_ON_CHAIN} <= set(found(result))
    else:
        assert sorted(expected) == found(result)
    missing = sum(1 for kind in found(result) if kind in (
        kinds.MISSING_ON_CHAIN, kinds.VALUE_DIFFERS, kinds.PARTY_DIFFERS, kinds.ORDER_DIFFERS,
    ))  # fmt: skip
    assert (ENTRIES - missing, ENTRIES) == (result.matched, result.entries)


def test_transfers_that_move_nothing_are_no_entries(ledger: Ledger) -> None:
    """Value 0, or to oneself: in the mirror, and no finding."""
    columns = "contract_no, block_hash, log_index + {}, block_number, tx_hash, tx_index,"
    source = " FROM chain_transfers WHERE seq = 20"
    sql(
        ledger,
        INTO_TRANSFERS + "SELECT " + columns.format(1000)
        + " from_address, to_address, NUM(0), NULL" + source,
        INTO_TRANSFERS + "SELECT " + columns.format(2000)
        + " to_address, to_address, value, NULL" + source,
    )  # fmt: skip
    assert [] == found(reconcile(ledger))


# --- the books altered


@pytest.mark.parametrize(
    ("table", "statement", "expected"),
    [
        (
            "token_ledger",
            "UPDATE token_ledger SET amount = NUM(1) WHERE entry_no = 20",
            {kinds.VALUE_DIFFERS},
        ),
        (
            "token_ledger",
            (
                "UPDATE token_ledger SET to_account = (SELECT MAX(account_no) FROM accounts"
                " WHERE account_no NOT IN (from_account, to_account))"
                " WHERE entry_no = (SELECT MIN(entry_no) FROM token_ledger"
                " WHERE from_account > 0 AND to_account > 0 AND entry_no > 10)"
            ),
            {kinds.PARTY_DIFFERS},
        ),
        (
            "token_ledger",
            (
                "DELETE FROM token_ledger WHERE entry_no = (SELECT MAX(last_entry_no) FROM"
                " token_batches)"
            ),
            {kinds.MISSING_IN_LEDGER},
        ),
        (
            "token_batches",
            "UPDATE token_batches SET sealed_at = 1 WHERE number = 2",
            {kinds.HEADER_DIFFERS},
        ),
        (
            "token_batches",
            "UPDATE token_batches SET digest = X'" + "ee" * 32 + "' WHERE number = 1",
            {kinds.HEADER_DIFFERS},
        ),
        (
            None,
            "UPDATE token_accounts SET balance = NUM(1) WHERE account_no = 1",
            {kinds.ACCOUNT_DRIFT},
        ),
    ],
)
def test_altered_books_are_found(
    ledger: Ledger, table: str | None, statement: str, expected: set[str]
) -> None:
    """A row of the books that was changed or deleted behind its triggers is told by its kind."""
    sql(ledger, statement, unlock=table)
    result = reconcile(ledger)
    # An altered entry is also told by its own id or its batch's root, and by what it left.
    beside = {kinds.ACCOUNT_DRIFT, kinds.ENTRY_ALTERED, kinds.HEADER_DIFFERS, kinds.SUPPLY_DRIFT}
    assert expected == set(found(result)) - (beside - expected)
    assert table != "token_ledger" or kinds.HEADER_DIFFERS in found(result)


@pytest.mark.parametrize("gone", [5, 20, 40])
def test_an_entry_that_is_gone_is_named_and_no_other(ledger: Ledger, gone: int) -> None:
    """Entries are numbered by their rows; one that is missing does not make the next ones wrong."""
    beside = (kinds.HEADER_DIFFERS, kinds.ENTRY_ALTERED)  # the root, and the next balance
    numbers = sorted(entry.entry_no for entry in ledger.get_entries(limit=100).entries)
    sql(
        ledger,
        f"DELETE FROM token_ledger WHERE entry_no = {numbers[gone]}",
        unlock="token_ledger",
    )
    result = reconcile(ledger)
    assert (ENTRIES - 1, ENTRIES) == (result.matched, result.entries)
    told = [f for f in result.findings if f.kind not in beside]
    assert [(kinds.MISSING_IN_LEDGER, gone)] == [(f.kind, f.details["seq"]) for f in told]
    sql(ledger, f"DELETE FROM chain_transfers WHERE seq = {gone}")
    both = [f for f in reconcile(ledger).findings if f.kind not in beside]
    assert [(kinds.MISSING_IN_LEDGER, gone, None)] == [
        (f.kind, f.details["seq"], f.details["chain"]) for f in both
    ]  # fmt: skip
    sql(ledger, f"DELETE FROM chain_transfers WHERE seq = {gone + 2}")
    three = [f for f in reconcile(ledger).findings if f.kind not in beside]
    assert [(kinds.MISSING_IN_LEDGER, gone), (kinds.MISSING_ON_CHAIN, gone + 2)] == sorted(
        (f.kind, f.details["seq"]) for f in three
    )


def test_an_account_whose_last_entry_is_gone_is_not_set_right(ledger: Ledger) -> None:
    """The balance may be the right one: the sentence names both causes, and advises no change."""
    sql(
        ledger,
        "DELETE FROM token_ledger WHERE entry_no = (SELECT MAX(entry_no) FROM token_ledger)",
        unlock="token_ledger",
    )
    drifted = [f for f in reconcile(ledger).findings if f.kind == kinds.ACCOUNT_DRIFT]
    assert drifted
    assert all("last entry was deleted" in finding.message for finding in drifted)
    assert "change nothing yet" in kinds.TERMS[kinds.ACCOUNT_DRIFT].advice


def test_an_entry_between_two_batches_is_named(ledger: Ledger) -> None:
    """Another token's entry that is made this one's lies in no batch: it was never replayed."""
    ledger.create_token("OTH", "Another token", 18)
    ledger.use("OTH")
    ledger.mint("alice", 5, reason="x")
    ledger.use("TKN")
    books.fill(ledger, 10, seed=2)
    seal(ledger)
    assert [] == found(reconcile(ledger))
    sql(
        ledger,
        "UPDATE token_ledger SET token_no = 1 WHERE token_no = 2",
        unlock="token_ledger",
    )
    assert {kinds.MISSING_ON_CHAIN, kinds.ENTRY_ALTERED} <= set(found(reconcile(ledger)))


def test_what_was_altered_alike_on_both_sides_is_found(ledger: Ledger) -> None:
    """An entry and its transfer changed to the same other amount: the sealed root knows neither."""
    numbers = sorted(entry.entry_no for entry in ledger.get_entries(limit=100).entries)
    sql(
        ledger,
        f"UPDATE token_ledger SET amount = NUM(1) WHERE entry_no = {numbers[20]}",
        "UPDATE chain_transfers SET value = NUM(1) WHERE seq = 20",
        unlock="token_ledger",
    )
    result = reconcile(ledger)
    assert ENTRIES == result.matched
    assert {kinds.HEADER_DIFFERS, kinds.ENTRY_ALTERED} <= set(found(result))


def test_one_entry_too_few_and_one_transfer_too_many_are_two_findings(ledger: Ledger) -> None:
    """The totals agree, and yet the last entry is gone and another transfer is there twice."""
    sql(
        ledger,
        "DELETE FROM token_ledger WHERE entry_no = (SELECT MAX(entry_no) FROM token_ledger)",
        INTO_TRANSFERS + "SELECT contract_no, block_hash, log_index + 1000, block_number, tx_hash,"
        " tx_index, from_address, to_address, value, seq FROM chain_transfers WHERE seq = 20",
        unlock="token_ledger",
    )
    result = reconcile(ledger)
    assert ENTRIES - 1 == result.matched
    assert {kinds.MISSING_IN_LEDGER, kinds.DUPLICATED} <= set(found(result))
