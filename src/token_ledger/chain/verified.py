"""Blocks taken as proven, not as told: headers that hash, receipts that give the header's root.

The same ranges as `chain.logs` reads, but every log comes from receipts whose root the block's
header names, and what `eth_getLogs` answers is held against them: an omitted or invented log is
found. Believes no hash of the node's, except that the last block is on the chain: for that there
are blocks `proven` by a trusted one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from token_ledger.chain.logs import (
    LogReader,
    Wanted,
    decode_split,
    joined,
    query_of,
    read_blocks,
)
from token_ledger.chain.proven import ProvenBlocks, refuse
from token_ledger.chain.rpc import Rpc, hex_data
from token_ledger.core.bloom import may_hold
from token_ledger.core.headers import FullHeader, check_header, check_header_chain, read_header
from token_ledger.core.logs import compare_logs
from token_ledger.core.receipts import check_receipts, read_receipts
from token_ledger.core.transactions import check_transactions, read_transactions
from token_ledger.core.transfers import BlockHeader, ChainRange
from token_ledger.errors import ChainError, UnprovenError

if TYPE_CHECKING:
    from token_ledger.chain.endpoints import Nodes

_ALL_BLOCKS = 1 << 63


def find_trusted(rpc: Rpc, trusted_hash: bytes) -> BlockHeader:
    """Return the block of a trusted hash, its header proven. Raises UnprovenError, RpcError."""
    method = "eth_getBlockByHash"
    answer = rpc.call(method, [hex_data(trusted_hash), False])
    if answer is None:
        raise ChainError(
            f"{rpc.shown} does not know the trusted block {hex_data(trusted_hash)}",
            hint="it is behind, or on another chain",
        )
    with rpc.decoding(method):
        header = read_header(answer)
    refuse(check_header(header))
    if header.block.hash != trusted_hash:
        raise UnprovenError(f"{rpc.shown} answers another block than the trusted one")
    return header.block


class VerifyingReader(LogReader):
    """Reads as a LogReader does, and returns only what receipts prove."""

    def __init__(self, nodes: Nodes, *, concurrency: int = 1) -> None:
        super().__init__(nodes, window=_ALL_BLOCKS, concurrency=concurrency)
        self.proven: ProvenBlocks | None = None
        """Blocks that are known to be right, by a trusted hash: no other ones are read there."""

    def _pinned(self, rpc: Rpc, wanted: Sequence[Wanted], low: int, high: int) -> list[ChainRange]:
        """Read a range and prove it. Raises UnprovenError, ForkedError, RpcError."""
        answers = read_blocks(rpc, range(low, high + 1), whole=True, size=16)
        with rpc.decoding("eth_getBlockByNumber"):
            headers = [read_header(answer) for answer in answers]
        refuse(check_header_chain(headers, headers[-1].claimed_hash))
        if self.proven:
            for header in headers:
                self.proven.check(header.block)
        addresses, asked = [one.address for one in wanted], query_of(wanted)
        logs: list[Any] = []
        for header, answer in zip(headers, answers, strict=True):
            if any(may_hold(header.logs_bloom, [address]) for address in addresses):
                logs += _logs_of(rpc, header, answer, addresses, asked["topics"][0])
        said = rpc.call("eth_getLogs", [asked | {"fromBlock": hex(low), "toBlock": hex(high)}])
        with rpc.decoding("eth_getLogs"):
            refuse(compare_logs(logs, said))
        found = decode_split(rpc, wanted, logs, low, high)
        return joined(rpc, found, [header.block for header in headers])


def _logs_of(
    rpc: Rpc, header: FullHeader, answer: Any, addresses: Sequence[bytes], topics: Sequence[str]
) -> list[Any]:
    """Return the contracts' logs of a block in its order, proven by its receipts."""
    number, method = header.block.number, "eth_getBlockReceipts"
    with rpc.decoding("eth_getBlockByNumber"):
        transactions = read_transactions(answer["transactions"])
    findings = check_transactions(transactions, root=header.transactions_root, block_number=number)
    said = rpc.call(method, [hex(number)])
    with rpc.decoding(method):
        receipts = read_receipts(
            said, block_hash=header.block.hash, block_number=number, addresses=addresses
        )
    findings += check_receipts(receipts, root=header.receipts_root, transactions=transactions)
    refuse(findings)
    wanted = [bytes.fromhex(topic[2:]) for topic in topics]
    logs = [log for address in addresses for log in receipts.logs_of(address, wanted)]
    return sorted(logs, key=lambda log: int(log["logIndex"], 16))
