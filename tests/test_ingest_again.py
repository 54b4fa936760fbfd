"""Import again: whatever was done to the mirror, it is afterwards what the chain says.

Method: a mirror is altered behind the ledger's back, read anew, and compared with what it was. The
books that follow it stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import books
from tests.chain.fake_node import Failure, FakeNode
from tests.chain.living import NOBODY, TOKEN, LivingToken, log
from tests.damage import damage
from tests.entered import A, B, bring, entries, expected, held, life, take_in
from tests.onchain import ENTRIES, ERC20, SMALL, a_chain, found, mirrored, sql

from token_ledger.chain.rpc import Rpc
from token_ledger.core import findings as kinds
from token_ledger.errors import RpcError, UsageError
from token_ledger.ingest import ingest, ingest_several
from token_ledger.ledger import Ledger
from token_ledger.migrate import migrate
from token_ledger.reconcile import reconcile
from token_ledger.seal import seal
from token_ledger.sign import sign

OTHER = "0x" + "d1" * 20
_INTO = (
    "INSERT INTO chain_transfers (contract_no, block_hash, log_index, block_number, tx_hash,"
    " tx_index, from_address, to_address, value, seq) SELECT contract_no, block_hash,"
    " log_index + 1000, {}, tx_hash, tx_index, from_address, to_address, value, {}"
    " FROM chain_transfers WHERE seq = 20"
)
ALTERED = [
    "DELETE FROM chain_transfers WHERE seq IN (3, 20, 58, 59)",
    "DELETE FROM chain_transfers",
    "UPDATE chain_transfers SET value = NUM(1) WHERE seq = 20",
    "UPDATE chain_transfers SET seq = NULL WHERE seq = 20",
    "UPDATE chain_transfers SET seq = 82 - seq WHERE seq IN (40, 42)",
    "UPDATE chain_transfers SET tx_hash = X'" + "ee" * 32 + "' WHERE seq = 20",
    "UPDATE chain_transfers SET block_hash = X'" + "ee" * 32 + "' WHERE seq = 20",
    "UPDATE chain_transfers SET block_number = 1000000 WHERE seq = 20",
    "UPDATE chain_transfers SET bridge = X'" + "ee" * 20 + "' WHERE seq = 20",
    _INTO.format("block_number", "NULL"),
    _INTO.format("1000000", "20"),
    "DELETE FROM chain_batches WHERE number = 2",
    "UPDATE chain_batches SET digest = X'" + "ee" * 32 + "' WHERE number = 2",
    "DELETE FROM chain_blocks WHERE number > 0",
    "UPDATE chain_blocks SET number = number + 1000000 WHERE number > 3",
    "UPDATE chain_blocks SET timestamp = 5 WHERE number = 4",
    "UPDATE chain_blocks SET orphaned_at = 5 WHERE number BETWEEN 1 AND 4",
    "UPDATE chain_blocks SET hash = X'" + "ee" * 32 + "' WHERE number = 2",
]


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


@pytest.fixture
def empty(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with books.create(database_url, tmp_path) as ledger:
        yield ledger


def test_whatever_was_altered_is_mended(ledger: Ledger, fresh_anvil: str) -> None:
    """Rows lost, invented, moved and changed, one after the other, of every table of the mirror."""
    whole = mirrored(ledger)
    nothing = ingest(ledger, fresh_anvil, again=True).mended
    assert nothing is not None
    assert (0, 0, 0) == (nothing.dropped, nothing.added, nothing.headers)
    for statement in ALTERED:
        sql(ledger, statement)
        assert whole != mirrored(ledger), statement
        mended = ingest(ledger, fresh_anvil, again=True).mended
        assert mended is not None
        assert mended.dropped + mended.added + mended.headers > 0, statement
        assert whole == mirrored(ledger), statement
    assert ([], ENTRIES) == (found(r := reconcile(ledger, fresh_anvil)), r.matched)


def test_the_advice_of_a_finding_works(ledger: Ledger, fresh_anvil: str) -> None:
    """A plain import does not read a block twice; what the sentence names does."""
    sql(ledger, "DELETE FROM chain_transfers WHERE seq = 20")
    ingest(ledger, fresh_anvil)
    [finding] = reconcile(ledger, fresh_anvil).findings
    assert kinds.MISSING_ON_CHAIN == finding.kind
    assert "`import --again`" in finding.message
    done = ingest(ledger, fresh_anvil, again=True)
    assert (0, (0, 1)) == (done.transfers, done.mended and (done.mended.dropped, done.mended.added))
    assert [] == found(reconcile(ledger, fresh_anvil))


def test_a_reorganisation_is_followed_first(ledger: Ledger, fresh_anvil: str) -> None:
    """What the chain took back becomes orphans as ever, and what is left is mended."""
    sql(ledger, "DELETE FROM chain_transfers WHERE seq = 3")
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_reorg", [1, []])
    done = ingest(ledger, fresh_anvil, again=True)
    assert done.orphaned > 0
    assert {kinds.ORPHANED} == set(found(reconcile(ledger, fresh_anvil)))


def test_entries_are_not_made_twice(empty: Ledger) -> None:
    """Books that follow a token keep what they have, whatever the mirror lost and got again."""
    chain = LivingToken(life(), head=20)
    with FakeNode(chain) as node:
        take_in(empty, node.url)
        bring(empty, node.url)
        before, whole = entries(empty), mirrored(empty)
        damage(empty, "chain_transfers", "DELETE FROM chain_transfers WHERE block_number < 9")
        damage(empty, "chain_blocks", "DELETE FROM chain_blocks WHERE number = 8")
        assert {kinds.MISSING_ON_CHAIN} <= set(found(reconcile(empty, node.url)))
        done = ingest(empty, node.url, contract=TOKEN, again=True)
        assert (0, 0) == (done.transfers, done.entered and done.entered.entries)
        assert (before, whole) == (entries(empty), mirrored(empty))
        assert [] == found(reconcile(empty, node.url))
        chain.head = 25
        chain.logs.append(log(22, 0, B, A, 1))
        ingest(empty, node.url, contract=TOKEN, again=True)
        assert (len(before) + 1, expected(chain, 25)) == (len(entries(empty)), held(empty))


def test_a_log_that_the_node_left_out_comes_late_and_is_told(empty: Ledger) -> None:
    """The mirror gets it; that the books passed it without an entry stays a finding."""
    chain = LivingToken(life(), head=20)
    left_out = chain.logs.pop(1)
    with FakeNode(chain) as node:
        take_in(empty, node.url)
        ingest(empty, node.url, contract=TOKEN)
        chain.logs.insert(1, left_out)
        ingest(empty, node.url, contract=TOKEN, again=True)
        assert kinds.MISSING_IN_LEDGER in found(reconcile(empty))


def test_a_node_that_no_longer_serves_old_logs_does_no_harm(empty: Ledger) -> None:
    """What cannot be read anew stays as it was."""
    chain = a_chain()
    with FakeNode(chain) as node:
        ingest(empty, node.url, contract=bytes.fromhex(ERC20[2:]))
    whole = mirrored(empty)

    def pruned(method: str, params: list[object]) -> object:
        if method == "eth_getLogs":
            raise Failure(-32000, "missing trie node: state is pruned")
        return chain(method, params)

    with FakeNode(pruned) as node, pytest.raises(RpcError):
        ingest(empty, node.url, contract=bytes.fromhex(ERC20[2:]), again=True)
    assert whole == mirrored(empty)


def test_it_may_begin_anywhere_in_what_was_imported(empty: Ledger) -> None:
    """From a block on; one that the mirror does not hold is refused, and nothing is read."""
    contract = bytes.fromhex(ERC20[2:])
    with FakeNode(a_chain()) as node:
        ingest(empty, node.url, contract=contract, from_block=5, again=True)  # the first import
        whole = mirrored(empty)
        sql(empty, "DELETE FROM chain_transfers WHERE block_number IN (7, 30)")
        for block in (4, 1000):
            with pytest.raises(UsageError, match="holds blocks 5 to"):
                ingest(empty, node.url, contract=contract, from_block=block, again=True)
        late = ingest(empty, node.url, contract=contract, from_block=20, again=True).mended
        assert late is not None
        assert (0, 2) == (late.dropped, late.added)
        rest = ingest(empty, node.url, contract=contract, again=True).mended
        assert rest is not None
        assert (0, 3) == (rest.dropped, rest.added)
    assert whole == mirrored(empty)


def test_several_contracts_are_mended_in_one_run(empty: Ledger, tmp_path: Path) -> None:
    """One of them further than the other; headers that they share serve both."""
    chain = a_chain(20)
    made = [log(n, 7, NOBODY, A, n) | {"address": OTHER} for n in range(1, 20, 3)]
    chain.logs += made
    addresses = [bytes.fromhex(one[2:]) for one in (ERC20, OTHER)]
    with FakeNode(chain) as node:
        ingest_several(empty, node.url, contracts=addresses, from_block=0)
        chain.head += 4
        ingest(empty, node.url, contract=addresses[0])
        sql(empty, "DELETE FROM chain_transfers WHERE block_number < 9",
            "DELETE FROM chain_blocks WHERE number BETWEEN 1 AND 15")  # fmt: skip
        ingest_several(empty, node.url, again=True)
        mended = mirrored(empty)
    with FakeNode(chain) as node, books.create(f"sqlite:///{tmp_path}/fresh.db", tmp_path) as fresh:
        ingest_several(fresh, node.url, contracts=addresses, from_block=0)
        assert mirrored(fresh)["chain_transfers"] == mended["chain_transfers"]
