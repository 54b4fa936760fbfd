"""Style that a machine can judge: import arrows, sizes, dead modules, words that must not leak.

Every rule is a function from source text to complaints, so that the rules are tested as well.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
SOURCE = PROJECT / "src"
PACKAGE = SOURCE / "token_ledger"

COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 400

# errors ← core ← {ledger | chain} ← verbs ← api ← cli. A layer imports from these and itself.
VERB = "verb"
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "core": {"errors"},
    "ledger": {"errors", "core"},
    "chain": {"errors", "core"},
    VERB: {"errors", "core", "ledger", "chain"},
    "cli": {"errors", "core", "ledger", "chain", VERB, "package", "api"},  # `serve` starts it
    "api": {"errors", "core", "ledger", "chain", VERB, "package"},
    "package": {"errors", "core", "ledger", "chain", VERB, "package"},
}
# Who alone may use a library, as prefixes of module names.
ONLY_IN: dict[str, tuple[str, ...]] = {
    "sqlalchemy": ("token_ledger.ledger", "migrations"),
    "alembic": ("token_ledger.ledger", "migrations"),
    "psycopg": ("token_ledger.ledger", "migrations"),
    "sqlite3": ("token_ledger.ledger", "migrations"),
    "web3": ("token_ledger.chain",),
    "requests": ("token_ledger.chain",),
    "urllib3": ("token_ledger.chain",),
    "http": ("token_ledger.chain",),
    "websockets": ("token_ledger.chain",),
    "sha3": ("token_ledger.core.hashing",),
    "click": ("token_ledger.cli",),
    "rich": ("token_ledger.cli",),
    "fastapi": ("token_ledger.api",),
    "starlette": ("token_ledger.api",),
    "pydantic": ("token_ledger.api",),
    "uvicorn": ("token_ledger.api",),
}
# `core` computes; it neither waits, nor looks around, nor throws dice.
NOT_IN_CORE = {"os", "time", "random", "secrets", "socket", "subprocess", "asyncio", "threading"}


def _tracked(*suffixes: str) -> list[Path]:
    """Return the files that are, or are about to be, part of the project."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = [PROJECT / name for name in listing.split("\0") if name]
    return sorted(
        path for path in paths if path.suffix in suffixes or not suffixes if path.is_file()
    )


def _module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _modules() -> dict[str, Path]:
    return {_module_name(path): path for path in PACKAGE.rglob("*.py")}


def _layer(module: str) -> str:
    parts = module.split(".")
    if len(parts) == 1:
        return "package"
    return parts[1] if parts[1] in ARROWS else VERB


def _imports(text: str, module: str, *, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute dotted name) for every import, wherever in the file it stands."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = [*base, *([node.module] if node.module else [])]
            for alias in node.names:
                yield node.lineno, ".".join([*prefix, alias.name])


def _arrow_complaints(text: str, module: str, *, is_package: bool = False) -> list[str]:
    complaints = []
    layer = _layer(module)
    for line, name in _imports(text, module, is_package=is_package):
        top = name.split(".")[0]
        if top == "token_ledger":
            target = _layer(name)
            if target != layer and target not in ARROWS[layer]:
                complaints.append(f"{module}:{line}: {layer} must not import {name}")
        elif top in ONLY_IN and not module.startswith(ONLY_IN[top]):
            complaints.append(f"{module}:{line}: {top} belongs to {', '.join(ONLY_IN[top])}")
        if layer == "core" and top in NOT_IN_CORE:
            complaints.append(f"{module}:{line}: core is pure and must not import {top}")
    return complaints


def _function_complaints(text: str, name: str) -> list[str]:
    return [
        f"{name}:{node.lineno}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]


_PRAGMA = re.compile(r"\s+# (?:noqa|type:).*")  # not counted, as ruff does not


def _size_complaints(text: str, name: str) -> list[str]:
    lines = text.splitlines()
    complaints = [
        f"{name}:{number}: {len(line)} columns"
        for number, line in enumerate(lines, 1)
        if len(_PRAGMA.sub("", line)) > COLUMNS_MAX
    ]
    if len(lines) > MODULE_LINES_MAX:
        complaints.append(f"{name}: {len(lines)} lines")
    return complaints


def _docstring_complaints(text: str, name: str) -> list[str]:
    return [
        f"{name}:{node.lineno}: {node.name} states no claim"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]


# Put together here, so that this file does not hold what it forbids.
_SLASH = "/"
_FORBIDDEN = re.compile(
    "|".join(
        [
            rf"(?<![\w.]){_SLASH}(?:work|root|home){_SLASH}\w",  # a path of one machine
            rf"{_SLASH}(?:opt{_SLASH}(?:wheels|pypi)|usr{_SLASH}local{_SLASH}bin)",
            r"files\." + r"pythonhosted\.org",
            r"registry\." + r"npmjs\.org",
            r"\bpypi\." + r"org\b",
            r"deb\." + r"debian\.org",
            r"--(?:extra-)?" + r"index-url|--find-" + r"links",
        ]
    )
)


def _leak_complaints(text: str, name: str) -> list[str]:
    return [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()!r}"
        for match in _FORBIDDEN.finditer(text)
    ]


def _relative(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def test_imports_follow_the_arrows() -> None:
    """Layers import only downwards, `ledger` and `chain` never each other, libraries stay home."""
    complaints = [
        complaint
        for module, path in sorted(_modules().items())
        for complaint in _arrow_complaints(
            path.read_text(), module, is_package=path.name == "__init__.py"
        )
    ]
    assert [] == complaints, "\n".join(complaints)


def test_functions_modules_and_lines_are_short() -> None:
    """Functions have at most 70 lines, modules 400, lines 100 columns, in Python and Solidity."""
    complaints = []
    for path in _tracked(".py", ".sol"):
        text, name = path.read_text(), _relative(path)
        complaints += _size_complaints(text, name)
        if path.suffix == ".py":
            complaints += _function_complaints(text, name)
    assert [] == complaints, "\n".join(complaints)


def test_every_test_states_its_claim() -> None:
    """Every test has a docstring: the claim that it proves."""
    complaints = [
        complaint
        for path in _tracked(".py")
        if path.is_relative_to(PROJECT / "tests")
        for complaint in _docstring_complaints(path.read_text(), _relative(path))
    ]
    assert [] == complaints, "\n".join(complaints)


def test_no_module_is_dead() -> None:
    """Every module of the package is imported by another one, or is a way in."""
    modules = _modules()
    used = {"token_ledger.cli.reference"}  # run by `make reference` and by its test
    for module, path in modules.items():
        for _, name in _imports(path.read_text(), module, is_package=path.name == "__init__.py"):
            parts = name.split(".")
            used |= {".".join(parts[:size]) for size in range(1, len(parts) + 1)} - {module}
        used |= _lazily_named(path.read_text())
    dead = [name for name, path in modules.items() if name not in used and path.name[:2] != "__"]
    assert [] == sorted(dead)


def _lazily_named(text: str) -> set[str]:
    """Return dotted names of modules that stand in string constants, as lazy imports do."""
    return {
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"token_ledger(\.\w+)+", node.value)
    }


def test_no_machine_and_no_registry_is_named() -> None:
    """No tracked text names a path of one machine or an address to download from."""
    complaints = []
    for path in _tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        complaints += _leak_complaints(text, _relative(path))
    assert [] == complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("token_ledger.ledger.x", "from token_ledger.chain import rpc"),
        ("token_ledger.ledger.x", "from token_ledger import chain"),
        ("token_ledger.ledger.x", "from ..chain import rpc"),
        ("token_ledger.chain.x", "def f():\n    import token_ledger.ledger.schema"),
        ("token_ledger.core.x", "from token_ledger.seal import seal"),
        ("token_ledger.core.x", "import os"),
        ("token_ledger.core.x", "from time import time"),
        ("token_ledger.seal", "from token_ledger.cli import main"),
        ("token_ledger.seal", "import sqlalchemy as sa"),
        ("token_ledger.seal", "from requests import Session"),
        ("token_ledger.core.merkle", "from sha3 import keccak_256"),
        ("token_ledger.ledger.x", "import rich.progress"),
        ("token_ledger.errors", "from token_ledger.core import types"),
    ],
)
def test_a_wrong_arrow_is_seen(module: str, text: str) -> None:
    """Each forbidden import is caught, however it is written."""
    assert 1 == len(_arrow_complaints(text, module))


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("token_ledger.ledger.x", "from token_ledger.core import types\nimport sqlalchemy"),
        ("token_ledger.chain.x", "from web3 import Web3\nfrom token_ledger.errors import RpcError"),
        ("token_ledger.migrate", "from token_ledger import seal\nimport token_ledger.chain.rpc"),
        ("token_ledger.core.hashing", "from sha3 import keccak_256"),
    ],
)
def test_a_right_arrow_is_left_alone(module: str, text: str) -> None:
    """Downward imports, and verbs that call verbs, are no complaint."""
    assert [] == _arrow_complaints(text, module)


def test_long_and_wordless_code_is_seen() -> None:
    """A long function, a wide line, a long module and a test without a claim are each caught."""
    long = "def f():\n" + "    pass\n" * FUNCTION_LINES_MAX
    assert ["x.py:1: f has 71 lines"] == _function_complaints(long, "x.py")
    assert ["x.py:1: 101 columns"] == _size_complaints("x" * 101, "x.py")
    assert ["x.py: 401 lines"] == _size_complaints("\n" * 401, "x.py")
    wordless = _docstring_complaints("def test_it(): ...", "x.py")
    assert ["x.py:1: test_it states no claim"] == wordless


def test_a_leak_is_seen() -> None:
    """A path of one machine and a download address are caught, a relative path is not."""
    assert 1 == len(_leak_complaints("see " + "/ho" + "me/someone", "x.md"))
    assert 1 == len(_leak_complaints("https://py" + "pi.org/simple", "x.txt"))
    assert [] == _leak_complaints("see ../work/x and docs/home/y", "x.md")
