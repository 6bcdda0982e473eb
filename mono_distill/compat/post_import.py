"""Run a function right after somebody else's module has been imported.

Workarounds for another package must not import it: ``import mono_distill`` has to stay cheap, and most programs never
touch most of the patched modules. A watcher on :data:`sys.meta_path` lets each workaround wait for its module instead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Callback = Callable[[ModuleType], None]


class _ImportWatcher:
    """Find nothing itself; let the other finders find a watched module and hook into its execution."""

    def __init__(self) -> None:
        self.callbacks: dict[str, list[Callback]] = {}

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if fullname not in self.callbacks:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, 'find_spec', None)
            spec = find(fullname, path, target) if find is not None and finder is not self else None
            if spec is not None:
                self._call_back_after_execution(spec)
                return spec
        return None

    def _call_back_after_execution(self, spec: ModuleSpec) -> None:
        # The loader stays the same object (inspect, importlib.resources and pickling of modules rely on its type); only
        # its exec_module is shadowed on this one instance.
        loader: Any = spec.loader
        execute = getattr(loader, 'exec_module', None)
        if execute is None:  # a namespace package has no code, and so nothing to mend
            return

        def exec_module(module: ModuleType) -> None:
            execute(module)
            for callback in self.callbacks.get(module.__name__, ()):
                callback(module)

        loader.exec_module = exec_module


def _watcher() -> _ImportWatcher:
    for finder in sys.meta_path:
        if isinstance(finder, _ImportWatcher):
            return finder
    watcher = _ImportWatcher()
    sys.meta_path.insert(0, watcher)  # before the path finder, which would otherwise find the module first
    return watcher


def when_imported(name: str, callback: Callback) -> None:
    """Call ``callback(module)`` once the module ``name`` is imported, or at once if it already is.

    A callback is registered once per module, however often this is called. It runs after the module's own code and
    before the importing statement continues, so names it replaces are the ones that ``from module import name`` sees.

    Args:
        name: Full dotted name of the module to wait for.
        callback: Function of the imported module.
    """
    waiting = _watcher().callbacks.setdefault(name, [])
    if callback in waiting:
        return
    waiting.append(callback)
    if name in sys.modules:
        callback(sys.modules[name])
