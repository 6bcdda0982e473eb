"""Versions of the packages that everything here stands on, against the range that was tested."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from mono_distill.compat.environment.check import Check, State


@dataclass(frozen=True)
class Requirement:
    """Which versions of a package work, and which were tried.

    Attributes:
        name: What to call it.
        lowest: First version that works.
        tested: Version that the tests run with; later ones that may work give a warning.
        cure: Command that installs a good version.
        breaks_at: First later version that does not work; empty if none is known.
        why: What goes wrong outside the range.
        distributions: Names on the package index, any of which will do; ``name`` where empty.
        absent: How bad it is when none of them is installed.
    """

    name: str
    lowest: str
    tested: str
    cure: str
    breaks_at: str = ''
    why: str = ''
    distributions: tuple[str, ...] = ()
    absent: State = 'broken'


_OPENMMLAB = 'pip install --no-deps mmengine==0.10.7 mmdet==3.3.0 mmdet3d==1.4.0'

REQUIREMENTS = (
    Requirement(name='torch', lowest='2.1', tested='2.13.0', cure="pip install 'torch>=2.1'"),
    Requirement(
        name='numpy',
        lowest='1.23',
        breaks_at='2',
        tested='1.26.4',
        cure="pip install 'numpy>=1.23,<2'",
        why='mmdet, mmdet3d and compiled mmcv need numpy 1',
    ),
    Requirement(
        name='mmengine',
        lowest='0.10.4',
        breaks_at='0.11',
        tested='0.10.7',
        cure=_OPENMMLAB,
        why="mmengine 0.11 does not find the configs of '_base_ = mmdet3d::…'",
    ),
    Requirement(
        name='mmcv',
        lowest='2.0.0',
        breaks_at='2.2',
        tested='2.1.0',
        cure="run 'make setup' (mmcv-lite 2.1.0) or 'make setup-full' (mmcv 2.1.0 with compiled ops)",
        why='mmdet3d 1.4 refuses mmcv 2.2 and later',
        distributions=('mmcv', 'mmcv-lite'),
        absent='warn',
    ),
    Requirement(
        name='mmdet',
        lowest='3.0.0',
        breaks_at='3.4',
        tested='3.3.0',
        cure=_OPENMMLAB,
        why='mmdet3d 1.4 refuses mmdet 3.4 and later',
        absent='warn',
    ),
    Requirement(
        name='mmdet3d',
        lowest='1.4.0',
        breaks_at='1.5',
        tested='1.4.0',
        cure=_OPENMMLAB,
        why='never tried',
        absent='warn',
    ),
    Requirement(
        name='setuptools',
        lowest='77',
        breaks_at='82',
        tested='81.0.0',
        cure="pip install -U 'setuptools>=77,<82'",
        why='before 77 an editable install fails, from 82 on mim cannot start',
    ),
    Requirement(
        name='openmim', lowest='0.3', tested='0.3.9', cure='pip install --no-deps openmim==0.3.9', absent='warn'
    ),
)


def check_packages() -> list[Check]:
    """Compare each installed version with its requirement, and find packages that are there twice."""
    return [check_requirement(requirement) for requirement in REQUIREMENTS] + check_two_mmcvs()


def check_requirement(requirement: Requirement) -> Check:
    """Compare the installed version of one package with its requirement.

    Args:
        requirement: Package and its versions.
    """
    names = requirement.distributions or (requirement.name,)
    found = installed_versions(names)
    if not found:
        return Check(requirement.name, 'not installed', requirement.absent, requirement.cure)
    name, installed = next(iter(found.items()))
    value = installed if name == requirement.name else f'{installed} ({name})'
    too_old = release(installed) < release(requirement.lowest)
    too_new = bool(requirement.breaks_at) and release(installed) >= release(requirement.breaks_at)
    if too_old or too_new:
        cure = f'{requirement.cure} ({requirement.why})' if requirement.why else requirement.cure
        return Check(requirement.name, f'{value}, needs {_range(requirement)}', 'broken', cure)
    if release(installed)[:2] > release(requirement.tested)[:2]:
        value = f'{value}, newer than the tested {requirement.tested}'
        return Check(requirement.name, value, 'warn', f'if something fails, install {requirement.tested}')
    return Check(requirement.name, value)


def check_two_mmcvs() -> list[Check]:
    """Find mmcv and mmcv-lite side by side: they install the same files, and the later one wins in part."""
    if len(installed_versions(('mmcv', 'mmcv-lite'))) < 2:
        return []
    cure = "pip uninstall -y mmcv mmcv-lite, then 'make setup' or 'make setup-full'"
    return [Check('mmcv twice', 'mmcv and mmcv-lite are both installed', 'warn', cure)]


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those distributions that are installed.

    Args:
        names: Names of distributions.
    """
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def release(text: str) -> tuple[int, ...]:
    """Return the numbers at the start of a version, without pre-release or build.

    Args:
        text: A version.

    Example:
        >>> release('2.13.0+cpu'), release('0.11.0rc0'), release('82') > release('81.9')
        ((2, 13, 0), (0, 11, 0), True)
    """
    match = re.match(r'\d+(\.\d+)*', text)
    return tuple(int(part) for part in match[0].split('.')) if match else ()


def _range(requirement: Requirement) -> str:
    upper = f',<{requirement.breaks_at}' if requirement.breaks_at else ''
    return f'>={requirement.lowest}{upper}'
