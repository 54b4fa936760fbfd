"""Follow: an import that stays, and takes every new block as it comes.

It looks every few seconds, and as soon as a WebSocket says that there is something; what is new is
read by the same loop, from the same cursors, as a single `import` reads it. A node that is down or
slow is asked again, for ever; what only a person can mend ends it. Stopped, it leaves whole ranges.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Unpack

from token_ledger.chain.exchange import is_websocket
from token_ledger.chain.wakeup import Wakeup
from token_ledger.converge import Importer, StoppedError
from token_ledger.core.progress import no_progress
from token_ledger.core.types import Finding
from token_ledger.errors import (
    DisagreementError,
    RetryableError,
    RpcError,
    TokenLedgerError,
    UsageError,
)
from token_ledger.ingest import How, IngestResult, importing, results_of
from token_ledger.ledger import Ledger

POLL_S = 5.0
_PAUSE_MAX_S = 60.0
_LOOK_S = 0.2


class Bell:
    """Wakes a follower, and ends it. `stop` may be called from a signal handler.

    `begun`: the follower looks whether it is stopped; before, it meets its nodes.
    """

    def __init__(self) -> None:
        self._rung = threading.Event()
        self.stopped = False
        self.begun = False

    def ring(self) -> None:
        """Have the follower look now."""
        self._rung.set()

    def stop(self) -> None:
        """Have it end: takes no lock, which the interrupted thread may hold."""
        self.stopped = True

    def wait(self, seconds: float) -> None:
        """Return after so long, or as soon as it was rung or stopped."""
        deadline = time.monotonic() + seconds
        while not self.stopped and (left := deadline - time.monotonic()) > 0:
            if self._rung.wait(min(left, _LOOK_S)):
                break
        self._rung.clear()


@dataclass(frozen=True, slots=True)
class News:
    """What a look brought: up to which block, transfers new and taken back; or why it brought none.

    `entries`: how many became entries, of a token that lives on the chain; `findings`: what was not
    found before. The first news comes when the import has caught up.
    """

    block: int
    transfers: int = 0
    orphaned: int = 0
    trouble: TokenLedgerError | None = None
    entries: int = 0
    findings: tuple[Finding, ...] = ()


def follow(
    ledger: Ledger,
    rpc_url: str | Sequence[str],
    *,
    bell: Bell,
    contracts: Sequence[bytes | None] | None = (None,),
    from_block: int | None = None,
    poll_s: float = POLL_S,
    news: Callable[[News], object] = lambda _: None,
    **how: Unpack[How],
) -> list[IngestResult]:
    """Import as `ingest_several` does, again and again until `bell.stop()`; return what came.

    `rpc_url`: ws:// and wss:// among them only wake it up. `poll_s`: how long it waits otherwise.
    Raises what `ingest_several` raises before the first look, and later what asking again cannot
    mend: DisagreementError about blocks that are settled, UnprovenError, WrongChainError,
    ChainError for a reorganisation deeper than the window, DatabaseError.
    """
    urls = [rpc_url] if isinstance(rpc_url, str) else list(rpc_url)
    nodes = [url for url in urls if not is_websocket(url)]
    if poll_s <= 0:
        raise UsageError(f"a poll interval of {poll_s:g} s", hint="more than 0")
    if not nodes:
        raise UsageError("a WebSocket only wakes up", hint="name a node by http:// too")
    how["stopped"] = lambda: bell.stopped
    with ExitStack() as stack:
        importer = stack.enter_context(importing(ledger, nodes, contracts, from_block, **how))
        for url in urls:
            if is_websocket(url):
                stack.enter_context(Wakeup(url, bell.ring))
        _Follower(importer, bell, poll_s, news).run(from_block)
        return results_of(importer)


def _pause_s(poll_s: float, failures: int) -> float:
    """Return how long to wait after so many failures: longer each time, never less than a poll."""
    return max(poll_s, min(_PAUSE_MAX_S, poll_s * 2.0 ** min(failures - 1, 10)))


class _Follower:
    def __init__(
        self, importer: Importer, bell: Bell, poll_s: float, news: Callable[[News], object]
    ) -> None:
        self._importer = importer
        self._bell = bell
        self._poll_s = poll_s
        self._news = news
        self._told: News | None = None
        self._failures = 0
        self._found: set[str] = set()

    def run(self, from_block: int | None) -> None:
        self._bell.begun = True
        while not self._bell.stopped:
            try:
                self._importer.converge(from_block)
            except StoppedError:
                return
            except DisagreementError as error:
                if not error.passing:
                    raise
                self._suffer(error)
            except (RpcError, RetryableError) as error:
                self._suffer(error)
            else:
                self._failures = 0
                self._tell()
                self._bell.wait(self._poll_s)

    def _suffer(self, error: TokenLedgerError) -> None:
        """Say what is wrong, and wait: longer each time."""
        self._failures += 1
        self._news(News(self._block(), trouble=error))
        self._bell.wait(_pause_s(self._poll_s, self._failures))

    def _tell(self) -> None:
        """Tell what has come since the last time, if anything has."""
        tallies = self._importer.tallies.values()
        entered = [tally.entered for tally in tallies if tally.entered is not None]
        now = News(
            self._block(),
            sum(tally.transfers for tally in tallies),
            self._importer.orphaned,
            entries=sum(one.entries for one in entered),
        )
        found = tuple(
            finding
            for one in entered
            for finding in one.findings
            if repr(finding) not in self._found
        )
        self._found |= {repr(finding) for finding in found}
        before = self._told or News(-1)
        self._told = now
        more = News(
            now.block,
            now.transfers - before.transfers,
            now.orphaned - before.orphaned,
            entries=now.entries - before.entries,
            findings=found,
        )
        if before.block == -1 or more.transfers or more.orphaned or more.entries or found:
            self._importer.progress = no_progress  # it has caught up: from now on news tell
            self._news(more)

    def _block(self) -> int:
        return max(tally.next_block for tally in self._importer.tallies.values()) - 1
