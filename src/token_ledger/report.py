"""What a reconciliation found, as files: JSON Lines for programs.

They are written whole or not at all, and leave the operator's house, so who acknowledged a
finding, and why, stands there only where that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from token_ledger.core.comparison import ReconcileResult
from token_ledger.core.types import Finding
from token_ledger.wholefile import writing_whole


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
