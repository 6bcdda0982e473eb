"""Which tier there is and whether its ops run."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest
import torch

from mono_distill.compat.environment import ops as module
from mono_distill.compat.environment.ops import check_ops, describe_tier, run_op
from mono_distill.compat.mmcv_lite import has_compiled_ops


def fake_ops(cuda='not available', nms=None):
    return SimpleNamespace(get_compiling_cuda_version=lambda: cuda, nms=nms)


def test_the_tier_of_this_environment_runs():
    checks = {check.name: check for check in check_ops()}
    assert checks['tier'].value.startswith('full' if has_compiled_ops() else 'lite')
    assert checks['ops on cpu'].value == 'run'


def test_no_mmcv_at_all(monkeypatch):
    monkeypatch.setattr(module, 'installed_versions', lambda names: {})
    (check,) = check_ops()
    assert check.state == 'warn'
    assert 'make setup' in check.cure


@pytest.mark.parametrize(
    ('compiled', 'cuda', 'gpu', 'state'),
    [
        (False, '', False, 'ok'),
        (False, '', True, 'warn'),
        (True, 'not available', False, 'ok'),
        (True, 'not available', True, 'warn'),
        (True, '13.0', True, 'ok'),
    ],
)
def test_tier_and_gpu_should_match(compiled, cuda, gpu, state):
    check = describe_tier(compiled, fake_ops(cuda), gpu=gpu)
    assert check.state == state
    assert bool(check.cure) == (state != 'ok')


@pytest.fixture
def failing_import(monkeypatch):
    """Let ``mmcv.ops`` fail to import with a message."""

    def fail(message: str, *, compiled: bool):
        real = importlib.import_module

        def import_module(name: str, *rest: str):
            if name == 'mmcv.ops':
                raise ImportError(message)
            return real(name, *rest)

        monkeypatch.setattr(module.importlib, 'import_module', import_module)
        monkeypatch.setattr(module, 'has_compiled_ops', lambda: compiled)

    return fail


def test_mmcv_compiled_for_another_torch(failing_import):
    failing_import('_ext.so: undefined symbol: _ZN3c104impl', compiled=True)
    (check,) = check_ops()
    assert check.state == 'broken'
    assert 'compiled for another torch' in check.value
    assert 'make setup-full' in check.cure


def test_mmcv_that_cannot_be_imported_for_another_reason(failing_import):
    failing_import('No module named addict', compiled=False)
    (check,) = check_ops()
    assert check.state == 'broken'
    assert 'No module named addict' in check.value


def test_ops_that_have_no_code_for_the_gpu():
    def nms(*_):
        raise RuntimeError('CUDA error: no kernel image is available\nmore')

    check = run_op(fake_ops(nms=nms), torch, 'cpu')
    assert check.state == 'broken'
    assert check.value == 'fail: CUDA error: no kernel image is available'


def test_ops_that_compute_nonsense():
    check = run_op(fake_ops(nms=lambda *_: (None, torch.tensor([0, 1]))), torch, 'cpu')
    assert check.state == 'broken'
    assert 'wrong result' in check.value
