"""Soft ranks on a GPU without a wait of the host."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import torch
from torch import Tensor


@functools.cache
def _kernels() -> Any:
    """Return the module of Triton kernels, or ``None`` where Triton cannot be imported."""
    try:
        return importlib.import_module('mono_distill.ops._pool_kernel_triton')
    except (ImportError, OSError):
        return None


def can_join(values: Tensor) -> bool:
    """Whether :func:`soft_rank_by_joins` can rank ``values``: on a GPU where Triton is installed."""
    return values.is_cuda and not torch.compiler.is_compiling() and _kernels() is not None


def soft_rank_by_joins(values: Tensor, eps: float | Tensor) -> Tensor:
    """Soft ranks ``(R, n)`` of ``values`` ``(R, n)``, see :func:`mono_distill.ops.soft_rank`."""
    n = values.shape[1]
    wide = values.double()
    # A shift of the row cancels in exact arithmetic; without it the division by a small eps would cost digits.
    wide = (wide - wide.detach().mean(1, keepdim=True)) / eps
    order = wide.detach().argsort(1, descending=True)
    ordered = wide.gather(1, order)
    first, size, mean = _kernels().find_pools(ordered.detach())
    # The mean rank of a pool; places run from the largest entry, which has rank n.
    rank = n - first - (size - 1) / 2
    # In this order a single entry has its rank exactly, whatever the size of x / eps.
    ranks = ordered - _Mean.apply(ordered, mean, first, size) + rank
    return torch.empty_like(ranks).scatter(1, order, ranks).to(values.dtype)


class _Mean(torch.autograd.Function):
    """Each entry's mean over its pool, known beforehand; its derivative is the same average."""

    generate_vmap_rule = True

    @staticmethod
    def forward(ordered: Tensor, mean: Tensor, first: Tensor, size: Tensor) -> Tensor:
        return mean.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[2:])
        ctx.save_for_forward(*inputs[2:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        first, size = ctx.saved_tensors
        return _Mean.apply(gradient, _averaged(gradient, first, size), first, size), None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        first, size = ctx.saved_tensors
        return _Mean.apply(tangent, _averaged(tangent, first, size), first, size)


def _averaged(values: Tensor, first: Tensor, size: Tensor) -> Tensor:
    """Mean over the pool of each place, from running sums: adding the entries of a large pool to one number waits."""
    sums = torch.nn.functional.pad(values.detach().cumsum(1), (1, 0))
    return (sums.gather(1, first + size) - sums.gather(1, first)) / size
