"""What a node means when it refuses a query: too wide, too many, too large, too often, too slow.

JSON-RPC has no words for limits, so every provider and client chose its own: this table knows
theirs, as patterns over the text, with codes where the text is silent. Many texts name a range that
would work. Knows no connection and no clock: `chain` asks `classify`, then asks for less, waits, or
gives up. The wordings themselves, with who says them, are in `tests/wordings.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_TEXT_MAX = 2_000
_BLOCKS_MAX = 1 << 40


class LimitKind(StrEnum):
    """Why a node refused."""

    RANGE = "range"
    """More blocks at once than it allows: ask for fewer."""
    RESULTS = "results"
    """More logs than it returns at once: ask for fewer blocks."""
    RESPONSE = "response"
    """A larger answer than it sends: ask for fewer blocks."""
    TIMEOUT = "timeout"
    """It took too long: ask for fewer blocks."""
    RATE = "rate"
    """Too many requests: wait, and ask the same again."""
    UNKNOWN_BLOCK = "unknown_block"
    """It has not got a block that was asked for, or has it no more: look where its head is."""
    OTHER = "other"
    """Something else: asking for less or later will not help."""


SHRINKS = frozenset({LimitKind.RANGE, LimitKind.RESULTS, LimitKind.RESPONSE, LimitKind.TIMEOUT})
"""The kinds that a narrower range answers."""


@dataclass(frozen=True, slots=True)
class NodeLimit:
    """What an error says of a limit.

    `blocks`: the number of blocks that the text says would work, or None. `lasting`: that number
    is the node's own rule, not an estimate for this one query.
    """

    kind: LimitKind
    blocks: int | None = None
    lasting: bool = False

    def next_size(self, asked: int) -> int:
        """Return how many blocks to ask for after `asked` of them were refused, at least 1.

        Always fewer than `asked`, except where fewer do not help, or there are no fewer: a text
        that suggests what was just refused (some do) is not believed.
        """
        if self.kind not in SHRINKS or asked <= 1:
            return asked
        if self.blocks is not None and self.blocks < asked:
            return self.blocks
        return asked // 2


# Named groups: `blocks` is a number of blocks, `low` and `high` a range that would work.
_N = r"(?P<blocks>[0-9][0-9,._]{0,20}k?)"
_SPAN = r"\[\s*(?P<low>0x[0-9a-f]{1,16}),?\s+(?P<high>0x[0-9a-f]{1,16})\s*\]"
_SPAN_DECIMAL = r"(?P<low>[0-9]{1,15})-(?P<high>[0-9]{1,15})"

# The first pattern that is found speaks. So what is meant by other words for a limit comes before
# ranges, and a text with a number before the same text without one.
_PATTERNS = (
    (LimitKind.OTHER, r"execution reverted"),
    (LimitKind.RATE, r"rate.?limit|request rate|too many (?:concurrent )?requests|credits limited"),
    (LimitKind.RATE, r"compute units|request count|request limit|rps limit|quota|throttl"),
    (LimitKind.UNKNOWN_BLOCK, r"beyond (?:the )?(?:current|latest)|still syncing|header not found"),
    (LimitKind.UNKNOWN_BLOCK, r"unknown block|block not found|^\S+ could not be found"),
    (LimitKind.UNKNOWN_BLOCK, r"block height is [0-9]+ but requested|after last accepted block"),
    (LimitKind.TIMEOUT, r"time(?:d )?out|deadline exceeded|took too long|query duration"),
    (LimitKind.RESULTS, rf"(?:results|logs).{{1,80}}{_SPAN}"),
    (LimitKind.RESULTS, rf"(?:results|logs).{{1,80}}range {_SPAN_DECIMAL}"),
    (LimitKind.RESPONSE, rf"response size.{{1,400}}{_SPAN}"),
    (LimitKind.RESPONSE, rf"response size.{{1,80}} up to an? {_N} block range"),
    (LimitKind.RESULTS, r"more than [0-9,]+k? (?:results|logs)|max(?:imum)? (?:results|logs)"),
    (LimitKind.RESULTS, r"too many (?:results|logs|events)|logs matched by query exceed"),
    (LimitKind.RESPONSE, r"response (?:is )?too (?:large|big)|response size|entity too large"),
    (LimitKind.RANGE, rf"(?:limited to|up to) (?:an? )?(?:0 - )?{_N} (?:blocks? )?range"),
    (LimitKind.RANGE, rf"max(?:imum)?(?: allowed)?(?: block)? range:? {_N}"),
    (LimitKind.RANGE, rf"max(?:imum)?(?: allowed)?(?: number of requested blocks)? is {_N}"),
    (LimitKind.RANGE, rf"maximum is set to {_N}"),
    (LimitKind.RANGE, rf"blocks distance: {_N}"),
    (LimitKind.RANGE, rf"range.{{1,40}}\(max(?:imum)? {_N}\)"),
    (LimitKind.RANGE, rf"at most {_N} blocks"),
    (LimitKind.RANGE, rf"for your plan \([0-9]+ > {_N}\)"),
    (LimitKind.RANGE, rf"range.{{1,40}}limit[^0-9]{{1,24}}{_N}$"),
    (LimitKind.RANGE, rf"ranges over {_N} blocks"),
    (LimitKind.RANGE, rf"smaller than size {_N}"),
    (LimitKind.RANGE, rf"range (?:exceeds|greater than) {_N}"),
    (LimitKind.RANGE, r"range.{1,20}too (?:large|wide|big|high|long)|too many blocks"),
    (LimitKind.RANGE, r"range.{0,20} (?:exceed|limit|is bigger|is greater)|range not supported"),
)
_TABLE = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _PATTERNS)

_CODES = {
    429: LimitKind.RATE,
    -32005: LimitKind.RESULTS,  # EIP-1474: "limit exceeded"
    -32007: LimitKind.RATE,
    -32016: LimitKind.RATE,
    -32029: LimitKind.RATE,
}
_STATUSES = {
    408: LimitKind.TIMEOUT,
    413: LimitKind.RESPONSE,
    429: LimitKind.RATE,
    502: LimitKind.RATE,
    503: LimitKind.RATE,
    504: LimitKind.TIMEOUT,
    524: LimitKind.TIMEOUT,
}


def classify(text: str, *, code: int = 0, status: int = 200) -> NodeLimit:
    """Return what a refusal means, from its text, its JSON-RPC code and its HTTP status.

    The text decides where it is understood: codes mean different things at different nodes.
    """
    text = text[:_TEXT_MAX]
    for kind, pattern in _TABLE:
        found = pattern.search(text)
        if found is not None:
            return _limit(kind, found.groupdict())
    return NodeLimit(_CODES.get(code) or _STATUSES.get(status) or LimitKind.OTHER)


def _limit(kind: LimitKind, found: dict[str, str]) -> NodeLimit:
    """Return the limit with the number of blocks that the text names, if it is a sane one."""
    if "blocks" in found:
        blocks = _number(found["blocks"])
    elif "low" in found:
        blocks = int(found["high"], 0) - int(found["low"], 0) + 1
    else:
        return NodeLimit(kind)
    if not 0 < blocks <= _BLOCKS_MAX:
        return NodeLimit(kind)
    return NodeLimit(kind, blocks, lasting=kind is LimitKind.RANGE)


def _number(text: str) -> int:
    """Return a number as people write it: 10000, 10,000, 10k."""
    digits = re.sub(r"[^0-9]", "", text)
    return int(digits) * (1000 if text[-1] in "kK" else 1)
