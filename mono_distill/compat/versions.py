"""Workarounds for particular versions of other packages.

Each function cures one symptom, named in its docstring together with the versions that show it and the condition under
which it can be removed. All of them wait until the module concerned is imported, and do nothing where the symptom is
absent; :func:`install` imports nothing.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

from mono_distill.compat.post_import import when_imported


def install() -> None:
    """Prepare all workarounds of this file; calling it again changes nothing."""
    when_imported('mmengine.config.utils', allow_own_configs_as_bases)
    when_imported('mmengine.utils.package_utils', find_packages_without_pkg_resources)
    when_imported('mmengine.utils.dl_utils.collect_env', tolerate_broken_torchvision)
    when_imported('mmengine.runner.checkpoint', load_checkpoints_safely)
    when_imported('mmdet3d.datasets.transforms.dbsampler', restore_numpy_long)
    when_imported('mmdet.datasets.transforms.text_transformers', restore_numpy_long)


def allow_own_configs_as_bases(config_utils: ModuleType) -> None:
    """Let a config say ``_base_ = 'mono_distill::…'``.

    Symptom: ``AssertionError: mmengine does not support to load mono_distill config``, since mmengine accepts a fixed
    list of OpenMMLab's own packages only.
    Affected: all versions of mmengine. Can be removed when mmengine accepts any installed package.

    Args:
        config_utils: ``mmengine.config.utils``.
    """
    config_utils.MODULE2PACKAGE.setdefault('mono_distill', 'mono_distill')


def find_packages_without_pkg_resources(package_utils: ModuleType) -> None:
    """Let mmengine find installed packages where setuptools no longer brings ``pkg_resources``.

    Symptom: ``ModuleNotFoundError: No module named 'pkg_resources'`` at the first ``_base_ = 'mmdet3d::…'``.
    Affected: setuptools >= 82 with mmengine <= 0.10.7 (mim itself stays broken there: ``mono-distill doctor`` tells).
    Can be removed when mmengine stops importing ``pkg_resources``.

    Args:
        package_utils: ``mmengine.utils.package_utils``.
    """
    if importlib.util.find_spec('pkg_resources') is not None:
        return
    from mono_distill.compat import package_paths

    for name in ('is_installed', 'get_installed_path', 'package2module'):
        setattr(package_utils, name, getattr(package_paths, name))


def tolerate_broken_torchvision(collect_env: ModuleType) -> None:
    """Let a Runner start where torchvision is installed but cannot be imported.

    Symptom: ``RuntimeError: operator torchvision::nms does not exist`` from ``Runner.__init__``, because mmengine
    reports torchvision's version and expects only that it may be absent. Nothing here needs torchvision.
    Affected: every mmengine, with a torchvision built for another torch (for example torch for the CPU beside
    torchvision from PyPI, which is built for CUDA). Can be removed when mmengine catches any failure of that import.

    Args:
        collect_env: ``mmengine.utils.dl_utils.collect_env``.
    """
    original = collect_env.collect_env

    @functools.wraps(original)
    def collect(*args: Any, **kwargs: Any) -> Any:
        try:
            importlib.import_module('torchvision')
        except ModuleNotFoundError:
            pass
        except (RuntimeError, ImportError, OSError, AttributeError):
            return _without_module('torchvision', original, *args, **kwargs)
        return original(*args, **kwargs)

    collect_env.collect_env = collect  # type: ignore[attr-defined]


def _without_module(name: str, function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a function while ``import name`` raises ModuleNotFoundError."""
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # the documented way to block an import
    try:
        return function(*args, **kwargs)
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before


def load_checkpoints_safely(checkpoint: ModuleType) -> None:
    """Let mmengine load its own checkpoints under torch >= 2.6; see :mod:`mono_distill.compat.checkpoints`.

    Args:
        checkpoint: ``mmengine.runner.checkpoint``.
    """
    from mono_distill.compat.checkpoints import install_checkpoint_loader

    install_checkpoint_loader()


def restore_numpy_long(module: ModuleType) -> None:
    """Give numpy the name ``np.long`` that mmdet3d and mmdet still use.

    Symptom: ``AttributeError: module 'numpy' has no attribute 'long'`` as soon as a LiDAR teacher is trained with
    ``ObjectSample`` (DataBaseSampler). numpy 2 has the name again, with the same meaning (C's long).
    Affected: numpy 1.24 to 1.26 with mmdet3d 1.4.0 and mmdet 3.3.0. Can be removed with mmdet3d > 1.4.0 or numpy >= 2.

    Args:
        module: The module that uses the name.
    """
    import numpy as np

    if 'long' not in vars(np):  # hasattr would make numpy warn
        np.long = np.int_  # type: ignore[attr-defined]
