"""What can be wrong with a node: the faults that `tests.chain.proxy` lets a test switch on.

Lies: DropLogs, InventLogs, Alter, TruncateRange, NullResult, StaleHead, WrongChainId, Switch (to
another node: a reorganisation). Refusals: Refuse (limits, in each provider's words),
TooManyRequests. Broken wires: Html, Body, CutConnection, Stall.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.chain.proxy import (
    STALL_MAX_S,
    Call,
    Fault,
    Node,
    RawAnswerError,
    RefusedError,
    Result,
)
from tests.wordings import Wording

_NUMBER = re.compile(r"0x[0-9a-f]+|[0-9][0-9,]*k?", re.IGNORECASE)

# --- lies


@dataclass
class Alter(Fault):
    """Changes results by a function of the call and a copy of the result."""

    change: Callable[[Call, Result], Result] = lambda _, result: result

    def answer(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        """Return the changed result."""
        return self.change(call, ask(call))


@dataclass
class DropLogs(Fault):
    """Leaves logs out of `eth_getLogs`: the first of each answer, or those that `which` picks.

    With `receipts` it leaves them out of block receipts as well, numbers made to fit: a consistent
    lie, which only the receipts root can show.
    """

    which: Callable[[dict[str, Any]], bool] | None = None
    receipts: bool = False

    def answer(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        """Return the logs or receipts without the dropped ones."""
        result = ask(call)
        if call.method == "eth_getLogs":
            if self.which is None:
                return result[1:]
            return [log for log in result if not self.which(log)]
        if call.method == "eth_getBlockReceipts" and self.receipts and result:
            return self._thin(result)
        return result

    def _thin(self, receipts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        which = self.which or (lambda log: log["logIndex"] == "0x0")
        thinned, number = [], 0
        for receipt in receipts:
            logs = []
            for log in receipt["logs"]:
                if not which(log):
                    logs.append(log | {"logIndex": hex(number)})
                    number += 1
            thinned.append(receipt | {"logs": logs})
        return thinned


@dataclass
class InventLogs(Fault):
    """Adds a log to each answer of `eth_getLogs` that has any: the last one once more, with the
    next log index and another value. `make` makes others, from the logs that are there.
    """

    make: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] | None = None

    def answer(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        """Return the logs and the invented ones, in chain order."""
        result = ask(call)
        if call.method != "eth_getLogs" or not result:
            return result
        if self.make is not None:
            return result + self.make(result)
        index = hex(int(result[-1]["logIndex"], 16) + 1)
        return [*result, result[-1] | {"logIndex": index, "data": "0x" + "00" * 31 + "07"}]


@dataclass
class TruncateRange(Fault):
    """Answers `eth_getLogs` for the first `blocks` of the range only, and says nothing of it."""

    blocks: int = 1

    def answer(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        """Return the logs of the range's beginning."""
        if call.method != "eth_getLogs" or call.span is None:
            return ask(call)
        low, high = call.span
        return ask(call.with_range(low, min(high, low + self.blocks - 1)))


@dataclass
class NullResult(Fault):
    """Answers null, as a node does for what it has not got."""

    def answer(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        """Return null."""
        return None


@dataclass
class StaleHead(Fault):
    """Answers as a node whose head is block `head`: behind, but on the same chain.

    A range past its head is an error, as it is with geth and Reth; with `silent` it is cut short
    without a word, as it is with a load balancer's slower node.
    """

    head: int = 0
    silent: bool = False

    def answer(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        """Return what a node at that head would."""
        if call.method == "eth_blockNumber":
            return hex(self.head)
        if call.method in ("eth_getBlockByNumber", "eth_getBlockReceipts"):
            return self._block(call, ask)
        if call.method == "eth_getBlockByHash":
            block = ask(call)
            return block if block is None or int(block["number"], 16) <= self.head else None
        if call.method == "eth_getLogs":
            return self._logs(call, ask)
        return ask(call)

    def _block(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        tag = call.params[0]
        if tag in ("latest", "pending"):
            tag = hex(self.head)
        elif tag in ("safe", "finalized"):
            there = ask(Call("eth_getBlockByNumber", [tag, False]))
            tag = hex(min(int(there["number"], 16), self.head))
        if tag.startswith("0x") and len(tag) < 66 and int(tag, 16) > self.head:
            return None
        return ask(Call(call.method, [tag, *call.params[1:]]))

    def _logs(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        query = call.params[0]
        if query.get("toBlock") in (None, "latest", "pending") and "blockHash" not in query:
            call = Call(call.method, [query | {"toBlock": hex(self.head)}])
        if call.span is None or call.span[1] <= self.head:
            return ask(call)
        if not self.silent:
            text = "block range extends beyond current head block"
            raise RefusedError({"code": -32602, "message": text})
        low = call.span[0]
        return ask(call.with_range(low, self.head)) if low <= self.head else []


@dataclass
class WrongChainId(Fault):
    """Says that it is of another chain."""

    chain_id: int = 1

    def answer(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        """Return the other chain's id, and everything else as it is."""
        names = {"eth_chainId": hex(self.chain_id), "net_version": str(self.chain_id)}
        return names[call.method] if call.method in names else ask(call)


@dataclass
class Switch(Fault):
    """Hands calls to another node: with `skip`, a reorganisation in the middle of a range."""

    other_url: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._other = Node(self.other_url)

    def answer(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        """Return the other node's answer."""
        return self._other.ask(call)

    def stop(self) -> None:
        """Close the connections to the other node."""
        self._other.close()


# --- refusals


@dataclass
class Refuse(Fault):
    """Refuses `eth_getLogs` in a provider's own words, HTTP status included.

    Over more than `blocks` at once, or of more than `results` logs, or of more than `size` bytes of
    JSON; without any of the three, always. The numbers in the text are made to fit: where the
    wording suggests a range, it is the first `blocks` of what was asked (or half of it).
    """

    wording: Wording = field(kw_only=True)
    blocks: int | None = None
    results: int | None = None
    size: int | None = None

    def answer(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        """Return the logs. Raises RefusedError in the wording."""
        if call.method != "eth_getLogs":
            return ask(call)
        low, high = call.span or (0, 0)
        if self.blocks is not None and high - low + 1 <= self.blocks:
            return ask(call)
        if self.results is not None or self.size is not None:
            result = ask(call)
            over_results = self.results is not None and len(result) > self.results
            over_size = self.size is not None and len(json.dumps(result)) > self.size
            if not (over_results or over_size):
                return result
        fits = self.blocks or max(1, (high - low + 1) // 2)
        text = reword(self.wording, low, fits)
        raise RefusedError({"code": self.wording.code, "message": text}, self.wording.status)


def reword(wording: Wording, low: int, blocks: int) -> str:
    """Return a provider's text, suggesting `blocks` blocks from block `low` on."""
    text = wording.text
    if wording.blocks is None:
        return text
    high = low + blocks - 1
    text = re.sub(r"\[0x\w+, 0x\w+\]", f"[{hex(low)}, {hex(high)}]", text)
    text = re.sub(r"range [0-9]+-[0-9]+", f"range {low}-{high}", text)

    def fit(match: re.Match[str]) -> str:
        digits = match.group().lower().replace(",", "").replace("k", "000")
        return str(blocks) if wording.lasting and digits == str(wording.blocks) else match.group()

    return _NUMBER.sub(fit, text)


@dataclass
class TooManyRequests(Fault):
    """Answers HTTP 429, with a Retry-After header (seconds or a date) or without."""

    retry_after: str | None = None
    body: bytes = b'{"jsonrpc":"2.0","id":null,"error":{"code":429,"message":"slow down"}}'

    def answer(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        """Never return."""
        headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
        raise RawAnswerError(self.body, 429, headers)


# --- broken wires


@dataclass
class Body(Fault):
    """Answers with a body of its own, whatever was asked: half an answer, another's, nothing."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def answer(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        """Never return."""
        raise RawAnswerError(self.body, self.status, self.headers)


@dataclass
class Html(Body):
    """Answers with a web page, as gateways and wrong URLs do."""

    body: bytes = b"<!DOCTYPE html><html><title>502 Bad Gateway</title></html>"
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/html"})


@dataclass
class CutConnection(Fault):
    """Closes the connection without an answer."""

    def answer(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        """Never return."""
        raise RawAnswerError(b"", cut=True)


@dataclass
class Stall(Fault):
    """Answers `seconds` late, or as soon as the fault is switched off; then cuts, or answers."""

    seconds: float = STALL_MAX_S
    then_answer: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._over = threading.Event()

    def answer(self, call: Call, ask: Callable[[Call], Result]) -> Result:
        """Return the answer, late, or cut the connection."""
        self._over.wait(min(self.seconds, STALL_MAX_S))
        if self.then_answer:
            return ask(call)
        raise RawAnswerError(b"", cut=True)

    def stop(self) -> None:
        """Let go of whoever waits."""
        self._over.set()
