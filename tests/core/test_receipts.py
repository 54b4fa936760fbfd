"""Receipts: every real block verifies, every tampered one does not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from tests import real_blocks
from tests.real_blocks import RealBlock, data, naive_bloom

from token_ledger.core.headers import read_header
from token_ledger.core.receipts import (
    BLOOM_DIFFERS,
    RECEIPTS_ROOT_DIFFERS,
    TRANSACTION_HASH_DIFFERS,
    BlockReceipts,
    check_receipts,
    read_receipts,
)
from token_ledger.core.transactions import BlockTransactions, read_transactions
from token_ledger.core.types import Finding

Answer = list[dict[str, Any]]


@lru_cache
def _blocks(shared_data: Path) -> tuple[RealBlock, ...]:
    return tuple(real_blocks.all_with_receipts(shared_data))


def _block(shared_data: Path, name: str) -> RealBlock:
    return next(block for block in _blocks(shared_data) if block.name == name)


def _read(block: RealBlock, answer: Any = None) -> BlockReceipts:
    header = read_header(block.header)
    return read_receipts(
        block.receipts if answer is None else answer,
        block_hash=header.block.hash,
        block_number=header.block.number,
    )


def _check(block: RealBlock, answer: Answer) -> list[Finding]:
    return check_receipts(_read(block, answer), root=read_header(block.header).receipts_root)


# --- real blocks


def test_every_real_block_verifies(shared_data: Path) -> None:
    """Receipts root, bloom and transaction hashes of each real block are rebuilt from JSON."""
    blocks = _blocks(shared_data)
    assert 15 <= len(blocks)
    for block in blocks:
        header, receipts = read_header(block.header), _read(block)
        transactions = read_transactions(block.transactions) if block.transactions else None
        assert [] == check_receipts(
            receipts, root=header.receipts_root, transactions=transactions
        ), block.name
        assert header.logs_bloom == receipts.bloom, block.name


def test_logs_stand_as_the_node_tells_them(shared_data: Path) -> None:
    """The logs of verified receipts are the node's own, filtered by contract and event."""
    block = _block(shared_data, "helios")
    told = [log for receipt in block.receipts or [] for log in receipt["logs"]]
    receipts = _read(block)
    known = [{name: log[name] for name in receipts.logs[0]} for log in told]
    assert known == receipts.logs
    address, topic = told[0]["address"], told[0]["topics"][0]
    wanted = [log for log in known if log["address"] == address and log["topics"][:1] == [topic]]
    only = read_receipts(
        block.receipts,
        block_hash=receipts.block_hash,
        block_number=receipts.block_number,
        addresses=[bytes.fromhex(address[2:])],
    )
    found = only.logs_of(bytes.fromhex(address[2:]), [bytes.fromhex(topic[2:])])
    assert wanted == found
    assert 0 < len(found) < len(only.logs) < len(receipts.logs)
    assert [] == only.logs_of(b"\x01" * 20, [])


# --- tampering: what a lying or broken node could answer


def _first_with_logs(answer: Answer, count: int = 1) -> int:
    return next(i for i, receipt in enumerate(answer) if len(receipt["logs"]) >= count)


def _renumber(answer: Answer) -> None:
    index = 0
    for receipt in answer:
        items = []
        for log in receipt["logs"]:
            log["logIndex"] = hex(index)
            index += 1
            items += [bytes.fromhex(text[2:]) for text in (log["address"], *log["topics"])]
        receipt["logsBloom"] = naive_bloom(items)


def _drop_log(answer: Answer) -> None:
    del answer[_first_with_logs(answer)]["logs"][0]


def _drop_last_log(answer: Answer) -> None:
    holders = [receipt for receipt in answer if receipt["logs"]]
    holders[-1]["logs"].pop()


def _invent_log(answer: Answer) -> None:
    receipt = answer[_first_with_logs(answer)]
    receipt["logs"].append(copy.deepcopy(receipt["logs"][-1]))


def _change_topic(answer: Answer) -> None:
    log = answer[_first_with_logs(answer)]["logs"][0]
    log["topics"][-1] = data(b"\x42" * 32)


def _drop_topic(answer: Answer) -> None:
    answer[_first_with_logs(answer)]["logs"][0]["topics"].pop()


def _change_data(answer: Answer) -> None:
    log = answer[_first_with_logs(answer)]["logs"][0]
    log["data"] = log["data"][:-1] + ("0" if log["data"][-1] != "0" else "1")


def _change_address(answer: Answer) -> None:
    answer[_first_with_logs(answer)]["logs"][0]["address"] = data(b"\x42" * 20)


def _swap_logs(answer: Answer) -> None:
    receipt = next(
        receipt
        for receipt in answer
        if len(receipt["logs"]) > 1 and receipt["logs"][0]["data"] != receipt["logs"][1]["data"]
    )
    receipt["logs"][:2] = receipt["logs"][1::-1]


def _move_log(answer: Answer) -> None:
    index = next(
        i for i, receipt in enumerate(answer[:-1]) if receipt["logs"] and answer[i + 1]["logs"]
    )
    log = answer[index]["logs"].pop()
    for name in ("transactionHash", "transactionIndex"):
        log[name] = answer[index + 1][name]
    answer[index + 1]["logs"].insert(0, log)


def _change_status(answer: Answer) -> None:
    answer[0]["status"] = "0x0" if answer[0]["status"] == "0x1" else "0x1"


def _change_gas(answer: Answer) -> None:
    answer[3]["cumulativeGasUsed"] = hex(int(answer[3]["cumulativeGasUsed"], 16) + 1)


def _change_type(answer: Answer) -> None:
    answer[0]["type"] = "0x1"


def _drop_receipt(answer: Answer) -> None:
    answer.pop()


def _add_receipt(answer: Answer) -> None:
    answer.append(
        answer[-1] | {"logs": [], "logsBloom": None, "transactionIndex": hex(len(answer))}
    )


def _swap_receipts(answer: Answer) -> None:
    pairs = ((answer[i], answer[i + 1]) for i in range(len(answer) - 1))
    one, other = next(
        pair for pair in pairs if pair[0]["cumulativeGasUsed"] != pair[1]["cumulativeGasUsed"]
    )
    for name in ("status", "cumulativeGasUsed", "logs", "type"):
        one[name], other[name] = other[name], one[name]
    for receipt in (one, other):
        for log in receipt["logs"]:
            for name in ("transactionHash", "transactionIndex"):
                log[name] = receipt[name]


TAMPERINGS: list[Callable[[Answer], None]] = [
    _drop_log,
    _drop_last_log,
    _invent_log,
    _change_topic,
    _drop_topic,
    _change_data,
    _change_address,
    _swap_logs,
    _move_log,
    _change_status,
    _change_gas,
    _change_type,
    _drop_receipt,
    _add_receipt,
    _swap_receipts,
]


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda tamper: tamper.__name__.strip("_"))
@pytest.mark.parametrize("name", ["block-data-22162263", "helios"])
def test_a_tampered_block_is_found_out(
    shared_data: Path, name: str, tamper: Callable[[Answer], None]
) -> None:
    """Whatever a node changes, even with numbers and blooms made to fit, the root tells."""
    block = _block(shared_data, name)
    answer = copy.deepcopy(block.receipts)
    assert answer is not None
    tamper(answer)
    _renumber(answer)
    findings = _check(block, answer)
    assert [RECEIPTS_ROOT_DIFFERS] == [finding.kind for finding in findings]
    assert findings[0].details["expected"] == block.header["receiptsRoot"]
    assert findings[0].details["actual"] != block.header["receiptsRoot"]


def test_a_wrong_bloom_is_a_finding_of_its_own(shared_data: Path) -> None:
    """A bloom that is not its logs' is found though the root, rebuilt from the logs, holds."""
    block = _block(shared_data, "helios")
    answer = copy.deepcopy(block.receipts)
    assert answer is not None
    answer[2]["logsBloom"] = real_blocks.EMPTY_BLOOM
    findings = _check(block, answer)
    assert [BLOOM_DIFFERS] == [finding.kind for finding in findings]
    assert [2] == findings[0].details["transaction_indexes"]


def test_a_false_transaction_hash_is_found(shared_data: Path) -> None:
    """Receipts do not commit to their transaction's hash: the block's transactions unmask it."""
    block = _block(shared_data, "block-data-14764013")
    answer = copy.deepcopy(block.receipts)
    assert answer is not None
    for item in (answer[4], *answer[4]["logs"]):
        item["transactionHash"] = data(b"\x42" * 32)
    header, receipts = read_header(block.header), _read(block, answer)
    assert [] == check_receipts(receipts, root=header.receipts_root)
    transactions = read_transactions(block.transactions)
    findings = check_receipts(receipts, root=header.receipts_root, transactions=transactions)
    assert [TRANSACTION_HASH_DIFFERS] == [finding.kind for finding in findings]
    assert [4] == findings[0].details["transaction_indexes"]
    fewer = BlockTransactions(transactions.hashes[:-1], transactions.root)
    findings = check_receipts(receipts, root=header.receipts_root, transactions=fewer)
    assert [4, 18] == findings[0].details["transaction_indexes"]
