"""What a reconciliation found, as files: JSON Lines for programs, a page for people.

They are written whole or not at all, and leave the operator's house, so who acknowledged a
finding, and why, stands there only where that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from token_ledger.core.comparison import ReconcileResult
from token_ledger.core.report_page import Page
from token_ledger.core.types import Finding, Token
from token_ledger.errors import UsageError
from token_ledger.wholefile import check_writable, write_whole, writing_whole


@contextmanager
def writing_findings(
    path: Path, *, texts: bool = False
) -> Iterator[Callable[[ReconcileResult, Finding, str], None]]:
    """Yield what `reconcile` tells of each finding: a line of JSON in the file, whole at the end.

    `texts`: with who acknowledged, and why. Raises OSError.
    """
    with writing_whole(path) as file:

        def each(result: ReconcileResult, finding: Finding, state: str) -> None:
            document = {"state": state, **result.finding_to_json(finding, texts=texts)}
            file.write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))

        yield each


def check_files(*paths: Path | None) -> None:
    """Raise where one of the files cannot be written, or two are one: before a long comparison.

    UsageError for one path given twice, OSError for one that cannot be. Writes nothing.
    """
    given = [path for path in paths if path is not None]
    for path in given:
        check_writable(path)
    if len({path.resolve() for path in given}) < len(given):
        raise UsageError(
            f"two files would be written to {given[0]}", hint="give each a name of its own"
        )


def write_html(
    path: Path, result: ReconcileResult, token: Token, *, now: int, texts: bool = False
) -> None:
    """Write a result as one HTML page that needs nothing from elsewhere.

    `now`: when it was made, in microseconds since the epoch. `texts`: with who acknowledged, and
    why. Raises OSError.
    """
    write_whole(path, Page(result, token, now, texts).render().encode("utf-8"))
