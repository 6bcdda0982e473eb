"""The stand-in for mmcv's compiled module: present without compiled ops, absent with them."""

from __future__ import annotations

import copy
import importlib
import pickle
import subprocess
import sys

import pytest

from mono_distill.compat.mmcv_lite import MissingOp, MissingOpError, StandIn, has_compiled_ops, install
from mono_distill.utils.errors import MonoDistillError

lite_only = pytest.mark.skipif(has_compiled_ops(), reason='compiled mmcv is installed, so there is no stand-in')


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True).stdout


def test_importing_the_package_imports_nothing_heavy():
    heavy = ('torch', 'numpy', 'mmengine', 'mmcv', 'mmdet', 'mmdet3d', 'cv2', 'numba', 'matplotlib')
    assert run_python(f'import sys, mono_distill; print([m for m in {heavy} if m in sys.modules])').strip() == '[]'


def test_installing_twice_adds_one_finder():
    install()
    before = list(sys.meta_path)
    install()
    assert sys.meta_path == before


@lite_only
def test_mmdet3d_imports_and_registers():
    for name in ('mmdet3d.models', 'mmdet3d.datasets', 'mmdet3d.evaluation'):
        importlib.import_module(name)
    from mmdet3d.registry import MODELS

    assert MODELS.get('CenterPoint') is not None


@lite_only
def test_mmcv_finds_all_its_ops():
    from mmcv.utils import ext_loader

    extension = ext_loader.load_ext('_ext', ['nms', 'deform_conv_forward', 'an_op_of_a_later_version'])
    assert isinstance(extension, StandIn)


@lite_only
def test_a_missing_op_names_itself_and_the_cure():
    import mmcv._ext as ext

    with pytest.raises(MissingOpError, match=r"'deform_conv_forward' needs mmcv with compiled ops.*make setup-full"):
        ext.deform_conv_forward(1, offset=2)


@lite_only
def test_a_layer_that_needs_a_missing_op_can_be_built_but_not_run():
    import torch
    from mmcv.ops import DeformConv2d

    layer = DeformConv2d(2, 2, 3)
    with pytest.raises(MissingOpError, match='deform_conv_forward'):
        layer(torch.zeros(1, 2, 5, 5), torch.zeros(1, 18, 3, 3))


def test_the_error_is_caught_as_ours_and_as_not_implemented():
    assert issubclass(MissingOpError, MonoDistillError)
    assert issubclass(MissingOpError, NotImplementedError)


@lite_only
def test_an_op_is_the_same_object_each_time():
    import mmcv._ext as ext

    assert ext.nms is ext.nms
    assert ext.softnms is ext.softnms


@lite_only
def test_names_that_tools_probe_for_do_not_exist():
    import mmcv._ext as ext

    assert not any(hasattr(ext, name) for name in ('_repr_html_', '__path__', '__file__', '__wrapped__'))
    assert 'nms' in dir(ext)


@lite_only
def test_environment_report_of_mmcv_works():
    from mmcv.ops import get_compiler_version, get_compiling_cuda_version

    assert get_compiling_cuda_version() == 'not available'
    assert get_compiler_version() == 'not compiled (mmcv-lite)'


@lite_only
def test_lite_ops_pickle_by_name():
    import mmcv._ext as ext

    assert pickle.loads(pickle.dumps(ext.nms)) is ext.nms


def test_missing_ops_pickle_and_copy():
    op = MissingOp('softnms')
    for twin in (pickle.loads(pickle.dumps(op)), copy.copy(op), copy.deepcopy(op)):
        assert repr(twin) == '<mmcv op softnms, missing in mmcv-lite>'
        with pytest.raises(MissingOpError, match='softnms'):
            twin()


def test_a_missing_op_unpickles_in_a_fresh_process():
    code = f'import pickle; print(pickle.loads({pickle.dumps(MissingOp("softnms"))!r}))'
    assert 'softnms' in run_python(code)


@pytest.mark.full
def test_compiled_ops_are_left_alone():
    import mmcv._ext as ext

    install()
    assert not isinstance(ext, StandIn)
    assert ext.__file__.endswith('.so')


def test_without_mmcv_there_are_no_compiled_ops(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    assert not has_compiled_ops()
