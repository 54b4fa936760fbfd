"""A pytest plugin that plants one bug: the module of a canary is loaded with one line changed.

`CANARY="module|what stands there|what is put in its place"`; it must stand there once.
"""

from __future__ import annotations

import os
import sys
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


if planted := os.environ.get("CANARY"):
    sys.meta_path.insert(0, _Finder(*planted.split("|")))
