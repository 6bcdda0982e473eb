"""The requirement files agree with each other and with what the package imports."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
FILES = ['requirements.txt', 'requirements/openmmlab.txt', 'requirements/openmmlab-needs.txt']
# Each tier brings its own.
CHOSEN_BY_THE_TIER = {'mmcv', 'mmcv-lite'}


# The CUDA builds of torch require it; those for the CPU have no use for it.
BROUGHT_BY_TORCH = {'triton'}


def requirements(name: str) -> list[Requirement]:
    lines = (line.split('#')[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def names(*files: str) -> set[str]:
    return {canonicalize_name(requirement.name) for file in files for requirement in requirements(file)}


def pins() -> dict[str, str]:
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix('==') for pin in requirements('constraints.txt')
    }


def extras() -> set[str]:
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    return {
        canonicalize_name(Requirement(need).name)
        for needs in project['optional-dependencies'].values()
        for need in needs
    }


def imported_modules() -> dict[str, set[str]]:
    """Return which files of the package import each third-party module."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / 'mono_distill').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or '']
            else:
                continue
            for module in modules:
                found.setdefault(module.split('.')[0], set()).add(str(path.relative_to(ROOT)))
    return {name: files for name, files in found.items() if name not in {*sys.stdlib_module_names, 'mono_distill'}}


@pytest.mark.parametrize('file', FILES)
def test_the_tested_versions_satisfy_every_requirement(file):
    tested = pins()
    unmet = [
        str(need) for need in requirements(file) if tested.get(canonicalize_name(need.name), '0') not in need.specifier
    ]
    assert unmet == []


def test_the_tested_tools_are_pinned():
    assert extras() - {'timm'} <= set(pins())


def test_constraints_pin_one_exact_version_each():
    loose = [
        str(pin) for pin in requirements('constraints.txt') if [clause.operator for clause in pin.specifier] != ['==']
    ]
    assert loose == []


def test_constraints_name_no_build_of_torch():
    assert '+' not in pins()['torch']


@pytest.mark.parametrize('name', ['open3d', 'opencv-python', 'openxlab', 'torchvision'])
def test_packages_that_do_harm_are_not_installed(name):
    assert name not in pins()


def test_pip_install_pulls_nothing_that_pulls_open3d():
    assert names('requirements.txt').isdisjoint({'mmdet3d', 'open3d'})


def test_installing_by_hand_without_dependencies_leaves_nothing_out():
    assert names('requirements.txt') - {'torch'} <= names(
        'requirements/openmmlab.txt', 'requirements/openmmlab-needs.txt'
    )


def test_everything_the_package_imports_is_required():
    declared = names(*FILES) | CHOSEN_BY_THE_TIER | BROUGHT_BY_TORCH | extras()
    distributions = packages_distributions()
    missing = {
        module: sorted(files)
        for module, files in imported_modules().items()
        if not declared & {canonicalize_name(name) for name in distributions.get(module, [module])}
    }
    assert missing == {}
