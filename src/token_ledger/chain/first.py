"""Several nodes where one is enough: the first that answers is asked everything.

For checks, whose every answer has to come from one node at one block. An import, which goes on for
long and may want several to agree, has `chain.endpoints`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from token_ledger.errors import RpcError, UsageError

T = TypeVar("T")


def first_answer(urls: Sequence[str], ask: Callable[[str], T]) -> T:
    """Return what `ask` gives at the first node that answers, asked one after the other.

    Raises UsageError for no node, RpcError that names each of those that did not answer.
    """
    errors: list[RpcError] = []
    for url in urls:
        try:
            return ask(url)
        except RpcError as error:
            errors.append(error)
    if not errors:
        raise UsageError("no node is named")
    if len(errors) == 1:
        raise errors[0]
    raise RpcError(
        f"none of {len(errors)} nodes answers: {'; '.join(error.message for error in errors)}",
        hint="check --rpc",
    )
