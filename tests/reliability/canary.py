"""Runs a test with one bug planted: the module of a canary is loaded with one line changed.

As a program it reads, a line of JSON each, `[module, what stands there, what is put in its place,
test]`, and answers each with `[exit status, what pytest said]`. What is to be changed must stand
there once. Each runs in a process forked off one that has imported all but the ledger.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType


class _Planting(SourceFileLoader):
    def __init__(self, name: str, path: str, old: str, new: str) -> None:
        super().__init__(name, path)
        self._old, self._new = old, new

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode()
        assert source.count(self._old) == 1, (
            f"{self._old!r} stands there {source.count(self._old)}×"
        )
        return self.source_to_code(source.replace(self._old, self._new).encode(), self.path)


class _Finder(MetaPathFinder):
    def __init__(self, module: str, old: str, new: str) -> None:
        self._module, self._old, self._new = module, old, new

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None and spec.origin is not None
        spec.loader = _Planting(fullname, spec.origin, self._old, self._new)
        return spec


def _import_all_but_the_ledger() -> None:
    """Import what the ledger and its tests import, and forget these themselves."""
    for name in ("pytest", "hypothesis", "token_ledger.ledger", "tests.books", "tests.servers"):
        importlib.import_module(name)
    for name in [n for n in sys.modules if n.partition(".")[0] in ("token_ledger", "tests")]:
        del sys.modules[name]


def _run(module: str, old: str, new: str, test: str, said: int) -> int:
    """Run a test in this process, which is for nothing else; return pytest's exit status."""
    import pytest

    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.meta_path.insert(0, _Finder(module, old, new))
    without = ["-p", "no:cacheprovider", "-p", "no:xdist", "--assert=plain"]
    return int(pytest.main(["-q", *without, test]))


def main() -> None:
    """Run what is asked for until nothing more is."""
    _import_all_but_the_ledger()
    for line in sys.stdin:
        with tempfile.TemporaryFile() as said:
            child = os.fork()
            if child == 0:
                status = 70
                try:
                    status = _run(*json.loads(line), said.fileno())
                except BaseException:
                    traceback.print_exc()
                finally:
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(status)
            _, status = os.waitpid(child, 0)
            said.seek(0)
            answer = [os.waitstatus_to_exitcode(status), said.read().decode()]
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
