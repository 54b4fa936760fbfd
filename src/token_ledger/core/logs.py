"""What `eth_getLogs` answered, held against the logs that verified receipts prove.

An index of logs can lack some under an unchanged block hash, and a node can make some up. Given the
logs of `core.receipts` for a run of blocks, every difference is a Finding. Fetches nothing, and
believes neither side: that the receipts are the block's is proven before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from token_ledger.core.receipts import Log
from token_ledger.core.types import Finding
from token_ledger.core.wire import decode_data, decode_quantity, field, refuse

LOG_OMITTED = "log_omitted"
"""A log that stands in the block's receipts is not in the node's answer."""
LOG_INVENTED = "log_invented"
"""A log in the node's answer stands in no receipt."""
LOG_DIFFERS = "log_differs"
"""A log in the node's answer is another one than stands in the receipt."""

_TEXTS = ("address", "data", "blockHash", "transactionHash")
_DATA_SHOWN = 66


def compare_logs(proven: Sequence[Log], said: object) -> list[Finding]:
    """Return how an answer to `eth_getLogs` differs from the proven logs, in chain order.

    `proven`: of the same blocks, contract and events, from `BlockReceipts.logs_of`. Raises
    ValueError where the answer is no list of logs, or holds one of them twice.
    """
    if not isinstance(said, list):
        refuse("not a list of logs")
    expected = {_place(log): log for log in proven}
    actual: dict[tuple[int, int], Log] = {}
    for item in said:
        log = _read_log(item)
        if actual.setdefault(_place(log), log) is not log:
            refuse(f"log {log['logIndex']} of block {log['blockNumber']} comes twice")
    if expected == actual:
        return []
    return [
        _difference(place, expected.get(place), actual.get(place))
        for place in sorted(expected.keys() | actual.keys())
        if expected.get(place) != actual.get(place)
    ]


def _place(log: Log) -> tuple[int, int]:
    return int(log["blockNumber"], 16), int(log["logIndex"], 16)


def _read_log(item: object) -> Log:
    """Return a log of an answer in the spelling of `core.receipts`."""
    if not isinstance(item, dict):
        refuse(f"{item!r:.80} is no log")
    topics = field(item, "topics")
    if not isinstance(topics, list):
        refuse(f"the topics of a log are {topics!r:.80}")
    log: Log = {name: "0x" + decode_data(field(item, name)).hex() for name in _TEXTS}
    log["topics"] = ["0x" + decode_data(topic, size=32).hex() for topic in topics]
    for name in ("blockNumber", "transactionIndex", "logIndex"):
        log[name] = hex(decode_quantity(field(item, name), bits=63))
    log["removed"] = bool(item.get("removed"))
    return log


_MESSAGES = {
    LOG_OMITTED: "the node's answer leaves out a log that stands in the block: its index of logs "
    "is incomplete; take the logs from the receipts, or from another node",
    LOG_INVENTED: "the node's answer holds a log that stands in no receipt of the block; do not "
    "use this node",
    LOG_DIFFERS: "the node's answer holds another log than stands in the block; do not use this "
    "node",
}


def _difference(place: tuple[int, int], expected: Log | None, actual: Log | None) -> Finding:
    kind = LOG_INVENTED if expected is None else LOG_DIFFERS
    if actual is None:
        kind = LOG_OMITTED
    return Finding(
        kind,
        _MESSAGES[kind],
        {
            "block_number": place[0],
            "log_index": place[1],
            "expected": _shown(expected),
            "actual": _shown(actual),
        },
    )


def _shown(log: Log | None) -> dict[str, Any] | None:
    if log is None:
        return None
    data = log["data"]
    return {
        "address": log["address"],
        "topics": log["topics"],
        "data": data if len(data) <= _DATA_SHOWN else f"{data[:_DATA_SHOWN]}…",
        "block_hash": log["blockHash"],
        "transaction_hash": log["transactionHash"],
    }
