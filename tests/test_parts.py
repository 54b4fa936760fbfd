"""Batches replayed in parts: by anybody, by migrate where gas became too dear, and how both end.

Method: a stranger's account of a real Anvil submits the parts of a batch that the sealer signed;
and the block gas limit of that Anvil falls below what a sealed batch takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from sqlalchemy import select
from tests import books
from tests.chain.fake_node import Failure, FakeNode, forward
from tests.onchain import (
    ENTRIES,
    books_of,
    check_on_chain,
    copy_of,
    found,
    go_on,
    mined,
    sql,
)

from token_ledger.broadcast import broadcast
from token_ledger.chain import contracts
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.compose import compose, sign_file, unsigned_file
from token_ledger.core.comparison import PartlyReplayed
from token_ledger.core.types import Header
from token_ledger.errors import ChainError, ForeignContractError
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger, batches, mirror
from token_ledger.ledger.mirror_schema import chain_transfers
from token_ledger.migrate import migrate
from token_ledger.reconcile import reconcile
from token_ledger.seal import seal
from token_ledger.sign import sign

ALL = ENTRIES + 10  # `go_on` adds one batch of ten
_BATCH = "(uint64,bytes32,uint64,uint32,bytes32,bytes32,uint256,uint64)"
_REPLAY_PART = contracts.selector(f"replayPart({_BATCH},bytes,bytes,uint32)")


@pytest.fixture
def ledger(database_url: str, tmp_path: Path, fresh_anvil: str) -> Iterator[Ledger]:
    """Yield a migrated ledger with one more batch of ten, sealed and signed, on each engine."""
    with books_of(database_url, tmp_path) as ledger:
        migrate(ledger, fresh_anvil)
        go_on(ledger, seed=2)
        yield ledger


def migrated(ledger: Ledger) -> int:
    """Return the number of the last batch but one: the one that the fixture migrated."""
    with ledger.read() as connection:
        return batches.head(connection, ledger.token).number - 1


def replay_part(ledger: Ledger, url: str, rows_max: int) -> None:
    """Have a stranger submit the next rows of the ledger's last batch."""
    with ledger.read() as connection:
        number = batches.head(connection, ledger.token).number
        batch = mirror.read_replayable(connection, ledger.token, number, ledger.operator)
    fields = tuple(getattr(batch.header, name) for name in Header.__slots__)
    arguments = [fields, batch.rows, batch.signature, rows_max]
    data = _REPLAY_PART + encode([_BATCH, "bytes", "bytes", "uint32"], arguments)
    to = contracts.token_address(ledger.token, ledger.operator)
    with Rpc(url) as rpc:
        sender = rpc.call("eth_accounts")[5]
        call = {"from": sender, "to": hex_data(to), "data": hex_data(data)}
        sent = rpc.call("eth_sendTransaction", [call | {"gas": hex(DEAR)}])
        assert "0x1" == mined(rpc, sent)["status"]


@pytest.mark.parametrize("rows", [1, 9])
def test_migrate_finishes_what_a_stranger_began(
    ledger: Ledger, fresh_anvil: str, rows: int
) -> None:
    """A batch of which a part is on the chain is completed: each entry is there exactly once."""
    replay_part(ledger, fresh_anvil, rows)
    assert 1 == migrate(ledger, fresh_anvil).batches
    check_on_chain(ledger, fresh_anvil, entries=ALL)


def test_a_batch_replayed_by_a_stranger_alone_is_like_any_other(
    ledger: Ledger, fresh_anvil: str
) -> None:
    """One row, then the rest: migrate finds nothing to do, and reconcile nothing to report."""
    replay_part(ledger, fresh_anvil, 1)
    replay_part(ledger, fresh_anvil, 100)
    assert 0 == migrate(ledger, fresh_anvil).batches
    check_on_chain(ledger, fresh_anvil, entries=ALL)


def test_parts_may_come_in_several_imports(ledger: Ledger, fresh_anvil: str) -> None:
    """Each import numbers the transfers of its own parts; the last one completes the batch."""
    ingest(ledger, fresh_anvil)
    for rows, added, completed in ((3, 3, 0), (4, 4, 0), (100, 3, 1)):
        replay_part(ledger, fresh_anvil, rows)
        done = ingest(ledger, fresh_anvil)
        assert (added, completed, 0) == (done.transfers, done.batches, done.skipped)
    with ledger.read() as connection:
        seqs = connection.execute(select(chain_transfers.c.seq)).scalars().all()
    assert list(range(ALL)) == sorted(seqs)
    result = reconcile(ledger, fresh_anvil)
    assert (ALL, []) == (result.matched, result.findings)


def test_reconcile_tells_of_a_batch_under_way(ledger: Ledger, fresh_anvil: str) -> None:
    """Replayed rows are compared like others, and it is said which batch and how many: clean."""
    ingest(ledger, fresh_anvil)
    replay_part(ledger, fresh_anvil, 4)
    behind = reconcile(ledger, fresh_anvil)
    assert ["mirror_behind"] == found(behind)
    assert "holds 4 rows of batch" in behind.findings[0].message
    ingest(ledger, fresh_anvil)
    number = migrated(ledger) + 1
    for result in (reconcile(ledger, fresh_anvil), reconcile(ledger)):
        assert PartlyReplayed(number, 4, 10) == result.part
        assert (ENTRIES + 4, ENTRIES + 4, 6, []) == (
            result.matched, result.entries, result.unreplayed, result.findings,
        )  # fmt: skip
    migrate(ledger, fresh_anvil)
    ingest(ledger, fresh_anvil)
    assert None is reconcile(ledger, fresh_anvil).part


def test_reconcile_finds_differences_in_a_batch_under_way(ledger: Ledger, fresh_anvil: str) -> None:
    """An altered transfer, balance or supply between two parts is found as at any other time."""
    replay_part(ledger, fresh_anvil, 4)
    ingest(ledger, fresh_anvil)
    contract = contracts.token_address(ledger.token, ledger.operator)
    with Rpc(fresh_anvil) as rpc:
        holder = hex_data(ledger.get_account("alice").address)
        rpc.call("anvil_dealERC20", [holder, hex_data(contract), hex(5)])
    assert "balance_drift" in found(reconcile(ledger, fresh_anvil))
    sql(ledger, f"UPDATE chain_transfers SET value = NUM(7) WHERE seq = {ENTRIES + 1}")
    assert ["value_differs"] == found(reconcile(ledger))


def test_reconcile_knows_another_copys_part(
    sqlite_url: str, tmp_path: Path, fresh_anvil: str
) -> None:
    """Rows of a batch that only a staging copy has are told as another history."""
    with books_of(sqlite_url, tmp_path) as ledger:
        migrate(ledger, fresh_anvil)
        ingest(ledger, fresh_anvil)
        copy = copy_of(ledger, tmp_path)
        go_on(copy, seed=7)
        replay_part(copy, fresh_anvil, 4)
        copy.close()
        result = reconcile(ledger, fresh_anvil)
        assert ["unknown_contract"] == found(result)
        assert "4 rows were replayed of a batch" in result.findings[0].message


# --- gas that became too dear

LARGE = 300
WHOLE_GAS = 725_000  # what one batch of that many takes here, roughly
DEAR = 500_000


@pytest.fixture
def large(database_url: str, tmp_path: Path, fresh_anvil: str) -> Iterator[Ledger]:
    """Yield a migrated ledger with one more large batch, on a chain that cannot hold it."""
    with books_of(database_url, tmp_path) as ledger:
        migrate(ledger, fresh_anvil)
        books.fill(ledger, LARGE, seed=2)
        seal(ledger)
        sign(ledger, books.operator())
        limit_blocks(fresh_anvil, DEAR)
        yield ledger
        limit_blocks(fresh_anvil, 30_000_000)  # no snapshot of the chain holds it


def limit_blocks(url: str, gas: int) -> None:
    with Rpc(url) as rpc:
        assert rpc.call("evm_setBlockGasLimit", [hex(gas)])
        rpc.call("anvil_mine", ["0x1"])


def test_what_no_longer_fits_goes_in_parts(large: Ledger, fresh_anvil: str) -> None:
    """Migrate sees that the batch fits no transaction, and sends it in a few that do."""
    done = migrate(large, fresh_anvil)
    assert (1, LARGE) == (done.batches, done.entries)
    assert 2 <= done.parts <= 4
    assert done.gas_used > WHOLE_GAS
    assert (0, 0) == ((again := migrate(large, fresh_anvil)).batches, again.parts)
    check_on_chain(large, fresh_anvil, entries=ENTRIES + LARGE)


def test_parts_interrupted_are_gone_on_with(large: Ledger, fresh_anvil: str) -> None:
    """Stopped after any part, the next run sends the rest: every entry is there exactly once."""

    def stop(_what: str, _done: int, _total: int | None) -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            migrate(large, fresh_anvil, part_rows=40, progress=stop)
    done = migrate(large, fresh_anvil)
    assert (1, LARGE - 2 * 40) == (done.batches, done.entries)
    check_on_chain(large, fresh_anvil, entries=ENTRIES + LARGE)


def test_a_batch_sealed_behind_is_replayed_after_the_parts(large: Ledger, fresh_anvil: str) -> None:
    """A later batch that fits goes whole, once the one before it is complete."""
    go_on(large, seed=3)
    done = migrate(large, fresh_anvil)
    assert (2, LARGE + 10) == (done.batches, done.entries)
    check_on_chain(large, fresh_anvil, entries=ENTRIES + LARGE + 10)


def test_what_fits_in_no_part_is_said(large: Ledger, fresh_anvil: str) -> None:
    """Where all rows' calldata alone is too much, the error says so and nothing is sent."""
    limit_blocks(fresh_anvil, 150_000)
    with pytest.raises(ChainError, match="not even one row of batch"):
        migrate(large, fresh_anvil)
    limit_blocks(fresh_anvil, DEAR)
    assert 1 == migrate(large, fresh_anvil).batches


class Dear:
    """A node on whose chain everything takes `factor` times the gas, once it was repriced."""

    def __init__(self, url: str, factor: int, *, after_sends: int = 0) -> None:
        self._node = forward(url)
        self._factor = factor
        self._sends_left = after_sends

    def __call__(self, method: str, params: list[Any]) -> Any:
        factor = 1 if self._sends_left else self._factor
        if method == "eth_sendTransaction" and self._sends_left:
            self._sends_left -= 1
        if method in ("eth_call", "eth_estimateGas", "eth_sendTransaction") and "gas" in params[0]:
            gas = int(params[0]["gas"], 16) // factor
            if method == "eth_sendTransaction" and gas < 21_000 + 16 * len(params[0]["data"]) // 2:
                return Failure(-32000, "intrinsic gas too low: have 1, want 2")
            call = params[0] | {"gas": hex(gas)}
            params = [call, *params[1:]]
        answer = self._node(method, params)
        if method == "eth_estimateGas" and isinstance(answer, str):
            return hex(int(answer, 16) * factor)
        return answer


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize(("factor", "in_parts"), [(2, False), (40, True)])
def test_a_repricing_is_noticed(
    ledger: Ledger, fresh_anvil: str, after: int, factor: int, in_parts: bool
) -> None:
    """Gas at twice its price, or forty times: more is offered, or parts; at once or under way."""
    books.fill(ledger, LARGE, seed=5)
    seal(ledger)
    sign(ledger, books.operator())
    with FakeNode(Dear(fresh_anvil, factor, after_sends=after)) as node:
        done = migrate(ledger, node.url)
    assert (2, ALL - ENTRIES + LARGE, in_parts) == (done.batches, done.entries, done.parts > 1)
    check_on_chain(ledger, fresh_anvil, entries=ALL + LARGE)


def test_parts_on_demand(ledger: Ledger, fresh_anvil: str) -> None:
    """With `part_rows` a batch of more rows goes in parts of so many, whatever would fit."""
    done = migrate(ledger, fresh_anvil, part_rows=4)
    assert (1, 3, 10) == (done.batches, done.parts, done.entries)
    check_on_chain(ledger, fresh_anvil, entries=ALL)


def test_parts_as_files(large: Ledger, fresh_anvil: str) -> None:
    """Composed for a key without a network: the first batch must be asked into parts, and fits."""
    with pytest.raises(ChainError, match="takes more gas") as caught:
        compose(large, fresh_anvil)
    assert "--part-rows N" in str(caught.value.hint)
    replay_part(large, fresh_anvil, 20)
    made = compose(large, fresh_anvil, part_rows=150)
    assert [
        "rows 21 to 170 of 300",
        "rows 171 to 300 of 300",
    ] == [call.what.partition(", ")[2] for call in made.calls]
    payer = books.stranger()
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_setBalance", [hex_data(payer.address), hex(10**20)])
    unsigned = unsigned_file(made, fresh_anvil, payer=payer.address)
    assert 2 == broadcast(sign_file(unsigned, payer), fresh_anvil).sent
    assert 0 == migrate(large, fresh_anvil).batches
    check_on_chain(large, fresh_anvil, entries=ENTRIES + LARGE)


def test_a_part_of_another_copys_batch_is_refused(
    sqlite_url: str, tmp_path: Path, fresh_anvil: str
) -> None:
    """A staging copy began another batch of that number: this ledger cannot go on, and says so."""
    with books_of(sqlite_url, tmp_path) as ledger:
        migrate(ledger, fresh_anvil)
        copy = copy_of(ledger, tmp_path)
        go_on(copy, seed=7)
        replay_part(copy, fresh_anvil, 4)
        copy.close()
        go_on(ledger, seed=8)
        with pytest.raises(ForeignContractError, match="4 rows of batch 0x"):
            migrate(ledger, fresh_anvil)
