"""Whether mim and mmengine find what this package ships."""

from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mono_distill.compat.environment.check import Check
from mono_distill.compat.package_paths import get_installed_path

SHIPPED = ('configs', 'tools/train.py', 'tools/test.py', 'model-index.yml')

_REINSTALL = "run 'pip install --no-deps --no-build-isolation -e .' in the checkout (or 'make setup')"


def check_pkg_resources() -> list[Check]:
    """Find ``pkg_resources``, which setuptools 82 dropped and mim imports at its start."""
    if importlib.util.find_spec('pkg_resources') is None:
        cure = "pip install -U 'setuptools>=77,<82'"
        return [Check('pkg_resources', "missing: 'mim' cannot start (mono-distill itself can)", 'broken', cure)]
    return [Check('pkg_resources', 'importable')]


def check_installation() -> list[Check]:
    """Look for the configs and tools of this package where mim will look for them."""
    try:
        installed = version('mono_distill')
    except PackageNotFoundError:
        return [Check('mono_distill', "imported, but not installed: 'mim' does not find it", 'warn', _REINSTALL)]
    folder = Path(get_installed_path('mono_distill'))
    missing = [name for name in SHIPPED if not (folder / '.mim' / name).exists()]
    if missing:
        value = f"{installed}; 'mim' does not find {', '.join(missing)} in {folder / '.mim'}"
        return [Check('mono_distill', value, 'broken', _REINSTALL)]
    return [Check('mono_distill', f"{installed}, found by 'mim' in {folder}")]
