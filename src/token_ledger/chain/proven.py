"""The hashes of a stretch of blocks, proven by the trusted hash of its last, before any is used.

What is stored block by block from below is proven only when the trusted block is reached, and by
then it would be stored. So the headers are read twice: first they alone, up to the trusted one.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from token_ledger.chain.crew import Crew
from token_ledger.chain.logs import read_blocks
from token_ledger.chain.rpc import Rpc
from token_ledger.core.headers import FullHeader, check_header_chain, read_header
from token_ledger.core.progress import Progress
from token_ledger.core.transfers import BlockHeader
from token_ledger.core.types import Finding
from token_ledger.errors import UnprovenError

if TYPE_CHECKING:
    from token_ledger.chain.endpoints import Nodes

_PAGE = 100
_HASH_SIZE = 32
Headers = list[FullHeader]


class ProvenBlocks:
    """Which hash each block has, from `first` to the trusted one; thread-safe to ask.

    The hashes stand in a file without a name: a chain may be long, and memory stays flat.
    """

    def __init__(self, first: int) -> None:
        self._first = self._next = first
        self._file, name = tempfile.mkstemp(prefix="token-ledger-headers-")
        Path(name).unlink()
        weakref.finalize(self, os.close, self._file)

    def add(self, headers: Headers) -> None:
        """Append what follows."""
        os.write(self._file, b"".join(header.block.hash for header in headers))
        self._next += len(headers)

    def check(self, block: BlockHeader) -> None:
        """Raise UnprovenError for another block than the proven one; those beyond say nothing."""
        if not self._first <= block.number < self._next:
            return
        at = (block.number - self._first) * _HASH_SIZE
        if os.pread(self._file, _HASH_SIZE, at) != block.hash:
            raise UnprovenError(
                f"block {block.number} is not the one that the trusted block follows",
                hint="the node serves two chains: take another one",
            )


def prove_blocks(
    nodes: Nodes,
    first: int,
    trusted: BlockHeader,
    *,
    concurrency: int,
    awaited: Callable[[Future[Headers]], Headers],
    progress: Progress,
) -> ProvenBlocks:
    """Return the blocks from `first` on that the trusted one follows, header by header.

    `awaited` gives a future's result, and may end the wait. Raises UnprovenError when the chain
    of headers breaks or ends in another block than the trusted one, RpcError.
    """
    proven, total = ProvenBlocks(first), trusted.number + 1 - first
    below: Headers = []
    pages = deque(range(first, trusted.number + 1, _PAGE))
    pending: deque[Future[Headers]] = deque()
    with Crew(concurrency) as crew:
        while pages or pending:
            while pages and len(pending) < concurrency:
                low = pages.popleft()
                numbers = range(low, min(low + _PAGE, trusted.number + 1))
                pending.append(crew.submit(partial(nodes.run, partial(_read, numbers))))
            headers = awaited(pending.popleft())
            refuse(check_header_chain(below + headers, headers[-1].claimed_hash))
            proven.add(headers)
            below = headers[-1:]
            progress("headers", headers[-1].block.number + 1 - first, total)
    refuse(check_header_chain(below, trusted.hash))
    return proven


def _read(numbers: range, rpc: Rpc) -> Headers:
    answers = read_blocks(rpc, numbers)
    with rpc.decoding("eth_getBlockByNumber"):
        return [read_header(answer) for answer in answers]


def refuse(findings: list[Finding]) -> None:
    """Raise UnprovenError with the first finding, and how many there are."""
    if not findings:
        return
    first, more = findings[0], len(findings) - 1
    where = first.details.get("block_number", "?")
    raise UnprovenError(
        f"{first.kind} at block {where}: {first.message}" + (f" (and {more} more)" if more else "")
    )
