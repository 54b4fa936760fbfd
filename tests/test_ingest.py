"""Import: the mirror holds what the chain said, each log once, whatever interrupts the importer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests import books
from tests.chain.fake_node import Failure, FakeNode
from tests.chain.log_node import TRANSFER, LogChain, expected_transfers, make_log, real_logs
from tests.onchain import ENTRIES, ERC20, SMALL, TOKEN, a_chain, count, mirrored

from token_ledger.chain.anvil import Anvil
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.errors import (
    ChainError,
    ForeignContractError,
    RpcError,
    UsageError,
    WrongChainError,
)
from token_ledger.ingest import ingest
from token_ledger.ledger import Ledger
from token_ledger.ledger.mirror_schema import chain_batches, chain_transfers
from token_ledger.migrate import migrate
from token_ledger.seal import seal
from token_ledger.sign import sign


@pytest.fixture
def empty(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger without entries, on each engine."""
    with books.create(database_url, tmp_path) as ledger:
        yield ledger


@pytest.fixture
def sealed(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger with several signed batches, on each engine."""
    with books.create(database_url, tmp_path) as ledger:
        books.fill(ledger, ENTRIES)
        seal(ledger, gas_max=SMALL)
        sign(ledger, books.operator())
        yield ledger


# --- a ledger's own contract


def test_the_tokens_own_contract_is_imported_with_its_batches(
    sealed: Ledger, fresh_anvil: str
) -> None:
    """Every replayed entry is a transfer with the entry's seq, every batch is there."""
    migrated = migrate(sealed, fresh_anvil)
    done = ingest(sealed, fresh_anvil)
    assert (ENTRIES, migrated.batches, 0, migrated.contract) == (
        done.transfers, done.batches, 0, done.contract,
    )  # fmt: skip
    with sealed.read() as connection:
        seqs = connection.execute(select(chain_transfers.c.seq)).scalars().all()
        numbers = connection.execute(select(chain_batches.c.number)).scalars().all()
    assert list(range(ENTRIES)) == sorted(seqs)
    assert list(range(1, migrated.batches + 1)) == sorted(numbers)


def test_a_second_run_adds_nothing(sealed: Ledger, fresh_anvil: str) -> None:
    """Run again, an import finds nothing; new blocks alone are read."""
    migrate(sealed, fresh_anvil)
    first = ingest(sealed, fresh_anvil)
    before = mirrored(sealed)
    again = ingest(sealed, fresh_anvil)
    assert (0, first.to_block + 1, first.to_block) == (
        again.transfers, again.from_block, again.to_block,
    )  # fmt: skip
    assert before == mirrored(sealed)
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_mine", ["0x3"])
    assert (0, first.to_block + 1, first.to_block + 3) == (
        (found := ingest(sealed, fresh_anvil)).transfers, found.from_block, found.to_block,
    )  # fmt: skip


def test_logs_of_other_contracts_stay_out(sealed: Ledger, fresh_anvil: str) -> None:
    """Only the contract's own address is imported, though others emit the same event."""
    migrate(sealed, fresh_anvil)
    with Rpc(fresh_anvil) as rpc:
        # PUSH32 topic … LOG3: a contract that emits a Transfer of its own whenever it is called.
        topic = "7f" + "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
        code = "0x602a5f5260016002" + topic + "60205fa300"
        rpc.call("anvil_setCode", [ERC20, code])
        sender = rpc.call("eth_accounts")[0]
        rpc.call("eth_sendTransaction", [{"from": sender, "to": ERC20}])
    assert ENTRIES == ingest(sealed, fresh_anvil).transfers
    assert 1 == ingest(sealed, fresh_anvil, contract=TOKEN).transfers
    assert ENTRIES + 1 == count(sealed)


def test_a_block_that_leaves_out_replays_is_refused(sealed: Ledger, fresh_anvil: str) -> None:
    """For the ledger's own contract --from-block cannot skip what was replayed."""
    migrate(sealed, fresh_anvil)
    with Rpc(fresh_anvil) as rpc:
        head = rpc.quantity("eth_blockNumber")
    with pytest.raises(UsageError, match="would leave out replays"):
        ingest(sealed, fresh_anvil, from_block=head)


def test_without_a_contract_there_is_nothing_to_import(empty: Ledger, fresh_anvil: str) -> None:
    """A token that is on no chain, and an address without code, are told apart."""
    with pytest.raises(ForeignContractError, match="knows no contract of TKN"):
        ingest(empty, fresh_anvil)
    with pytest.raises(ForeignContractError, match="there is no contract at"):
        ingest(empty, fresh_anvil, contract=TOKEN)


# --- any ERC-20


def test_real_transfers_of_any_erc20_come_through(empty: Ledger, shared_data: Path) -> None:
    """The most active token of two real blocks is mirrored as ethereum-etl decodes it."""
    weth = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
    first, last = 17_173_049, 17_173_050
    with FakeNode(LogChain(real_logs(shared_data), head=last)) as node:
        done = ingest(empty, node.url, contract=bytes.fromhex(weth[2:]), from_block=first)
    expected = sorted(
        (item["block_number"], item["log_index"], item["from_address"], item["to_address"],
         item["value"])
        for item in expected_transfers(shared_data)
        if item["token_address"] == weth
    )  # fmt: skip
    with empty.read() as connection:
        rows = connection.execute(select(chain_transfers)).all()
    assert len(expected) == done.transfers > 20
    assert expected == sorted(
        (r.block_number, r.log_index, hex_data(r.from_address), hex_data(r.to_address), r.value)
        for r in rows
    )
    assert {None} == {row.seq for row in rows}


def test_another_standards_transfers_are_skipped_and_counted(
    empty: Ledger, shared_data: Path
) -> None:
    """An ERC-721's four-topic Transfers are no ERC-20 transfers."""
    logs = real_logs(shared_data)
    address = next(
        log["address"] for log in logs if len(log["topics"]) == 4 and log["topics"][0] == TRANSFER
    )
    with FakeNode(LogChain(logs, head=17_173_050)) as node:
        done = ingest(empty, node.url, contract=bytes.fromhex(address[2:]), from_block=17_173_049)
    assert (0, True) == (done.transfers, done.skipped > 0)
    assert 0 == count(empty)


def test_the_largest_values_come_through(empty: Ledger) -> None:
    """0 and 2**256 - 1 are mirrored exactly, on both engines."""
    values = [0, 1, 2**63, 2**255, 2**256 - 1]
    logs = [make_log(1, i, TOKEN, b"\1" * 20, v, address=ERC20) for i, v in enumerate(values)]
    with FakeNode(LogChain(logs, head=2)) as node:
        ingest(empty, node.url, contract=TOKEN, from_block=0)
    with empty.read() as connection:
        query = select(chain_transfers.c.value).order_by(chain_transfers.c.log_index)
        assert values == list(connection.execute(query).scalars())


def test_a_gap_and_an_earlier_beginning_are_refused(empty: Ledger) -> None:
    """--from-block begins a first import; afterwards it can neither skip blocks nor add some."""
    chain = a_chain()
    with FakeNode(chain) as node:
        chain.head = 10
        assert (3, 10) == (
            (done := ingest(empty, node.url, contract=TOKEN, from_block=3)).from_block,
            done.to_block,
        )
        chain.head = 45
        with pytest.raises(UsageError, match="would leave a gap: imported up to 10"):
            ingest(empty, node.url, contract=TOKEN, from_block=12)
        with pytest.raises(UsageError, match="is before what was imported: from block 3 on"):
            ingest(empty, node.url, contract=TOKEN, from_block=2)
        assert 11 == ingest(empty, node.url, contract=TOKEN, from_block=3).from_block


def test_an_import_that_got_nowhere_may_begin_elsewhere(empty: Ledger) -> None:
    """Until something is imported the beginning can be chosen again, and the last choice holds."""
    chain = a_chain()
    broken = [True]

    def answer(method: str, params: list[Any]) -> Any:
        return "nonsense" if broken[0] and method == "eth_getLogs" else chain(method, params)

    with FakeNode(answer) as node:
        with pytest.raises(RpcError):
            ingest(empty, node.url, contract=TOKEN, from_block=3)
        broken[0] = False
        assert 5 == ingest(empty, node.url, contract=TOKEN, from_block=5).from_block
        with pytest.raises(UsageError, match="from block 5 on"):
            ingest(empty, node.url, contract=TOKEN, from_block=3)


def test_the_chosen_beginning_outlasts_a_fork_in_the_same_run(empty: Ledger) -> None:
    """Begun again after a fork, an import still knows where it was told to begin."""
    chain = a_chain()
    forks = [1]

    def answer(method: str, params: list[Any]) -> Any:
        if method == "eth_getLogs":
            if forks[0] == 1:
                return "nonsense"
            if forks[0] == 2 and "blockHash" in params[0]:
                forks[0] = 0
                return Failure(-32000, "unknown block")
        return chain(method, params)

    with FakeNode(answer) as node:
        with pytest.raises(RpcError):
            ingest(empty, node.url, contract=TOKEN, from_block=5, window=10)
        forks[0] = 2
        done = ingest(empty, node.url, contract=TOKEN, from_block=3, window=10)
    assert (3, 45, 0) == (done.from_block, done.to_block, forks[0])


# --- chains that change


def test_a_chain_that_shares_no_block_in_the_window_stops_the_import(empty: Ledger) -> None:
    """When every block of the window is gone, the import stops and changes nothing."""
    chain = a_chain()
    with FakeNode(chain) as node:
        chain.head = 20
        ingest(empty, node.url, contract=TOKEN, from_block=0)
        before = mirrored(empty)
        chain.hashes |= {number: f"0x{number:064x}" for number in range(10, 21)}
        chain.head = 40
        with pytest.raises(ChainError, match="was reorganised, deeper than 10 blocks"):
            ingest(empty, node.url, contract=TOKEN, window=10)
        assert before == mirrored(empty)


def test_a_node_that_is_behind_is_no_reorganisation(empty: Ledger) -> None:
    """A head below what was imported adds nothing and harms nothing."""
    chain = a_chain()
    with FakeNode(chain) as node:
        chain.head = 30
        ingest(empty, node.url, contract=TOKEN, from_block=0)
        before = mirrored(empty)
        chain.head = 20
        assert (0, 31, 30) == (
            (done := ingest(empty, node.url, contract=TOKEN)).transfers,
            done.from_block,
            done.to_block,
        )
        assert before == mirrored(empty)


def test_a_reorganisation_above_the_replays_costs_nothing(sealed: Ledger, fresh_anvil: str) -> None:
    """Only what the chain no longer has is read again."""
    migrate(sealed, fresh_anvil)
    ingest(sealed, fresh_anvil)
    with Rpc(fresh_anvil) as rpc:
        rpc.call("anvil_mine", ["0x2"])
        ingest(sealed, fresh_anvil)
        rpc.call("anvil_reorg", [1, []])
    assert 0 == ingest(sealed, fresh_anvil).transfers
    assert ENTRIES == count(sealed)


def test_another_chain_of_the_same_id_is_refused(empty: Ledger) -> None:
    """A chain with another block 0 is not the one that was imported from."""
    with FakeNode(a_chain()) as node:
        ingest(empty, node.url, contract=TOKEN, from_block=0)
    other = a_chain()
    other.hashes[0] = "0x" + "99" * 32
    with FakeNode(other) as node, pytest.raises(WrongChainError):
        ingest(empty, node.url, contract=TOKEN)


# --- nodes that do wrong


def spoil(**fields: Any) -> Any:
    """Return what makes one log of an answer wrong."""

    def spoiled(result: Any) -> Any:
        return [{**log, **fields} if i == 0 else log for i, log in enumerate(result)]

    return spoiled


@pytest.mark.parametrize(
    "wrong",
    [
        spoil(address="0x" + "c1" * 20),
        spoil(data="0x"),
        spoil(blockHash="0x" + "11" * 32),
        spoil(removed=True),
        lambda _: None,
        lambda logs: [*logs, *logs],
        lambda logs: list(reversed(logs)),
    ],
)
def test_an_answer_that_is_wrong_is_not_stored(empty: Ledger, wrong: Any) -> None:
    """What cannot be the answer to the question stops the import; nothing of it is stored."""
    chain = a_chain()

    def answer(method: str, params: list[Any]) -> Any:
        result = chain(method, params)
        return wrong(result) if method == "eth_getLogs" and result else result

    with FakeNode(answer) as node:
        try:
            done = ingest(empty, node.url, contract=TOKEN, from_block=0)
        except RpcError:
            assert 0 == count(empty)
        else:  # data of another size is another standard's: skipped and counted
            assert done.skipped > 0


def test_a_node_that_is_down_is_told(empty: Ledger) -> None:
    """No connection is an RpcError, not a traceback."""
    with FakeNode(a_chain()) as node:
        url = node.url
    with pytest.raises(RpcError, match="eth_chainId at"):
        ingest(empty, url, contract=TOKEN)


def test_a_restarted_anvil_is_imported_from_its_beginning(sealed: Ledger) -> None:
    """After a restart the old mirror is dropped and the new chain mirrored."""
    with Anvil(args=("--timestamp", "1")) as node:
        migrate(sealed, node.url)
        assert ENTRIES == ingest(sealed, node.url).transfers
    with Anvil(args=("--timestamp", "2")) as node:
        migrate(sealed, node.url)
        assert ENTRIES == ingest(sealed, node.url).transfers
    assert ENTRIES == count(sealed)
