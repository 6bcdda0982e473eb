"""Where an installed package lives, from :mod:`importlib.metadata` alone.

mim and mmengine find configs, tools and model indices of a package by the same rule, which they compute with
``pkg_resources`` [mim/utils/utils.py, mmengine/utils/package_utils.py]: the folder that holds the package's metadata,
joined with the package's name if that exists, else with the first line of ``top_level.txt``. The functions here follow
that rule to the letter, so that they can both stand in for mmengine's and predict what mim will do.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path


def is_installed(package: str) -> bool:
    """Return whether a package is installed or importable.

    Args:
        package: Name of the distribution, or of the module.

    Example:
        >>> is_installed('numpy'), is_installed('no-such-package')
        (True, False)
    """
    try:
        distribution(package)
    except PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        return spec is not None and spec.origin is not None
    return True


def get_installed_path(package: str) -> str:
    """Return the folder of an installed package, as mim and mmengine compute it.

    Args:
        package: Name of the distribution, or of an importable module.

    Raises:
        PackageNotFoundError: The package is neither installed nor importable.
        RuntimeError: It is a namespace package, which has no single folder.
    """
    try:
        found = distribution(package)
    except PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        if spec is None:
            raise
        if spec.origin is None:
            raise RuntimeError(f'{package} is a namespace package: it has no single folder') from None
        return str(Path(spec.origin).parent)
    location = Path(str(found.locate_file('')))
    if (location / package).exists():
        return str(location / package)
    return str(location / _first_top_level(found, package))


def package2module(package: str) -> str:
    """Return the module that a distribution installs: the first line of its ``top_level.txt``.

    Args:
        package: Name of the distribution.

    Raises:
        PackageNotFoundError: It is not installed.
        ValueError: Its metadata name no module.
    """
    return _first_top_level(distribution(package), package)


def _first_top_level(found: Distribution, package: str) -> str:
    names = (found.read_text('top_level.txt') or '').splitlines()
    if not names:
        raise ValueError(f'can not infer the module name of {package}: its metadata have no top_level.txt')
    return names[0]
