"""Make mmcv-lite usable: a stand-in for the compiled module ``mmcv._ext``.

Symptom: with ``mmcv-lite`` installed, ``import mmcv.ops`` fails with ``No module named 'mmcv._ext'``, and with it every
``import mmdet`` and ``import mmdet3d``, although most models need none of the compiled ops.
Affected: every version of mmcv-lite. Can be removed when mmdet and mmdet3d import without compiled ops.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence
from typing import Any, NoReturn

from mono_distill.compat.lite_ops import LITE_OPS
from mono_distill.utils.errors import MonoDistillError

EXTENSION = 'mmcv._ext'

FULL_TIER_CURE = (
    "run 'make setup-full', or build it yourself: "
    "'pip uninstall -y mmcv-lite && MMCV_WITH_OPS=1 pip install --no-build-isolation mmcv==2.1.0'"
)


class MissingOpError(MonoDistillError, NotImplementedError):
    """An op of mmcv was called that exists only in compiled mmcv."""


class MissingOp:
    """Stand-in for an op without a pure-PyTorch form: it imports and pickles like the real one and raises when called.

    Args:
        name: Name of the op in ``mmcv._ext``.
    """

    def __init__(self, name: str) -> None:
        self.__name__ = self.__qualname__ = name

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Raise :class:`MissingOpError`."""
        raise MissingOpError(
            f"the op '{self.__name__}' needs mmcv with compiled ops, but only mmcv-lite is installed; {FULL_TIER_CURE}"
        )

    def __reduce__(self) -> tuple[type[MissingOp], tuple[str]]:
        return MissingOp, (self.__name__,)

    def __repr__(self) -> str:
        return f'<mmcv op {self.__name__}, missing in mmcv-lite>'


class StandIn(types.ModuleType):
    """The module ``mmcv._ext``: lite ops where there are some, :class:`MissingOp` otherwise.

    Every public name exists, because mmcv checks with ``hasattr`` at import that its extension has all ops; names that
    start with an underscore do not, so that tools that probe a module for protocols are not misled.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith('_'):
            raise AttributeError(f'module {self.__name__!r} (stand-in of mono_distill) has no attribute {name!r}')
        if name in LITE_OPS:
            op = getattr(importlib.import_module(LITE_OPS[name]), name)
        else:
            op = MissingOp(name)
        setattr(self, name, op)  # one object per name: pickle and identity checks rely on it
        return op

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *LITE_OPS})


class _StandInFinder:
    """Finder and loader of ``mmcv._ext`` when no other finder has it; with compiled mmcv it is never asked."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None) -> Any:
        if fullname != EXTENSION:
            return None
        loader: Any = self
        return importlib.machinery.ModuleSpec(fullname, loader, origin=__name__)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return StandIn(spec.name, 'Stand-in for the compiled ops of mmcv, installed by mono_distill.')

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run: the ops are looked up on first use."""


def install() -> None:
    """Let ``mmcv._ext`` be imported without compiled mmcv. Imports nothing; calling it again changes nothing."""
    if not any(isinstance(finder, _StandInFinder) for finder in sys.meta_path):
        sys.meta_path.append(_StandInFinder())  # last: a compiled extension is found first


def has_compiled_ops() -> bool:
    """Return whether the installed mmcv has its compiled module (the full tier), without importing it."""
    mmcv = importlib.util.find_spec('mmcv')
    if mmcv is None:
        return False
    return importlib.machinery.PathFinder.find_spec(EXTENSION, mmcv.submodule_search_locations) is not None
