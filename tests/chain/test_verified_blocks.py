"""A real node's blocks verify from header to log, and a lying one is found out, step by step.

What `import --verify receipts` does with `core.headers`, `core.transactions`, `core.receipts` and
`core.logs`, on an Anvil behind the fault-injecting proxy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from eth_account import Account
from tests.chain import faults
from tests.chain.emitter import Emitter, values
from tests.chain.proxy import Proxy

from token_ledger.chain.contracts import TRANSFER_TOPIC
from token_ledger.chain.rpc import Rpc
from token_ledger.core.address import to_checksum
from token_ledger.core.bloom import may_hold
from token_ledger.core.headers import (
    HEADER_CHAIN_BROKEN,
    HEADER_HASH_DIFFERS,
    check_header,
    check_header_chain,
    read_header,
)
from token_ledger.core.logs import LOG_INVENTED, LOG_OMITTED, compare_logs
from token_ledger.core.receipts import RECEIPTS_ROOT_DIFFERS, check_receipts, read_receipts
from token_ledger.core.transactions import check_transactions, read_transactions
from token_ledger.core.types import Finding

KEY = "0x" + "11" * 32


@dataclass
class Chain:
    """Ten blocks of a contract's logs, with the node and a proxy before it."""

    node: Rpc
    proxy: Proxy
    rpc: Rpc
    emitter: Emitter
    first: int
    last: int


@pytest.fixture
def chain(fresh_anvil: str) -> Iterator[Chain]:
    """Yield the chain: block first + i holds i logs."""
    with Rpc(fresh_anvil) as node, Proxy(fresh_anvil) as proxy, Rpc(proxy.url) as rpc:
        emitter = Emitter(node)
        numbers = [emitter.emit(*((7, 100 * i + k) for k in range(i))) for i in range(10)]
        yield Chain(node, proxy, rpc, emitter, numbers[0], numbers[-1])


def _block(rpc: Rpc, number: int) -> Any:
    return rpc.call("eth_getBlockByNumber", [hex(number), True])


def _verify(chain: Chain, trusted_hash: bytes) -> list[Finding]:
    """Return what is wrong with what the proxy answers of the blocks."""
    answers = {number: _block(chain.rpc, number) for number in range(chain.first, chain.last + 1)}
    headers = [read_header(answer) for answer in answers.values()]
    if findings := check_header_chain(headers, trusted_hash):
        return findings  # of a header that is not proven, nothing can be
    proven = []
    for header in headers:
        number, address = header.block.number, chain.emitter.address
        if not may_hold(header.logs_bloom, [address, TRANSFER_TOPIC]):
            continue
        transactions = read_transactions(answers[number]["transactions"])
        findings += check_transactions(
            transactions, root=header.transactions_root, block_number=number
        )
        receipts = read_receipts(
            chain.rpc.call("eth_getBlockReceipts", [hex(number)]),
            block_hash=header.block.hash,
            block_number=number,
            addresses=[address],
        )
        findings += check_receipts(receipts, root=header.receipts_root, transactions=transactions)
        proven += receipts.logs_of(address, [TRANSFER_TOPIC])
    said = chain.emitter.logs(chain.rpc, chain.first, chain.last)
    return findings + compare_logs(proven, said)


def _head(chain: Chain) -> bytes:
    return bytes.fromhex(_block(chain.node, chain.last)["hash"][2:])


def test_an_honest_node_verifies(chain: Chain) -> None:
    """Headers, transactions, receipts and logs of a real node hold together, to a trusted hash."""
    assert [] == _verify(chain, _head(chain))
    asked = [call.params[0] for call in chain.proxy.asked("eth_getBlockReceipts")]
    assert hex(chain.first) not in asked  # its bloom says that there is nothing
    assert 9 == len(asked)


def test_an_omitted_log_is_found_in_the_receipts(chain: Chain) -> None:
    """A node whose index of logs lacks one, silently and under unchanged hashes, is found out."""
    fault = faults.DropLogs(which=lambda log: int(log["data"], 16) == 501)
    with chain.proxy.suffering(fault):
        findings = _verify(chain, _head(chain))
    assert [LOG_OMITTED] == [finding.kind for finding in findings]
    assert chain.first + 5 == findings[0].details["block_number"]


def test_silently_truncated_ranges_are_found(chain: Chain) -> None:
    """A node that answers for the beginning of a range only leaves out all that follows."""
    with chain.proxy.suffering(faults.TruncateRange(blocks=8)):
        findings = _verify(chain, _head(chain))
    assert {LOG_OMITTED} == {finding.kind for finding in findings}
    assert 8 + 9 == len(findings)


def test_an_invented_log_is_found(chain: Chain) -> None:
    """A log that nobody emitted stands in no receipt."""
    with chain.proxy.suffering(faults.InventLogs()):
        findings = _verify(chain, _head(chain))
    assert [LOG_INVENTED] == [finding.kind for finding in findings]


def test_a_consistent_liar_is_found_by_the_root(chain: Chain) -> None:
    """A node that leaves a log out of the receipts as well cannot mend the receipts root."""
    lie = faults.DropLogs(which=lambda log: int(log["data"], 16) == 300, receipts=True)
    with chain.proxy.suffering(lie):
        kinds = {finding.kind for finding in _verify(chain, _head(chain))}
    assert RECEIPTS_ROOT_DIFFERS in kinds


def test_a_forged_root_is_found_by_the_hash(chain: Chain) -> None:
    """A node that alters the header's root to fit its lie breaks the header's own hash."""

    def forge(_: Any, block: Any) -> Any:
        return block | {"receiptsRoot": "0x" + "42" * 32}

    fault = faults.Alter(forge, methods=["eth_getBlockByNumber"], skip=4, times=1)
    with chain.proxy.suffering(fault):
        findings = _verify(chain, _head(chain))
    assert {HEADER_HASH_DIFFERS, HEADER_CHAIN_BROKEN} == {finding.kind for finding in findings}


def test_every_type_of_transaction_that_anvil_takes(fresh_anvil: str) -> None:
    """Blocks with legacy, access-list, fee-market and set-code transactions verify."""
    account = Account.from_key(KEY)
    with Rpc(fresh_anvil) as rpc:
        chain_id = rpc.quantity("eth_chainId")
        rpc.call("anvil_setBalance", [account.address, hex(10**20)])
        emitter = Emitter(rpc)
        start = rpc.quantity("eth_getTransactionCount", [account.address, "latest"])
        fees = {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9}
        delegation = account.sign_authorization(
            {"chainId": chain_id, "address": emitter.address, "nonce": start + 4}
        )
        data = (7).to_bytes(32, "big") + (5).to_bytes(32, "big")
        to = to_checksum(emitter.address)
        access = [{"address": to, "storageKeys": ["0x" + "01" * 32]}]
        base = {"gas": 200_000, "value": 0, "data": data, "chainId": chain_id}
        for i, fields in enumerate(
            (
                {"to": to, "gasPrice": 10**11},
                {"to": to, "gasPrice": 10**11, "accessList": access},
                {"to": to, **fees, "accessList": access, "type": 2},
                {"to": to, **fees, "authorizationList": [delegation], "type": 4},
            )
        ):
            signed = account.sign_transaction({**base, **fields, "nonce": start + i})
            raw = "0x" + signed.raw_transaction.hex().removeprefix("0x")
            tx_hash = rpc.call("eth_sendRawTransaction", [raw])
            rpc.call("evm_mine")
            receipt = rpc.call("eth_getTransactionReceipt", [tx_hash])
            number = int(receipt["blockNumber"], 16)
            answer, header = _block(rpc, number), read_header(_block(rpc, number))
            assert [] == check_header(header)
            transactions = read_transactions(answer["transactions"])
            assert header.transactions_root == transactions.root
            receipts = read_receipts(
                rpc.call("eth_getBlockReceipts", [hex(number)]),
                block_hash=header.block.hash,
                block_number=number,
            )
            assert hex((0, 1, 2, 4)[i]) == receipt["type"]
            assert [5] == values(receipts.logs)
            assert [] == check_receipts(
                receipts, root=header.receipts_root, transactions=transactions
            )
