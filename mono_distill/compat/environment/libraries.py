"""Libraries that often are installed in a way that does not work."""

from __future__ import annotations

import importlib

from mono_distill.compat.environment.check import Check
from mono_distill.compat.environment.packages import installed_versions

OPENCVS = ('opencv-python-headless', 'opencv-python', 'opencv-contrib-python', 'opencv-contrib-python-headless')

_ONE_OPENCV = f"pip uninstall -y {' '.join(OPENCVS)} && pip install 'opencv-python-headless<4.12'"


def check_opencv() -> list[Check]:
    """Find OpenCV, and whether two of its packages, which overwrite each other's files, are installed."""
    found = installed_versions(OPENCVS)
    problem = _import_problem('cv2')
    if problem:
        return [Check('opencv', problem, 'broken', _ONE_OPENCV)]
    value = ', '.join(f'{name} {version}' for name, version in found.items())
    if len(found) > 1:
        return [Check('opencv', f'{value}: they overwrite each other', 'warn', _ONE_OPENCV)]
    return [Check('opencv', value or 'installed by other means than pip')]


def check_numba() -> list[Check]:
    """Import numba, which mmdet3d and the box rasters need."""
    problem = _import_problem('numba')
    if problem:
        return [Check('numba', problem, 'broken', "pip install 'numba>=0.57'")]
    return [Check('numba', _version('numba'))]


def check_embree() -> list[Check]:
    """Import Embree, which traces the rays of the synthetic world; the rest of the package does without."""
    if _import_problem('embreex'):
        return [Check('embree', 'not installed: no synthetic scenes', 'warn', 'pip install embreex')]
    return [Check('embree', f'embreex {_version("embreex")}')]


def check_torchvision() -> list[Check]:
    """Find a torchvision that does not fit torch. Nothing here needs it, but timm and others import it."""
    if not installed_versions(['torchvision']):
        return [Check('torchvision', 'not installed (not needed)')]
    problem = _import_problem('torchvision')
    if problem:
        cure = 'pip uninstall -y torchvision, or install the build that fits torch (same version, same CUDA)'
        return [Check('torchvision', f'{problem}: built for another torch', 'warn', cure)]
    return [Check('torchvision', _version('torchvision'))]


def check_open3d() -> list[Check]:
    """Find open3d, which mmdet3d asks for and nothing here uses."""
    found = installed_versions(['open3d', 'open3d-cpu'])
    return [Check('open3d', ', '.join(found.values()) or 'not installed (not needed)')]


def _version(name: str) -> str:
    return installed_versions([name]).get(name, 'of unknown version')


def _import_problem(name: str) -> str:
    """Return why a module cannot be imported, or nothing."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        return 'not installed' if error.name == name else f'cannot be imported: {error}'
    except Exception as error:
        return f'cannot be imported: {(str(error).splitlines() or [type(error).__name__])[0]}'
    return ''
