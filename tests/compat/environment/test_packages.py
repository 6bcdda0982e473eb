"""Versions of packages against the tested range."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from mono_distill.compat.environment import packages
from mono_distill.compat.environment.packages import check_packages, check_two_mmcvs, installed_versions, release

TESTED = {
    'torch': '2.13.0+cpu',
    'numpy': '1.26.4',
    'mmengine': '0.10.7',
    'mmcv-lite': '2.1.0',
    'mmdet': '3.3.0',
    'mmdet3d': '1.4.0',
    'setuptools': '81.0.0',
    'openmim': '0.3.9',
}


@pytest.fixture
def machine(monkeypatch):
    """Pretend that the tested versions are installed, with some changes (None removes a package); return the checks."""

    def install(**changes: str | None):
        there = TESTED | {name.replace('_', '-'): version for name, version in changes.items()}

        def version(name: str) -> str:
            if there.get(name) is None:
                raise PackageNotFoundError(name)
            return there[name]

        monkeypatch.setattr(packages, 'version', version)
        return {check.name: check for check in check_packages()}

    return install


def test_tested_versions_are_fine(machine):
    assert {check.state for check in machine().values()} == {'ok'}


@pytest.mark.parametrize(
    ('package', 'version', 'cure'),
    [
        ('torch', '2.0.1', 'torch>=2.1'),
        ('numpy', '2.0.0', 'numpy>=1.23,<2'),
        ('numpy', '1.22.4', 'numpy>=1.23,<2'),
        ('mmengine', '0.11.0rc0', 'mmengine==0.10.7'),
        ('mmengine', '0.10.3', 'mmengine==0.10.7'),
        ('mmdet', '3.4.0', 'mmdet==3.3.0'),
        ('mmdet3d', '1.3.0', 'mmdet3d==1.4.0'),
        ('setuptools', '60.2.0', 'setuptools>=77,<82'),
        ('setuptools', '82.0.0', 'mim cannot start'),
    ],
)
def test_versions_known_to_be_bad(machine, package, version, cure):
    check = machine(**{package: version})[package]
    assert check.state == 'broken'
    assert version in check.value
    assert 'needs >=' in check.value
    assert cure in check.cure


@pytest.mark.parametrize('name', ['mmcv', 'mmcv_lite'])
def test_mmcv_2_2_is_refused_by_mmdet3d(machine, name):
    check = machine(**{'mmcv_lite': None, name: '2.2.0'})['mmcv']
    assert check.state == 'broken'
    assert 'mmdet3d 1.4 refuses mmcv 2.2' in check.cure


def test_lite_and_full_mmcv_are_told_apart(machine):
    assert machine()['mmcv'].value == '2.1.0 (mmcv-lite)'
    assert machine(mmcv_lite=None, mmcv='2.1.0')['mmcv'].value == '2.1.0'


def test_both_mmcvs_are_one_too_many(machine):
    check = machine(mmcv='2.1.0')['mmcv twice']
    assert check.state == 'warn'
    assert check.cure.startswith('pip uninstall -y mmcv mmcv-lite')


def test_one_mmcv_is_right(machine):
    machine()
    assert check_two_mmcvs() == []


@pytest.mark.parametrize(('package', 'version'), [('torch', '2.15.0'), ('openmim', '0.4.0')])
def test_later_versions_that_may_work_are_a_warning(machine, package, version):
    check = machine(**{package: version})[package]
    assert check.state == 'warn'
    assert 'newer than the tested' in check.value


def test_a_later_patch_of_the_tested_version_is_fine(machine):
    assert machine(torch='2.13.1')['torch'].state == 'ok'


@pytest.mark.parametrize(
    ('package', 'state'), [('torch', 'broken'), ('mmengine', 'broken'), ('mmdet3d', 'warn'), ('openmim', 'warn')]
)
def test_absent_packages(machine, package, state):
    check = machine(**{package: None})[package]
    assert (check.value, check.state) == ('not installed', state)
    assert 'pip install' in check.cure


def test_only_installed_packages_have_versions():
    assert list(installed_versions(['pytest', 'no-such-package'])) == ['pytest']


@pytest.mark.parametrize(
    ('text', 'numbers'), [('1.2', (1, 2)), ('2.0.0rc4', (2, 0, 0)), ('2.13.0+cu130', (2, 13, 0)), ('unknown', ())]
)
def test_release(text, numbers):
    assert release(text) == numbers
