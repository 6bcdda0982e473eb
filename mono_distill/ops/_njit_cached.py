"""Compilation by numba; a module of its own because it imports numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def njit_cached(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile with ``numba.njit``, keeping the machine code on disk where a cache directory can be written.

    numba looks for one beside the source file, in ``NUMBA_CACHE_DIR`` and in the user's cache directory, and raises
    where none is writable (a read-only container, say). Compilation then happens once per process instead.

    Args:
        options: Further options of ``numba.njit``.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError as error:
            if 'cannot cache' not in str(error):
                raise
            return numba.njit(**options)(function)

    return compiled
