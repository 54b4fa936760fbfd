"""Transactions: every real block's hashes and root are rebuilt, what was altered is found out."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from tests import real_blocks
from tests.real_blocks import RealBlock, data

from token_ledger.core.transactions import (
    TRANSACTIONS_ROOT_DIFFERS,
    check_transactions,
    read_transactions,
)
from token_ledger.errors import ChainError


@pytest.fixture(scope="module")
def blocks(shared_data: Path) -> list[RealBlock]:
    """Return the real blocks whose transactions are there in full."""
    return [*real_blocks.portal_blocks(shared_data), *real_blocks.testnet_blocks(shared_data)]


def _root(block: RealBlock) -> bytes:
    return bytes.fromhex(block.header["transactionsRoot"][2:])


def test_every_real_block_verifies(blocks: list[RealBlock]) -> None:
    """Hashes and root of 65 blocks, of each of the five transaction types, are rebuilt."""
    assert 65 == len(blocks)
    kinds = {transaction["type"] for block in blocks for transaction in block.transactions}
    assert {"0x0", "0x1", "0x2", "0x3", "0x4"} == kinds
    for block in blocks:
        transactions = read_transactions(block.transactions)
        hashes = [data(item) for item in transactions.hashes]
        assert [transaction["hash"] for transaction in block.transactions] == hashes
        assert [] == check_transactions(transactions, root=_root(block), block_number=1)


def test_a_node_spells_as_it_likes(shared_data: Path) -> None:
    """Blocks that a node answered in full, with fields that no hash covers, verify as well."""
    seen = 0
    for _, asked, result in real_blocks.exchanges(shared_data, "eth_getBlockByNumber"):
        if result and asked["params"][1]:
            transactions = read_transactions(result["transactions"])
            assert result["transactionsRoot"] == data(transactions.root)
            seen += len(transactions.hashes)
    assert 0 < seen


def test_older_nodes_name_no_parity(blocks: list[RealBlock]) -> None:
    """Where a typed transaction has only `v`, that is its parity."""
    block = next(block for block in blocks if len(block.transactions) > 5)
    answer = copy.deepcopy(block.transactions)
    for transaction in answer:
        if "yParity" in transaction:
            transaction["v"] = transaction.pop("yParity")
    assert _root(block) == read_transactions(answer).root


def test_dropped_or_swapped_transactions_change_the_root(blocks: list[RealBlock]) -> None:
    """A transaction left out, or two exchanged, is a finding that names the block."""
    block = next(block for block in blocks if len(block.transactions) > 5)
    dropped = copy.deepcopy(block.transactions[:-1])
    swapped = copy.deepcopy(block.transactions)
    swapped[0], swapped[1] = swapped[1], swapped[0]
    for index, transaction in enumerate(swapped):
        transaction["transactionIndex"] = hex(index)
    for answer in (dropped, swapped):
        transactions = read_transactions(answer)
        findings = check_transactions(transactions, root=_root(block), block_number=9)
        assert [TRANSACTIONS_ROOT_DIFFERS] == [finding.kind for finding in findings]
        assert 9 == findings[0].details["block_number"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"value": "0x1"}, "its hash is not"),
        ({"hash": data(b"\x01" * 32)}, "its hash is not"),
        ({"hash": None}, "None is not hexadecimal data"),
        ({"value": None}, "None is not a quantity"),
        ({"value": hex(2**256)}, "not a quantity"),
        ({"to": "0x01"}, "is not 20 bytes"),
        ({"input": 5}, "5 is not hexadecimal data"),
        ({"transactionIndex": "0x1"}, "transactionIndex is '0x1'"),
        ({"accessList": None}, "accessList is not a list"),
        ({"accessList": [None]}, "accessList is not a list of objects"),
        ({"accessList": [{"address": data(b"\x01" * 20)}]}, "storageKeys is missing"),
        ({"yParity": None}, "v is missing"),
        ({"type": None}, "gasPrice is missing"),
    ],
)
def test_a_malformed_transaction_is_refused(
    blocks: list[RealBlock], change: dict[str, Any], reason: str
) -> None:
    """Altered fields do not hash to their hash; null, wrong types and sizes are named."""
    block = next(b for b in blocks if b.transactions and b.transactions[0]["type"] == "0x2")
    answer = [block.transactions[0] | change]
    answer[0].pop("gasPrice", None)
    with pytest.raises(ValueError, match="transaction 0") as caught:
        read_transactions(answer)
    assert reason in str(caught.value)


@pytest.mark.parametrize("answer", [None, {}, ["0x" + "11" * 32], [None]])
def test_what_is_no_list_of_transactions_is_refused(answer: Any) -> None:
    """Hashes alone, as a node gives them by default, prove nothing."""
    with pytest.raises(ValueError, match=r"not a list of transactions|is not in full"):
        read_transactions(answer)


def test_other_chains_transactions_are_refused_by_name() -> None:
    """Arbitrum's and the OP Stack's own types are named, not misread."""
    for kind, name in (("0x6a", "Arbitrum internal"), ("0x7e", "OP Stack")):
        with pytest.raises(ChainError, match=name):
            read_transactions([{"type": kind, "transactionIndex": "0x0"}])
