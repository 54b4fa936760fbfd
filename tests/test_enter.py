"""Import into the books: final transfers of a token that lives on a chain become entries, once.

Method: a token made of logs (one of them real, from its first transfer to its last) behind a node
that a test plays; what the books hold is compared with naive sums over the logs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from tests import books
from tests.chain.fake_node import FakeNode
from tests.chain.living import (
    NOBODY,
    TOKEN,
    LivingToken,
    log,
    real_history,
    sums,
)
from tests.entered import A, B, C, bring, entries, expected, held, life, take_in
from tests.onchain import count, found

from token_ledger.core import findings as kinds
from token_ledger.core.address import to_checksum
from token_ledger.errors import ChainError, UsageError
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, homes, imports
from token_ledger.ledger.mirror_schema import token_imports
from token_ledger.reconcile import reconcile


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger with a token of its own, beside which others are taken in."""
    with books.create(database_url, tmp_path) as ledger:
        yield ledger


# --- the whole life of a token


def test_the_full_life_of_a_real_token_loads(ledger: Ledger, shared_data: Path) -> None:
    """104 transfers of a real ERC-20: every balance, and the supply, is the naive sum.

    93 of them move something and become entries, dated and named as the chain has them.
    """
    logs = real_history(shared_data)
    chain = LivingToken(logs, head=int(logs[-1]["blockNumber"], 16) + 5)
    with FakeNode(chain) as node:
        take_in(ledger, node.url, from_block=int(logs[0]["blockNumber"], 16))
        done = bring(ledger, node.url)
    assert done.entered is not None
    assert (104, 93, 11, 0, 0) == (
        done.transfers, done.entered.entries, done.entered.unmoved, done.entered.waiting,
        done.entered.broken,
    )  # fmt: skip
    moved = [item for item in logs if int(item["data"], 16)]
    sides = {side for item in moved for side in item["topics"][1:]} - {"0x" + "00" * 32}
    assert len(sides) == done.entered.accounts
    assert expected(chain, chain.head) == held(ledger)
    assert -sums(logs, chain.head)[NOBODY] == ledger.get_supply().total_supply
    first = entries(ledger)[0]
    assert ("chain:mint", "tx", f"{logs[0]['transactionHash']}:0") == (
        first.reason, first.reference_type, first.reference_id,
    )  # fmt: skip
    block = int(logs[0]["blockNumber"], 16)
    assert (1_600_000_000 + 12 * block) * 1_000_000 == first.timestamp


def test_what_an_entry_says(ledger: Ledger) -> None:
    """Mint, burn and transfer are told apart; new addresses become accounts of their own text."""
    with FakeNode(LivingToken(life(), head=20)) as node:
        take_in(ledger, node.url)
        done = bring(ledger, node.url)
    assert done.entered is not None
    assert (7, 3, 3) == (done.entered.entries, done.entered.accounts, done.entered.unmoved)
    assert [
        *("chain:mint", "chain:transfer", "chain:transfer", "chain:burn"),
        *("chain:mint", "chain:transfer", "chain:transfer"),
    ] == [entry.reason for entry in entries(ledger)]
    account = ledger.get_account(to_checksum(A))
    assert (A, False) == (account.address, account.derived)


def test_a_second_import_adds_nothing(ledger: Ledger) -> None:
    """Each log is one entry, however often it is imported, and each entry is one log."""
    with FakeNode(LivingToken(life(), head=20)) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        before = entries(ledger)
        again = bring(ledger, node.url)
    assert again.entered is not None
    assert (0, 0) == (again.entered.entries, again.entered.accounts)
    assert before == entries(ledger)
    assert len(before) == count(ledger, token_imports)


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_runs_of_any_size_give_the_same_books(
    ledger: Ledger, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut into runs of any size, blocks stay whole and the entries are the same."""
    monkeypatch.setattr(imports, "RUN_TRANSFERS", limit)
    logs = [log(block, i, NOBODY, bytes([i + 1]) * 20, 5) for block in (3, 4, 7) for i in range(4)]
    with FakeNode(LivingToken(logs, head=20)) as node:
        take_in(ledger, node.url)
        done = bring(ledger, node.url)
    assert done.entered is not None
    assert 12 == done.entered.entries == len(entries(ledger))
    with ledger.read() as connection:
        links = connection.execute(select(token_imports).order_by(token_imports.c.entry_no)).all()
    assert [(b, i) for b in (3, 4, 7) for i in range(4)] == [
        (link.block_number, link.log_index) for link in links
    ]


def test_only_what_is_final_becomes_an_entry(ledger: Ledger) -> None:
    """The mirror goes to the head, the books to the final block; the rest waits, and is counted."""
    chain = LivingToken(life(), head=12, depth=4)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        done = bring(ledger, node.url)
        assert done.entered is not None
        assert (10, 3, 4, 9) == (
            done.transfers, done.entered.entries, done.entered.waiting, done.entered.next_block,
        )  # fmt: skip
        assert expected(chain, 8) == held(ledger)
        chain.head = 16
        done = bring(ledger, node.url)
    assert done.entered is not None
    assert (4, 0) == (done.entered.entries, done.entered.waiting)
    assert expected(chain, 12) == held(ledger)


def test_without_finality_the_confirmations_decide(ledger: Ledger) -> None:
    """On a chain that calls no block finalized, entries wait for the depth that was asked for."""
    chain = LivingToken(life(), head=12)
    with FakeNode(lambda m, p: None if p[:1] == ["finalized"] else chain(m, p)) as node:
        take_in(ledger, node.url)
        waiting = bring(ledger, node.url).entered
        assert waiting is not None
        assert (10, 0) == (len(life()), waiting.entries)
        ingest(ledger, node.url, contract=TOKEN, confirmations=6)
        assert expected(chain, 12 - 6) == held(ledger)
        with pytest.raises(UsageError, match="0 confirmations"):
            ingest(ledger, node.url, contract=TOKEN, confirmations=0)


def test_a_reorganisation_above_the_final_block_changes_no_entry(ledger: Ledger) -> None:
    """What was not final is taken back in the mirror alone; what replaces it becomes entries."""
    chain = LivingToken(life(), head=12, depth=4)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        before = entries(ledger)
        chain.logs = [*(item for item in chain.logs if int(item["blockNumber"], 16) <= 8)]
        for number in range(9, 30):
            chain.hashes[number] = f"0x{number:064x}"
        chain.logs.append(log(10, 0, C, B, 1) | {"blockHash": chain.hash(10)})
        chain.head = 20
        done = bring(ledger, node.url)
    assert (4, before) == (done.orphaned, entries(ledger)[: len(before)])
    assert done.entered is not None
    assert 1 == done.entered.entries
    assert expected(chain, 20) == held(ledger)


def test_a_chain_that_takes_final_blocks_back_is_not_followed(ledger: Ledger) -> None:
    """Entries are for ever: where a node denies a final block, the import stops, all unchanged."""
    chain = LivingToken(life(), head=12, depth=4)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        before = entries(ledger)
        for number in range(7, 30):
            chain.hashes[number] = f"0x{number:064x}"
        chain.logs = [item for item in chain.logs if int(item["blockNumber"], 16) <= 6]
        with pytest.raises(ChainError, match="took back its blocks above 6"):
            bring(ledger, node.url)
    assert before == entries(ledger)


# --- accounts that are there


def test_accounts_at_known_addresses_are_used(ledger: Ledger) -> None:
    """Registered addresses and vaults are the accounts that they were before."""
    ledger.create_account("ann", address=A)
    vault = ledger.create_account("ben").address
    with FakeNode(LivingToken([log(3, 0, NOBODY, A, 9), log(4, 0, A, vault, 4)], head=9)) as node:
        take_in(ledger, node.url)
        done = bring(ledger, node.url)
    assert done.entered is not None
    assert 0 == done.entered.accounts
    assert (5, 4) == (ledger.get_balance("ann"), ledger.get_balance("ben"))


def test_an_id_that_is_taken_is_passed_by(ledger: Ledger) -> None:
    """Where an account of another address has the text as its id, a prefix tells the new one."""
    ledger.create_account(to_checksum(A))
    ledger.create_account("chain:" + to_checksum(A))
    with FakeNode(LivingToken([log(3, 0, NOBODY, A, 9)], head=9)) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
    assert 0 == ledger.get_balance(to_checksum(A))
    assert A == ledger.get_account("chain:chain:" + to_checksum(A)).address


# --- rules of the ledger


def breaks_nothing(ledger: Ledger) -> None:
    """Set no rule."""


def freezes(ledger: Ledger) -> None:
    """Freeze the sender."""
    ledger.freeze_account("ann")


def closes(ledger: Ledger) -> None:
    """Close the payee."""
    ledger.close_account("bob")


def caps(ledger: Ledger) -> None:
    """Let the payee hold less than it gets."""
    ledger.limit_balance("bob", "0.000000000000000001")


def limits_spending(ledger: Ledger) -> None:
    """Let the sender spend less than it sends, in any period."""
    ledger.limit_spending("ann", "0.000000000000000001", dt.timedelta(days=1))


def all_at_once(ledger: Ledger) -> None:
    """Break whatever can be broken with one transfer."""
    for rule in (limits_spending, caps, closes, freezes):
        rule(ledger)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (breaks_nothing, None),
        (freezes, "account_frozen"),
        (closes, "account_closed"),
        (caps, "balance_limit"),
        (limits_spending, "spend_limit"),
        (all_at_once, "account_closed"),
    ],
)
def test_rules_of_the_ledger_become_findings(
    ledger: Ledger, rule: Callable[[Ledger], None], code: str | None
) -> None:
    """What a rule would have refused is an entry all the same, and a finding names the rule."""
    ledger.create_account("ann", address=A)
    ledger.create_account("bob", address=B)
    chain = LivingToken([log(3, 0, NOBODY, A, 9), log(6, 0, A, B, 4)], head=6)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        rule(ledger)
        chain.head = 9
        done = bring(ledger, node.url)
    assert done.entered is not None
    assert (5, 4) == (ledger.get_balance("ann"), ledger.get_balance("bob"))
    assert [(kinds.RULE_BROKEN, code)] * (code is not None) == [
        (finding.kind, finding.details["rule"]) for finding in done.entered.findings
    ]


# --- tokens that books cannot follow


@pytest.mark.parametrize("blocks", [[3, 4, 5, 6], [3, 4, 4, 6], [4, 4, 4, 4]])
def test_entries_stop_before_the_block_that_would_overdraw(
    ledger: Ledger, blocks: list[int]
) -> None:
    """A rebasing token: the mirror goes on, the books end before the block, and say why."""
    moves = [(NOBODY, A, 100), (A, B, 60), (A, C, 60), (B, C, 60)]
    logs = [log(block, i, *move) for i, (block, move) in enumerate(zip(blocks, moves, strict=True))]
    chain = LivingToken(logs, head=20)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        for _ in range(2):
            done = bring(ledger, node.url)
            assert done.entered is not None
            [finding] = done.entered.findings
            assert (kinds.ENTRY_STOPPED, blocks[2]) == (finding.kind, finding.details["block"])
            assert to_checksum(A) in finding.message
            assert blocks[2] == done.entered.next_block
    assert 4 == count(ledger)
    assert expected(chain, blocks[2] - 1) == held(ledger)


def test_books_that_were_stopped_go_on_when_the_mirror_is_mended(ledger: Ledger) -> None:
    """Nothing is final about a stop: the next import tries again."""
    chain = LivingToken([log(3, 0, NOBODY, A, 1), log(5, 0, A, B, 2)], head=9)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        with ledger.write() as connection:
            connection.exec_driver_sql(
                "UPDATE chain_transfers SET value = (SELECT value FROM chain_transfers"
                " WHERE block_number = 3) WHERE block_number = 5"
            )
        done = bring(ledger, node.url)
    assert done.entered is not None
    assert (1, []) == (done.entered.entries, done.entered.findings)
    with ledger.read() as connection:
        home = homes.read_home(connection, ledger.token)
    assert home is not None
    assert home.stopped is None


# --- reconcile


@pytest.mark.parametrize("depth", [0, 2, 9, 30])
def test_books_mirror_and_chain_agree(ledger: Ledger, depth: int) -> None:
    """However little of it is final, entries and what waits give balanceOf and totalSupply."""
    with FakeNode(LivingToken(life(), head=20, depth=depth)) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        result = reconcile(ledger, node.url)
    assert ([], 20) == (found(result), result.block)
    assert 7 == result.imported + result.pending
    assert result.imported == result.matched


def test_a_token_that_moves_without_logs_is_found(ledger: Ledger) -> None:
    """A fee on transfers, or rebasing: balance and supply differ, with both sides of each."""
    chain = LivingToken(life(), head=20)
    chain.extra.update({A: 3, NOBODY: -3})
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        result = reconcile(ledger, node.url)
    assert [kinds.BALANCE_DRIFT, kinds.SUPPLY_DRIFT] == found(result)
    assert {"3"} == {finding.details["difference"] for finding in result.findings}


def test_what_stopped_the_books_is_found_in_every_run(ledger: Ledger) -> None:
    """Reconcile names the transfer that no books could take, and what it would have overdrawn."""
    logs = [log(3, 0, NOBODY, A, 1), log(5, 0, A, B, 2)]
    with FakeNode(LivingToken(logs, head=9)) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
    assert [kinds.ENTRY_STOPPED] == found(reconcile(ledger))


def test_a_rule_that_was_broken_is_found_in_every_run(ledger: Ledger) -> None:
    """What an import reported stays a finding, until somebody acknowledges it."""
    ledger.create_account("ann", address=A)
    chain = LivingToken([log(3, 0, NOBODY, A, 9), log(6, 0, A, B, 4)], head=5)
    with FakeNode(chain) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
        ledger.freeze_account("ann")
        chain.head = 9
        bring(ledger, node.url)
        assert [kinds.RULE_BROKEN] == found(reconcile(ledger, node.url))


def test_a_log_that_the_mirror_gained_is_found(ledger: Ledger) -> None:
    """A final transfer that is no entry, although the books have passed its block, is missing."""
    with FakeNode(LivingToken(life(), head=20)) as node:
        take_in(ledger, node.url)
        bring(ledger, node.url)
    with ledger.write() as connection:
        connection.exec_driver_sql(
            "UPDATE chain_transfers SET value = (SELECT value FROM chain_transfers"
            " WHERE block_number = 3) WHERE block_number = 6"
        )
    assert [kinds.MISSING_IN_LEDGER] == found(reconcile(ledger))
