"""Tests of mono_distill.ops._compiled."""

import ast
import sys
from pathlib import Path

import pytest
import torch

import mono_distill.ops
from mono_distill.ops import _compiled

MODULES = {
    '_rank_kernel': _compiled.rank_kernels,
    '_rank_slope_kernel': _compiled.rank_slope_kernels,
    '_box_kernel': _compiled.box_kernels,
    '_roi_align_kernel': _compiled.roi_kernels,
}


@pytest.mark.parametrize('name', MODULES)
def test_kernels_are_there(name):
    assert MODULES[name]().__name__ == f'mono_distill.ops.{name}'


@pytest.mark.parametrize('name', MODULES)
def test_without_numba_there_are_no_kernels(monkeypatch, name):
    for module in (name, '_njit_cached'):
        monkeypatch.delitem(sys.modules, f'mono_distill.ops.{module}', raising=False)
        monkeypatch.delattr(mono_distill.ops, module, raising=False)
    monkeypatch.setitem(sys.modules, 'numba', None)
    assert MODULES[name].__wrapped__() is None


@pytest.mark.parametrize('name', MODULES)
def test_compiled_functions_call_none_of_another_file(name):
    # numba's cache does not notice when such a file changes.
    tree = ast.parse(Path(MODULES[name]().__file__).read_text())
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert [module for module in imported if module.startswith('mono_distill')] == ['mono_distill.ops._njit_cached']


def test_only_tensors_in_main_memory_are_compiled():
    assert _compiled.can_compile_ranks(torch.zeros(1, 2))
    assert not _compiled.can_compile_ranks(torch.zeros(1, 2, device='meta'))


def test_the_host_reads_plain_tensors_in_main_memory_only():
    seen = []
    torch.func.vmap(lambda x: seen.append(_compiled.on_host(x)) or x)(torch.zeros(2, 3))
    assert seen == [False]
    assert _compiled.on_host(torch.zeros(2), torch.zeros(3, requires_grad=True))
    assert not _compiled.on_host(torch.zeros(2), torch.zeros(2, device='meta'))


def test_batched_tensors_have_no_memory():
    seen = []
    torch.func.vmap(lambda x: seen.append(_compiled.has_memory(x)) or x)(torch.zeros(2, 3))
    assert seen == [False]
    assert _compiled.has_memory(torch.zeros(2, requires_grad=True))
