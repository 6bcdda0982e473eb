"""What this machine has, for ``mono-distill doctor``: :func:`collect` returns a list of :class:`Check`.

Each file holds the checks of one subject; a check reads versions with :mod:`importlib.metadata` where it can and
imports a package only where importing it is the question. No check changes anything, and none raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mono_distill.compat.environment.check import Check
from mono_distill.compat.environment.devices import check_cores, check_python, check_torch
from mono_distill.compat.environment.installation import check_installation, check_pkg_resources
from mono_distill.compat.environment.libraries import (
    check_embree,
    check_numba,
    check_open3d,
    check_opencv,
    check_torchvision,
)
from mono_distill.compat.environment.ops import check_ops
from mono_distill.compat.environment.packages import check_packages

CHECKS: tuple[Callable[[], list[Check]], ...] = (
    check_python,
    check_cores,
    check_torch,
    check_packages,
    check_ops,
    check_pkg_resources,
    check_installation,
    check_opencv,
    check_numba,
    check_embree,
    check_torchvision,
    check_open3d,
)


def collect(checks: Sequence[Callable[[], list[Check]]] = CHECKS) -> list[Check]:
    """Run the checks and return what they found. Never raises: a check that fails itself is reported as a warning.

    Args:
        checks: Functions that return a list of :class:`Check`.
    """
    found: list[Check] = []
    for check in checks:
        try:
            found += check()
        except Exception as error:
            name = check.__name__.removeprefix('check_')
            reason = f'could not be checked: {type(error).__name__}: {error}'
            found.append(Check(name, reason, 'warn', 'please report this, with the lines above'))
    return found


__all__ = ['CHECKS', 'Check', 'collect']
