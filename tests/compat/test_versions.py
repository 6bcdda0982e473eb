"""Workarounds for particular versions of other packages."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mono_distill.compat import package_paths, versions


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True).stdout.strip()


class TestOwnConfigsAsBases:
    def test_mmengine_knows_our_package(self):
        from mmengine.config.utils import MODULE2PACKAGE

        assert MODULE2PACKAGE['mono_distill'] == 'mono_distill'

    def test_an_entry_of_somebody_else_is_kept(self):
        utils = SimpleNamespace(MODULE2PACKAGE={'mono_distill': 'a-fork'})
        versions.allow_own_configs_as_bases(utils)
        assert utils.MODULE2PACKAGE == {'mono_distill': 'a-fork'}

    def test_it_does_not_matter_which_is_imported_first(self):
        for first, second in (('mono_distill', 'mmengine.config.utils'), ('mmengine.config.utils', 'mono_distill')):
            code = f'import {first}, {second}; from mmengine.config.utils import MODULE2PACKAGE as m; '
            assert run_python(f"{code}print('mono_distill' in m)") == 'True'


class TestNumpyLong:
    def test_is_there_once_the_module_that_needs_it_is_imported(self):
        importlib.import_module('mmdet3d.datasets.transforms.dbsampler')
        assert np.dtype(np.long) == np.dtype('long')

    @pytest.mark.filterwarnings('error')
    def test_is_added_where_it_is_missing(self, monkeypatch):
        monkeypatch.delattr(np, 'long', raising=False)
        versions.restore_numpy_long(SimpleNamespace())
        assert np.long is np.int_

    def test_is_left_alone_where_numpy_has_it(self, monkeypatch):
        monkeypatch.setattr(np, 'long', 'the one of numpy 2', raising=False)
        versions.restore_numpy_long(SimpleNamespace())
        assert np.long == 'the one of numpy 2'


class TestPackagesWithoutPkgResources:
    def test_own_functions_replace_those_of_mmengine(self, monkeypatch):
        monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
        utils = SimpleNamespace()
        versions.find_packages_without_pkg_resources(utils)
        assert utils.get_installed_path is package_paths.get_installed_path
        assert utils.is_installed is package_paths.is_installed
        assert utils.package2module is package_paths.package2module

    def test_nothing_is_replaced_where_pkg_resources_exists(self):
        pytest.importorskip('pkg_resources')
        utils = SimpleNamespace(is_installed='original')
        versions.find_packages_without_pkg_resources(utils)
        assert vars(utils) == {'is_installed': 'original'}

    def test_a_config_of_mmdet3d_can_be_a_base(self):
        """As with setuptools 82: the module is blocked in a fresh process before anything else is imported."""
        hide = "import sys, importlib.util as u; find = u.find_spec; sys.modules['pkg_resources'] = None; "
        hide += "u.find_spec = lambda name, *rest: None if name == 'pkg_resources' else find(name, *rest); "
        use = 'import mono_distill; from mmengine.config import Config; '
        load = """print(Config.fromstring("_base_ = 'mmdet3d::_base_/default_runtime.py'", '.py').default_scope)"""
        assert run_python(hide + use + load) == 'mmdet3d'


class TestBrokenTorchvision:
    @pytest.fixture
    def report(self):
        """The environment report of mmengine, as far as it matters here, and our form of it."""

        def original() -> str:
            try:
                importlib.import_module('torchvision')
            except ModuleNotFoundError:
                return 'without torchvision'
            return 'with torchvision'

        module = SimpleNamespace(collect_env=original)
        versions.tolerate_broken_torchvision(module)
        return module.collect_env

    def test_one_that_cannot_be_imported_is_left_out(self, report, monkeypatch, tmp_path):
        monkeypatch.delitem(sys.modules, 'torchvision', raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / 'torchvision.py').write_text('raise RuntimeError("operator torchvision::nms does not exist")')
        assert report() == 'without torchvision'
        assert 'torchvision' not in sys.modules

    def test_one_that_works_is_reported(self, report, monkeypatch):
        monkeypatch.setitem(sys.modules, 'torchvision', SimpleNamespace())
        assert report() == 'with torchvision'

    def test_none_at_all_is_fine(self, report, monkeypatch):
        monkeypatch.setitem(sys.modules, 'torchvision', None)
        assert report() == 'without torchvision'

    def test_mmengine_reports_the_environment(self):
        from mmengine.utils.dl_utils import collect_env

        assert 'PyTorch' in collect_env()


def test_checkpoints_are_loaded_safely_once_the_runner_is_imported():
    code = 'import mono_distill; from mmengine.runner.checkpoint import CheckpointLoader as c; '
    code += "print(c._get_checkpoint_loader('a.pth').__module__, c._get_checkpoint_loader('http://a.pth').__module__)"
    assert run_python(code) == 'mono_distill.compat.checkpoints mmengine.runner.checkpoint'


def test_preparing_twice_changes_nothing():
    versions.install()
    before = list(sys.meta_path)
    versions.install()
    assert sys.meta_path == before
