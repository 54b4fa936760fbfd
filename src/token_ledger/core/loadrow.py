"""What a row of a file to load says: cells read into the inner form, and the key of a row without.

    content = keccak256 of the RFC 8785 text of the JSON array
              [timestamp, from, to, value, reason, reference_type, reference_id, memo, metadata]
              timestamp (microseconds) and value (base units) as decimal strings, metadata as its
              RFC 8785 text in a string, or null
    ordinal = how many rows without a key and with this content stand before it in the file
    key     = "load:" + hex of content + ":" + ordinal

So the key depends on what a row says and not on how the file spells it (column order, CSV or
JSON, 1.50 or 1.5), and a second run of the file finds every row again. Does no I/O.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from itertools import pairwise

import orjson

from token_ledger.core.hashing import keccak
from token_ledger.core.parse import (
    REASON_BYTES_MAX,
    format_amount,
    format_timestamp,
    parse_account_id,
    parse_amount,
    parse_key,
    parse_metadata,
    parse_text,
    parse_timestamp,
)
from token_ledger.core.rowfile import Cells
from token_ledger.core.types import SYSTEM
from token_ledger.errors import SelfTransferError

LoadRow = tuple[int, int, int, int, int, str, str, str, str, str | None, str, bytes | None]
"""line, timestamp, from and to (indexes of account ids), value, reason, reference_type,
reference_id, memo, metadata, key ('' for none), content (of rows without a key)."""

SYSTEM_INDEX = 0


class RowParser:
    """Reads cells into LoadRows, and collects the account ids that they name.

    `names`: the ids in the order of their first row, `system` before all; `first_lines`: those
    rows. `column`: the one that was being read when an error was raised. `mints_or_burns`: whether
    any row names `system`. `fingerprints`: 64 bits of the content of each row without a key.
    """

    def __init__(self, *, decimals: int) -> None:
        self._decimals = decimals
        self._index = {SYSTEM: SYSTEM_INDEX}
        self.names = [SYSTEM]
        self.first_lines = array("Q", [0])
        self.column = ""
        self.mints_or_burns = False
        self.fingerprints = array("Q")

    def parse(self, line: int, cells: Cells) -> LoadRow:
        """Return what the row says. Raises InputErrors and RuleErrors, and keeps nothing then."""
        when, payer, payee, amount, reason, kind, reference, memo, key, given, spare = cells
        key = key or spare
        self.column = "timestamp"
        timestamp = parse_timestamp(when)
        self.column = "from_account"
        index = self._index
        if payer not in index:
            parse_account_id(payer)
        self.column = "to_account"
        if payee not in index:
            parse_account_id(payee)
        if payer == payee:
            raise SelfTransferError(
                f"from and to are both {payer!r}", hint="an entry moves between two"
            )
        self.column = "amount"
        value = parse_amount(amount, decimals=self._decimals)
        texts = f"{reason}{kind}{reference}{memo}{key}"
        if not texts.isascii() or len(texts) > REASON_BYTES_MAX or "\0" in texts:
            self._check_texts(reason, kind, reference, memo, key)
        metadata = None
        if given:
            self.column = "metadata"
            metadata = parse_metadata(given)
        content = None
        if not key:
            what = [str(timestamp), payer, payee, str(value), reason, kind, reference, memo]
            content = keccak(orjson.dumps([*what, metadata]))
            self.fingerprints.append(fingerprint(content))
        payer_no, payee_no = self._register(payer, line), self._register(payee, line)
        if SYSTEM_INDEX in (payer_no, payee_no):
            self.mints_or_burns = True
        return (
            line, timestamp, payer_no, payee_no, value, reason, kind, reference, memo, metadata,
            key, content,
        )  # fmt: skip

    def _check_texts(self, reason: str, kind: str, reference: str, memo: str, key: str) -> None:
        self.column = "reason"
        parse_text(reason, what="reason", bytes_max=REASON_BYTES_MAX)
        self.column = "reference_type"
        parse_text(kind, what="reference type")
        self.column = "reference_id"
        parse_text(reference, what="reference id")
        self.column = "memo"
        parse_text(memo, what="memo")
        self.column = "idempotency_key"
        if key:
            parse_key(key)

    def _register(self, name: str, line: int) -> int:
        number = self._index.get(name)
        if number is None:
            number = self._index[name] = len(self.names)
            self.names.append(name)
            self.first_lines.append(line)
        return number

    def cells(self, row: LoadRow) -> Cells:
        """Return a row as cells again, in the normal spelling."""
        _, timestamp, payer, payee, value, reason, kind, reference, memo, metadata, key, _ = row
        return (
            format_timestamp(timestamp),
            self.names[payer],
            self.names[payee],
            format_amount(value, decimals=self._decimals),
            reason,
            kind,
            reference,
            memo,
            key,
            metadata or "",
            "",
        )


class ContentKeys:
    """Gives rows without a key theirs, in the order of the file.

    Counts only rows whose content may stand there twice: memory does not grow with the others.
    """

    def __init__(self, fingerprints: array[int]) -> None:
        ordered = sorted(fingerprints)
        self._repeated = {a for a, b in pairwise(ordered) if a == b}
        self._seen: dict[bytes, int] = {}

    def key(self, content: bytes) -> str:
        """Return the key of the next row with this content."""
        ordinal = 0
        if self._repeated and fingerprint(content) in self._repeated:
            ordinal = self._seen.get(content, 0)
            self._seen[content] = ordinal + 1
        return f"load:{content.hex()}:{ordinal}"


def fingerprint(content: bytes) -> int:
    """Return the first 64 bits of a content."""
    return int.from_bytes(content[:8], "big")


class BadRowKeys:
    """Gives rows that could not be read theirs: it commits to their cells as they were given.

    A mended row must not take the key of its content: another row of the file may have landed
    under that one, and the mended row would be taken for its repeat.
    """

    def __init__(self) -> None:
        self._seen: Counter[bytes] = Counter()

    def key(self, cells: tuple[str, ...]) -> str:
        """Return the key of the next row of these cells."""
        digest = keccak(json.dumps(cells).encode("ascii"))  # orjson refuses lone surrogates
        self._seen[digest] += 1
        return f"load-refused:{digest.hex()}:{self._seen[digest] - 1}"
