"""The error hierarchy is what its drawing says, and machines can rely on its codes."""

from __future__ import annotations

import inspect
import re

from token_ledger import errors
from token_ledger.errors import TokenLedgerError


def _classes() -> dict[str, type[TokenLedgerError]]:
    members = inspect.getmembers(errors, inspect.isclass)
    return {name: cls for name, cls in members if issubclass(cls, TokenLedgerError)}


def test_the_drawn_tree_is_the_tree() -> None:
    """The module docstring draws every class under its base, and none that does not exist."""
    drawn: list[tuple[str, str]] = []
    stack: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│ ├└─]*)([A-Z]\w+Error)\b", line)
        if match:
            depth = len(match[1]) // 4
            stack[depth:] = [match[2]]
            drawn.append((match[2], stack[depth - 1] if depth else "Exception"))
    actual = [(name, cls.__bases__[0].__name__) for name, cls in _classes().items()]
    assert sorted(actual) == sorted(drawn)


def test_codes_are_stable_words() -> None:
    """Every class has a code of its own, in lower case."""
    codes = [cls.code for cls in _classes().values()]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


def test_a_hint_is_part_of_the_text() -> None:
    """The text of an error is its message, and in parentheses the way out where there is one."""
    assert "broken" == str(TokenLedgerError("broken"))
    error = TokenLedgerError("broken", hint="mend it")
    assert "broken (mend it)" == str(error)
    assert ("broken", "mend it") == (error.message, error.hint)
