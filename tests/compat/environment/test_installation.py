"""Whether mim finds the configs and tools of this package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from mono_distill.compat.environment import installation
from mono_distill.compat.environment.installation import SHIPPED, check_installation, check_pkg_resources


@pytest.fixture
def installed_at(monkeypatch, tmp_path):
    """Pretend that the package is installed in a folder that ships these files for mim."""

    def install(*files: str):
        for name in files:
            path = tmp_path / '.mim' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        monkeypatch.setattr(installation, 'version', lambda name: '1.0.0')
        monkeypatch.setattr(installation, 'get_installed_path', lambda name: str(tmp_path))
        return check_installation()[0]

    return install


def test_mim_finds_everything(installed_at, tmp_path):
    check = installed_at(*SHIPPED)
    assert check.state == 'ok'
    assert str(tmp_path) in check.value


def test_mim_does_not_find_the_tools(installed_at):
    check = installed_at('configs', 'model-index.yml')
    assert check.state == 'broken'
    assert 'does not find tools/train.py, tools/test.py' in check.value
    assert 'pip install' in check.cure


def test_package_that_is_imported_from_its_checkout(monkeypatch):
    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installation, 'version', version)
    (check,) = check_installation()
    assert check.state == 'warn'
    assert 'not installed' in check.value


@pytest.mark.parametrize(('found', 'state'), [(object(), 'ok'), (None, 'broken')])
def test_mim_needs_pkg_resources(monkeypatch, found, state):
    monkeypatch.setattr(installation.importlib.util, 'find_spec', lambda name: found)
    (check,) = check_pkg_resources()
    assert check.state == state
    assert ('setuptools>=77,<82' in check.cure) == (state == 'broken')
