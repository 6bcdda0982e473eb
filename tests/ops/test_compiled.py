"""Tests of mono_distill.ops._compiled."""

import sys

import torch

import mono_distill.ops
from mono_distill.ops import _compiled


def test_kernels_are_there():
    assert callable(_compiled.rank_kernels().soft_rank_rows)


def test_without_numba_there_are_no_kernels(monkeypatch):
    for name in ('_rank_kernel', '_njit_cached'):
        monkeypatch.delitem(sys.modules, f'mono_distill.ops.{name}', raising=False)
        monkeypatch.delattr(mono_distill.ops, name, raising=False)
    monkeypatch.setitem(sys.modules, 'numba', None)
    assert _compiled.rank_kernels.__wrapped__() is None


def test_only_tensors_in_main_memory_are_compiled():
    assert _compiled.can_compile_ranks(torch.zeros(1, 2))
    assert not _compiled.can_compile_ranks(torch.zeros(1, 2, device='meta'))


def test_batched_tensors_have_no_memory():
    seen = []
    torch.func.vmap(lambda x: seen.append(_compiled.has_memory(x)) or x)(torch.zeros(2, 3))
    assert seen == [False]
    assert _compiled.has_memory(torch.zeros(2, requires_grad=True))
