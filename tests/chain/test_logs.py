"""Logs are decoded as they are, fetched whole whatever a node's limits, and refused if odd."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chain.fake_node import Failure, FakeNode
from tests.chain.log_node import (
    TRANSFER,
    LogChain,
    block_of_logs,
    expected_transfers,
    made_up_hash,
    make_log,
    real_logs,
)

from token_ledger.chain.contracts import BATCH_PART_REPLAYED_TOPIC, BATCH_REPLAYED_TOPIC
from token_ledger.chain.decoding import decode_logs
from token_ledger.chain.endpoints import Nodes
from token_ledger.chain.logs import LogReader, Wanted
from token_ledger.chain.rpc import NodeError
from token_ledger.core.transfers import ChainRange
from token_ledger.errors import ForkedError, RpcError

ADDRESS = "0x" + "c0" * 20
TOKEN = bytes.fromhex(ADDRESS[2:])
ALICE, BOB = b"\xa1" * 20, b"\xb0" * 20


def a_log(block: int = 7, index: int = 0, **other: Any) -> dict[str, Any]:
    """Return one good Transfer log with some fields replaced."""
    return make_log(block, index, ALICE, BOB, 5, address=ADDRESS) | other


def read_all(chain: LogChain, first: int = 0, *, replayed: bool = False) -> list[ChainRange]:
    """Return every range that a reader makes of a chain."""
    with FakeNode(chain) as node, Nodes([node.url], sleep=lambda _: None) as nodes:
        reader = LogReader(nodes)
        ranges = []
        while first <= chain.head:
            to_block = reader.plan(first, chain.head, head=chain.head)
            wanted = [Wanted(TOKEN, replayed)]
            ranges += reader.read(wanted, first, to_block, head=chain.head)
            first = ranges[-1].to_block + 1
        return ranges


def decode(logs: Any, first: int = 0, last: int = 10**8) -> Any:
    """Decode logs of the test's contract."""
    return decode_logs(logs, address=ADDRESS, from_block=first, to_block=last)


def test_real_logs_decode_as_another_indexer_decodes_them(shared_data: Path) -> None:
    """Of 681 real logs, every token's ERC-20 transfers are ethereum-etl's, to the last field."""
    logs = real_logs(shared_data)
    found, skipped = [], 0
    for address in sorted({log["address"] for log in logs}):
        mine = [
            log for log in logs if log["address"] == address and log["topics"][:1] == [TRANSFER]
        ]
        transfers, _, odd = decode_logs(mine, address=address, from_block=0, to_block=10**8)
        skipped += odd
        found += [(address, transfer) for transfer in transfers.rows()]
    expected = expected_transfers(shared_data)
    erc721 = {
        (int(log["blockNumber"], 16), int(log["logIndex"], 16))
        for log in logs
        if len(log["topics"]) == 4 and log["topics"][0] == TRANSFER
    }
    assert (9, 291) == (skipped, len(expected))
    assert sorted(
        (
            item["token_address"],
            item["from_address"],
            item["to_address"],
            item["value"],
            item["transaction_hash"],
            item["log_index"],
            item["block_number"],
            item["block_hash"],
        )
        for item in expected
        if (item["block_number"], item["log_index"]) not in erc721
    ) == sorted(
        (
            address,
            "0x" + t.from_address.hex(),
            "0x" + t.to_address.hex(),
            t.value,
            "0x" + t.tx_hash.hex(),
            t.log_index,
            t.block_number,
            "0x" + t.block_hash.hex(),
        )
        for address, t in found
    )


def test_a_whole_real_block_decodes(shared_data: Path) -> None:
    """Every Transfer of block 18,000,000 is decoded or counted as another standard's."""
    logs = [log for log in block_of_logs(shared_data) if log["topics"][:1] == [TRANSFER]]
    decoded = 0
    for address in {log["address"] for log in logs}:
        mine = [log for log in logs if log["address"] == address]
        transfers, _, skipped = decode_logs(mine, address=address, from_block=0, to_block=10**8)
        decoded += len(transfers) + skipped
        for log, transfer in zip(mine, transfers.rows(), strict=False):
            assert int(log["data"], 16) == transfer.value or skipped
    assert len(logs) == decoded > 0


@given(
    st.lists(
        st.tuples(
            st.integers(1, 5),
            st.binary(min_size=20, max_size=20),
            st.binary(min_size=20, max_size=20),
            st.integers(0, 2**256 - 1),
        ),
        max_size=20,
    )
)
def test_columns_hold_what_the_logs_say(movements: list[tuple[int, bytes, bytes, int]]) -> None:
    """Any addresses and any uint256 come through, in order."""
    block, logs, expected = 0, [], []
    for index, (gap, sender, receiver, value) in enumerate(movements):
        block += gap % 2
        logs.append(make_log(block, index, sender, receiver, value, address=ADDRESS))
        expected.append((block, index, sender, receiver, value))
    transfers, batches, skipped = decode(logs)
    assert ([], 0) == (batches, skipped)
    assert expected == [
        (t.block_number, t.log_index, t.from_address, t.to_address, t.value)
        for t in transfers.rows()
    ]


DIRTY = "0x" + "01" * 32


@pytest.mark.parametrize(
    "logs",
    [
        None,
        {},
        "0x",
        [None],
        [5],
        [{}],
        [a_log(address="0x" + "c1" * 20)],
        [a_log(address=None)],
        [a_log(removed=True)],
        [a_log(), a_log()],
        [a_log(index=1), a_log(index=0)],
        [a_log(block=8), a_log(block=7, index=1)],
        [a_log(block=6)],
        [a_log(block=10)],
        [a_log(topics=["0x" + "ab" * 32, *a_log()["topics"][1:]])],
        [a_log(topics=[TRANSFER, a_log()["topics"][1], None])],
        [a_log(topics=None)],
        [a_log(topics=[TRANSFER, "0x" + " 0" * 32, a_log()["topics"][2]])],
        [a_log(data="0x" + "zz" * 32)],
        [a_log(data="0x" + "0x" * 32)],
        [a_log(data="00" * 33)],
        [a_log(data="0x" + "é" * 64)],
        [a_log(data=None)],
        [a_log(blockHash="0x01")],
        [a_log(blockHash=None)],
        [a_log(transactionHash="0x" + "0" * 63)],
        [a_log(transactionIndex="0x" + "f" * 20)],
        [a_log(logIndex="0x" + "f" * 20)],
        [a_log(logIndex=0)],
        [a_log(logIndex="0x1_0")],
        [a_log(blockNumber="7")],
        [a_log(blockNumber=None)],
    ],
)
def test_an_answer_that_was_not_asked_for_is_refused(logs: Any) -> None:
    """Foreign, orphaned, repeated, unsorted, out of range or mistyped: an RpcError, no row."""

    def answer(method: str, params: list[Any]) -> Any:
        return logs if method == "eth_getLogs" else LogChain([], head=9)(method, params)

    with (
        FakeNode(answer) as node,
        Nodes([node.url]) as nodes,
        pytest.raises(RpcError, match="eth_getLogs at .*" if logs != [] else ""),
    ):
        LogReader(nodes).read([Wanted(TOKEN, replayed=False)], 7, 9, head=9)


def test_a_topic_that_holds_more_than_an_address_is_skipped() -> None:
    """A contract can log anything: its own logs stop nobody's import, and become no transfer."""
    odd = [a_log(index=i, topics=[TRANSFER, *pair]) for i, pair in enumerate(_dirty_pairs())]
    transfers, _, skipped = decode([*odd, a_log(index=9)], 7, 9)
    assert (1, 3) == (len(transfers), skipped)
    assert [9] == transfers.log_index


def _dirty_pairs() -> list[list[str]]:
    clean = a_log()["topics"][1]
    return [[DIRTY, clean], [clean, DIRTY], [DIRTY, DIRTY]]


@pytest.mark.parametrize(
    "other",
    [
        {"topics": [*a_log()["topics"], "0x" + "00" * 32], "data": "0x"},
        {"topics": [TRANSFER], "data": "0x" + "00" * 96},
        {"data": "0x"},
        {"data": "0x" + "00" * 33},
    ],
)
def test_transfers_of_another_shape_are_counted(other: dict[str, Any]) -> None:
    """ERC-721's four topics, unindexed sides and odd data are skipped, not taken for amounts."""
    transfers, _, skipped = decode([a_log(), a_log(index=1, **other), a_log(index=2)])
    assert ([0, 2], 1) == (list(transfers.log_index), skipped)


@pytest.mark.parametrize("limits", [{}, {"blocks_max": 3}, {"logs_max": 4}, {"blocks_max": 1}])
def test_every_log_comes_once_whatever_the_limits(limits: dict[str, int]) -> None:
    """However a node limits its answers, ranges are contiguous and the logs complete."""
    logs = [a_log(block=block, index=i) for block in range(100) for i in range(block % 5)]
    ranges = read_all(LogChain(logs, head=120, **limits))
    assert 0 == ranges[0].from_block
    assert 120 == ranges[-1].to_block
    assert [r.to_block + 1 for r in ranges[:-1]] == [r.from_block for r in ranges[1:]]
    assert [(b, i) for b in range(100) for i in range(b % 5)] == [
        (t.block_number, t.log_index) for r in ranges for t in r.transfers.rows()
    ]


def test_ranges_grow_where_little_happens() -> None:
    """A hundred thousand empty blocks take few questions."""
    assert len(read_all(LogChain([], head=100_000))) < 20


def test_one_block_that_cannot_be_had_is_an_error() -> None:
    """When even a single block is refused, the node's own words are raised."""
    with (
        FakeNode(lambda *_: Failure(-32000, "pruned")) as node,
        Nodes([node.url]) as nodes,
        pytest.raises(NodeError, match="pruned"),
    ):
        LogReader(nodes).read([Wanted(TOKEN, replayed=False)], 0, 5, head=5)


def test_ranges_are_linked_by_their_headers() -> None:
    """A range names the parent of its first block, the hash of its last, and headers of logs."""
    [only] = read_all(LogChain([a_log(block=4)], head=6), first=2)
    assert made_up_hash(1) == "0x" + only.parent_hash.hex()
    assert made_up_hash(6) == "0x" + only.to_hash.hex()
    assert [2, 4, 6] == [header.number for header in only.blocks]
    assert (1_600_000_000 + 48) * 1_000_000 == only.blocks[1].timestamp


def test_logs_of_another_block_than_the_header_are_refused() -> None:
    """When the chain changes between logs and headers, nothing is taken."""
    chain = LogChain([a_log(block=4)], head=6)
    chain.hashes[4] = made_up_hash(99)
    with pytest.raises(ForkedError, match="block 4 changed"):
        read_all(chain)


def replayed(block: int, index: int, first_seq: int, count: int, **other: Any) -> dict[str, Any]:
    """Return a BatchReplayed log."""
    data = b"\5" * 32 + first_seq.to_bytes(32, "big") + count.to_bytes(32, "big")
    topics = [BATCH_REPLAYED_TOPIC, (1).to_bytes(32, "big"), b"\6" * 32]
    log = a_log(block, index, topics=["0x" + t.hex() for t in topics], data="0x" + data.hex())
    return log | other


TX = {"transactionHash": "0x" + "77" * 32}
TX2 = {"transactionHash": "0x" + "78" * 32}


def test_replayed_transfers_get_their_seq() -> None:
    """The transfers right before a BatchReplayed log of the same transaction get its seqs."""
    logs = [
        a_log(index=0),
        *(a_log(index=i, **TX) for i in (1, 2, 3)),
        replayed(7, 4, 10, 3, **TX),
        a_log(index=5),
    ]
    transfers, [batch], _ = decode(logs)
    assert [None, 10, 11, 12, None] == transfers.seq
    assert (1, b"\6" * 32, b"\5" * 32, 10, 3) == (
        batch.number, batch.digest, batch.entries_root, batch.first_seq, batch.count,
    )  # fmt: skip


@pytest.mark.parametrize(
    "logs",
    [
        [a_log(index=0, **TX), replayed(7, 1, 0, 2, **TX)],
        [a_log(index=0, **TX), a_log(index=2, **TX), replayed(7, 3, 0, 2, **TX)],
        [a_log(index=0), a_log(index=1, **TX), replayed(7, 2, 0, 2, **TX)],
        [a_log(block=6, index=0, **TX), a_log(index=1, **TX), replayed(7, 2, 0, 2, **TX)],
        [replayed(7, 0, 0, 2, **TX)],
    ],
)
def test_a_replay_whose_transfers_are_not_there_gives_no_seq(logs: list[dict[str, Any]]) -> None:
    """Omitted, foreign or scattered transfers are left without seq, for reconcile to report."""
    transfers, batches, _ = decode(logs)
    assert (1, {None} if len(transfers) else set()) == (len(batches), set(transfers.seq))


def part(block: int, index: int, first_seq: int, count: int, **other: Any) -> dict[str, Any]:
    """Return a BatchPartReplayed log."""
    data = first_seq.to_bytes(32, "big") + count.to_bytes(32, "big")
    topics = [BATCH_PART_REPLAYED_TOPIC, (1).to_bytes(32, "big"), b"\6" * 32]
    log = a_log(block, index, topics=["0x" + t.hex() for t in topics], data="0x" + data.hex())
    return log | other


def test_parts_of_a_batch_tell_the_seqs_of_their_transfers() -> None:
    """Each part numbers its own transfers; the batch's end right behind the last adds nothing."""
    logs = [
        a_log(index=0, **TX), part(7, 1, 10, 1, **TX),
        a_log(index=2, **TX2), a_log(index=3, **TX2), part(7, 4, 11, 2, **TX2),
        a_log(index=5, **TX), part(7, 6, 13, 1, **TX), replayed(7, 7, 10, 4, **TX),
        *(a_log(index=i, **TX) for i in (8, 9)), replayed(7, 10, 14, 2, **TX),
    ]  # fmt: skip
    transfers, batches, skipped = decode(logs)
    assert [10, 11, 12, 13, 14, 15] == transfers.seq
    assert ([10, 14], 0) == ([batch.first_seq for batch in batches], skipped)
    assert [13] == decode(logs[5:8])[0].seq  # its earlier parts were in other ranges


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_part_whose_transfers_are_not_there_gives_no_seq(count: int) -> None:
    """A part of nothing, or of more than stands right before it, numbers no transfer."""
    transfers, batches, _ = decode([a_log(index=0, **TX), part(7, 2, 0, count, **TX)])
    assert ([None], []) == (transfers.seq, batches)


@pytest.mark.parametrize(
    "other", [{"data": "0x"}, {"topics": ["0x" + BATCH_PART_REPLAYED_TOPIC.hex()]}]
)
def test_an_odd_part_log_is_refused(other: dict[str, Any]) -> None:
    """So is a part's event in another shape."""
    with pytest.raises(ValueError, match=r"hexadecimal|topics"):
        decode([part(7, 0, 0, 1) | other])


@pytest.mark.parametrize(
    "other", [{"data": "0x"}, {"topics": ["0x" + BATCH_REPLAYED_TOPIC.hex()]}, {"data": DIRTY * 3}]
)
def test_an_odd_batch_replayed_log_is_refused(other: dict[str, Any]) -> None:
    """Our own event in another shape means that the node made it up."""
    with pytest.raises(ValueError, match=r"hexadecimal|topics|number"):
        decode([replayed(7, 0, 0, 1) | other])
