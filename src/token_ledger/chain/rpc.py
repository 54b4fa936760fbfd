"""JSON-RPC over HTTP: one connection kept alive, answers read by orjson, every failure an RpcError.

web3.py's formatters cost 10 to 30 times the call itself, and its errors come in four unrelated
types; hence this small client. Whatever goes wrong (refused connection, time-out, HTML, null,
error object, wrong type) is raised as `RpcError` naming the method and the node, never the
credentials or keys that its URL may carry. Does not know contracts: `contracts` and `logs` do.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

import orjson

from token_ledger.chain.exchange import (
    FAILURES,
    RETRY_AFTER_MAX_S,
    TIMEOUTS,
    Exchange,
    Gate,
    TooLargeError,
    backoff_s,
    never_sent,
    reason,
    retry_after_s,
    shown_url,
)
from token_ledger.core.limits import LimitKind, classify
from token_ledger.errors import RpcError

Call = tuple[str, Sequence[Any]]
"""One call of a batch: method and parameters."""

TIMEOUT_S = 30.0
ATTEMPTS_MAX = 4
_BUSY = frozenset({429, 502, 503, 504})
_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
# Sent twice, these may act twice. (A raw transaction is signed: its hash makes it idempotent.)
_ACTS = re.compile(r"eth_sendTransaction|(anvil|evm|hardhat)_.*")
_LIMITED_BY_SIZE = frozenset({"eth_getLogs", "eth_getBlockReceipts"})


class NodeError(RpcError):
    """The node answered with a JSON-RPC error object: `rpc_code`, its text, and `data`, if any.

    `status` is the HTTP status under which it came.
    """

    def __init__(
        self, message: str, *, rpc_code: int, text: str, data: bytes | None, status: int = 200
    ) -> None:
        super().__init__(message)
        self.status = status
        self.rpc_code = rpc_code
        self.text = text
        self.data = data


class UnknownBlockError(RpcError):
    """The node has no block of a number that it had reached: it is behind, or forks just now."""


class Rpc:
    """One node. Not thread-safe: one connection, one caller.

    `gate`: shared with the node's other connections, so that all of them wait when it asks to.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = TIMEOUT_S,
        attempts_max: int = ATTEMPTS_MAX,
        sleep: Callable[[float], None] = time.sleep,
        gate: Gate | None = None,
    ) -> None:
        self.shown = shown_url(url)
        self._exchange = Exchange(url, timeout_s=timeout_s)
        self._timeout_s = timeout_s
        self._attempts_max = attempts_max
        self._gate = gate or Gate(sleep)
        self._batch_max: int | None = None
        self._id = 0

    def close(self) -> None:
        """Close the connection."""
        self._exchange.close()

    def __enter__(self) -> Rpc:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- calls

    def call(self, method: str, params: Sequence[Any] = ()) -> Any:
        """Return the `result` of one call as JSON gives it; it may be None.

        Raises NodeError for an error object, RpcError for anything else that is no answer.
        """
        request = self._request(method, params)
        answer = self._post(orjson.dumps(request), method, retry=_ACTS.fullmatch(method) is None)
        if not isinstance(answer, dict) or answer.get("id") != request["id"]:
            raise self._error(method, "the answer is not the one to our question")
        return self._result(method, answer)

    def batch(self, calls: Sequence[Call], *, size: int = 100) -> list[Any]:
        """Return the results of many calls in their order, at most `size` of them in a request.

        Raises NodeError for the first call that the node refuses.
        """
        results = self.batch_settled(calls, size=size)
        for result in results:
            if isinstance(result, NodeError):
                raise result
        return results

    def batch_settled(self, calls: Sequence[Call], *, size: int = 100) -> list[Any]:
        """Return as `batch`, but with a NodeError in the place of a call that was refused."""
        results: list[Any] = []
        while len(results) < len(calls):
            size = min(size, self._batch_max or size)
            part = calls[len(results) : len(results) + size]
            try:
                results += self._batch(part)
            except NodeError:  # of the batch as a whole: perhaps it takes smaller ones
                if len(part) == 1:
                    raise
                self._batch_max = len(part) // 2
        return results

    def _batch(self, calls: Sequence[Call]) -> list[Any]:
        """Return the settled results of one batch; calls refused as too many are asked again."""
        requests_ = [self._request(method, params) for method, params in calls]
        settled: dict[int, Any] = {}
        for attempt in range(1, self._attempts_max + 1):
            left = [request for request in requests_ if request["id"] not in settled]
            settled |= self._exchange_batch(left)
            limited = [
                request
                for request in left
                if isinstance(found := settled[request["id"]], NodeError)
                and _is_rate(found, request["method"])
            ]
            if not limited or attempt == self._attempts_max:
                break
            self._gate.close_for(backoff_s(attempt))
            for request in limited:
                del settled[request["id"]]
        return [settled[request["id"]] for request in requests_]

    def _exchange_batch(self, requests_: list[dict[str, Any]]) -> dict[int, Any]:
        method = f"batch of {requests_[0]['method']}"
        retry = not any(_ACTS.fullmatch(request["method"]) for request in requests_)
        answer = self._post(orjson.dumps(requests_), method, retry=retry)
        if isinstance(answer, dict):  # a node that refuses the batch as a whole
            self._result(method, answer)
        if not isinstance(answer, list) or not all(isinstance(item, dict) for item in answer):
            raise self._error(method, "the answer to a batch is not a list")
        by_id = {item["id"]: item for item in answer if isinstance(item.get("id"), int)}
        settled: dict[int, Any] = {}
        for request in requests_:
            item = by_id.get(request["id"])
            if item is None:
                raise self._error(method, "an answer is missing")
            try:
                settled[request["id"]] = self._result(request["method"], item)
            except NodeError as error:
                settled[request["id"]] = error
        return settled

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        self._id += 1
        return {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}

    # --- typed answers

    def quantity(self, method: str, params: Sequence[Any] = ()) -> int:
        """Return the result of one call as a non-negative int."""
        with self.decoding(method):
            return decode_quantity(self.call(method, params))

    def data(self, method: str, params: Sequence[Any] = (), *, size: int | None = None) -> bytes:
        """Return the result of one call as bytes, exactly `size` of them where it is given."""
        with self.decoding(method):
            return decode_data(self.call(method, params), size=size)

    @contextlib.contextmanager
    def decoding(self, method: str) -> Iterator[None]:
        """Turn what goes wrong while an answer is decoded into an RpcError that names `method`."""
        try:
            yield
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            raise self._error(method, f"the answer is not as it should be: {what[:200]}") from None

    # --- the wire

    def _post(self, body: bytes, method: str, *, retry: bool) -> Any:
        """Return the decoded JSON answer; waits and tries again where that is safe."""
        for attempt in range(1, self._attempts_max + 1):
            last = attempt == self._attempts_max
            self._gate.wait()
            try:
                status, headers, content = self._exchange.post(body)
            except TIMEOUTS:
                # Not repeated: what took too long once will again, and the caller can ask for less.
                raise TooLargeError(
                    f"{method} at {self.shown}: no answer within {self._timeout_s:g} s",
                    hint="the node is slow or overloaded",
                ) from None
            except FAILURES as error:
                if last or not (retry or never_sent(error)):
                    raise self._error(method, reason(error), hint="is the node running?") from None
                self._gate.close_for(backoff_s(attempt))
                continue
            if status in _BUSY and not last and (retry or status == 429):
                self._gate.close_for(self._pause_s(headers, attempt, method))
                continue
            answer = self._decode(content)
            if status == 200 and answer is not None:
                if last or not self._is_rated(answer, method):
                    return answer
                self._gate.close_for(self._pause_s(headers, attempt, method))
                continue
            if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
                error_object = answer["error"] | {"http_status": status}
                return answer | {"id": self._id, "error": error_object}
            if status >= 500 and retry and not last:
                self._gate.close_for(backoff_s(attempt))
                continue
            raise self._refused(method, status, content)
        raise AssertionError("the last attempt returns or raises")

    def _is_rated(self, answer: Any, method: str) -> bool:
        """Return whether an answer under HTTP 200 says that there were too many requests."""
        error = answer.get("error") if isinstance(answer, dict) else None
        return error is not None and _is_rate(self._node_error(method, error), method)

    def _pause_s(self, headers: Any, attempt: int, method: str) -> float:
        asked = retry_after_s(headers.get("Retry-After"))
        if asked is None:
            return backoff_s(attempt)
        if asked > RETRY_AFTER_MAX_S:
            raise self._error(method, f"the node asks to wait {asked:.0f} s", hint="try later")
        return asked

    @staticmethod
    def _decode(content: bytes) -> Any:
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:
            return None

    def _result(self, method: str, answer: dict[str, Any]) -> Any:
        error = answer.get("error")
        if error is not None:
            raise self._node_error(method, error)
        if "result" not in answer:
            raise self._error(method, "the answer has neither result nor error")
        return answer["result"]

    def _node_error(self, method: str, error: Any) -> NodeError:
        fields = error if isinstance(error, dict) else {"message": str(error)}
        code = fields.get("code")
        text = str(fields.get("message"))[:500]
        data = fields.get("data")
        raw: bytes | None = None
        if isinstance(data, str) and data.startswith("0x"):
            with contextlib.suppress(ValueError):
                raw = bytes.fromhex(data[2:])
        code = code if isinstance(code, int) else 0
        told = fields.get("http_status")
        status = told if isinstance(told, int) else 200
        shown = f"{method} at {self.shown}: {text}"
        return NodeError(shown, rpc_code=code, text=text, data=raw, status=status)

    def _refused(self, method: str, status: int, content: bytes) -> RpcError:
        if status == 429:
            return self._error(method, "too many requests (HTTP 429)", hint="try later")
        head = " ".join(content[:120].decode("utf-8", "replace").split())
        kind = "HTML" if head[:1] == "<" else "no JSON"
        return self._error(
            method, f"HTTP {status} and {kind}", hint="is this the URL of a JSON-RPC node?"
        )

    def _error(self, method: str, what: str, *, hint: str | None = None) -> RpcError:
        return RpcError(f"{method} at {self.shown}: {what}", hint=hint)


def _is_rate(error: NodeError, method: str) -> bool:
    """Return whether a refusal means too many requests, rather than too much in one."""
    kind = classify(error.text, code=error.rpc_code, status=error.status).kind
    if kind is LimitKind.RESULTS and error.rpc_code == -32005:
        # EIP-1474's "limit exceeded": only where there is a size to limit is it about size.
        return not any(name in method for name in _LIMITED_BY_SIZE)
    return kind is LimitKind.RATE


# --- decoders: strict, and small enough to be fast


def decode_quantity(value: Any) -> int:
    """Return a JSON-RPC quantity as int; raises ValueError for anything else."""
    if not isinstance(value, str) or _QUANTITY.fullmatch(value) is None:
        raise ValueError(f"{value!r:.80} is not a quantity")
    return int(value, 16)


def decode_data(value: Any, *, size: int | None = None) -> bytes:
    """Return JSON-RPC data as bytes; raises ValueError for anything else or another size."""
    if not isinstance(value, str) or value[:2] != "0x":
        raise ValueError(f"{value!r:.80} is not hexadecimal data")
    raw = bytes.fromhex(value[2:])
    if 2 * len(raw) + 2 != len(value) or (size is not None and len(raw) != size):
        raise ValueError(f"{value!r:.80} is not {size or 'whole'} bytes of hexadecimal data")
    return raw


def hex_data(raw: bytes) -> str:
    """Return bytes as JSON-RPC data."""
    return "0x" + raw.hex()
