"""Imports CircuitPython libraries without Blinka, which would look for the board it runs on before it lets anybody in.

Of CircuitPython's own modules such a library needs names for its annotations, and `const`. It is given modules that
know every name; they are gone again when it has been imported. Where the real ones are there already, they are used.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from typing import Any

NAMES = frozenset({"busio", "circuitpython_typing", "digitalio", "microcontroller", "micropython"})
"""`board` is not among them: a library that asks where its pins are cannot do with a name."""


@contextlib.contextmanager
def imports() -> Iterator[None]:
    """Let this thread import libraries for CircuitPython."""
    _FINDER.enter()
    try:
        yield
    finally:
        _FINDER.leave()


class _StandIn(types.ModuleType):
    """A module that knows every name: each is a class of its own, but for `const`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = _const if name == "const" else type(name, (), {})
        setattr(self, name, value)
        return value


def _const(value: object) -> object:
    return value


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the stand-ins, in threads that are within imports()."""

    def __init__(self) -> None:
        self._importing: set[int] = set()
        self._lock = threading.Lock()

    def enter(self) -> None:
        with self._lock:
            self._importing.add(threading.get_ident())
            if self not in sys.meta_path:
                sys.meta_path.insert(0, self)

    def leave(self) -> None:
        """Take the stand-ins away, once nobody imports any more."""
        with self._lock:
            self._importing.discard(threading.get_ident())
            if self._importing:
                return
            sys.meta_path.remove(self)
            for name in [name for name, module in sys.modules.copy().items() if isinstance(module, _StandIn)]:
                del sys.modules[name]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in NAMES or threading.get_ident() not in self._importing:
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """There is nothing to run."""


_FINDER = _Finder()
