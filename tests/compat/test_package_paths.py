"""Folders of installed packages, by the rule of mim and mmengine."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from mono_distill.compat.package_paths import get_installed_path, is_installed, package2module


@pytest.fixture
def install_package(tmp_path, monkeypatch):
    """Put the metadata of a distribution, and a package, on the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(distribution: str, top_level: str | None, *packages: str) -> Path:
        info = tmp_path / f'{distribution}-1.0.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n')
        if top_level is not None:
            (info / 'top_level.txt').write_text(top_level)
        for package in packages:
            (tmp_path / package).mkdir()
            (tmp_path / package / '__init__.py').touch()
        return tmp_path

    return install


@pytest.mark.parametrize('package', ['mmengine', 'mmdet3d', 'mmdet', 'numpy'])
def test_agrees_with_pkg_resources(package):
    pytest.importorskip('pkg_resources')
    from mmengine.utils import package_utils

    assert get_installed_path(package) == package_utils.get_installed_path(package)


def test_package_named_like_its_distribution(install_package):
    root = install_package('toy_package', 'something_else\n', 'toy_package')
    assert get_installed_path('toy_package') == str(root / 'toy_package')


def test_package_with_another_name_is_found_by_its_metadata(install_package):
    root = install_package('toy_distribution', 'toy_module\nsecond\n', 'toy_module')
    assert get_installed_path('toy_distribution') == str(root / 'toy_module')
    assert package2module('toy_distribution') == 'toy_module'


def test_an_absolute_first_line_wins_over_the_folder_of_the_metadata(install_package):
    install_package('toy_editable', '/some/checkout/toy_editable\ntoy_editable\n')
    assert get_installed_path('toy_editable') == '/some/checkout/toy_editable'


def test_package_on_the_path_without_metadata(install_package, tmp_path):
    (tmp_path / 'toy_plain').mkdir()
    (tmp_path / 'toy_plain' / '__init__.py').touch()
    assert is_installed('toy_plain')
    assert get_installed_path('toy_plain') == str(tmp_path / 'toy_plain')


def test_metadata_that_name_no_module(install_package):
    install_package('toy_nameless', None)
    assert is_installed('toy_nameless')
    with pytest.raises(ValueError, match='can not infer the module name of toy_nameless'):
        get_installed_path('toy_nameless')


def test_package_that_is_not_there():
    assert not is_installed('no_such_package')
    with pytest.raises(PackageNotFoundError, match='no_such_package'):
        get_installed_path('no_such_package')
    with pytest.raises(PackageNotFoundError, match='no_such_package'):
        package2module('no_such_package')


def test_namespace_package_has_no_folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'toy_namespace').mkdir()
    assert not is_installed('toy_namespace')
    with pytest.raises(RuntimeError, match='toy_namespace is a namespace package'):
        get_installed_path('toy_namespace')
