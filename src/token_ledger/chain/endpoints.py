"""Several nodes of one chain: asked by health, the next one when one fails, N of them for a quorum.

Every question is asked of one node as a whole (`work` gets a connection to it), so that no answer
is put together from two. A node is asked who it is before it is believed, and again after each
failure. One that is behind is passed over: that is no disagreement. Which answer is right when two
differ cannot be known here, so nothing is taken then.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TypeVar

from token_ledger.chain import finality
from token_ledger.chain.exchange import Gate, shown_url, spelt_alike
from token_ledger.chain.identity import ChainIdentity, read_identity
from token_ledger.chain.logs import read_headers
from token_ledger.chain.rpc import ATTEMPTS_MAX, NodeError, Rpc, UnknownBlockError
from token_ledger.core.agreement import Difference, differing_headers
from token_ledger.core.limits import SHRINKS, LimitKind, classify
from token_ledger.core.transfers import BlockHeader
from token_ledger.errors import ChainError, DisagreementError, RpcError, UsageError, WrongChainError

T = TypeVar("T")

BEHIND_MAX = 16
"""A node that lags so many blocks behind the best one is asked after those that do not."""
_ATTEMPTS_AMONG_SEVERAL = 2
_REST_S, _REST_MAX_S = 1.0, 60.0
_CONNECTIONS_IDLE_MAX = 32


class Endpoint:
    """One node, and how it has been doing."""

    def __init__(self, url: str, *, attempts_max: int, sleep: Callable[[float], None]) -> None:
        self._url = url
        self._attempts_max = attempts_max
        self._gate = Gate(sleep)
        self._idle = [Rpc(url, attempts_max=attempts_max, gate=self._gate)]
        self.shown = self._idle[0].shown
        self.met = False
        self.head: int | None = None
        self.rests_until = 0.0
        self._failures = 0

    @contextlib.contextmanager
    def lent(self) -> Iterator[Rpc]:
        """Yield a connection that nobody else has."""
        try:
            rpc = self._idle.pop()
        except IndexError:
            rpc = Rpc(self._url, attempts_max=self._attempts_max, gate=self._gate)
        try:
            yield rpc
        finally:
            if len(self._idle) < _CONNECTIONS_IDLE_MAX:
                self._idle.append(rpc)
            else:
                rpc.close()

    def answered(self) -> None:
        """Note that it does what it should."""
        self._failures, self.rests_until = 0, 0.0

    def failed(self) -> None:
        """Note that it does not: it rests for a while, and is then asked anew who it is."""
        self.met = False
        self._failures = min(self._failures + 1, 10)
        self.rests_until = time.monotonic() + min(_REST_MAX_S, _REST_S * 2**self._failures)

    def close(self) -> None:
        """Close the connections that nobody has."""
        while self._idle:
            self._idle.pop().close()


class Nodes:
    """The nodes of one chain. Thread-safe; use it as a context manager, and `meet` them first."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        quorum: int = 1,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`quorum`: so many must say the same. Raises UsageError, and RpcError for a bad URL."""
        if not urls:
            raise UsageError("no node is named")
        _check_different(urls)
        if not 1 <= quorum <= len(urls):
            raise UsageError(
                f"a quorum of {quorum} among {len(urls)} nodes",
                hint="name at least as many nodes as must agree",
            )
        self.quorum = quorum
        attempts = ATTEMPTS_MAX if len(urls) == 1 else _ATTEMPTS_AMONG_SEVERAL
        self._endpoints = [Endpoint(url, attempts_max=attempts, sleep=sleep) for url in urls]
        self._chain: ChainIdentity | None = None
        self._lock = threading.Lock()

    @property
    def shown(self) -> str:
        """The nodes, in words without secrets."""
        return ", ".join(endpoint.shown for endpoint in self._endpoints)

    def close(self) -> None:
        """Close the connections."""
        for endpoint in self._endpoints:
            endpoint.close()

    def __enter__(self) -> Nodes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- who they are

    def meet(self, *, window: int) -> ChainIdentity:
        """Return the chain that they all serve; some may be down, but not too many for the quorum.

        Raises WrongChainError where two serve different chains, DisagreementError where two differ
        in a block more than `window` below both their heads, RpcError.
        """
        identities = self._gathered(read_identity)
        (first, chain), *others = identities
        for endpoint, other in others:
            if other != chain:
                raise WrongChainError(
                    f"{first.shown} and {endpoint.shown} serve different chains: "
                    f"{_named(chain)} and {_named(other)}",
                    hint="name nodes of one chain",
                )
        self._chain = chain
        for endpoint, _ in identities:
            endpoint.met = True
        if len(identities) > 1:
            self._check_heads(window)
        return chain

    def meet_again(self) -> None:
        """Ask the nodes anew who they are. Raises WrongChainError, RpcError."""
        for endpoint in self._endpoints:
            endpoint.met = False
        self.run(lambda _: None)

    def _check_heads(self, window: int) -> None:
        heads = self._gathered(_read_head)
        number = max(0, min(head for _, head in heads) - window)
        headers = self._gathered(lambda rpc: read_headers(rpc, [number]))
        for endpoint, header in headers[1:]:
            if difference := differing_headers(headers[0][1], header):
                raise _disagreement(headers[0][0], endpoint, difference, passing=False)

    def _gathered(self, work: Callable[[Rpc], T]) -> list[tuple[Endpoint, T]]:
        """Return what each node says that says anything, the healthiest first."""
        said: list[tuple[Endpoint, T]] = []
        errors: list[ChainError] = []
        for endpoint in self._by_health():
            try:
                said.append((endpoint, self._ask(endpoint, work)))
            except (RpcError, WrongChainError) as error:
                endpoint.failed()
                errors.append(error)
        if len(said) < self.quorum:
            raise self._none(errors, answered=len(said))
        return said

    def _ask(self, endpoint: Endpoint, work: Callable[[Rpc], T]) -> T:
        with endpoint.lent() as rpc:
            if self._chain is not None and not endpoint.met:
                found = read_identity(rpc)
                if found != self._chain:
                    raise WrongChainError(
                        f"{rpc.shown} serves {_named(found)} now, not {_named(self._chain)}",
                        hint="was the node set up anew? Name a node of the chain",
                    )
                endpoint.met = True
            return work(rpc)

    def _by_health(self) -> list[Endpoint]:
        """Return the nodes, those first that answered last time and have kept up, as they stand."""
        now = time.monotonic()
        best = max((endpoint.head or 0 for endpoint in self._endpoints), default=0)

        def rank(endpoint: Endpoint) -> tuple[bool, float, bool]:
            rests = endpoint.rests_until > now
            behind = endpoint.head is not None and endpoint.head + BEHIND_MAX < best
            return (rests, endpoint.rests_until if rests else 0.0, behind)

        return sorted(self._endpoints, key=rank)

    # --- asking

    def run(self, work: Callable[[Rpc], T], *, shrinkable: bool = False) -> T:
        """Return what `work` gives at the healthiest node, or at the next one when that one fails.

        `shrinkable`: the caller can ask for less, so that a limit is its to answer, no failure.
        Raises what the only node raised, RpcError where all of several failed.
        """
        errors: list[ChainError] = []
        for endpoint in self._by_health():
            try:
                result = self._ask(endpoint, work)
            except (RpcError, WrongChainError) as error:
                if shrinkable and _is_limit(error):
                    raise
                endpoint.failed()
                errors.append(error)
            else:
                endpoint.answered()
                return result
        raise self._none(errors, shrinkable=shrinkable)

    def agree(
        self,
        work: Callable[[Rpc], T],
        differing: Callable[[T, T], Difference | None],
        *,
        reach: int,
        settled: bool,
        shrinkable: bool = False,
    ) -> T:
        """Return what `work` gives, the same at as many nodes as the quorum wants.

        `reach`: the highest block that it asks for; nodes that have not got it are passed over.
        `settled`: it asks for nothing that a reorganisation may still change. Raises
        DisagreementError, RpcError where too few answer, and what `run` raises.
        """
        if self.quorum == 1:
            return self.run(work, shrinkable=shrinkable)
        said: list[tuple[Endpoint, T]] = []
        errors: list[ChainError] = []
        for endpoint in self._by_health():
            if endpoint.head is not None and endpoint.head < reach:
                errors.append(RpcError(f"{endpoint.shown} is behind, at block {endpoint.head}"))
                continue
            try:
                result = self._ask(endpoint, work)
            except (RpcError, WrongChainError) as error:
                if shrinkable and _is_limit(error):
                    raise
                endpoint.failed()
                errors.append(error)
                continue
            endpoint.answered()
            if said and (difference := differing(said[0][1], result)):
                passing = difference.in_hash and not settled
                raise _disagreement(said[0][0], endpoint, difference, passing=passing)
            said.append((endpoint, result))
            if len(said) == self.quorum:
                return result
        raise self._none(errors, answered=len(said), shrinkable=shrinkable)

    def agree_on(self, work: Callable[[Rpc], T], told: Callable[[T], str], *, block: int) -> T:
        """Return what `work` gives of a contract at a block, equal at as many nodes as the quorum.

        `told`: an answer in words, for the error. Raises as `agree`.
        """

        def differing(one: T, other: T) -> Difference | None:
            if one == other:
                return None
            return Difference(block, in_hash=False, sides=(told(one), told(other)), in_state=True)

        return self.agree(work, differing, reach=block, settled=True)

    def headers(self, numbers: Sequence[int], *, settled: bool = False) -> list[BlockHeader]:
        """Return agreed headers by number, in the same order. Raises as `agree`."""
        return self.agree(
            lambda rpc: read_headers(rpc, numbers),
            differing_headers,
            reach=max(numbers),
            settled=settled,
        )

    def head(self) -> int:
        """Return the highest block that the quorum has reached."""
        heads = self._gathered(_read_head) if len(self._endpoints) > 1 else []
        if not heads:
            return self.run(_read_head)
        for endpoint, head in heads:
            endpoint.head = head
            endpoint.answered()
        if self.quorum == 1:
            return next(e.head for e in self._by_health() if e.head is not None)
        return sorted((head for _, head in heads), reverse=True)[self.quorum - 1]

    def final_block(self, *, confirmations: int = finality.CONFIRMATIONS) -> BlockHeader:
        """Return the highest block that counts as final with the quorum: `finality.final_block`."""

        def ask(rpc: Rpc) -> BlockHeader:
            return finality.final_block(rpc, confirmations=confirmations)

        if self.quorum == 1:
            return self.run(ask)
        numbers = sorted((block.number for _, block in self._gathered(ask)), reverse=True)
        return self.headers([numbers[self.quorum - 1]], settled=True)[0]

    def _none(
        self, errors: Sequence[ChainError], *, answered: int = 0, shrinkable: bool = False
    ) -> ChainError:
        """Return the error that tells why too few nodes answered."""
        if len(self._endpoints) == 1:
            return errors[0]
        if shrinkable:
            for error in errors:
                if isinstance(error, NodeError) or type(error) is not RpcError:
                    return error
        told = "; ".join(dict.fromkeys(error.message for error in errors))
        passing = any(isinstance(error, UnknownBlockError) for error in errors)
        return (UnknownBlockError if passing else RpcError)(
            f"{answered} of {len(self._endpoints)} nodes answered as they should, "
            f"{self.quorum} must: {told}",
            hint="nothing was written; run it again, or name other nodes",
        )


def _check_different(urls: Sequence[str]) -> None:
    """Raise UsageError where two URLs are one: a node cannot agree with itself."""
    seen: set[tuple[object, ...]] = set()
    for url in urls:
        said = spelt_alike(url)
        if said in seen:
            raise UsageError(f"{shown_url(url)} is named twice", hint="name each node once")
        seen.add(said)


def _read_head(rpc: Rpc) -> int:
    return rpc.quantity("eth_blockNumber")


def _is_limit(error: ChainError) -> bool:
    """Return whether a node refused only the size of the question."""
    if not isinstance(error, NodeError):
        return False
    kind = classify(error.text, code=error.rpc_code, status=error.status).kind
    return kind in SHRINKS and kind is not LimitKind.TIMEOUT


def _named(chain: ChainIdentity) -> str:
    return f"chain {chain.chain_id} from block 0x{chain.genesis.hash.hex()[:8]}… on"


def _disagreement(
    one: Endpoint, other: Endpoint, difference: Difference, *, passing: bool
) -> DisagreementError:
    here, there = difference.sides
    what = (
        f"{one.shown} and {other.shown} disagree on block {difference.block_number}: "
        f"{here} and {there}"
    )
    if passing:
        return DisagreementError(
            what, hint="the chain is being reorganised, or one of them is on a fork", passing=True
        )
    if difference.in_hash:
        return DisagreementError(
            what, hint="one of them is on another chain; nothing was written: ask a third node"
        )
    if difference.in_state:
        return DisagreementError(
            what, hint="one of them is wrong; nothing of it was believed: ask a third node"
        )
    return DisagreementError(
        what,
        hint="one of them leaves logs out or makes some up; nothing was written: "
        "find out which with --verify receipts",
    )
